"""Checkpoints on disk: whole or not there, and read without running code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, override

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from aio_toolkit.errors import AioError
from aio_toolkit.tensor_files import is_whole, write_torch
from aio_toolkit.training.run import say

# The newest state, the one before it, and the weights to decode with.
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints beside their target and renames them; keeps the newest but one.

    Lightning's own are written to the folder for temporary files and copied, so that a process
    killed in the copy leaves half of one.

    >>> import tempfile
    >>> files = CheckpointFiles()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step in (1, 2, 3):
    ...         files.save_checkpoint({"step": step}, Path(folder, LAST))
    ...     [files.load_checkpoint(Path(folder, name))["step"] for name in (LAST, PREVIOUS)]
    [3, 2]
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OSError: the disk is full, or may not be written.
        """
        path = Path(path)
        if path.name == LAST and path.is_file():
            os.replace(path, path.with_name(PREVIOUS))
        write_torch(path, checkpoint)

    @override
    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint: tensors and plain values, whatever Lightning asks for."""
        return torch.load(path, map_location="cpu", weights_only=True)


def newest(folder: Path) -> Path | None:
    """The checkpoint to go on from; None where a run begins.

    Raises:
        AioError: there are checkpoints, and none can be read.

    >>> newest(Path("exp/nowhere"))
    """
    found = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    for path in found:
        if not is_whole(path):
            continue
        if path.name == PREVIOUS:
            say(f"{folder / LAST} is missing or damaged: the run goes on from {path}")
        return path
    if found:
        remedy = f"Delete {folder} to begin the run again"
        raise AioError(f"{found[0]} is damaged, and so is what was kept before. {remedy}.")
    return None
