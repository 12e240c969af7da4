"""Wrong configurations, odd data and damaged files, through the commands that stages run.

Each ends with a status that is not 0 and one line that says what is wrong and where; nothing that
was made before is lost. What is wrong with a configuration is told before anything is loaded.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_recipe import ROOT, copy_finished, finish_recipe

pytestmark = pytest.mark.all

DECODED = "exp/small/decode_decoders.text.beam_size2_test"
COMMON = ["--tasks_config", "conf/tasks.yaml"]
CORPUS = ["--data", "data", "--dump", "dump"]
TRAIN = ["--config", "conf/train_aio_small.yaml", *CORPUS, "--ssl", "exp/train_ssl_small"]
COMMANDS = {
    "train_aio": [*TRAIN, "--units", "dump/units", "--out", "exp/new"],
    "train_ssl": ["--config", "conf/train_ssl_small.yaml", *CORPUS, "--out", "exp/new"],
    "train_codec": [
        *("--config", "conf/codec_small.yaml", "--data", "data/train", "--dev", "data/dev"),
        *("--out", "exp/new"),
    ],
    "decode": [
        *("--model", "exp/small", "--data", "data/test", "--out", "exp/new"),
        *("--config", "conf/decode.yaml", "--set", "decoders.audio.codec=exp/codec_small"),
    ],
    "score": [
        *("--data", "data/test", "--decode", DECODED, "--train", "data/train"),
        *("--dev", "data/dev", "--bounds", "exp/new"),
    ],
    "encode_data": [
        *("--data", "data/train", "--dump", "dump/train", "--codec", "exp/codec_small"),
    ],
    "fit_units": ["--data", "data/train", "--out", "dump/units"],
    "validate_data_dir": ["data/test"],
}
# Seconds of a processor, those of `import torch` not among them.
AT_ONCE = 2.0


@dataclass
class Done:
    """A command that has ended.

    Attributes:
        status: its exit status.
        said: what it wrote to stderr.
        seconds: of a processor that it took.
    """

    status: int
    said: str
    seconds: float

    def told(self) -> str:
        """The one error that it ended with."""
        assert self.status != 0 and "Traceback" not in self.said, self.said
        found = [line for line in self.said.replace("\r", "\n").split("\n") if "error: " in line]
        assert len(found) == 1, self.said
        return self.said[self.said.index("error: ") :]


def run(recipe: Path, command: str, *words: str) -> Done:
    """Run a command in a recipe's folder as its stage does."""
    tasks = [] if "--tasks_config" in words else COMMON
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", f"aio_toolkit.bin.{command}", *COMMANDS[command], *tasks, *words],
        cwd=recipe,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Done(done.returncode, done.stderr, seconds)


def contents(recipe: Path) -> dict[Path, bytes]:
    """All that stages have made, but for logs."""
    made = [path for name in ("dump", "exp", "data") for path in (recipe / name).rglob("*")]
    return {path: path.read_bytes() for path in made if path.is_file() and path.suffix != ".log"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A recipe with all that its stages make."""
    return finish_recipe(tmp_path_factory.mktemp("finished"), stop_stage=6)


@pytest.fixture
def recipe(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return copy_finished(finished, tmp_path / "copy")


CONFIGURATIONS = {
    "train_aio": [
        ("model.backbone.widht=64", "unknown key", "Did you mean 'model.backbone.width'"),
        ("model.backbone.width=wide", "key 'model.backbone.width'", "wide"),
        ("model.backbone.width=0", "key 'model.backbone.width' must be at least 1, not 0"),
        ("model.backbone.width=66", "key 'model.backbone.num_heads' must divide 'width'"),
        ("model.backbone.num_heads=0", "key 'model.backbone.num_heads'"),
        ("model.backbone.num_layers=-2", "key 'model.backbone.num_layers'"),
        ("model.backbone.conv_kernel=4", "key 'model.backbone.conv_kernel'", "odd"),
        ("model.backbone.layer_drop=1", "must be at least 0 and below 1"),
        ("model.backbone.moe.feed_forward.top_k=9", "must be at most 'num_experts'"),
        ("model.backbone.moe.router.kind=per_taks", "Did you mean", "per_task"),
        ("model.backbone.moe.balance.kind=none1", "unknown kind 'none1'"),
        ("model.heads.text.ctc_weight=1.5", "key 'model.heads.text.ctc_weight'"),
        ("model.heads.audio.paths.mask.weight=-1", "key 'model.heads.audio.paths.mask.weight'"),
        ("optim.lr=-1", "key 'optim.lr' must be above 0"),
        ("optim.lr=nan", "key 'optim.lr'", "nan"),
        ("optim.kind=sgdd", "key 'optim.kind'", "adamw"),
        ("optim.warmup_steps=-5", "key 'optim.warmup_steps'"),
        ("optim.weight_decay=-0.1", "key 'optim.weight_decay'"),
        ("task_weights.asr=-2", "key 'task_weights.asr'"),
        ("data.seconds.asr=-3", "key 'data.seconds.asr'"),
        ("data.segment_seconds=-1", "key 'data.segment_seconds'"),
        ("data.num_workers=-1", "key 'data.num_workers'"),
        ("trainer.max_steps=abc", "trainer.max_steps"),
        ("trainer.max_steps=0", "trainer.max_steps"),
        ("trainer.checkpoint_every=-3", "trainer.checkpoint_every"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches"),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val"),
        ("trainer.max_stepz=5", "trainer", "max_stepz"),
        ("seed=1.5", "key 'seed'"),
        ("optim={lr: [1]}", "key 'optim.lr'"),
        ("optim", "has no '='"),
        ("model.heads.audio=3", "is a section of keys"),
    ],
    "train_ssl": [
        ("model.encoder.kind=conformr", "Did you mean 'conformer'"),
        ("model.objective.kind=bert", "unknown kind 'bert'"),
        ("model.masking.share=1.5", "key 'model.masking.share'"),
        ("model.stem_kernel=2", "key 'model.stem_kernel'", "odd"),
    ],
    "train_codec": [
        ("model.encoder_rates=[0,4]", "key 'model.encoder_rates'"),
        ("model.codebook_size=1", "key 'model.codebook_size'"),
        ("crop_seconds=0", "key 'crop_seconds'"),
    ],
    "decode": [
        ("decoders.text.beam_size=0", "key 'decoders.text.beam_size'"),
        ("decoders.text.max_length_ratio=-1", "key 'decoders.text.max_length_ratio'"),
        ("decoders.text.search=best", "key 'decoders.text.search'", "greedy"),
        ("decoders.audio.wiener.power=-1", "key 'decoders.audio.wiener.power'"),
        ("batch_seconds=0", "key 'batch_seconds'"),
        ("decoders.txt.beam_size=3", "txt"),
    ],
}


@pytest.mark.parametrize(
    ("command", "override", "parts"),
    [
        (command, override, parts)
        for command, cases in CONFIGURATIONS.items()
        for override, *parts in cases
    ],
)
def test_a_wrong_configuration_is_told_at_once(
    finished: Path, command: str, override: str, parts: list[str]
) -> None:
    before = contents(finished)
    done = run(finished, command, "--set", override)
    told = done.told()
    assert all(part in told for part in parts), told
    assert done.seconds < AT_ONCE, told
    assert contents(finished) == before


FILES = [
    ("", "key 'trainer.max_steps' has no value"),
    ("model: [1, 2\n", "line"),
    ("- a\n- b\n", "holds a list"),
    ("base: nowhere.yaml\n", "nowhere.yaml"),
    ("base: odd.yaml\n", "odd.yaml"),
    ("optim:\n  lr: ${oc.env:HOME}\n", "oc.env"),
    ("seed: ${nowhere}\n", "nowhere"),
]


@pytest.mark.parametrize(("content", "part"), FILES)
def test_a_wrong_file_of_a_configuration_is_told_at_once(
    recipe: Path, content: str, part: str
) -> None:
    (recipe / "conf/odd.yaml").write_text(content)
    done = run(recipe, "train_aio", "--config", "conf/odd.yaml")
    told = done.told()
    assert part in told
    assert done.seconds < AT_ONCE, told
    assert not (recipe / "exp/new").exists()


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace what a file holds first."""

    def change(recipe: Path) -> None:
        path = recipe / name
        content = path.read_bytes()
        assert old.encode() in content
        path.write_bytes(content.replace(old.encode(), new.encode("latin1"), 1))

    return change


def cut(name: str, kept: float) -> Callable[[Path], None]:
    """Keep the beginning of the first file of a pattern."""

    def change(recipe: Path) -> None:
        path = sorted(recipe.glob(name))[0]
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])

    return change


def gone(name: str) -> Callable[[Path], None]:
    """Delete the first file of a pattern."""
    return lambda recipe: sorted(recipe.glob(name))[0].unlink()


def wave(samples: np.ndarray | str) -> Callable[[Path], None]:
    """Other samples, or a text, in the first recording of test."""

    def change(recipe: Path) -> None:
        path = recipe / (recipe / "data/test/wav.scp").read_text().split()[1]
        if isinstance(samples, str):
            path.write_text(samples)
        else:
            soundfile.write(path, samples, 16000, subtype="FLOAT")

    return change


DATA = [
    (gone("data/test/wav.scp"), "has no wav.scp"),
    (gone("data/test/utt2task"), "utt2task is missing"),
    (edit("data/test/utt2task", " asr", " asrr"), "unknown task 'asrr'. Known tasks: asr"),
    (edit("data/test/text", "-00000", "-00000x"), "is in text but not in wav.scp"),
    (edit("data/test/text", "\n", "\r\n"), "ends in CR LF"),
    (edit("data/test/text", "asr", "\xef\xbb\xbfasr"), "byte order mark"),
    (edit("data/test/text", "\n", "\xe9\n"), "is not UTF-8"),
    (edit("data/test/utt2spk", "\n", "\n\n"), "is empty"),
    (edit("data/test/utt2num_samples", "\n", "x\n"), "expected a whole number of samples"),
    (edit("data/test/wav.scp", "corpus/", "nowhere/"), "does not exist"),
    (edit("data/test/wav.scp", "corpus/", "false | cat corpus/"), "does not exist"),
    (wave("no audio at all\n" * 50), "is not audio that can be read"),
    (wave(""), "is empty (0 bytes)"),
    (wave(np.full(16000, np.nan)), "holds NaN or Inf"),
    (wave(np.zeros(0)), "holds no samples"),
    (wave(np.zeros(77)), "has 77 samples at 16000 Hz, utt2num_samples says"),
]


@pytest.mark.parametrize(("change", "part"), DATA, ids=[part for _, part in DATA])
def test_what_is_wrong_with_a_data_dir_is_told(
    recipe: Path, change: Callable[[Path], None], part: str
) -> None:
    change(recipe)
    told = run(recipe, "validate_data_dir").told()
    assert "data/test" in told and part in told


DAMAGED = [
    ("decode", gone("exp/small/model.pt"), "exp/small/model.pt", "stage 4"),
    ("decode", cut("exp/small/model.pt", 0.5), "exp/small/model.pt", "stage 4"),
    ("decode", cut("exp/small/model.pt", 0), "exp/small/model.pt", "stage 4"),
    ("decode", edit("exp/small/model.pt", "PK", "xx"), "exp/small/model.pt", "stage 4"),
    ("train_aio", gone("exp/train_ssl_small/model.pt"), "exp/train_ssl_small", "3 for an encoder"),
    ("train_aio", cut("exp/train_ssl_small/model.pt", 0.9), "exp/train_ssl_small", "stage 3"),
    ("train_aio", cut("dump/units/text/bpe.model", 0.5), "dump/units", "stage 2"),
    ("train_aio", gone("dump/units/text/tokens.txt"), "dump/units", "stage 2"),
    ("train_aio", cut("dump/train/codec.json", 0.5), "dump/train/codec.json", "stage"),
    ("score", gone(f"{DECODED}/asr/text"), "_test/asr/text", "stage 5"),
    ("score", cut(f"{DECODED}/asr/text", 0.7), "_test/asr/text", "stage 5"),
    ("score", cut(f"{DECODED}/decode.json", 0.5), "decode.json", "stage"),
    ("score", cut(f"{DECODED}/enh/masked/wav/*", 0.5), "enh", "stage 5"),
    ("score", gone(f"{DECODED}/enh/masked/wav/*"), "enh", "stage 5"),
]


@pytest.mark.parametrize(
    ("command", "change", "parts"),
    [(command, change, parts) for command, change, *parts in DAMAGED],
)
def test_a_damaged_file_is_told_with_the_stage_that_makes_it(
    recipe: Path, command: str, change: Callable[[Path], None], parts: list[str]
) -> None:
    change(recipe)
    before = contents(recipe)
    told = run(recipe, command).told()
    assert all(part in told for part in parts), told
    assert before.items() <= contents(recipe).items()


ASKED = [
    ("decode", ["--tasks", "asrr"], "asrr"),
    ("decode", ["--model", "nowhere"], "nowhere"),
    ("decode", ["--data", "nowhere"], "nowhere"),
    ("decode", ["--device", "tpu"], "tpu"),
    ("decode", ["--set", "decoders.audio.codec=nowhere"], "nowhere"),
    ("decode", ["--out", "conf/tasks.yaml"], "conf/tasks.yaml"),
    ("score", ["--decode", "nowhere"], "nowhere"),
    ("score", ["--tasks", "asrr"], "asrr"),
    ("encode_data", ["--codec", "nowhere"], "nowhere"),
    ("encode_data", ["--fs", "8000"], "8000"),
    ("fit_units", ["--set", "units.text.vocab_size=99999"], "99999"),
    ("train_aio", ["--data", "nowhere"], "nowhere"),
    ("train_aio", ["--set", "task_weights.asrr=2"], "Known tasks: asr, st"),
    ("train_aio", ["--set", "data.seconds.asrr=3"], "Known tasks: asr, st"),
    ("train_aio", ["--tasks_config", "nowhere.yaml"], "nowhere.yaml"),
    ("train_aio", ["--parts", "no_such_package"], "no_such_package"),
    ("train_aio", ["--out", "conf/tasks.yaml"], "conf/tasks.yaml"),
]


@pytest.mark.parametrize(("command", "words", "part"), ASKED)
def test_what_cannot_be_done_is_told(
    finished: Path, command: str, words: list[str], part: str
) -> None:
    before = contents(finished)
    told = run(finished, command, *words).told()
    assert part in told
    assert contents(finished) == before
