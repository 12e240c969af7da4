"""Stage 4: the MoE transformer on the frozen encoder, all tasks at once."""

from pathlib import Path

import lightning

from aio_toolkit.codec.base import check_fingerprint
from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.data.dataset import AioDataset
from aio_toolkit.errors import AioError
from aio_toolkit.models.aio import AioModel, split_by_output
from aio_toolkit.models.checkpoint import MODEL, load_ssl, save_aio
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
    """Train all tasks named in `config.data.seconds` and write `out/model.pt`.

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
    tasks = list(config.data.seconds)
    text, audio = split_by_output(tasks)
    encoder, ssl_config, provenance = load_ssl(ssl / MODEL)
    dumped = read_provenance(dump / splits[0])
    check_fingerprint(provenance.codec, dumped.codec, f"{dump} against the encoder {ssl}")
    check_fingerprint(provenance.frontend, dumped.frontend, f"features of {dump} against the encoder {ssl}")

    vocabulary = Vocabulary.load(token) if text else None
    embedding_QVC = silence_Q = None
    if audio:
        if provenance.frontend.get("codec_latents") is False:
            raise AioError("audio tasks need the input's codec latents: set codec_latents to true in the front end.")
        loaded = DacCodec.load(codec)
        check_fingerprint(loaded.fingerprint, dumped.codec, f"codes in {dump} against the codec {codec}")
        embedding_QVC, silence_Q = loaded.codebook_embeddings(), loaded.silence_codes().numpy()

    rate = frame_rate(dumped.codec)
    segment = config.data.segment_seconds and round(config.data.segment_seconds * rate)
    train = AioDataset(data / splits[0], dump / splits[0], tasks, vocabulary, silence_Q, segment)
    dev = AioDataset(data / splits[1], dump / splits[1], tasks, vocabulary, silence_Q)
    model = AioModel(config.model, tasks, encoder, vocabulary, embedding_QVC)
    module = AioModule(model, config)
    batches = TaskDataModule(train, dev, config.data, config.seed, rate)
    best = fit(module, batches, config, out)
    load_weights(module, best)
    save_aio(out / MODEL, model, config.model, ssl_config, vocabulary, provenance)
    print(f"wrote {out / MODEL}")
