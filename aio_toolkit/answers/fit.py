"""Stage 2: the units of every kind of answer that a split has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit.config import each_of
from aio_toolkit.data.datadir import read_data_dir
from aio_toolkit.folders import alone_in
from aio_toolkit.tasks import Task, group_by_output


class UnitsFit:
    """Fits the units of each kind of answer; here for its configuration."""

    @dataclass
    class Config:
        """Options of stage 2.

        Attributes:
            units: options of each kind of answer, `answers/*.py`.

        >>> from aio_toolkit.config import load_config
        >>> config = load_config(UnitsFit.Config, None, ["units.text.vocab_size=40"])
        >>> config.units["text"].vocab_size
        40
        """

        units: dict[str, Any] = each_of("answers", nested="Fit")


def fit_units(config: UnitsFit.Config, data: Path, tasks: Mapping[str, Task], out: Path) -> None:
    """Fit the units of every kind of answer that a data dir has; write them to `out/<kind>`.

    Args:
        config: options.
        data: data dir of the training split.
        tasks: all tasks that its utterances may have.
        out: folder of the units.

    Raises:
        AioError: the data dir is not valid, units cannot be made, or another run makes them.
    """
    utterances = read_data_dir(data, tasks)
    groups = group_by_output(tasks.values())
    with alone_in(out):
        for output, of_kind in groups.items():
            targets: set[str] = set()
            for task in of_kind:
                targets.update(task.targets)
            # Not only utterances of these tasks: mixtures may have a transcript, which is text too.
            answered = [u for u in utterances if targets & u.answers.keys()]
            if answered:
                kind = of_kind[0].kind
                options = config.units[output]
                kind.fit(of_kind, answered, options, out / output)
