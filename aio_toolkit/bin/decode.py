"""Stage 5: decode a split by one checkpoint, text by beam search and audio by the codec."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_split, command_parser, parse, split_of
from aio_toolkit.errors import cli

SCHEMA = "aio_toolkit.decoding.run:SplitDecoder"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model (stage 4)")
    add_split(parser, "to decode")
    parser.add_argument("--out", type=Path, required=True, help="folder for hypotheses and waves")
    parser.add_argument(
        "--tasks", nargs="+", default=[], help="tasks to decode; all of the model by default"
    )
    add_config(parser, "conf/decode.yaml", required=False)
    return parser


@cli
def main() -> None:
    """Check the configuration, then decode."""
    args = parse(build_parser())
    from aio_toolkit.config import check_config, load_config

    check_config(SCHEMA, args.config, args.set)
    from aio_toolkit.decoding.run import SplitDecoder, decode_split

    config = load_config(SplitDecoder.Config, args.config, args.set)
    decode_split(config, args.model, split_of(args), args.out, args.tasks)


if __name__ == "__main__":
    main()
