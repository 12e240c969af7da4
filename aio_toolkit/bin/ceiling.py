"""Measure what a codec leaves of the targets of a data dir: the ceiling of every head that predicts
its codes."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_tasks, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require

SCHEMA = "aio_toolkit.analysis.ceiling:Ceiling"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--codec", required=True, help="folder, file or name of the codec")
    parser.add_argument("--data", type=Path, required=True, help="data dir with audio tasks")
    add_tasks(parser)
    add_config(parser, "codebooks, max_utts, wiener", required=False)
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for CEILING.md and ceiling.json"
    )
    return parser


@cli
def main() -> None:
    """Check the configuration, then measure and print."""
    args = parse(build_parser())
    require("metrics")
    from aio_toolkit.config import check_config, load_config

    overrides = [f"codec={args.codec}", *args.set]
    check_config(SCHEMA, args.config, overrides)
    # Only now what takes seconds to import: a mistake in the configuration is told at once.
    from aio_toolkit.analysis.ceiling import Ceiling
    from aio_toolkit.analysis.ceiling_report import write_ceiling
    from aio_toolkit.tasks import load_tasks

    config = load_config(Ceiling.Config, args.config, overrides)
    tasks = load_tasks(args.tasks_config)
    results = Ceiling(config).measure(args.data, tasks, args.nj)
    print(write_ceiling(results, args.out), end="")


if __name__ == "__main__":
    main()
