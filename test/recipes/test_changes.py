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
from small_recipe import copy_recipe, run_recipe

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
REFUSED = re.compile(r"Delete (\S+) to train anew")


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
        wav = sorted((self.folder / f"corpus_small/{split}/{task}").glob("*.wav"))[0]
        wave_S, rate = soundfile.read(wav)
        soundfile.write(wav, np.roll(wave_S, rate // 3), rate)

    def drop_last(self, name: str) -> None:
        """A list loses its last line."""
        path = self.folder / name
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))

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
    root = tmp_path_factory.mktemp("finished")
    done = Recipe(copy_recipe(root)).run(stage="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return root


@pytest.fixture
def recipe(finished: Path, tmp_path: Path) -> Recipe:
    """A copy of it, times included."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return Recipe(tmp_path / "copy/egs/mini_aio")


ANSWERS = {"answers", "scores"}
HEARD = ANSWERS | {"bounds"}


@pytest.mark.all
@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(lambda r: None, set(), id="nothing"),
        pytest.param(lambda r: r.another_wave("test", "asr"), HEARD, id="a wave of test"),
        pytest.param(lambda r: r.one_less("test"), HEARD, id="a recording of test goes"),
        pytest.param(lambda r: r.one_more("test"), HEARD, id="a recording of test comes"),
        pytest.param(
            lambda r: r.edit("data/test/text", "the", "a"), {"scores"}, id="a text of test"
        ),
        pytest.param(
            lambda r: r.append("conf/decode.yaml", "decoders: {text: {length_bonus: 0.5}}\n"),
            ANSWERS,
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


SEED = {"stage": "1", "local_data_opts": "--scale 0.01 --seed 1"}
SCALE = {"stage": "1", "local_data_opts": "--scale 0.012"}


@pytest.mark.all
@pytest.mark.parametrize(
    ("change", "options", "refused"),
    [
        pytest.param(
            lambda r: r.another_wave("train", "asr"), {}, "codec_small", id="a wave of train"
        ),
        pytest.param(lambda r: r.one_less("train"), {}, "codec_small", id="a recording goes"),
        pytest.param(lambda r: r.one_more("train"), {}, "codec_small", id="a recording comes"),
        pytest.param(
            lambda r: r.drop_last("data/noise_train/wav.scp"), {}, "train_ssl_small", id="a noise"
        ),
        pytest.param(lambda r: None, {"vocab_size": "58"}, "small", id="more tokens"),
        pytest.param(lambda r: None, SEED, "codec_small", id="another seed"),
        pytest.param(lambda r: None, SCALE, "codec_small", id="a larger corpus"),
        pytest.param(
            lambda r: r.edit("conf/corpus.yaml", "[155, 195]", "[150, 190]"),
            {"stage": "1"},
            "codec_small",
            id="speech is slower",
        ),
    ],
)
def test_a_training_whose_data_have_changed_is_refused_and_goes_on_by_what_the_line_says(
    recipe: Recipe, change: Callable[[Recipe], None], options: dict[str, str], refused: str
) -> None:
    change(recipe)
    deleted: list[str] = []
    while (done := recipe.run(**options)).returncode:
        told = REFUSED.search(done.stderr + done.stdout)
        assert told and told.group(1) not in deleted, done.stdout[-3000:] + done.stderr[-3000:]
        deleted.append(told.group(1))
        recipe.delete(told.group(1))
    assert deleted[0] == f"exp/{refused}"
