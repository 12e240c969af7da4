"""Stage 2: train a small Descript Audio Codec on the waves of a data dir."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_tasks, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require

SCHEMA = "aio_toolkit.training.codec:CodecModule"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    add_config(parser, "conf/codec.yaml")
    parser.add_argument("--data", type=Path, required=True, help="data dir to train on")
    parser.add_argument("--dev", type=Path, required=True, help="data dir to validate on")
    add_tasks(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the codec")
    return parser


@cli
def main() -> None:
    """Check the configuration, then train."""
    args = parse(build_parser())
    require("train")
    from aio_toolkit.config import check_config, load_config
    from aio_toolkit.training.trainer_options import check_trainer

    check_trainer(check_config(SCHEMA, args.config, args.set)["trainer"])
    from aio_toolkit.tasks import load_tasks
    from aio_toolkit.training.codec import CodecModule, train_codec

    config = load_config(CodecModule.Config, args.config, args.set)
    train_codec(config, load_tasks(args.tasks_config), args.data, args.dev, args.out)


if __name__ == "__main__":
    main()
