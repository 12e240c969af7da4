"""Finished models on disk: weights together with everything that gives them meaning."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.text import Vocabulary

MODEL = "model.pt"


@dataclasses.dataclass
class Provenance:
    """What a model's input and output mean.

    Attributes:
        codec: fingerprint of the codec whose codes it was trained on.
        frontend: fingerprint of the front end whose features it reads.
    """

    codec: dict[str, Any]
    frontend: dict[str, Any]


def save_ssl(path: Path, model: SslModel, config: SslModel.Config, provenance: Provenance) -> None:
    """Write the encoder of stage 3; the objective's own weights are not needed again."""
    content = {
        "kind": "ssl encoder",
        "config": dataclasses.asdict(config),
        "num_features": len(model.ssl_encoder.mean_F),
        "provenance": dataclasses.asdict(provenance),
        "state": model.ssl_encoder.state_dict(),
    }
    _save(path, content)


def load_ssl(path: Path) -> tuple[SslEncoder, SslModel.Config, Provenance]:
    """Read the encoder of stage 3."""
    content = _load(path, "ssl encoder", stage=3)
    config = _to_config(SslModel.Config, content["config"])
    encoder = SslEncoder(config.encoder, content["num_features"])
    encoder.load_state_dict(content["state"])
    return encoder, config, Provenance(**content["provenance"])


def save_aio(
    path: Path,
    model: AioModel,
    config: AioModel.Config,
    ssl_config: SslModel.Config,
    vocabulary: Vocabulary | None,
    provenance: Provenance,
) -> None:
    """Write the multitask model, its frozen encoder included."""
    head = model.codes_head
    content = {
        "kind": "aio model",
        "config": dataclasses.asdict(config),
        "ssl_config": dataclasses.asdict(ssl_config),
        "num_features": len(model.encoder.mean_F),
        "tasks": model.tasks,
        "vocabulary": vocabulary and {"tokens": vocabulary.tokens, "model": vocabulary.model},
        "embedding_shape": None if head is None else tuple(head.embedding_QVC.shape),
        "provenance": dataclasses.asdict(provenance),
        "state": model.state_dict(),
    }
    _save(path, content)


@dataclasses.dataclass
class LoadedAio:
    """A multitask model in evaluation mode and all that was saved with it; `save` writes it back."""

    model: AioModel
    config: AioModel.Config
    ssl_config: SslModel.Config
    vocabulary: Vocabulary | None
    provenance: Provenance

    def save(self, path: Path) -> None:
        """Write the model."""
        save_aio(path, self.model, self.config, self.ssl_config, self.vocabulary, self.provenance)


def load_aio(path: Path) -> LoadedAio:
    """Read the multitask model."""
    content = _load(path, "aio model", stage=4)
    ssl_config = _to_config(SslModel.Config, content["ssl_config"])
    config = _to_config(AioModel.Config, content["config"])
    encoder = SslEncoder(ssl_config.encoder, content["num_features"])
    vocabulary = content["vocabulary"] and Vocabulary(**content["vocabulary"])
    shape = content["embedding_shape"]
    embedding_QVC = None if shape is None else torch.zeros(shape)
    model = AioModel(config, content["tasks"], encoder, vocabulary, embedding_QVC)
    model.load_state_dict(content["state"])
    return LoadedAio(model.eval(), config, ssl_config, vocabulary, Provenance(**content["provenance"]))


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
        raise AioError(f"{path} cannot be read ({reason}). Delete it and run stage {stage} again.") from None
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise AioError(f"{path} is not the checkpoint of an {kind}. Give the folder that stage {stage} wrote.")
    return content


def _to_config(schema: type, values: dict[str, Any]) -> Any:
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
