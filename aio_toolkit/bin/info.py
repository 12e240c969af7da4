"""Tell what a finished model is: tasks, rate, size."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import command_parser, parse
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("model", type=Path, help="folder of the model (stage 4)")
    return parser


@cli
def main() -> None:
    """Print the model's card."""
    args = parse(build_parser())
    from aio_toolkit.hub.model import Model

    print(Model(args.model, device="cpu").describe())


if __name__ == "__main__":
    main()
