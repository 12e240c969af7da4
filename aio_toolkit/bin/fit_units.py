"""Stage 2: fit what answers are made of, such as the SentencePiece model of all text of a split."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_tasks, command_parser, parse
from aio_toolkit.errors import cli

SCHEMA = "aio_toolkit.answers.fit:UnitsFit"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data dir to fit to (train)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the units (dump/units)")
    add_tasks(parser)
    add_config(parser, "options by kind of answer", required=False)
    return parser


@cli
def main() -> None:
    """Check the options, then fit."""
    args = parse(build_parser())
    from aio_toolkit.config import check_config, load_config

    check_config(SCHEMA, args.config, args.set)
    from aio_toolkit.answers.fit import UnitsFit, fit_units
    from aio_toolkit.tasks import load_tasks

    config = load_config(UnitsFit.Config, args.config, args.set)
    fit_units(config, args.data, load_tasks(args.tasks_config), args.out)


if __name__ == "__main__":
    main()
