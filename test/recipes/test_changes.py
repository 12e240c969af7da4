"""Something changes under finished work of egs/mini_aio: what depends on it is made again.

Trainings are refused instead, with a way out that works. Nothing else is made again. Every change
is made as a user makes it, and followed by `run.sh`.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_recipe import copy_finished, finish_recipe, run_recipe

# What stages make, by a pattern of files.
MADE = {
    "codes": "dump/[td]*/*",
    "units": "dump/units/**/*",
    "codec": "exp/codec_small/*.safetensors",
    "encoder": "exp/train_ssl_small/model.pt",
    "model": "exp/small/model.pt",
    "answers": "exp/small/decode_*/*/[du]*/*",
    "bounds": "exp/bounds/**/*",
    "scores": "exp/small/decode_*/results.json",
}
REFUSED = re.compile(
    r"Delete (\S+) to (train|code the data|make it) anew, or .*(new|other) folders"
)


@dataclass
class Recipe:
    """A copy of the recipe with all that its stages have made."""

    folder: Path

    def run(self, **options: str) -> subprocess.CompletedProcess[str]:
        """Stages 2 to 6, or others."""
        return run_recipe(self.folder, {"stage": "2", "stop_stage": "6", **options})

    def made(self) -> dict[str, dict[str, int | bytes]]:
        """When each file of each kind was written; of scores, which are cheap, what they are."""
        made: dict[str, dict[str, int | bytes]] = {}
        for kind, pattern in MADE.items():
            files = [path for path in self.folder.glob(pattern) if path.is_file()]
            is_cheap = kind == "scores"
            made[kind] = {
                str(f): f.read_bytes() if is_cheap else f.stat().st_mtime_ns for f in files
            }
        return made

    def again(self, before: dict[str, dict[str, int | bytes]]) -> set[str]:
        """The kinds of which a file has been written, or has gone, since then."""
        return {kind for kind, files in self.made().items() if files != before[kind]}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a piece of a text file."""
        path = self.folder / name
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new, 1))

    def append(self, name: str, more: str) -> None:
        """Add to a text file."""
        with (self.folder / name).open("a") as file:
            file.write(more)

    def another_wave(self, split: str, task: str) -> None:
        """As long as before."""
        wav = sorted((self.folder / f"corpus/{split}/{task}").glob("*.wav"))[0]
        wave_S, rate = soundfile.read(wav)
        soundfile.write(wav, np.roll(wave_S, rate // 3), rate)

    def one_less(self, split: str) -> None:
        """The last recording of a split goes."""
        folder = self.folder / "data" / split
        (last, *_) = (folder / "wav.scp").read_text().splitlines()[-1].split()
        for path in folder.iterdir():
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(line for line in lines if line.split()[0] != last))

    def one_more(self, split: str) -> None:
        """A recording comes twice, under two names."""
        folder = self.folder / "data" / split
        (first, *_) = (folder / "wav.scp").read_text().splitlines()[0].split()
        for path in folder.iterdir():
            lines = path.read_text().splitlines(keepends=True)
            of_first = [line for line in lines if line.split()[0] == first]
            more = [line.replace(first, f"{first}x", 1) for line in of_first]
            path.write_text("".join(sorted(lines + more)))

    def delete(self, name: str) -> None:
        """A folder goes."""
        shutil.rmtree(self.folder / name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """All six stages are finished."""
    return finish_recipe(tmp_path_factory.mktemp("finished"), stop_stage=6)


@pytest.fixture
def recipe(finished: Path, tmp_path: Path) -> Recipe:
    """A copy of it, times included."""
    return Recipe(copy_finished(finished, tmp_path / "copy"))


HEARD = {"answers", "bounds", "scores"}


@pytest.mark.all
@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(lambda r: None, set(), id="nothing"),
        pytest.param(lambda r: r.another_wave("test", "asr"), HEARD, id="a wave of test"),
        pytest.param(lambda r: r.one_less("test"), HEARD, id="a recording of test goes"),
        pytest.param(lambda r: r.one_more("test"), HEARD, id="a recording of test comes"),
        pytest.param(
            lambda r: r.edit("data/test/text", "the", "a"), {"bounds", "scores"}, id="a text"
        ),
        pytest.param(
            lambda r: r.append("conf/decode.yaml", "decoders: {audio: {wiener: {window: 512}}}\n"),
            HEARD,
            id="options of decoding",
        ),
        pytest.param(lambda r: r.delete("exp/train_ssl_small"), {"encoder"}, id="the encoder"),
        pytest.param(lambda r: r.delete("dump"), {"codes", "units"}, id="the tokens"),
        pytest.param(lambda r: r.delete("exp/bounds"), {"bounds"}, id="floors and ceilings"),
    ],
)
def test_what_depends_on_a_change_is_made_again_and_nothing_else(
    recipe: Recipe, change: Callable[[Recipe], None], again: set[str]
) -> None:
    before = recipe.made()
    change(recipe)
    done = recipe.run()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert recipe.again(before) == again


CODEC, ENCODER, MODEL = "exp/codec_small", "exp/train_ssl_small", "exp/small"
SEED = {"stage": "1", "local_data_opts": "--scale 0.01 --seed 1"}
SCALE = {"stage": "1", "local_data_opts": "--scale 0.012"}


@pytest.mark.all
@pytest.mark.parametrize(
    ("change", "options", "refused"),
    [
        pytest.param(lambda r: r.another_wave("train", "asr"), {}, CODEC, id="a wave of train"),
        pytest.param(lambda r: r.one_less("train"), {}, CODEC, id="a recording goes"),
        pytest.param(lambda r: r.one_more("train"), {}, CODEC, id="a recording comes"),
        pytest.param(lambda r: r.one_less("noise_train"), {}, ENCODER, id="a noise goes"),
        pytest.param(lambda r: None, {"vocab_size": "58"}, MODEL, id="fewer tokens"),
        pytest.param(lambda r: None, SCALE, CODEC, id="a larger corpus"),
        pytest.param(
            lambda r: r.edit("conf/corpus.yaml", "[155, 195]", "[150, 190]"),
            {"stage": "1"},
            CODEC,
            id="speech is slower",
        ),
    ],
)
def test_a_training_that_would_be_another_is_refused_and_kept(
    recipe: Recipe, change: Callable[[Recipe], None], options: dict[str, str], refused: str
) -> None:
    change(recipe)
    trained = {path: path.read_bytes() for path in recipe.folder.glob("exp/*/model.pt")}
    done = recipe.run(**options)
    told = REFUSED.search(done.stderr + done.stdout)
    assert done.returncode and told, done.stdout[-3000:] + done.stderr[-3000:]
    assert told.group(1) == refused
    assert trained == {path: path.read_bytes() for path in recipe.folder.glob("exp/*/model.pt")}


@pytest.mark.all
def test_an_option_of_a_training_is_refused_in_its_file_and_taken_as_an_argument(
    recipe: Recipe,
) -> None:
    name = "conf/train_ssl_small.yaml"
    recipe.edit(name, "trainer:", "seed: 5\ntrainer:")
    done = recipe.run(stop_stage="3")
    told = "exp/train_ssl_small was begun with another configuration (seed: 0 there, 5 now)"
    assert done.returncode and told in done.stderr + done.stdout
    assert "Give the change by --codec_args, --ssl_args" in done.stderr + done.stdout
    recipe.edit(name, "seed: 5\n", "")
    done = recipe.run(stop_stage="3", ssl_args="seed=5")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (recipe.folder / "exp/train_ssl_small_seed5/model.pt").is_file()


@pytest.mark.all
def test_other_folders_make_everything_of_another_corpus(recipe: Recipe) -> None:
    before = recipe.made()
    done = recipe.run(**SEED, expdir="exp2", dumpdir="dump2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert recipe.again(before) == set()
    assert list(recipe.folder.glob("exp2/small/decode_*test/RESULTS.md"))


@pytest.mark.all
def test_deleting_what_the_lines_name_makes_everything_of_another_corpus(recipe: Recipe) -> None:
    deleted: list[str] = []
    while (done := recipe.run(**SEED)).returncode:
        told = REFUSED.search(done.stderr + done.stdout)
        assert told and told.group(1) not in deleted, done.stdout[-3000:] + done.stderr[-3000:]
        deleted.append(told.group(1))
        recipe.delete(told.group(1))
    assert deleted == [CODEC, "dump/train", "dump/dev", "dump/units/audio", ENCODER, MODEL]
