"""Finished models on disk: weights together with everything that gives them meaning."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import from_values, to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.models.subnetwork import shrink
from aio_toolkit.tasks import Task, task_to_dict, tasks_from_dicts
from aio_toolkit.tensor_files import read_torch, write_torch

MODEL = "model.pt"
# Kinds of checkpoints: what is in a file that is called as all others.
SSL_ENCODER, AIO_MODEL = "ssl encoder", "aio model"
# Lengths of examples that recordings may be cut by.
MIN_SECONDS, MAX_SECONDS = 0.01, 3600.0
# Characters of torch's message about weights that do not fit, which may list all of them.
REASON_LENGTH = 200


@dataclass
class LoadedSsl:
    """The encoder of stage 3 and what was saved with it.

    Attributes:
        encoder: in evaluation mode.
        codec: the codec on whose frames it works.

    >>> import tempfile
    >>> codec = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> made = LoadedSsl(SslEncoder(SslEncoder.Config(), codec.grid), codec)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made.save(Path(folder, MODEL))
    ...     load_ssl(Path(folder, MODEL)).codec == codec
    True
    """

    encoder: SslEncoder
    codec: CodecFingerprint

    def save(self, path: Path) -> None:
        """Write the encoder; the objective's own weights are not needed again."""
        content = _encoder_content(self)
        content["kind"] = SSL_ENCODER
        content["state"] = self.encoder.state_dict()
        write_torch(path, content)


def load_ssl(path: Path) -> LoadedSsl:
    """Read the encoder of stage 3.

    Raises:
        AioError: it is missing, damaged, or no encoder.
    """
    content = _load(path, SSL_ENCODER, stage=3)
    loaded = _empty_encoder(content)
    loaded.encoder.load_state_dict(content["state"])
    return loaded


@dataclass
class LoadedAio:
    """A multitask model in evaluation mode and what was saved with it.

    Attributes:
        model: the model, its frozen encoder included.
        codec: the codec on whose frames it works.
    """

    model: AioModel
    codec: CodecFingerprint

    def save(self, path: Path) -> None:
        """Write the model, with all that is needed to make it again."""
        write_torch(path, {"kind": AIO_MODEL, **self.content()})

    def content(self) -> dict[str, Any]:
        """All that is needed to make the model again: plain values, and tensors in `state`; the
        units of each kind of answer are what `Units.state` says."""
        model = self.model
        options = model.config.heads
        # Options of kinds that the model does not answer would ask for their packages.
        heads = {kind: options[kind] for kind in model.heads if kind in options}
        config = dataclasses.replace(model.config, heads=heads)
        ssl = LoadedSsl(model.encoder, self.codec)
        return {
            "config": to_dict(config),
            "encoder": _encoder_content(ssl),
            "tasks": {task.name: task_to_dict(task) for task in model.tasks},
            "units": {kind: units.state() for kind, units in model.units.items()},
            "num_experts": _num_experts(model),
            "example_seconds": {
                task.name: model.example_seconds[task.name] for task in model.tasks
            },
            "state": model.state_dict(),
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any], where: str) -> "LoadedAio":
        """Make the model that `content` tells of.

        1. Read its tasks, whose kinds of answer may need further packages (`--parts`).
        2. Make it from its configuration, as large as it was before any cut.
        3. Cut it where it is a sub-network; take its weights.

        Args:
            content: what `content` returned.
            where: opens error messages.

        Raises:
            AioError: the weights are of another model, or it has parts of a package that is not in
                use.
        """
        # Before its other parts: a missing package is best told by the kind of answer that it has.
        tasks = tasks_from_dicts(content["tasks"])
        ssl = _empty_encoder(content["encoder"])
        config = from_values(AioModel.Config, content["config"], where)
        units = {}
        for task in tasks:
            state = content["units"][task.output]
            units[task.output] = task.kind.units.from_state(state)

        model = AioModel(config, tasks, ssl.encoder, units)
        model.example_seconds = _seconds(content.get("example_seconds", {}), tasks, where)
        num_experts = content["num_experts"]
        if num_experts != _num_experts(model):
            shrink(model, num_experts)
        try:
            model.load_state_dict(content["state"])
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:REASON_LENGTH]
            raise AioError(f"{where}: the weights are not those of the model: {reason}.") from None
        return cls(model.eval(), ssl.codec)


def load_aio(path: Path) -> LoadedAio:
    """Read the multitask model.

    Raises:
        AioError: it is missing, damaged, or no multitask model, or it has parts of a package that
            is not in use.
    """
    return LoadedAio.from_content(_load(path, AIO_MODEL, stage=4), str(path))


def _seconds(told: Mapping[str, float], tasks: Sequence[Task], where: str) -> dict[str, float]:
    """Seconds of each task's examples."""
    seconds = {}
    for task in tasks:
        of_task = told.get(task.name, 0.0)
        # Recordings are cut by it: of no length there would be no end of windows.
        if not MIN_SECONDS <= of_task <= MAX_SECONDS:
            wanted = f"from {MIN_SECONDS} to {MAX_SECONDS}"
            problem = f"example_seconds of task '{task.name}' is {of_task}, not {wanted}"
            raise AioError(f"{where}: {problem}. Run stage 4 again, which tells it.")
        seconds[task.name] = float(of_task)
    return seconds


def _num_experts(model: AioModel) -> dict[str, int]:
    """Experts of each MoE layer, by the layer's name."""
    layers = model.backbone.moe_layers()
    return {name: layer.router.num_experts for name, layer in layers.items()}


def _encoder_content(loaded: LoadedSsl) -> dict[str, Any]:
    return {
        "config": to_dict(loaded.encoder.config),
        "codec": dataclasses.asdict(loaded.codec),
    }


def _empty_encoder(content: dict[str, Any]) -> LoadedSsl:
    """The encoder that `_encoder_content` tells of, with random weights."""
    config = from_values(SslEncoder.Config, content["config"], "encoder")
    codec = from_values(CodecFingerprint, content["codec"], "fingerprint of the codec")
    return LoadedSsl(SslEncoder(config, codec.grid), codec)


def _load(path: Path, kind: str, stage: int) -> dict[str, Any]:
    if not path.is_file():
        raise AioError(f"{path} does not exist. Run stage {stage} first.")
    try:
        content = read_torch(path)
    except AioError as error:
        raise AioError(f"{error}. Delete it and run stage {stage} again.") from None
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise AioError(
            f"{path} is not the checkpoint of an {kind}. Give the folder that stage {stage} wrote."
        )
    return content
