"""Stage 4: the MoE transformer on the frozen encoder, all tasks at once; or a new task for a trained one."""

import dataclasses
from pathlib import Path

import lightning
import numpy as np
import torch

from aio_toolkit.analysis.routing import measure_routing, write_routing
from aio_toolkit.codec.base import check_fingerprint
from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.data.dataset import AioDataset
from aio_toolkit.errors import AioError
from aio_toolkit.models.adaptation import add_task
from aio_toolkit.models.aio import AioModel, split_by_output
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio, load_ssl
from aio_toolkit.text import Vocabulary
from aio_toolkit.training.config import AioTrainConfig
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.fit import claim, fit, load_weights
from aio_toolkit.training.modules import AioModule
from aio_toolkit.training.pretrain import frame_rate, read_provenance


def train_multitask(
    config: AioTrainConfig,
    data: Path,
    dump: Path,
    ssl: Path,
    codec: Path,
    token: Path,
    out: Path,
    splits: tuple[str, str],
) -> None:
    """Train all tasks named in `config.data.seconds` and write `out/model.pt` and what its experts do on `splits[1]`.

    Args:
        config: the run.
        data: folder of data dirs.
        dump: folder of their dumps.
        ssl: folder of the encoder of stage 3.
        codec: the codec that made the codes in `dump`.
        token: folder of the SentencePiece model.
        out: experiment folder.
        splits: names of the training and the validation split.
    """
    if (out / MODEL).is_file():
        claim(out, config)
        print(f"{out / MODEL} is finished: nothing to do")
        return
    lightning.seed_everything(config.seed)
    tasks = config.data.tasks
    text, audio = split_by_output(tasks)
    dumped = read_provenance(dump / splits[0])
    vocabulary = Vocabulary.load(token) if text else None
    embedding_QVC, silence_Q = _read_codec(codec, dumped.codec, dump) if audio else (None, None)
    start = _new_model if config.adapt is None else _adapted_model
    trained = start(config, tasks, ssl, vocabulary, embedding_QVC)
    origin = config.adapt or ssl
    check_fingerprint(trained.provenance.codec, dumped.codec, f"{dump} against {origin}")
    check_fingerprint(trained.provenance.frontend, dumped.frontend, f"features of {dump} against {origin}")
    if audio and dumped.frontend.get("codec_latents") is False:
        raise AioError("audio tasks need the input's codec latents: set codec_latents to true in the front end.")

    rate = frame_rate(dumped.codec)
    segment = config.data.segment_seconds and round(config.data.segment_seconds * rate)
    train = AioDataset(data / splits[0], dump / splits[0], tasks, vocabulary, silence_Q, segment)
    dev = AioDataset(data / splits[1], dump / splits[1], tasks, vocabulary, silence_Q)
    module = AioModule(trained.model, config)
    batches = TaskDataModule(train, dev, config.data, config.seed, rate, trained.model.tasks)
    load_weights(module, fit(module, batches, config, out))
    if module.layers:
        write_routing(measure_routing(trained.model, dev), trained.model.tasks, out)
    trained.save(out / MODEL)
    print(f"wrote {out / MODEL}")


def _read_codec(codec: Path, fingerprint: dict, dump: Path) -> tuple[torch.Tensor, np.ndarray]:
    """The codec's vectors (Q, V, C) and its codes (Q,) of silence."""
    loaded = DacCodec.load(codec)
    check_fingerprint(loaded.fingerprint, fingerprint, f"codes in {dump} against the codec {codec}")
    return loaded.codebook_embeddings(), loaded.silence_codes().numpy()


def _new_model(config, tasks, ssl, vocabulary, embedding_QVC) -> LoadedAio:
    """A backbone with random weights on the encoder of stage 3."""
    encoder, ssl_config, provenance = load_ssl(ssl / MODEL)
    model = AioModel(config.model, tasks, encoder, vocabulary, embedding_QVC)
    return LoadedAio(model, config.model, ssl_config, vocabulary, provenance)


def _adapted_model(config, tasks, ssl, vocabulary, embedding_QVC) -> LoadedAio:
    """A trained model with one more task, of which nothing but the task's own layers trains."""
    if len(tasks) != 1:
        raise AioError(f"adapt teaches one new task; data.seconds names {', '.join(tasks)}.")
    loaded = load_aio(Path(config.adapt) / MODEL)
    known = loaded.vocabulary
    if known is not None and vocabulary is not None and known.tokens != vocabulary.tokens:
        raise AioError(f"the text units are not those that {config.adapt} was trained with. Use its token folder.")
    add_task(loaded.model, loaded.config, tasks[0], vocabulary, embedding_QVC)
    return dataclasses.replace(loaded, vocabulary=known or vocabulary)
