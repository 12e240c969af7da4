"""Tensors in files that run no code: safetensors, or torch's with plain values beside them."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def write_torch(path: Path, content: Any) -> None:
    """Write tensors and plain values as torch does, atomically.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    import torch

    # Into memory first: torch writes the name of a file into it, so that equal contents would
    # differ, and hides what the system says of a failed write.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_torch(path: Path) -> Any:
    """Read what `write_torch` wrote.

    Raises:
        AioError: the file is damaged, or holds more than tensors and plain values.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_torch(Path(folder, "a.pt"), {"steps": 3})
    ...     read_torch(Path(folder, "a.pt"))
    {'steps': 3}
    """
    import torch

    try:
        is_damaged = not is_whole(path)
        content = None if is_damaged else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several unrelated classes for what it cannot read
        raise AioError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None
    if is_damaged:
        raise AioError(f"{path} is damaged")
    return content


def is_whole(path: Path) -> bool:
    """Whether all parts of a file that torch wrote have the sums that it holds.

    >>> is_whole(Path("/dev/null"))
    False
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError):
        return False
