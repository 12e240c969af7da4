"""Teach a trained multitask model one more task; its answers to all others stay what they are."""

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

SCHEMA = "aio_toolkit.training.adapt:Adaptation"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    add_config(parser, "conf/adapt_enh.yaml")
    add_corpus(parser)
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
    from aio_toolkit.training.adapt import Adaptation, adapt

    config = load_config(Adaptation.Config, args.config, args.set)
    adapt(config, corpus_of(args), args.units, args.out)


if __name__ == "__main__":
    main()
