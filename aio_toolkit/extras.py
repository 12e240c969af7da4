"""Packages that answering recordings does without, by the extra of the wheel that brings them."""

from importlib.util import find_spec

from aio_toolkit.errors import AioError, shown

# Modules of each extra, as its list in tools/ has them.
CODEC = ("dac",)
EXTRAS = {
    "codec": CODEC,
    "train": (*CODEC, "lightning", "tensorboard"),
    "metrics": (*CODEC, "sacrebleu", "jiwer", "fast_bss_eval", "matplotlib", "sklearn"),
    "demo": ("gradio", "matplotlib"),
}


def require(extra: str) -> None:
    """Look for the packages of an extra, none of which is imported.

    Raises:
        AioError: some are not installed; it says how to install them.

    >>> require("train")
    """
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        problem = f"packages of the extra '{extra}' are not installed: {shown(missing)}"
        raise AioError(f'{problem}. Install them: pip install "aio_toolkit[{extra}]".')
