"""Finished models on disk: weights together with everything that gives them meaning."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aio_toolkit.config import from_values, to_dict
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.models.subnetwork import shrink
from aio_toolkit.tasks import task_to_dict, tasks_from_dicts

MODEL = "model.pt"


@dataclass
class LoadedSsl:
    """The encoder of stage 3 and what was saved with it.

    Attributes:
        encoder: in evaluation mode.
        config: its configuration.
        provenance: the codec and the front end of its input.
    """

    encoder: SslEncoder
    config: SslEncoder.Config
    provenance: Provenance

    def save(self, path: Path) -> None:
        """Write the encoder; the objective's own weights are not needed again."""
        content = {
            "kind": "ssl encoder",
            **_encoder_content(self),
            "state": self.encoder.state_dict(),
        }
        _save(path, content)


def load_ssl(path: Path) -> LoadedSsl:
    """Read the encoder of stage 3.

    Raises:
        AioError: it is missing, damaged, or no encoder.
    """
    content = _load(path, "ssl encoder", stage=3)
    loaded = _empty_encoder(content)
    loaded.encoder.load_state_dict(content["state"])
    return loaded


@dataclass
class LoadedAio:
    """A multitask model in evaluation mode and what was saved with it.

    Attributes:
        model: the model, its frozen encoder included.
        ssl_config: configuration of that encoder.
        provenance: the codec and the front end of its input.
    """

    model: AioModel
    ssl_config: SslEncoder.Config
    provenance: Provenance

    def save(self, path: Path) -> None:
        """Write the model."""
        model = self.model
        # Options of kinds that the model does not answer would ask for their packages.
        heads = {
            kind: model.config.heads[kind] for kind in model.heads if kind in model.config.heads
        }
        config = dataclasses.replace(model.config, heads=heads)
        layers = model.backbone.moe_layers()
        ssl = LoadedSsl(model.encoder, self.ssl_config, self.provenance)
        content = {
            "kind": "aio model",
            "config": to_dict(config),
            "encoder": _encoder_content(ssl),
            "tasks": {task.name: task_to_dict(task) for task in model.tasks},
            "units": {kind: units.state() for kind, units in model.units.items()},
            "num_experts": {name: layer.router.num_experts for name, layer in layers.items()},
            "state": model.state_dict(),
        }
        _save(path, content)


def load_aio(path: Path) -> LoadedAio:
    """Read the multitask model.

    Raises:
        AioError: it is missing, damaged, or no multitask model.
    """
    content = _load(path, "aio model", stage=4)
    ssl = _empty_encoder(content["encoder"])
    config = from_values(AioModel.Config, content["config"], str(path))
    tasks = tasks_from_dicts(content["tasks"])
    kinds = {task.output: task.kind for task in tasks}
    units = {name: kind.units.from_state(content["units"][name]) for name, kind in kinds.items()}

    model = AioModel(config, tasks, ssl.encoder, units)
    num_experts = content["num_experts"]
    if any(
        layer.router.num_experts != num_experts[name]
        for name, layer in model.backbone.moe_layers().items()
    ):
        shrink(model, num_experts)
    model.load_state_dict(content["state"])
    return LoadedAio(model.eval(), ssl.config, ssl.provenance)


def _encoder_content(loaded: LoadedSsl) -> dict[str, Any]:
    return {
        "config": to_dict(loaded.config),
        "num_features": len(loaded.encoder.mean_F),
        "provenance": dataclasses.asdict(loaded.provenance),
    }


def _empty_encoder(content: dict[str, Any]) -> LoadedSsl:
    """The encoder that `_encoder_content` tells of, with random weights."""
    config = from_values(SslEncoder.Config, content["config"], "encoder")
    encoder = SslEncoder(config, content["num_features"])
    return LoadedSsl(encoder, config, Provenance.from_dict(content["provenance"]))


def _save(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def _load(path: Path, kind: str, stage: int) -> dict[str, Any]:
    if not path.is_file():
        raise AioError(f"{path} does not exist. Run stage {stage} first.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several unrelated classes for a damaged file
        reason = str(error).splitlines()[0]
        remedy = f"Delete it and run stage {stage} again."
        raise AioError(f"{path} cannot be read ({reason}). {remedy}") from None
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise AioError(
            f"{path} is not the checkpoint of an {kind}. Give the folder that stage {stage} wrote."
        )
    return content
