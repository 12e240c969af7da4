"""The network of a Descript Audio Codec, from the `dac` package: building, writing, reading."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from aio_toolkit.codec.base import ARCHITECTURE
from aio_toolkit.config import from_values, read_yaml, save_config, to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

if TYPE_CHECKING:
    from aio_toolkit.codec.dac import Dac

WEIGHTS = "codec.safetensors"
KIND = "dac"
# Names of the weights that the package's authors have published, as the package calls them.
OFFICIAL = {"dac-16khz": "16khz", "dac-24khz": "24khz", "dac-44khz": "44khz"}
# Characters of a foreign error message that a user is shown.
REASON_LENGTH = 200


def build_dac(config: "Dac.Config") -> nn.Module:
    """A `dac.DAC` with random weights.

    >>> from aio_toolkit.codec.dac import Dac
    >>> small = Dac.Config(encoder_dim=4, latent_dim=8, decoder_dim=16, n_codebooks=2)
    >>> int(build_dac(small).hop_length)
    320
    """
    import warnings

    with warnings.catch_warnings():
        # The package uses the older weight norm, on which torch remarks.
        warnings.simplefilter("ignore", FutureWarning)
        from dac.model.dac import DAC

        return DAC(**dataclasses.asdict(config.resolved()))


def save_dac(
    directory: Path, model: nn.Module, config: "Dac.Config", *, half: bool = False
) -> None:
    """Write a codec's folder; the weights come last and say that all of it is there.

    The architecture is written with all its strides, which do not depend on later rules then.

    Args:
        directory: the folder.
        model: a `dac.DAC` of that architecture.
        config: the architecture.
        half: write the weights as float16, half the size.
    """
    from safetensors.torch import save_file

    save_config({"kind": KIND, **to_dict(config.resolved())}, directory / ARCHITECTURE)

    state = model.state_dict()
    if half:
        state = {name: value.half() for name, value in state.items()}
    weights = {name: value.contiguous() for name, value in state.items()}
    with atomic_path(directory / WEIGHTS) as temporary:
        save_file(weights, temporary)


def read_folder(directory: Path, schema: type["Dac.Config"]) -> nn.Module:
    """The `dac.DAC` of a folder that `save_dac` wrote.

    Args:
        directory: the folder.
        schema: `Dac.Config`.

    Raises:
        AioError: a file is missing, or the weights do not fit the architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights, architecture = directory / WEIGHTS, directory / ARCHITECTURE
    if not weights.is_file():
        raise AioError(
            f"{weights} does not exist. Train a codec (stage 2), or name one of "
            f"{', '.join(OFFICIAL)} with --codec."
        )
    values = read_yaml(architecture)
    values.pop("kind", None)
    model = build_dac(from_values(schema, values, str(architecture)))
    try:
        model.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise AioError(
            f"{weights} does not fit {architecture}: {_reason(error)}. Train the codec again."
        ) from None
    return model


def read_checkpoint(weights: Path, *, trust: bool = False) -> nn.Module:
    """The `dac.DAC` of the package's own checkpoint, a `.pth` file that holds its architecture.

    Args:
        weights: the file.
        trust: run what is in it, as the package itself does; otherwise only tensors and plain
            values are taken.

    Raises:
        AioError: the file is missing, or it is no checkpoint of the package.
    """
    from dac.model.dac import DAC

    if not weights.is_file():
        raise AioError(f"codec weights {weights} do not exist.")
    try:
        if trust:
            return DAC.load(weights, strict=True)
        content = torch.load(weights, map_location="cpu", weights_only=True)
        model = DAC(**content["metadata"]["kwargs"])
        model.load_state_dict(content["state_dict"])
        return model
    except Exception as error:  # whatever unpickling of a wrong or damaged file raises
        raise AioError(
            f"{weights} is no checkpoint of the dac package: {_reason(error)}. Fetch it again."
        ) from None


def download(name: str) -> Path:
    """The file of official weights, a key of `OFFICIAL`; the package fetches it the first time.

    Raises:
        AioError: it cannot be fetched.
    """
    import dac

    try:
        return Path(dac.utils.download(model_type=OFFICIAL[name]))
    except Exception as error:  # whatever the package's downloader raises
        raise AioError(
            f"cannot fetch {name}: {error}. Download it elsewhere and give its .pth file."
        ) from None


def _reason(error: Exception) -> str:
    """The beginning of an error message, on one line; its class where it says nothing."""
    return " ".join(str(error).split())[:REASON_LENGTH] or type(error).__name__
