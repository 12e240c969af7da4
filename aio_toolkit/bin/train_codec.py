"""Stage 2: train a small Descript Audio Codec on the waves of a data dir."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run (conf/codec.yaml)")
    parser.add_argument("--data", type=Path, required=True, help="data dir to train on")
    parser.add_argument("--dev", type=Path, required=True, help="data dir to validate on")
    parser.add_argument("--out", type=Path, required=True, help="folder of the codec")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="override keys of the YAML")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.config import load_config
    from aio_toolkit.training.codec import CodecTrainConfig, train_codec

    train_codec(load_config(CodecTrainConfig, args.config, args.set), args.data, args.dev, args.out)


if __name__ == "__main__":
    main()
