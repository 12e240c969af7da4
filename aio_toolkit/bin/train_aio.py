"""Stage 4: train the MoE transformer on all tasks, on top of the frozen encoder."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import (
    add_config,
    add_corpus,
    add_units,
    command_parser,
    corpus_of,
    parse,
)
from aio_toolkit.errors import cli
from aio_toolkit.extras import require

SCHEMA = "aio_toolkit.training.multitask:MultitaskModule"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    add_config(parser, "conf/train_aio.yaml")
    add_corpus(parser)
    parser.add_argument(
        "--ssl", type=Path, default=Path("exp/train_ssl"), help="folder of the encoder (stage 3)"
    )
    add_units(parser)
    parser.add_argument("--out", type=Path, required=True, help="experiment folder")
    return parser


@cli
def main() -> None:
    """Check the configuration, then train."""
    args = parse(build_parser())
    require("train")
    from aio_toolkit.config import check_config, load_config
    from aio_toolkit.training.trainer_options import check_trainer

    check_trainer(check_config(SCHEMA, args.config, args.set)["trainer"])
    from aio_toolkit.training.multitask import Folders, MultitaskModule, train_multitask

    config = load_config(MultitaskModule.Config, args.config, args.set)
    train_multitask(config, corpus_of(args), Folders(args.ssl, args.units, args.out))


if __name__ == "__main__":
    main()
