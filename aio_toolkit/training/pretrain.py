"""Stage 3: self-supervised pre-training of the front-end encoder."""

from pathlib import Path

import lightning
import torch

from aio_toolkit.data.dataset import DumpDataset, PretrainingDataset
from aio_toolkit.files import read_json
from aio_toolkit.models.checkpoint import MODEL, Provenance, save_ssl
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.training.config import SslTrainConfig
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.fit import claim, fit, load_weights
from aio_toolkit.training.modules import SslModule


def pretrain(config: SslTrainConfig, data: Path, dump: Path, out: Path, splits: tuple[str, str]) -> None:
    """Train the encoder on the inputs of all tasks named in `config.data.seconds`; write `out/model.pt`.

    Args:
        config: the run.
        data: folder of data dirs.
        dump: folder of their dumps.
        out: experiment folder.
        splits: names of the training and the validation split.
    """
    if (out / MODEL).is_file():
        claim(out, config)
        print(f"{out / MODEL} is finished: nothing to do")
        return
    lightning.seed_everything(config.seed)
    tasks = config.data.tasks
    train, dev = (PretrainingDataset(data / split, dump / split, tasks) for split in splits)
    provenance = read_provenance(dump / splits[0])
    codec = provenance.codec
    model = SslModel(config.model, train[0].feats_TF.shape[1], codec["num_codebooks"], codec["codebook_size"])
    latents = codec["latent_dim"] if provenance.frontend.get("codec_latents") else 0
    set_feature_statistics(model, train, latents, config.latent_scale)
    rate = frame_rate(codec)
    module = SslModule(model, config, rate)
    batches = TaskDataModule(train, dev, config.data, config.seed, rate)
    best = fit(module, batches, config, out)
    load_weights(module, best)
    save_ssl(out / MODEL, model, config.model, provenance)
    print(f"wrote {out / MODEL}")


def read_provenance(dump_split: Path) -> Provenance:
    """Fingerprints beside the dumped codes and features."""
    return Provenance(read_json(dump_split / "codec.json"), read_json(dump_split / "frontend.json"))


def frame_rate(codec: dict) -> float:
    """Frames per second of the codec with this fingerprint."""
    return codec["sample_rate"] / codec["hop"]


def set_feature_statistics(
    model: SslModel, dataset: DumpDataset, latents: int = 0, latent_scale: float = 1.0, utterances: int = 1000
) -> None:
    """Mean and standard deviation of each feature bin over evenly spaced utterances.

    The last `latents` bins are scaled to a deviation of `latent_scale` where the others get one.
    """
    step = max(1, len(dataset) // utterances)
    frames = torch.cat([torch.from_numpy(dataset[index].feats_TF) for index in range(0, len(dataset), step)])
    model.ssl_encoder.mean_F.copy_(frames.mean(0))
    # A bin that never moves (a mel band above the data's bandwidth) must not be blown up.
    std_F = frames.std(0).clamp_min(1e-3)
    if latents:
        std_F[-latents:] /= latent_scale
    model.ssl_encoder.std_F.copy_(std_F)
