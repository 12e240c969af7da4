"""Pack a finished model to hand it on: a folder that others load, without code and pickles.

It is loaded from the folder, from a zip of it, or from the Hugging Face Hub.
"""

import argparse
from pathlib import Path

from aio_toolkit.arguments import command_parser, parse
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="folder of the model (stage 4, extract)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the pack")
    parser.add_argument("--codec", type=Path, help="folder of the codec, to go with the model")
    parser.add_argument("--half", action="store_true", help="weights as float16, half the size")
    card = parser.add_argument_group("the card")
    card.add_argument("--name", help="of the model; the experiment's by default")
    card.add_argument("--license", help="such as cc-by-4.0")
    card.add_argument("--trained_on", nargs="*", default=[], help="names of the training data")
    card.add_argument("--results", nargs="*", default=[], type=Path, help="results.json of stage 6")
    return parser


@cli
def main() -> None:
    """Pack, and say how to share it."""
    args = parse(build_parser())
    from aio_toolkit.hub.card import About
    from aio_toolkit.hub.pack import pack_model

    name = args.name or args.model.resolve().name
    about = About(name, args.license, args.trained_on, args.results)
    pack_model(args.model, args.out, about, args.codec, half=args.half)
    print(f"share: hf upload user/{name} {args.out}")
    print(f'load:  aio_toolkit.load("user/{name}")')


if __name__ == "__main__":
    main()
