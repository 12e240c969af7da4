"""A whole model, batches and a dump that are small enough for tests.

Tests of data, models and training build their objects here and in `tiny_training.py`, so that a
change of a constructor is a change of these two files.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.data.arks import write_ark
from aio_toolkit.data.batch import Batch, Example, collate
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.encoders.base import EncoderConfig
from aio_toolkit.heads.codes import CodesHead
from aio_toolkit.heads.text import TextHead
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.checkpoint import LoadedAio, Provenance
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.layer import AttentionConfig, MoEConfig
from aio_toolkit.tasks import get_task

# Keys that cut stage 3 to eight steps of a tiny model.
SSL_OVERRIDES = [
    "model.encoder.width=16",
    "model.encoder.num_layers=1",
    "model.encoder.num_heads=2",
    "model.encoder.hidden=16",
    "data.seconds={asr: 1.0, sep: 1.0}",
    "optim.warmup_steps=2",
    "trainer.max_steps=8",
    "trainer.val_check_interval=4",
    "trainer.checkpoint_every=2",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
]
TASKS = ["asr", "sep"]
ENCODER = EncoderConfig(width=16, num_layers=2, num_heads=2, hidden=16)
NUM_FEATURES = 12
NUM_LATENTS = 4  # the codec's latents, which stand last in the features
NUM_CODEBOOKS = 2
CODEBOOK_SIZE = 9
FRAME_RATE = 50.0


def tiny_backbone_config(moe: MoEConfig | None = None, **options) -> Backbone.Config:
    moe = moe or MoEConfig(num_experts=4, top_k=2, expert_hidden=16)
    sizes = {"width": 16, "num_layers": 2, "num_heads": 2, "hidden": 32, "conv_kernel": 3}
    return Backbone.Config(**sizes | options, moe=moe)


def tiny_backbone(moe: MoEConfig | None = None, num_tasks: int = 2, **options) -> Backbone:
    torch.manual_seed(0)
    return Backbone(tiny_backbone_config(moe, **options), num_tasks)


def tiny_config(moe: MoEConfig | None = None, **backbone) -> AioModel.Config:
    return AioModel.Config(
        tiny_backbone_config(moe, **backbone),
        TextHead.Config(num_layers=1, num_heads=2, hidden=16),
        CodesHead.Config(hidden=16),
    )


def tiny_model(
    vocabulary, moe: MoEConfig | None = None, tasks: Sequence[str] = TASKS, **backbone
) -> AioModel:
    torch.manual_seed(0)
    config, encoder = tiny_config(moe, **backbone), SslEncoder(ENCODER, NUM_FEATURES)
    embedding_QVC = torch.randn(NUM_CODEBOOKS, CODEBOOK_SIZE, NUM_LATENTS)
    return AioModel(config, list(tasks), encoder, vocabulary, embedding_QVC)


def save_tiny(
    path: Path,
    model: AioModel,
    vocabulary,
    config: AioModel.Config | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Write a tiny model as stage 4 does."""
    parts = config or tiny_config(), tiny_ssl_config(), vocabulary
    LoadedAio(model, *parts, provenance or Provenance({}, {})).save(path)


def tiny_ssl_config(**objective) -> SslModel.Config:
    config = SslModel.Config(encoder=ENCODER)
    for name, value in objective.items():
        setattr(config.objective, name, value)
    return config


def tiny_ssl(**objective) -> SslModel:
    torch.manual_seed(0)
    config = tiny_ssl_config(**objective)
    return SslModel(config, NUM_FEATURES, NUM_CODEBOOKS, CODEBOOK_SIZE)


def with_attention_experts(**options) -> MoEConfig:
    attention = AttentionConfig(layers=[0, 1], num_experts=4, top_k=2, head_width=8)
    return MoEConfig(num_experts=4, top_k=2, expert_hidden=16, attention=attention, **options)


def randomise_gates(model: torch.nn.Module) -> None:
    """Gates start at zero, where the choice of experts is a tie and task embeddings do nothing."""
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "gate" in name and "router" in name:
            torch.nn.init.normal_(parameter)


def routing_table(load_GE: Sequence[Sequence[float]], square: float = 0.0) -> RoutingTable:
    """A layer whose visits, probabilities, weights and expected visits are all `load_GE`.

    Each task's sum of squared log-sum-exps is `square`.
    """
    load_GE = torch.tensor(load_GE)
    square_G = torch.full((len(load_GE),), square)
    return RoutingTable(load_GE.sum(1), load_GE, load_GE, load_GE, load_GE, square_G)


def random_example(rng: np.random.Generator, task: str, frames: int, number: int = 0) -> Example:
    feats_TF = rng.standard_normal((frames, NUM_FEATURES)).astype(np.float32)
    codes_TQ = rng.integers(CODEBOOK_SIZE, size=(frames, NUM_CODEBOOKS))
    if get_task(task).output == "text":
        target = rng.integers(1, 20, 4)
    else:
        num_sources = len(get_task(task).sources)
        target = rng.integers(CODEBOOK_SIZE, size=(num_sources, frames, NUM_CODEBOOKS))
    return Example(f"{task}-{number}", task, feats_TF, codes_TQ, target)


def random_examples(frames: Mapping[str, Sequence[int]], seed: int = 1) -> list[Example]:
    """Examples of each task with the given numbers of frames; texts have four tokens."""
    rng = np.random.default_rng(seed)
    lengths = [(task, length) for task, of_task in frames.items() for length in of_task]
    return [random_example(rng, *pair, number) for number, pair in enumerate(lengths)]


def batch_of(examples: Sequence[Example], tasks: Sequence[str] = TASKS) -> Batch:
    return collate(examples, tasks)


def tiny_batch() -> Batch:
    return batch_of(random_examples({"asr": [20, 13], "sep": [17, 20]}))


def codec_fingerprint(num_codebooks: int, codebook_size: int) -> dict:
    return {
        "name": "random",
        "sample_rate": 16000,
        "hop": 320,
        "num_codebooks": num_codebooks,
        "codebook_size": codebook_size,
        "latent_dim": NUM_LATENTS,
    }


def write_split(
    root: Path,
    split: str,
    utterances: Sequence[Utterance],
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    codec: dict,
    frontend: dict,
) -> tuple[Path, Path]:
    """A data dir and its dump: `arrays` by the archive's name, then by utterance id."""
    data, dump = root / "data" / split, root / "dump" / split
    write_data_dir(data, utterances)
    dump.mkdir(parents=True)
    for name, of_utterance in arrays.items():
        write_ark(dump / f"{name}.ark", dump / f"{name}.scp", of_utterance)
    lines = [f"{key} {len(feats_TF)}\n" for key, feats_TF in arrays["feats"].items()]
    (dump / "utt2num_frames").write_text("".join(lines))
    (dump / "codec.json").write_text(json.dumps(codec))
    (dump / "frontend.json").write_text(json.dumps(frontend))
    return data, dump


def utterance(task: str, id: str, frames: int, speaker: str = "s", absent: int = 0) -> Utterance:
    """An utterance of any task; the last `absent` of its audio targets are not there."""
    texts = {"asr": {"text": "red cat sees dog"}, "st": {"text.fr": "chat voit chien"}}
    answers = get_task(task).targets
    present = answers[: len(answers) - absent] if task not in texts else ()
    targets = dict.fromkeys(present, "none.wav")
    return Utterance(id, task, speaker, "none.wav", frames * 320, texts.get(task, {}), targets)


def write_dump(
    root: Path,
    splits=("train", "dev"),
    num=6,
    num_features=NUM_FEATURES,
    Q=2,
    V=16,
    tasks=("asr", "sep"),
    frontend=None,
    predictable=False,
) -> tuple[Path, Path]:
    """Data dirs and dumps of random features and codes for `asr`, `st`, `sep` and `sound`.

    No sound has a third source. `predictable` utterances say one thing all along: any of their
    frames tells the codes of every other. Returns (data, dump).
    """
    rng = np.random.default_rng(0)
    sound_VF = rng.standard_normal((V, num_features)).astype(np.float32)
    for split in splits:
        utterances, arrays = [], {"feats": {}, "codes_wav": {}}
        for index in range(num):
            T = int(rng.integers(20, 30))
            for task in tasks:
                key, absent = f"{task}-{split}-{index}", int(task == "sound")
                utterances.append(utterance(task, key, T, f"s{index}", absent))
                feats_TF = rng.standard_normal((T, num_features)).astype(np.float32)
                codes_TQ = rng.integers(0, V, (T, Q))
                if predictable:
                    codes_TQ[:] = said = int(rng.integers(V))
                    feats_TF[:] = sound_VF[said]
                arrays["feats"][key], arrays["codes_wav"][key] = feats_TF, codes_TQ
                for target in utterances[-1].targets:
                    of_target = arrays.setdefault(f"codes_{target}", {})
                    of_target[key] = rng.integers(0, V, (T, Q))
        fingerprints = codec_fingerprint(Q, V), frontend or {"name": "random"}
        write_split(root, split, utterances, arrays, *fingerprints)
    return root / "data", root / "dump"
