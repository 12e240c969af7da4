"""A whole model, batches and a dump that are small enough for tests.

Tests of data, models and training build their objects here and in `tiny_training.py`, so that a
change of a constructor is a change of these two files.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.base import Units
from aio_toolkit.answers.text import TextUnits
from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import Choice, from_values
from aio_toolkit.data.audio import write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.dump.arks import write_ark
from aio_toolkit.dump.fingerprints import Provenance, claim_dump
from aio_toolkit.dump.split import Split
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.frontend.features import FrontEndFingerprint
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.batch import Batch, Example, collate
from aio_toolkit.models.checkpoint import LoadedAio
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.ssl.base import CodeSizes
from aio_toolkit.tasks import Task, load_tasks

TASKS_YAML = Path(__file__).parents[1] / "egs/TEMPLATE/conf/tasks.yaml"
# The tasks of all recipes, by name.
ALL = load_tasks(TASKS_YAML)


def named(*names: str) -> list[Task]:
    """Tasks by their names."""
    return [ALL[name] for name in names]


Known = Mapping[str, Task]
# What is answered where that is no audio.
ANSWERS = {
    "asr": {"text": "red cat sees dog"},
    "st": {"text.fr": "chat voit chien"},
    "tag": {"tags": "dog bark"},
}

# Keys that cut stage 3 to eight steps of a tiny model.
SSL_OVERRIDES = [
    "model.encoder.transformer={width: 16, num_layers: 1, num_heads: 2, ffn_width: 16}",
    "data.seconds={asr: 1.0, sep: 1.0}",
    "optim.warmup_steps=2",
    "trainer.max_steps=8",
    "trainer.val_check_interval=4",
    "trainer.checkpoint_every=2",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
]
# Keys that do the same for stage 4.
AIO_OVERRIDES = [
    "model.backbone={width: 16, num_layers: 2, num_heads: 2, ffn_width: 16, conv_kernel: 3}",
    "model.backbone.moe.feed_forward={num_experts: 4, top_k: 2}",
    "model.backbone.moe.feed_forward.experts.feed_forward.ffn_width=16",
    "model.heads.text={num_layers: 1, num_heads: 2, ffn_width: 16}",
    *[option for option in SSL_OVERRIDES if option.split(".")[0] in ("optim", "trainer")],
]
TASKS = named("asr", "sep")
ENCODER = Choice(
    "transformer", TransformerEncoder.Config(width=16, num_layers=2, num_heads=2, ffn_width=16)
)
NUM_FEATURES = 12
NUM_LATENTS = 4  # the codec's latents, which stand last in the features
NUM_CODEBOOKS = 2
CODEBOOK_SIZE = 9
FRAME_RATE = 50.0

CODEC = CodecFingerprint(
    name="random",
    weights_sha256="0f",
    sample_rate=16000,
    hop=320,
    num_codebooks=NUM_CODEBOOKS,
    codebook_size=CODEBOOK_SIZE,
    latent_dim=NUM_LATENTS,
)
FRONT_END = FrontEndFingerprint(
    log_mel=True,
    codec_latents=True,
    num_mels=NUM_FEATURES - NUM_LATENTS,
    window_ms=25.0,
    hop_ms=20.0,
    hop=320,
    codec_sha256="0f",
)
PROVENANCE = Provenance(CODEC, FRONT_END)

# What every tiny model has in the place of feed-forward layers, and some for attention.
FEED_FORWARD = {
    "num_experts": 4,
    "top_k": 2,
    "experts": {"feed_forward": {"ffn_width": 16}},
}
HEADS = {
    "layers": [0, 1],
    "num_experts": 4,
    "top_k": 2,
    "experts": {"attention_heads": {"head_width": 8}},
}


def tiny_moe(**sections: Any) -> MoE.Config:
    """Four experts in every second block, and what the sections of YAML ask for besides."""
    feed_forward = FEED_FORWARD | sections.pop("feed_forward", {})
    return from_values(MoE.Config, {"feed_forward": feed_forward, **sections}, "tiny")


def with_attention_experts(**sections: Any) -> MoE.Config:
    """Experts for attention in both blocks besides."""
    return tiny_moe(**{"attention": HEADS, **sections})


def router(kind: str, **options: Any) -> dict[str, Any]:
    """A router as YAML chooses it."""
    return {"kind": kind, kind: options}


def tiny_backbone_config(moe: MoE.Config | None = None, **options: Any) -> Backbone.Config:
    sizes = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32, "conv_kernel": 3}
    return Backbone.Config(**sizes | options, moe=moe or tiny_moe())


def tiny_backbone(moe: MoE.Config | None = None, num_tasks: int = 2, **options: Any) -> Backbone:
    torch.manual_seed(0)
    return Backbone(tiny_backbone_config(moe, **options), num_tasks)


def tiny_config(moe: MoE.Config | None = None, **backbone: Any) -> AioModel.Config:
    heads = {
        "text": {"num_layers": 1, "num_heads": 2, "ffn_width": 16},
        "audio": {"width": 16},
    }
    config = from_values(AioModel.Config, {"heads": heads}, "tiny")
    return dataclasses.replace(config, backbone=tiny_backbone_config(moe, **backbone))


def codec_units() -> CodecUnits:
    """The vectors of a random codec."""
    embedding_QVC = torch.randn(NUM_CODEBOOKS, CODEBOOK_SIZE, NUM_LATENTS)
    return CodecUnits(CODEC, embedding_QVC, torch.arange(NUM_CODEBOOKS))


def units_of(vocabulary: Any) -> dict[str, Units]:
    """The units of both kinds of answer."""
    return {"text": TextUnits(vocabulary), "audio": codec_units()}


def tiny_model(
    vocabulary: Any,
    moe: MoE.Config | None = None,
    tasks: Sequence[Task] = TASKS,
    **backbone: Any,
) -> AioModel:
    torch.manual_seed(0)
    config, encoder = tiny_config(moe, **backbone), tiny_encoder()
    kinds = {task.output for task in tasks}
    units = {kind: of_kind for kind, of_kind in units_of(vocabulary).items() if kind in kinds}
    return AioModel(config, tasks, encoder, units)


def tiny_encoder() -> SslEncoder:
    return SslEncoder(SslEncoder.Config(ENCODER), NUM_FEATURES)


def save_tiny(path: Path, model: AioModel, provenance: Provenance = PROVENANCE) -> None:
    """Write a tiny model as stage 4 does."""
    LoadedAio(model, model.encoder.config, provenance).save(path)


def tiny_ssl_config(kind: str = "masked_codes", **masking: Any) -> SslModel.Config:
    """The model of stage 3 with an objective of this kind."""
    config = from_values(SslModel.Config, {"objective": {"kind": kind}, "masking": masking}, "tiny")
    return dataclasses.replace(config, encoder=ENCODER)


def tiny_ssl(kind: str = "masked_codes", **masking: Any) -> SslModel:
    torch.manual_seed(0)
    sizes = CodeSizes(NUM_CODEBOOKS, CODEBOOK_SIZE)
    return SslModel(tiny_ssl_config(kind, **masking), NUM_FEATURES, sizes)


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


def random_example(rng: np.random.Generator, task: Task, frames: int, number: int = 0) -> Example:
    feats_TF = rng.standard_normal((frames, NUM_FEATURES)).astype(np.float32)
    codes_TQ = rng.integers(CODEBOOK_SIZE, size=(frames, NUM_CODEBOOKS))
    if task.output == "text":
        target = rng.integers(1, 20, 4)
    else:
        num_sources = len(sources_of(task))
        target = rng.integers(CODEBOOK_SIZE, size=(num_sources, frames, NUM_CODEBOOKS))
    return Example(f"{task.name}-{number}", task, feats_TF, codes_TQ, target)


def sources_of(task: Task) -> list[str]:
    """What an audio head predicts for a task, the residual last."""
    residual = task.options.residual
    return [*task.targets, residual] if residual else list(task.targets)


def random_examples(frames: Mapping[str, Sequence[int]], seed: int = 1) -> list[Example]:
    """Examples of each task with the given numbers of frames; texts have four tokens."""
    rng = np.random.default_rng(seed)
    lengths = [(ALL[task], length) for task, of_task in frames.items() for length in of_task]
    return [random_example(rng, *pair, number) for number, pair in enumerate(lengths)]


def batch_of(examples: Sequence[Example], tasks: Sequence[Task] = TASKS) -> Batch:
    return collate(examples, tasks)


def tiny_batch() -> Batch:
    return batch_of(random_examples({"asr": [20, 13], "sep": [17, 20]}))


def write_split(
    root: Path,
    split: str,
    utterances: Sequence[Utterance],
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    provenance: Provenance = PROVENANCE,
    tasks: Known = ALL,
) -> Split:
    """A data dir and its dump: `arrays` by the archive's name, then by utterance id."""
    data, dump = root / "data" / split, root / "dump" / split
    write_data_dir(data, utterances, tasks)
    dump.mkdir(parents=True)
    for name, of_utterance in arrays.items():
        write_ark(dump / f"{name}.ark", dump / f"{name}.scp", of_utterance)
    lines = [f"{key} {len(feats_TF)}\n" for key, feats_TF in arrays["feats"].items()]
    (dump / "utt2num_frames").write_text("".join(lines))
    claim_dump(dump, provenance, "float32")
    return Split(data, dump, tasks)


def utterance(
    name: str, id: str, frames: int, speaker: str = "s", absent: int = 0, known: Known = ALL
) -> Utterance:
    """An utterance of any task; the last `absent` of its audio targets are not there."""
    task = known[name]
    present = task.targets[: len(task.targets) - absent]
    answers = ANSWERS.get(name) or dict.fromkeys(present, "none.wav")
    return Utterance(id, task, speaker, "none.wav", frames * 320, answers)


def write_dump(
    root: Path,
    splits: Sequence[str] = ("train", "dev"),
    num: int = 6,
    tasks: Sequence[str] = ("asr", "sep"),
    known: Known = ALL,
    provenance: Provenance = PROVENANCE,
    predictable: bool = False,
    waves: bool = False,
) -> tuple[Path, Path]:
    """Data dirs and dumps of random features and codes, `num` utterances of each task.

    No sound has a third source. `predictable` utterances say one thing all along: any of their
    frames tells the codes of every other. With `waves`, which are noise, the data can be decoded
    too. Returns (data, dump).
    """
    rng = np.random.default_rng(0)
    Q, V = provenance.codec.num_codebooks, provenance.codec.codebook_size
    sound_VF = rng.standard_normal((V, NUM_FEATURES)).astype(np.float32)
    for split in splits:
        utterances: list[Utterance] = []
        arrays: dict[str, dict[str, np.ndarray]] = {"feats": {}, "codes_wav": {}}
        for index in range(num):
            T = int(rng.integers(20, 30))
            for task in tasks:
                key, absent = f"{task}-{split}-{index}", int(task == "sound")
                made = utterance(task, key, T, f"s{index}", absent, known)
                utterances.append(with_wave(made, root / "waves") if waves else made)
                feats_TF = rng.standard_normal((T, NUM_FEATURES)).astype(np.float32)
                codes_TQ = rng.integers(0, V, (T, Q))
                if predictable:
                    codes_TQ[:] = said = int(rng.integers(V))
                    feats_TF[:] = sound_VF[said]
                arrays["feats"][key], arrays["codes_wav"][key] = feats_TF, codes_TQ
                for source in made_of(made):
                    of_source = arrays.setdefault(f"codes_{source}", {})
                    of_source[key] = rng.integers(0, V, (T, Q))
        write_split(root, split, utterances, arrays, provenance, known)
    return root / "data", root / "dump"


def made_of(utterance: Utterance) -> list[str]:
    """The sources whose codes stage 2 would write."""
    if utterance.task.output != "audio":
        return []
    residual = utterance.task.options.residual
    return [*utterance.answers, residual] if residual else list(utterance.answers)


def with_wave(utterance: Utterance, folder: Path) -> Utterance:
    """The utterance with a file of noise for its input, and for each of its sources."""
    path, rng = folder / f"{utterance.id}.wav", np.random.default_rng(1)
    wave_S = 0.1 * rng.standard_normal(utterance.num_samples).astype(np.float32)
    write_wav(path, wave_S, CODEC.sample_rate)
    answers = {
        target: str(path) if answer == "none.wav" else answer
        for target, answer in utterance.answers.items()
    }
    return dataclasses.replace(utterance, wav=str(path), answers=answers)
