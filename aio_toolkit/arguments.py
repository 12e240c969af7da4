"""Arguments that several commands share. Nothing here imports what takes long, so `--help` answers
at once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aio_toolkit.dump.split import Corpus, Split


def command_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help shows defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--parts",
        nargs="*",
        default=[],
        metavar="PACKAGE",
        help="packages of further parts, which mirror the folders of aio_toolkit",
    )
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of the command line; packages of parts are in use from here on."""
    from aio_toolkit import parts

    args = parser.parse_args()
    parts.use(args.parts)
    return args


def add_config(parser: argparse.ArgumentParser, example: str, *, required: bool = True) -> None:
    """Add `--config` and `--set`; `example` is a file of a recipe."""
    parser.add_argument("--config", type=Path, required=required, help=f"YAML file ({example})")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="keys that win over those of the YAML file",
    )


def add_tasks(parser: argparse.ArgumentParser) -> None:
    """Add `--tasks_config`."""
    parser.add_argument(
        "--tasks_config",
        type=Path,
        default=Path("conf/tasks.yaml"),
        help="YAML file of the tasks that data dirs hold",
    )


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Add what `corpus_of` reads."""
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data dirs")
    parser.add_argument(
        "--dump", type=Path, default=Path("dump"), help="folder of their dumps (stage 2)"
    )
    parser.add_argument("--train_set", default="train", help="split to train on")
    parser.add_argument("--dev_set", default="dev", help="split to validate on")
    add_tasks(parser)


def corpus_of(args: argparse.Namespace) -> "Corpus":
    """The corpus that a command was given."""
    from aio_toolkit.dump.split import Corpus
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    return Corpus(args.data, args.dump, tasks, args.train_set, args.dev_set)


def add_split(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add what `split_of` reads; `purpose` says what the data dir is for."""
    parser.add_argument("--data", type=Path, required=True, help=f"data dir {purpose}")
    parser.add_argument("--dump", type=Path, required=True, help="its dump (stage 2)")
    add_tasks(parser)


def split_of(args: argparse.Namespace) -> "Split":
    """The split that a command was given."""
    from aio_toolkit.dump.split import Split
    from aio_toolkit.tasks import load_tasks

    return Split(args.data, args.dump, load_tasks(args.tasks_config))
