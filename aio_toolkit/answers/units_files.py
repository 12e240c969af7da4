"""The state of any units in a folder of a pack: no file in it runs code when it is read."""

from pathlib import Path
from typing import Any

import torch

from aio_toolkit.files import atomic_path
from aio_toolkit.plain_yaml import read_plain, write_plain
from aio_toolkit.tensor_files import read_tensors, write_tensors

VALUES, TENSORS, BYTES = "values.yaml", "tensors.safetensors", ".bin"


def save_state(state: dict[str, Any], folder: Path) -> None:
    """Write tensors to a safetensors file, bytes to a file each, and the rest to YAML.

    >>> import tempfile
    >>> state = {"size": 2, "vectors": torch.zeros(2), "model": b"1"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(state, Path(folder))
    ...     sorted(path.name for path in Path(folder).iterdir())
    ...     sorted(load_state(Path(folder)))
    ['model.bin', 'tensors.safetensors', 'values.yaml']
    ['model', 'size', 'vectors']
    """
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    blobs = {name: value for name, value in state.items() if isinstance(value, bytes)}
    rest = {name: value for name, value in state.items() if name not in {**tensors, **blobs}}
    write_plain(folder / VALUES, rest)
    if tensors:
        write_tensors(folder / TENSORS, tensors)
    for name, blob in blobs.items():
        with atomic_path(folder / f"{name}{BYTES}") as temporary:
            temporary.write_bytes(blob)


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        AioError: a file is missing or damaged.
    """
    state = read_plain(folder / VALUES)
    if (folder / TENSORS).is_file():
        state |= read_tensors(folder / TENSORS)
    for path in sorted(folder.glob(f"*{BYTES}")):
        state[path.stem] = path.read_bytes()
    return state
