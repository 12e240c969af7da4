"""Stage 7: show which experts of a trained model serve which task, on a split: table, figures and
plot."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_split, command_parser, parse, split_of
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model (stage 4)")
    add_split(parser, "to route")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for ROUTING.md, routing.json, routing.png"
    )
    return parser


@cli
def main() -> None:
    """Load, measure, print."""
    args = parse(build_parser())
    from aio_toolkit.analysis.routing import analyse_routing

    split = split_of(args)
    print(analyse_routing(args.model, split, args.out), end="")


if __name__ == "__main__":
    main()
