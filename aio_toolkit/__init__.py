"""aio_toolkit: recipes and parts for the All-In-One (AIO) audio transformer."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aio_toolkit.hub.model import Model

__version__ = "0.1.0"


def load(folder: Path | str, device: str = "auto", codec: Path | str | None = None) -> "Model":
    """A finished model, ready to answer recordings: `load("exp/train_aio").enhance("call.wav")`.

    Args:
        folder: experiment folder of stage 4.
        device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
        codec: folder, file or name of the model's codec, for answers that need one.

    Raises:
        AioError: there is no model, or it is damaged.
    """
    # `import aio_toolkit` is to take no time.
    from aio_toolkit.hub.model import Model

    return Model(Path(folder), device, codec)
