"""Several data dirs as one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task


def combine(sources: Sequence[Path], tasks: Mapping[str, Task]) -> list[Utterance]:
    """The utterances of all data dirs.

    Args:
        sources: the data dirs.
        tasks: all tasks of the recipe, by name.

    Raises:
        AioError: a data dir is not valid, or two of them have the same id.
    """
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
