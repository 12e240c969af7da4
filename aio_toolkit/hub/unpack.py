"""A packed folder read, of which nothing is believed: no code runs but that of packages which the
user names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit import parts
from aio_toolkit.codec.base import ARCHITECTURE
from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.hub.checksums import CODEC, MODEL_YAML, UNITS, WEIGHTS, verify
from aio_toolkit.models.checkpoint import LoadedAio
from aio_toolkit.plain_yaml import read_plain
from aio_toolkit.tensor_files import read_tensors

VERSION = 1
# Keys of `codec/architecture.yaml` that would have other files or packages read.
ELSEWHERE = ("base", "parts")


@dataclass
class Description:
    """What `model.yaml` holds: all of a checkpoint but its tensors and units.

    Attributes:
        version: of the layout of packs.
        parts: packages that the model has parts of.
        config: the model's.
        encoder: configuration of the encoder, fingerprint of the codec on whose frames it works.
        tasks: in the layout of `tasks.yaml`.
        num_experts: experts of each MoE layer.
        example_seconds: how long examples of each task were in training.
    """

    version: int
    parts: list[str]
    config: dict[str, Any]
    encoder: dict[str, Any]
    tasks: dict[str, Any]
    num_experts: dict[str, int]
    example_seconds: dict[str, float]


def unpack(folder: Path, root: Path, trust: Sequence[str] = ()) -> LoadedAio:
    """The model of a packed folder.

    Args:
        folder: what `pack` wrote.
        root: the folder that links in it may lead to.
        trust: packages of parts that may run.

    Raises:
        AioError: a file is missing, changed, or not what it says; it is of a later version, needs a
            package that is not trusted or not installed, or has the codec of another model.
    """
    sums = verify(folder, root)
    path = folder / MODEL_YAML
    description = _described(path)
    _use_parts(path, description.parts, trust)
    _check_codec(folder, description.encoder, sums)

    try:
        content = _content(folder, description)
        return LoadedAio.from_content(content, str(path))
    except AioError:
        raise
    except Exception as error:  # whatever a model of values that no model ever had comes to
        problem = f"{path} does not describe a model ({type(error).__name__}: {error})"
        raise AioError(f"{problem}. Get the pack again, or pack the model again.") from error


def with_codec(values: Any, codec: Path | str, where: str = "") -> Any:
    """Values whose codec, wherever a part names one, is another.

    Args:
        values: a configuration.
        codec: the codec's folder.
        where: opens the message where any codec but `codec`, that of the pack, is named; empty to
            take whatever is named.

    Raises:
        AioError: another codec is named. A codec of the user's disk could be a pickle.

    >>> with_codec({"options": {"codec_latents": {"codec": "exp/codec"}}}, "codec")
    {'options': {'codec_latents': {'codec': 'codec'}}}
    """
    if isinstance(values, list):
        return [with_codec(value, codec, where) for value in values]
    if not isinstance(values, dict):
        return values
    replaced = {key: with_codec(value, codec, where) for key, value in values.items()}
    named = values.get(CODEC)
    if isinstance(named, str):
        if where and named != CODEC:
            raise AioError(f"{where}: names codec '{named}', not that of the pack. Pack it again.")
        replaced[CODEC] = str(codec)
    return replaced


def _described(path: Path) -> Description:
    values = read_plain(path)
    version = values.get("version")
    if version != VERSION:
        problem = f"the pack is of version {version}, and this program reads version {VERSION}"
        raise AioError(f"{path}: {problem}. Install another aio_toolkit, or pack the model again.")
    return from_values(Description, values, str(path))


def _use_parts(path: Path, needed: Sequence[str], trust: Sequence[str]) -> None:
    """Look for parts in the packages that the user trusts; a package runs code."""
    # One name is a sequence of letters too.
    allowed = {trust} if isinstance(trust, str) else {*trust}
    for package in needed:
        if package not in allowed and package not in parts.packages():
            problem = f"the model has parts of package '{package}', which is code"
            remedy = f"If you know it, install it and say trust=['{package}'] (--trust {package})"
            raise AioError(f"{path}: {problem}. {remedy}.")
    parts.use(needed)


def _check_codec(folder: Path, encoder: dict[str, Any], sums: dict[str, str]) -> None:
    """The codec of a pack, where it has one, is that of the model."""
    codec = folder / CODEC
    if not codec.exists():
        return
    weights = {name: value for name, value in sums.items() if name.startswith(f"{CODEC}/")}
    fingerprint = encoder.get(CODEC)
    wanted = fingerprint.get("weights_sha256") if isinstance(fingerprint, dict) else None
    if wanted not in weights.values():
        raise AioError(f"{codec} is another codec than the model's. Pack the model again.")
    path = codec / ARCHITECTURE
    for key in ELSEWHERE:
        if key in read_plain(path):
            raise AioError(f"{path}: key '{key}' names what is not in the pack. Do not use it.")


def _content(folder: Path, description: Description) -> dict[str, Any]:
    """What `LoadedAio.content` was."""
    where = str(folder / MODEL_YAML)
    kinds = dict.fromkeys(entry["output"] for entry in description.tasks.values())
    # Of kinds that there are not, the tasks tell.
    units = {
        kind: parts.find_in("answers", kind).units.unpack(folder / UNITS / kind).state()
        for kind in kinds
        if kind in parts.kinds("answers")
    }
    return {
        "config": with_codec(description.config, folder / CODEC, where),
        "encoder": with_codec(description.encoder, folder / CODEC, where),
        "tasks": description.tasks,
        "num_experts": description.num_experts,
        "example_seconds": description.example_seconds,
        "units": units,
        "state": read_tensors(folder / WEIGHTS),
    }
