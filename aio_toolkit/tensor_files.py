"""Tensors in safetensors files, which hold nothing else and run no code."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

if TYPE_CHECKING:
    import torch


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"]) -> None:
    """Write tensors by their names, atomically."""
    from safetensors.torch import save_file

    # Copies: views of one tensor are refused, as they would be written twice without a word.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(copies, temporary)


def read_tensors(path: Path) -> dict[str, "torch.Tensor"]:
    """Read what `write_tensors` wrote.

    Raises:
        AioError: the file is missing or no safetensors file.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(Path(folder, "a.safetensors"), {"x": torch.arange(3)})
    ...     read_tensors(Path(folder, "a.safetensors"))
    {'x': tensor([0, 1, 2])}
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise AioError(f"{path} does not exist.") from None
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise AioError(f"{path} is no safetensors file: {reason}.") from None
