"""Stage 3: pre-train the front-end encoder on the dumped inputs of all tasks."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML of the run (conf/train_ssl.yaml)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data dirs")
    parser.add_argument("--dump", type=Path, default=Path("dump"), help="folder of their dumps (stage 2)")
    parser.add_argument("--out", type=Path, required=True, help="experiment folder")
    parser.add_argument("--train_set", default="train", help="split to train on")
    parser.add_argument("--dev_set", default="dev", help="split to validate on")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="override keys of the YAML")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.config import load_config
    from aio_toolkit.training.config import SslTrainConfig
    from aio_toolkit.training.pretrain import pretrain

    config = load_config(SslTrainConfig, args.config, args.set)
    pretrain(config, args.data, args.dump, args.out, (args.train_set, args.dev_set))


if __name__ == "__main__":
    main()
