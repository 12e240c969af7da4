"""Floors and ceilings of a split, computed once and kept for every model that is scored on it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.digest import digest_of
from aio_toolkit.files import read_json, write_json
from aio_toolkit.scoring.base import Key, Sums


class BoundsStore:
    """A file for each task, named by all that its bounds depend on.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = BoundsStore(Path(folder))
    ...     path = store.path("enh", [], {"codec": None})
    ...     store.write(path, {"enh-1": {Key("mixture", "speech", "si_sdr"): np.array([1.5])}})
    ...     store.read(path)
    {'enh-1': {Key(output='mixture', target='speech', metric='si_sdr'): array([1.5])}}
    """

    def __init__(self, folder: Path):
        """`folder` is made when bounds are written."""
        self.folder = folder

    def path(self, task: str, utterances: Sequence[Utterance], made_of: Mapping[str, Any]) -> Path:
        """Where the bounds of a task's utterances are, or are to be.

        Args:
            task: its name.
            utterances: what is scored, references included.
            made_of: plain values that the bounds depend on besides.
        """
        told = json.dumps([digest_of(utterances), made_of], sort_keys=True)
        key = hashlib.sha256(told.encode()).hexdigest()[:16]
        return self.folder / f"{task}.{key}.json"

    def read(self, path: Path) -> dict[str, Sums]:
        """The bounds of each utterance, by id; none where there is no file."""
        if not path.is_file():
            return {}
        bounds: dict[str, Sums] = {}
        for id, rows in read_json(path).items():
            bounds[id] = {Key(*row[:3]): np.array(row[3], dtype=float) for row in rows}
        return bounds

    def write(self, path: Path, bounds: Mapping[str, Sums]) -> None:
        """Keep the bounds of all utterances."""
        content = {}
        for id, sums in bounds.items():
            rows = []
            for key, sums_K in sums.items():
                rows.append([key.output, key.target, key.metric, sums_K.tolist()])
            content[id] = rows
        write_json(path, content)
