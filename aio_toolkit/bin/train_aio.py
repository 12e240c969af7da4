"""Stage 4: train the MoE transformer on all tasks, on top of the frozen encoder."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run (conf/train_aio.yaml)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data dirs")
    parser.add_argument("--dump", type=Path, default=Path("dump"), help="folder of their dumps (stage 2)")
    parser.add_argument("--ssl", type=Path, default=Path("exp/ssl"), help="folder of the encoder (stage 3)")
    parser.add_argument("--codec", default="exp/codec", help="codec that made the codes: folder, file or name")
    parser.add_argument("--token", type=Path, default=Path("dump/token"), help="folder of the SentencePiece model")
    parser.add_argument("--out", type=Path, required=True, help="experiment folder")
    parser.add_argument("--train_set", default="train", help="split to train on")
    parser.add_argument("--dev_set", default="dev", help="split to validate on")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="override keys of the YAML")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.config import load_config
    from aio_toolkit.training.config import AioTrainConfig
    from aio_toolkit.training.multitask import train_multitask

    config = load_config(AioTrainConfig, args.config, args.set)
    splits = (args.train_set, args.dev_set)
    train_multitask(config, args.data, args.dump, args.ssl, args.codec, args.token, args.out, splits)


if __name__ == "__main__":
    main()
