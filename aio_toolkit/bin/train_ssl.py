"""Stage 3: pre-train the front-end encoder on the dumped inputs of all tasks."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_corpus, command_parser, corpus_of, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require

SCHEMA = "aio_toolkit.training.pretrain:PretrainModule"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    add_config(parser, "conf/train_ssl.yaml")
    add_corpus(parser)
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
    from aio_toolkit.training.pretrain import PretrainModule, pretrain

    config = load_config(PretrainModule.Config, args.config, args.set)
    pretrain(config, corpus_of(args), args.out)


if __name__ == "__main__":
    main()
