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
from aio_toolkit.answers.audio_target import AudioTarget
from aio_toolkit.answers.base import Units
from aio_toolkit.answers.text import TextUnits
from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import Choice, from_values
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.dump.arks import write_ark
from aio_toolkit.dump.fingerprints import claim_dump
from aio_toolkit.dump.split import Split
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.frontend.stack import FrontEndStack
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.batch import Batch, Example, collate
from aio_toolkit.models.checkpoint import LoadedAio
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.moe.base import RoutingTable
from aio_toolkit.moe.mixture import MoE
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
NUM_MELS = 6
NUM_FEATURES = 2 * NUM_MELS  # of two sub-frames
NUM_LATENTS = 4
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
HOP, RATE = CODEC.hop, CODEC.sample_rate
# Samples of an utterance end within a frame.
ODD = 37
FRONT_END = {"parts": ["log_mel"], "options": {"log_mel": {"num_mels": NUM_MELS}}}


def mels(num_mels: int) -> FrontEndStack.Config:
    """A front end of log-mel energies, twice as many features as bands."""
    return from_values(
        FrontEndStack.Config,
        {"parts": ["log_mel"], "options": {"log_mel": {"num_mels": num_mels}}},
        "tiny",
    )


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
        "audio": {"width": 16, "paths": {"classes": {"weight": 0.3}}},
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
    return SslEncoder(tiny_encoder_config(), CODEC.grid)


def tiny_encoder_config() -> SslEncoder.Config:
    config = from_values(SslEncoder.Config, {"front_end": FRONT_END}, "tiny")
    return dataclasses.replace(config, encoder=ENCODER)


def save_tiny(path: Path, model: AioModel, codec: CodecFingerprint = CODEC) -> None:
    """Write a tiny model as stage 4 does."""
    LoadedAio(model, codec).save(path)


def tiny_ssl_config(kind: str = "masked_codes", **masking: Any) -> SslModel.Config:
    """The model of stage 3 with an objective of this kind."""
    sections = {"objective": {"kind": kind}, "masking": masking, "front_end": FRONT_END}
    config = from_values(SslModel.Config, sections, "tiny")
    return dataclasses.replace(config, encoder=ENCODER)


def tiny_ssl(kind: str = "masked_codes", **masking: Any) -> SslModel:
    torch.manual_seed(0)
    return SslModel(tiny_ssl_config(kind, **masking), CODEC)


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
    """Noise of so many frames, the last one incomplete, and an answer to it."""
    num_samples = frames * HOP - ODD
    wave_S = 0.1 * rng.standard_normal(num_samples).astype(np.float32)
    codes_TQ = rng.integers(CODEBOOK_SIZE, size=(frames, NUM_CODEBOOKS))
    target: Any = rng.integers(1, 20, 4)
    if task.output == "audio":
        codes_NTQ = rng.integers(CODEBOOK_SIZE, size=(len(sources_of(task)), frames, NUM_CODEBOOKS))
        waves_NS = 0.1 * rng.standard_normal((len(task.targets), num_samples))
        target = AudioTarget(waves_NS.astype(np.float32), codes_NTQ)
    return Example(f"{task.name}-{number}", task, wave_S, codes_TQ, target)


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
    return collate(examples, tasks, HOP)


def tiny_batch() -> Batch:
    return batch_of(random_examples({"asr": [20, 13], "sep": [17, 20]}))


def hidden(model: AioModel, batch: Batch) -> torch.Tensor:
    """What the backbone makes of a batch (B, T, D)."""
    return model.encode(batch).h_BTD


def rows_of(batch: Batch, rows: slice, task_B: torch.Tensor | None = None) -> Batch:
    """Some rows of a batch as they stand, of their own tasks unless told otherwise; no answers."""
    task_B = batch.task_B[rows] if task_B is None else task_B
    waves = batch.wave_BS[rows], batch.samples_B[rows]
    return Batch(batch.ids[rows], task_B, *waves, None, {}, {})


def frames_B(batch: Batch) -> torch.Tensor:
    """Real frames of each row."""
    return -(-batch.samples_B // HOP)


def write_split(
    root: Path,
    split: str,
    utterances: Sequence[Utterance],
    codes: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    codec: CodecFingerprint = CODEC,
    tasks: Known = ALL,
) -> Split:
    """A data dir and its dump: codes by the name of the source, then by utterance id."""
    data, dump = root / "data" / split, root / "dump" / split
    write_data_dir(data, utterances, tasks)
    dump.mkdir(parents=True)
    for name, of_utterance in (codes or {}).items():
        write_ark(dump / f"codes_{name}.ark", dump / f"codes_{name}.scp", of_utterance)
    claim_dump(dump, codec, "float32")
    return Split(data, dump, tasks)


def utterance(
    name: str, id: str, frames: int, speaker: str = "s", absent: int = 0, known: Known = ALL
) -> Utterance:
    """An utterance of any task; the last `absent` of its audio targets are not there."""
    task = known[name]
    present = task.targets[: len(task.targets) - absent]
    answers = ANSWERS.get(name) or dict.fromkeys(present, "none.wav")
    return Utterance(id, task, speaker, "none.wav", frames * HOP, answers)


def write_dump(
    root: Path,
    splits: Sequence[str] = ("train", "dev"),
    num: int = 6,
    tasks: Sequence[str] = ("asr", "sep"),
    known: Known = ALL,
    codec: CodecFingerprint = CODEC,
    predictable: bool = False,
) -> tuple[Path, Path]:
    """Data dirs of short waves and dumps of random codes, `num` utterances of each task.

    No sound has a third source. `predictable` utterances are a tone all along, one for each code:
    any of their frames tells the codes of every other. Returns (data, dump).
    """
    rng = np.random.default_rng(0)
    Q, V = codec.num_codebooks, codec.codebook_size
    for split in splits:
        utterances: list[Utterance] = []
        codes: dict[str, dict[str, np.ndarray]] = {"wav": {}}
        for index in range(num):
            T = int(rng.integers(20, 30))
            for task in tasks:
                key, absent = f"{task}-{split}-{index}", int(task == "sound")
                made = utterance(task, key, T, f"s{index}", absent, known)
                codes_TQ = rng.integers(0, V, (T, Q))
                tone = None
                if predictable:
                    codes_TQ[:] = tone = int(rng.integers(V))
                utterances.append(with_waves(made, root / "waves", tone))
                codes["wav"][key] = codes_TQ
                for source in made_of(made):
                    of_source = codes.setdefault(source, {})
                    of_source[key] = rng.integers(0, V, (T, Q))
        write_split(root, split, utterances, codes, codec, known)
    return root / "data", root / "dump"


def made_of(utterance: Utterance) -> list[str]:
    """The sources whose codes stage 2 would write."""
    if utterance.task.output != "audio":
        return []
    residual = utterance.task.options.residual
    return [*utterance.answers, residual] if residual else list(utterance.answers)


def with_waves(utterance: Utterance, folder: Path, tone: int | None = None) -> Utterance:
    """The utterance with files of noise, or of a tone, for each source and their sum for its input.

    What has no sources is noise, or a tone, itself.
    """
    seed = [ord(letter) for letter in utterance.id]
    rng = np.random.default_rng(seed)
    S = utterance.num_samples
    answers, waves = dict(utterance.answers), []
    for target, answer in utterance.answers.items():
        if answer == "none.wav":
            waves.append(0.1 * rng.standard_normal(S))
            answers[target] = str(folder / f"{utterance.id}_{target}.wav")
            write_wav(answers[target], waves[-1].astype(np.float32), RATE)
    wave_S = np.sum(waves, axis=0) if waves else 0.1 * rng.standard_normal(S)
    if tone is not None:
        wave_S = 0.1 * np.sin(0.1 * (1 + tone) * np.arange(S))
    path = folder / f"{utterance.id}.wav"
    write_wav(path, wave_S.astype(np.float32), RATE)
    return dataclasses.replace(utterance, wav=str(path), answers=answers)
