"""Tell what a finished model is: tasks, rate, size."""

import argparse

from aio_toolkit.arguments import add_pack, command_parser, parse
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("model", help="folder, packed folder, .zip, or user/name on the hub")
    add_pack(parser)
    return parser


@cli
def main() -> None:
    """Print the model's card."""
    args = parse(build_parser())
    from aio_toolkit.hub.model import Model

    print(Model(args.model, "cpu", trust=args.trust, revision=args.revision).describe())


if __name__ == "__main__":
    main()
