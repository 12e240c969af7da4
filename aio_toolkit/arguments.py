"""Arguments that several commands share. Nothing here imports what takes long, so `--help` answers
at once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aio_toolkit.dump.split import Corpus, Split


def command_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help shows defaults; its only argument is `--parts`.

    >>> command_parser("Decode.").parse_args(["--parts", "tagging"]).parts
    ['tagging']
    """
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
    """The arguments of the command line; packages of parts are in use from here on.

    Raises:
        AioError: there is no such package.
    """
    from aio_toolkit import parts

    args = parser.parse_args()
    # Before a configuration is read, as it may name parts of these packages.
    parts.use(args.parts)
    return args


def add_pack(parser: argparse.ArgumentParser) -> None:
    """Add what the model of others needs: `--trust` and `--revision`.

    >>> parser = command_parser("Answer.")
    >>> add_pack(parser)
    >>> parser.parse_args(["--trust", "tagging"]).trust
    ['tagging']
    """
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="an installed package of parts that a packed model may run; may be repeated",
    )
    parser.add_argument("--revision", help="commit, tag or branch of a model on the hub")


def add_config(parser: argparse.ArgumentParser, example: str, *, required: bool = True) -> None:
    """Add `--config` and `--set`.

    Args:
        parser: where to.
        example: the file of a recipe, or what such a file holds.
        required: whether there are no defaults for everything.

    >>> parser = command_parser("Train.")
    >>> add_config(parser, "conf/train_aio.yaml", required=False)
    >>> parser.parse_args(["--set", "seed=1", "optim.lr=0.01"]).set
    ['seed=1', 'optim.lr=0.01']
    """
    parser.add_argument("--config", type=Path, required=required, help=f"YAML file ({example})")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="keys that win over those of the YAML file",
    )


def add_tasks(parser: argparse.ArgumentParser) -> None:
    """Add `--tasks_config`, which `aio_toolkit.tasks.load_tasks` reads.

    >>> parser = command_parser("Score.")
    >>> add_tasks(parser)
    >>> str(parser.parse_args([]).tasks_config)
    'conf/tasks.yaml'
    """
    parser.add_argument(
        "--tasks_config",
        type=Path,
        # Commands run in the folder of a recipe.
        default=Path("conf/tasks.yaml"),
        help="YAML file of the tasks that data dirs hold",
    )


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the folders of a corpus, the name of its training split, and its tasks.

    >>> parser = command_parser("Probe.")
    >>> add_folders(parser)
    >>> parser.parse_args(["--train_set", "train_small"]).train_set
    'train_small'
    """
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data dirs")
    parser.add_argument(
        "--dump", type=Path, default=Path("dump"), help="folder of their dumps (stage 2)"
    )
    parser.add_argument("--train_set", default="train", help="split to train on")
    add_tasks(parser)


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Add what `corpus_of` reads."""
    add_folders(parser)
    parser.add_argument("--dev_set", default="dev", help="split to validate on")


def corpus_of(args: argparse.Namespace) -> "Corpus":
    """The corpus that a command was given.

    Raises:
        AioError: the file of the tasks is missing or wrong.

    >>> parser = command_parser("Train.")
    >>> add_corpus(parser)
    >>> args = parser.parse_args(["--tasks_config", "egs/TEMPLATE/conf/tasks.yaml"])
    >>> str(corpus_of(args).dev.dump)
    'dump/dev'
    """
    from aio_toolkit.dump.split import Corpus
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    return Corpus(args.data, args.dump, tasks, args.train_set, args.dev_set)


def add_units(parser: argparse.ArgumentParser) -> None:
    """Add `--units`.

    >>> parser = command_parser("Say hello.")
    >>> add_units(parser)
    >>> parser.parse_args([]).units.as_posix()
    'dump/units'
    """
    parser.add_argument(
        "--units", type=Path, default=Path("dump/units"), help="folder of the units (stage 2)"
    )


def add_data(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add `--data` and the file of its tasks; `purpose` says what the data dir is for.

    >>> parser = command_parser("Route.")
    >>> add_data(parser, "to route")
    >>> str(parser.parse_args(["--data", "data/dev"]).data)
    'data/dev'
    """
    parser.add_argument("--data", type=Path, required=True, help=f"data dir {purpose}")
    add_tasks(parser)


def add_split(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add what `split_of` reads; `purpose` says what the data dir is for."""
    add_data(parser, purpose)
    parser.add_argument("--dump", type=Path, required=True, help="its dump (stage 2)")


def split_of(args: argparse.Namespace) -> "Split":
    """The split that a command was given.

    Raises:
        AioError: the file of the tasks is missing or wrong.

    >>> parser = command_parser("Decode.")
    >>> add_split(parser, "to decode")
    >>> options = ["--data", "data/test", "--dump", "dump/test"]
    >>> options += ["--tasks_config", "egs/TEMPLATE/conf/tasks.yaml"]
    >>> list(split_of(parser.parse_args(options)).tasks)
    ['asr', 'st', 'sep', 'enh', 'sound', 'music']
    """
    from aio_toolkit.dump.split import Split
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    return Split(args.data, args.dump, tasks)
