"""aio_toolkit: recipes and parts for the All-In-One (AIO) audio transformer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aio_toolkit.hub.model import Model

__version__ = "0.1.0"


def load(
    where: Path | str,
    device: str = "auto",
    codec: Path | str | None = None,
    trust: Sequence[str] = (),
    revision: str | None = None,
) -> "Model":
    """A finished model, ready to answer recordings: `load("exp/train_aio").enhance("call.wav")`.

    Args:
        where: experiment folder of stage 4, packed folder of stage 8, a zip of one, or `user/name`
            on the Hugging Face Hub. What is on this disk wins over a name on the hub.
        device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
        codec: folder, file or name of the model's codec, for answers that need one.
        trust: packages of parts that a pack may run; they are installed already.
        revision: commit, tag or branch on the hub; its newest commit by default.

    Raises:
        AioError: there is no model, or it is damaged or not safe.
    """
    # `import aio_toolkit` is to take no time.
    from aio_toolkit.hub.model import Model

    return Model(where, device, codec, trust, revision)
