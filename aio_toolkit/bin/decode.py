"""Stage 5: decode all tasks of a split from one checkpoint, text by beam search and audio by the codec."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained model (stage 4)")
    parser.add_argument("--codec", default="exp/codec", help="codec it was trained with: folder, file or name")
    parser.add_argument("--data", type=Path, required=True, help="data dir to decode")
    parser.add_argument("--dump", type=Path, required=True, help="its dump (stage 2)")
    parser.add_argument("--out", type=Path, required=True, help="folder for hypotheses and waves")
    parser.add_argument("--config", type=Path, help="YAML of decoding options (conf/decode.yaml)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="override keys of the YAML")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.config import load_config
    from aio_toolkit.decoding.config import DecodeConfig
    from aio_toolkit.decoding.split import decode_split

    config = load_config(DecodeConfig, args.config, args.set)
    decode_split(config, args.model, args.codec, args.data, args.dump, args.out)


if __name__ == "__main__":
    main()
