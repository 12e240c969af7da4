"""The runs of `same_numbers.py`: every part of the toolkit once, as small as it gets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from same_numbers_dialects import FILES, CommandLines, rename
from same_numbers_files import RATE, SPLITS, TARGETS


def under(section: str, **values: object) -> tuple[str, ...]:
    """Settings of one section."""
    return tuple(f"{section}.{key}={value}" for key, value in values.items())


SECONDS = "data.seconds={asr: 1, st: 1, sep: 1, enh: 1, sound: 1, music: 1}"
TRAINER = (
    *under("trainer", max_steps=20, val_check_interval=10, checkpoint_every=10),
    *under("trainer", accelerator="cpu", enable_progress_bar="false"),
    *under("optim", lr=0.01, warmup_steps=5),
)
CODEC = {
    "sample_rate": RATE,
    "encoder_dim": 4,
    "latent_dim": 16,
    "decoder_dim": 32,
    "n_codebooks": 3,
    "codebook_size": 16,
    "codebook_dim": 4,
}
CODEC_TRAINING = (
    *TRAINER,
    *under("model", **CODEC),
    "crop_seconds=0.2",
    "batch_size=4",
    "quantise_from=10",
    "fitting_batches=4",
    "revive_after=5",
    "dev_crops=4",
)
ENCODER = (
    *TRAINER,
    SECONDS,
    *under("model.encoder", width=16, num_layers=2, num_heads=2, hidden=24, conv_kernel=3),
    "model.objective.kind=best_rq",
    "model.objective.best_rq.codebook_size=32",
    "model.objective.contrastive.cross_distractors=5",
)
# What each run of stage 3 has besides.
ENCODERS = {
    "best_rq": (),
    "masked_codes": ("model.objective.kind=masked_codes",),
    "contrastive": ("model.objective.kind=contrastive",),
    "self_distillation": ("model.objective.kind=self_distillation",),
    "conformer": ("model.encoder.kind=conformer",),
    "e_branchformer": ("model.encoder.kind=e_branchformer",),
    "stem": ("model.encoder.stem_kernel=3", "model.encoder.conv_kernel=0"),
}
MOE = "model.backbone.moe"
MODEL = (
    *TRAINER,
    SECONDS,
    *under("model.backbone", width=16, num_layers=2, num_heads=2, hidden=32, conv_kernel=3),
    *under(MOE, num_experts=4, expert_hidden=16),
    *under("model.text_head", num_layers=1, num_heads=2, hidden=16),
    *under("model.codes_head", hidden=16, num_codebooks=2),
)
TWO_BATCHES = "trainer.accumulate_grad_batches=2"
# What each run of stage 4 has besides.
MODELS = {
    "per_task": (),
    "shared": (f"{MOE}.router.kind=shared",),
    "task_conditioned": (f"{MOE}.router.kind=task_conditioned",),
    "mutual_information": (f"{MOE}.balance.kind=mutual_information", TWO_BATCHES),
    "importance_load": (f"{MOE}.balance.kind=importance_load", TWO_BATCHES),
    "switch": (f"{MOE}.balance.kind=switch", TWO_BATCHES),
    "bias": (f"{MOE}.balance.kind=bias", TWO_BATCHES),
    "none": (f"{MOE}.balance.kind=none", TWO_BATCHES),
    "swiglu": (f"{MOE}.activation=swiglu",),
    "shared_expert": (f"{MOE}.shared_hidden=16",),
    "top_p": (f"{MOE}.router.top_p=0.6", f"{MOE}.top_k=3"),
    "raw_weights": (f"{MOE}.router.renormalise=false",),
    "attention_experts": (
        f"{MOE}.attention.layers=[0,1]",
        *under(f"{MOE}.attention", num_experts=4, top_k=2, head_width=8),
    ),
    "dense": (f"{MOE}.layers=[]",),
    "one_expert": (f"{MOE}.num_experts=1",),
    "layer_drop": ("model.backbone.layer_drop=0.3",),
    "recompute": ("model.backbone.recompute=true",),
    "segments": ("data.segment_seconds=0.3", "task_weights={asr: 4, st: 2}"),
    "bfloat16": ("trainer.precision=bf16-mixed",),
    "five_tasks": ("data.seconds.enh=0",),
}
DECODINGS = {
    "latent": ("audio.mode=latent", "text.beam_size=3", "text.length_bonus=1.0"),
    "soft": ("audio.mode=soft", "text.beam_size=1"),
    "argmax": ("audio.mode=argmax", "text.beam_size=2", "text.ctc_weight=0.3"),
    "detail": ("audio.wiener_detail=0.5", "text.beam_size=4", "text.ctc_weight=1.0"),
}


@dataclass(frozen=True)
class Step:
    """Commands that fill a folder, and the patterns of the files there that are collected."""

    folder: str
    lines: list[list[str]]
    files: list[str]


def matrix(dialect: str) -> Iterator[Step]:
    """All steps in order; later ones read the folders of earlier ones."""
    for folder, lines, *patterns in _steps(CommandLines(dialect)):
        files = [rename(FILES, pattern, dialect) for pattern in patterns]
        yield Step(folder, lines, [pattern for pattern in files if pattern])


def _steps(run: CommandLines) -> Iterator[tuple]:
    """Folder, command lines, patterns of files."""
    tokenized = [run.tokenize(split, f"dump/{split}") for split in SPLITS]
    units = run.train_tokenizer("dump/token")
    yield "dump", [*tokenized, units], "*/feats.scp", "*/codes_*.scp", "token/tokens.txt"
    batched = run.tokenize("dev", "batched/dev", batch_seconds="2")
    yield "batched", [batched], "*/feats.scp", "*/codes_*.scp"
    yield "trained_codec", [run.train_codec("trained_codec", CODEC_TRAINING)], "codec.safetensors"
    yield "ceiling", [run.ceiling("ceiling")], "ceiling.json"
    for name, settings in ENCODERS.items():
        yield f"ssl/{name}", [run.train_ssl(f"ssl/{name}", (*ENCODER, *settings))], "model.pt"
    for name, settings in MODELS.items():
        yield f"aio/{name}", [run.train_aio(f"aio/{name}", (*MODEL, *settings))], "model.pt"
    adapted = run.adapt("aio/five_tasks", "enh", "aio/adapted", TRAINER)
    yield "aio/adapted", [adapted], "model.pt"
    parts = run.extract("aio/per_task", ["asr", "sep"], "extracted")
    yield "extracted", [parts], "*/model.pt"

    def decoding(
        model: str, name: str, tasks: Iterable[str], settings: Iterable[str] = ()
    ) -> tuple[str, list[list[str]]]:
        folder = f"decode/{name}"
        return folder, [run.decode(model, folder, settings), run.score(folder, tasks)]

    waves = "*/*/*.scp"
    for name, settings in DECODINGS.items():
        yield *decoding("aio/per_task", name, TARGETS, settings), "*/text", waves, "results.json"
    yield *decoding("aio/adapted", "adapted", TARGETS), "*/text", waves, "results.json"
    yield *decoding("extracted/asr", "extracted_asr", ["asr"]), "*/text", "results.json"
    yield *decoding("extracted/sep", "extracted_sep", ["sep"]), waves, "results.json"
    yield "probe", [run.probe("ssl/best_rq", "probe")], "probes.json"
    for name in ("per_task", "attention_experts"):
        yield f"routing/{name}", [run.routing(f"aio/{name}", f"routing/{name}")], "routing.json"
