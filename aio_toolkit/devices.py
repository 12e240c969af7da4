"""Where models compute."""

import torch

from aio_toolkit.errors import AioError


def pick_device(name: str) -> str:
    """A device by name, if this machine has it; `auto` is a GPU where there is one.

    Raises:
        AioError: there is no such device.

    >>> pick_device("cpu")
    'cpu'
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, _ = name.partition(":")
    if kind not in ("cpu", "cuda"):
        raise AioError(f"unknown device '{name}'. Choose one of: cpu, cuda, auto.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise AioError(f"device '{name}' asks for a GPU and torch sees none. Use cpu.")
    return name
