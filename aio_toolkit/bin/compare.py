"""Compare systems over seeds: train, decode and score what is missing, write one table.

`run.sh --compare conf/compare.yaml` calls this with the options of the recipe.
"""

import argparse
from pathlib import Path

from aio_toolkit.arguments import command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--list", type=Path, required=True, help="YAML file of systems and seeds")
    parser.add_argument(
        "--script", type=Path, required=True, help="the stages, which take the options of run.sh"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of results, a folder a list"
    )
    parser.add_argument(
        "options", nargs="*", help="after --: all options of run.sh with their values"
    )
    return parser


@cli
def main() -> None:
    """Run what is missing, write, print."""
    args = parse(build_parser())
    for extra in ("train", "metrics"):
        require(extra)
    from aio_toolkit.analysis.comparison_list import read_list

    plan = read_list(args.list, args.options)
    from aio_toolkit.analysis.comparison_runs import Comparison

    Comparison(plan, args.script, args.results / args.list.stem).run()


if __name__ == "__main__":
    main()
