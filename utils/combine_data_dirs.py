#!/usr/bin/env python
"""Join data dirs into one: ../../utils/combine_data_dirs.py data/all data/a data/b."""

from pathlib import Path
from typing import TYPE_CHECKING

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import AioError, cli

if TYPE_CHECKING:
    from aio_toolkit.data.datadir import Utterance
    from aio_toolkit.tasks import Task


@cli
def main() -> None:
    """Read every source, refuse ids that appear twice, write the destination."""
    parser = command_parser(__doc__)
    parser.add_argument("destination", type=Path, help="data dir to write")
    parser.add_argument("sources", type=Path, nargs="+", help="data dirs to read")
    add_tasks(parser)
    args = parse(parser)

    from aio_toolkit.data.datadir import write_data_dir
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    write_data_dir(args.destination, combine(args.sources, tasks), tasks)


def combine(sources: list[Path], tasks: "dict[str, Task]") -> "list[Utterance]":
    """The utterances of all sources; AioError where two of them have the same id."""
    from aio_toolkit.data.datadir import read_data_dir

    joined: list[Utterance] = []
    origin: dict[str, Path] = {}
    for source in sources:
        for utterance in read_data_dir(source, tasks):
            if utterance.id in origin:
                raise AioError(
                    f"{source}: utterance '{utterance.id}' is also in {origin[utterance.id]}. "
                    "Ids must be unique; rename those of one corpus."
                )
            origin[utterance.id] = source
            joined.append(utterance)
    return joined


if __name__ == "__main__":
    main()
