"""egs/librispeech_wsj0mix: stage 1, on a tiny LibriSpeech tree and on the real one where it is."""

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.mixtures import Mixture
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.data.validate import validate_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import load_tasks

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs" / "librispeech_wsj0mix"
TASKS_CONFIG = RECIPE / "conf" / "tasks.yaml"
TASKS = load_tasks(TASKS_CONFIG)
REALDATA = Path(os.environ.get("AIO_REALDATA", ROOT.parent / "shared" / "realdata"))
RATE = 16_000
SPLITS = ("train", "dev", "test")
MODULES = (
    "settings",
    "librispeech",
    "mixing_lists",
    "speech_mixtures",
    "prepare_librispeech",
    "make_mixing_lists",
    "mix_speakers",
    "mix_noise",
)
CONFIG = """
train: {sets: [train-clean-100], asr: null, sep: 6, enh: 6, max_seconds: 0.5, mix_seconds: 0.25}
dev: {sets: ["dev-clean:21,22"], sep: 2, enh: 2}
test: {sets: ["dev-clean:23"], sep: 2, enh: 2}
"""


@pytest.fixture(scope="module")
def local() -> SimpleNamespace:
    """The modules of the recipe's local folder, which import one another by their plain names."""
    sys.path.insert(0, str(RECIPE / "local"))
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(RECIPE / "local"))


def write_noise(path: Path, seconds: float, seed: int, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    soundfile.write(path, wave, rate, subtype="PCM_16" if path.suffix != ".ogg" else None)


def write_chapter(
    root: Path,
    subset: str,
    speaker: str,
    seconds: tuple[float, ...],
    transcribed: int | None = None,
) -> None:
    folder = root / subset / speaker / "7"
    lines = []
    for number, duration in enumerate(seconds):
        id = f"{speaker}-7-{number:04d}"
        write_noise(folder / f"{id}.flac", duration, seed=int(speaker) * 100 + number)
        lines.append(f"{id} IT'S SENTENCE {number}\n")
    (folder / f"{speaker}-7.trans.txt").write_text("".join(lines[:transcribed]))


def make_corpora(folder: Path) -> Path:
    """LibriSpeech, noise and conf.yaml in `folder`."""
    libri = folder / "libri" / "LibriSpeech"
    write_chapter(libri, "train-clean-100", "11", (0.3, 0.4, 0.7))
    write_chapter(libri, "train-clean-100", "12", (0.35, 0.3), transcribed=1)
    for speaker in ("21", "22", "23"):
        write_chapter(libri, "dev-clean", speaker, (0.2, 0.3))
    for index in range(6):
        for take in "AB":
            write_noise(
                folder / "noise" / "001 - Rain" / f"1-{index}00-{take}.ogg", 0.2, index, rate=44_100
            )
    (folder / "conf.yaml").write_text(CONFIG)
    return folder


def make_recipe(root: Path) -> Path:
    """A folder that works as the recipe's, so that tests leave the real one alone."""
    recipe = root / "egs" / "librispeech_wsj0mix"
    recipe.mkdir(parents=True)
    for name in ("local", "path.sh", "conf"):
        (recipe / name).symlink_to(RECIPE / name)
    for name in ("egs/TEMPLATE", "utils", "tools", "aio_toolkit"):
        (root / name).symlink_to(ROOT / name)
    return recipe


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    return make_corpora(tmp_path)


def run_stage_1(recipe: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "local/data.sh", *arguments, "--nj", "1"],
        cwd=recipe,
        capture_output=True,
        text=True,
        timeout=300,
    )


@dataclass(frozen=True)
class Prepared:
    """Where stage 1 ran, and its arguments."""

    recipe: Path
    arguments: tuple[str, ...]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Stage 1 done on the tiny corpora: once for all tests, as it takes seconds."""
    folder = tmp_path_factory.mktemp("prepared")
    corpora, recipe = make_corpora(folder), make_recipe(folder / "root")
    options = {"librispeech": "libri", "noise": "noise", "config": "conf.yaml"}
    arguments: list[str] = []
    for name, path in options.items():
        arguments += [f"--{name}", str(corpora / path)]
    done = run_stage_1(recipe, *arguments)
    assert done.returncode == 0, done.stderr
    return Prepared(recipe, tuple(arguments))


def of_task(recipe: Path, split: str, task: str) -> list[Utterance]:
    utterances = read_data_dir(recipe / "data" / split, TASKS)
    return [utterance for utterance in utterances if utterance.task.name == task]


def load(recipe: Path, path: str) -> np.ndarray:
    samples, rate = soundfile.read(recipe / path, dtype="int16")
    assert rate == RATE
    return samples.astype(np.int64)


def level_db(wave: np.ndarray) -> float:
    return 10 * np.log10(np.sum(wave.astype(np.float64) ** 2))


@pytest.mark.slow
def test_stage_1_makes_valid_data_dirs(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared.recipe)
    for split in SPLITS:
        validate_data_dir(Path("data") / split, TASKS, RATE)


@pytest.mark.slow
def test_asr_has_the_transcribed_utterances_that_are_short_enough(prepared: Prepared) -> None:
    train = of_task(prepared.recipe, "train", "asr")
    # 11-7-0002 is too long, 12-7-0001 has no transcript.
    ids = [utterance.id for utterance in train]
    assert ids == ["asr-11-7-0000", "asr-11-7-0001", "asr-12-7-0000"]
    assert train[1].answers == {"text": "it's sentence 1"}
    assert train[1].speaker == "11"
    assert train[1].num_samples == round(0.4 * RATE)
    chapter = Path(prepared.arguments[1]) / "LibriSpeech" / "train-clean-100" / "11" / "7"
    assert train[1].wav == str(chapter / "11-7-0001.flac")


@pytest.mark.slow
def test_mixtures_of_speakers_are_sums_at_the_listed_levels(prepared: Prepared) -> None:
    recipe = prepared.recipe
    listed = (recipe / "corpus" / "lists" / "mix_2_spk_tr.txt").read_text().split()
    snrs = {
        frozenset((Path(first).stem, Path(second).stem, snr)): float(snr)
        for first, snr, second, _ in zip(*[iter(listed)] * 4, strict=True)
    }
    utterances = of_task(recipe, "train", "sep")
    assert len(utterances) == len(snrs) == 6
    for utterance in utterances:
        assert set(utterance.speaker.split("_")) == {"11", "12"}
        paths = [utterance.wav, utterance.answers["spk1"], utterance.answers["spk2"]]
        mixture, first, second = (load(recipe, path) for path in paths)
        np.testing.assert_array_equal(mixture, first + second)
        assert len(mixture) == round(0.25 * RATE)
        name1, snr, name2, _ = utterance.id.removeprefix("sep-").split("_")
        listed_snr = snrs[frozenset((name1, name2, snr))]
        assert 0.0 <= listed_snr <= 2.5
        assert level_db(first) - level_db(second) == pytest.approx(2 * listed_snr, abs=0.02)
        peak = max(np.abs(wave).max() for wave in (mixture, first, second))
        assert peak == pytest.approx(0.9 * 2**15, abs=2)


@pytest.mark.slow
def test_a_split_of_one_speaker_has_no_mixtures_of_speakers(prepared: Prepared) -> None:
    assert of_task(prepared.recipe, "dev", "sep")
    assert not of_task(prepared.recipe, "test", "sep")


@pytest.mark.slow
def test_noisy_speech_has_the_ratio_that_its_id_says(prepared: Prepared) -> None:
    recipe = prepared.recipe
    for split in SPLITS:
        utterances = of_task(recipe, split, "enh")
        assert len(utterances) == (6 if split == "train" else 2)
        for utterance in utterances:
            noisy = load(recipe, utterance.wav)
            speech = load(recipe, utterance.answers["speech"])
            snr = float(utterance.id.split("_")[1])
            assert -5.0 <= snr <= 10.0
            assert level_db(speech) - level_db(noisy - speech) == pytest.approx(snr, abs=0.02)


@pytest.mark.slow
def test_splits_share_neither_speakers_nor_noise_recordings(prepared: Prepared) -> None:
    recipe = prepared.recipe
    speakers, recordings = {}, {}
    for split, short in zip(SPLITS, ("tr", "cv", "tt"), strict=True):
        utterances = read_data_dir(recipe / "data" / split, TASKS)
        together = "_".join(utterance.speaker for utterance in utterances)
        speakers[split] = set(together.split("_"))
        lines = (recipe / "corpus" / "lists" / f"noise_{short}.tsv").read_text().splitlines()
        recordings[split] = {Path(line.split("\t")[2]).stem.split("-")[1] for line in lines}
    for parts in (speakers, recordings):
        assert not parts["train"] & parts["dev"]
        assert not parts["train"] & parts["test"]
        assert not parts["dev"] & parts["test"]


@pytest.mark.slow
def test_noise_clips_of_train_are_sources_for_training(prepared: Prepared) -> None:
    recipe = prepared.recipe
    sources = SourceFolders(recipe / "data", TASKS, RATE).read("noise_train")
    listed = (recipe / "corpus" / "lists" / "noise_tr.tsv").read_text().splitlines()
    used = {line.split("\t")[2] for line in listed}
    clips = [str(Path(*Path(source.wav).parts[-2:])) for source in sources]
    assert used <= set(clips)
    # Both takes of some recordings, and none that dev or test have.
    for short in ("cv", "tt"):
        lines = (recipe / "corpus" / "lists" / f"noise_{short}.tsv").read_text().splitlines()
        assert not {line.split("\t")[2] for line in lines} & set(clips)
    assert {source.num_samples for source in sources} == {len(read_audio(sources[0].wav, RATE))}


@pytest.mark.slow
def test_another_rate_gives_the_same_mixtures_at_that_rate(
    corpora: Path, prepared: Prepared
) -> None:
    recipe = make_recipe(corpora / "root")
    options = ["--librispeech", "libri", "--noise", "noise", "--config", "conf.yaml"]
    options = [str(corpora / value) if "-" not in value else value for value in options]
    done = run_stage_1(recipe, *options, "--fs", "8000")
    assert done.returncode == 0, done.stderr
    for task in ("asr", "sep", "enh"):
        wide, narrow = (of_task(root, "train", task) for root in (prepared.recipe, recipe))
        assert [u.id for u in wide] == [u.id for u in narrow]
        for one, other in zip(wide, narrow, strict=True):
            assert other.num_samples == -(-one.num_samples // 2)
            # Noise, which begins at a sample of its own rate, may be half a sample late.
            for target in TASKS[task].targets if task != "asr" else ():
                first_S = read_audio(str(prepared.recipe / one.answers[target]), 8000)
                second_S = read_audio(str(recipe / other.answers[target]), 8000)
                assert np.corrcoef(first_S, second_S)[0, 1] > 0.99


@pytest.mark.slow
def test_a_second_run_makes_again_only_what_is_missing(prepared: Prepared) -> None:
    recipe = prepared.recipe
    audio = sorted((recipe / "corpus").rglob("*.wav"))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in audio}
    audio[0].unlink()
    assert run_stage_1(recipe, *prepared.arguments).returncode == 0
    assert sorted((recipe / "corpus").rglob("*.wav")) == audio
    assert all(path.read_bytes() == before[path][0] for path in audio)
    unchanged = [path for path in audio if path.stat().st_mtime_ns == before[path][1]]
    # The mixture that lost a file and its targets were made again, and nothing else.
    assert 2 <= len(audio) - len(unchanged) <= 3


def test_official_lists_and_a_wsj0_tree_are_read_as_they_are(
    local: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seed in (("si_tr_s/40n/40na010x", 1), ("si_tr_s/01x/01xo031w", 2)):
        write_noise(tmp_path / "wsj0" / f"{name}.wav", 0.2 + 0.1 * seed, seed)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mix_2_spk_tr.txt").write_text(
        "wsj0/si_tr_s/40n/40na010x.wav 1.9857 wsj0/si_tr_s/01x/01xo031w.wav -1.9857\n"
    )
    (tmp_path / "conf.yaml").write_text("train: {sets: [a]}\ndev: {sets: [b]}\ntest: {sets: [c]}\n")
    monkeypatch.chdir(tmp_path)
    folders = ["--lists=lists", "--root=wsj0", "--corpus=corpus", "--data=data"]
    configs = ["--config=conf.yaml", f"--tasks_config={TASKS_CONFIG}"]
    monkeypatch.setattr(sys, "argv", ["mix_speakers.py", *folders, *configs])
    local.mix_speakers.main()
    (mixture,) = read_data_dir(tmp_path / "data" / "train", TASKS)
    assert mixture.id == "sep-40na010x_1.9857_01xo031w_-1.9857"
    assert mixture.speaker == "40n_01x"
    assert mixture.num_samples == round(0.3 * RATE)  # "min": the shorter of the two
    first, second = (load(tmp_path, mixture.answers[name]) for name in ("spk1", "spk2"))
    assert level_db(first) - level_db(second) == pytest.approx(2 * 1.9857, abs=0.01)
    original, _ = soundfile.read(tmp_path / "wsj0/si_tr_s/40n/40na010x.wav")
    assert np.corrcoef(first, original)[0, 1] > 0.9999


def test_lists_survive_writing_and_reading(local: SimpleNamespace, tmp_path: Path) -> None:
    lists = local.mixing_lists
    pairs = [lists.SpeakerLine("a/b.flac", "1.5", "c/d.flac", "-1.5")]
    noisy = [lists.NoiseLine("a/b.flac", "-3.25", "001 - Dog bark/1-2-A.ogg", 17)]
    for lines in (pairs, noisy):
        lists.write_list(tmp_path / "list", lines)
        assert lists.read_list(tmp_path / "list", type(lines[0]).parse) == lines


def test_a_seed_gives_the_same_lists_again_and_another_seed_others(
    local: SimpleNamespace, corpora: Path
) -> None:
    settings = local.settings.load_settings(corpora / "conf.yaml")
    speech = local.make_mixing_lists.gather_speech(corpora / "libri", None, settings)
    pool = local.make_mixing_lists.Pool(speech["train"], corpora / "libri" / "LibriSpeech")

    def draw(seed: int) -> list:
        rng = np.random.default_rng(seed)
        return local.make_mixing_lists.draw_pairs(pool, settings, "train", rng)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert {Path(line.path1).parts[1] for line in draw(1)} <= {"11", "12"}


def test_takes_of_one_noise_recording_stay_in_one_split(
    local: SimpleNamespace, corpora: Path
) -> None:
    noise = corpora / "noise"
    settings = local.settings.load_settings(corpora / "conf.yaml")
    parts = local.make_mixing_lists.split_noise(noise, settings)
    clips = sorted(path.relative_to(noise).as_posix() for path in noise.rglob("*.ogg"))
    assert sorted(clip for part in parts.values() for clip in part) == clips
    for part in parts.values():
        takes = {(Path(clip).stem[:-2], Path(clip).stem[-1]) for clip in part}
        assert takes == {(name, take) for name, _ in takes for take in "AB"}


def test_a_short_clip_is_repeated_without_the_silence_around_it(local: SimpleNamespace) -> None:
    clip = np.concatenate([np.zeros(5), [0.1, 0.2, 0.3], np.zeros(9)])
    piece = local.mix_noise.loop_clip(clip, 5, offset=1)
    np.testing.assert_array_equal(piece, [0.2, 0.3, 0.1, 0.2, 0.3])


def test_a_piece_from_a_gap_gives_way_to_the_first_sound(local: SimpleNamespace) -> None:
    clip = np.concatenate([[0.1, 0.2], np.zeros(10), [0.3]])
    np.testing.assert_array_equal(local.mix_noise.loop_clip(clip, 3, offset=5), [0.1, 0.2, 0.0])


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ("[train-clean-360]", "has dev-clean, train-clean-100, but not train-clean-360"),
        ('["train-clean-100:99"]', "has no speaker 99"),
        ('["dev-clean:21"]', "speaker 21 is in train and in dev"),
    ],
)
def test_wrong_sets_are_named(
    local: SimpleNamespace, corpora: Path, sets: str, message: str
) -> None:
    (corpora / "conf.yaml").write_text(CONFIG.replace("[train-clean-100]", sets))
    settings = local.settings.load_settings(corpora / "conf.yaml")
    with pytest.raises(AioError, match=message):
        local.make_mixing_lists.gather_speech(corpora / "libri", None, settings)


def test_a_folder_that_is_no_librispeech_is_named_with_the_expected_layout(
    local: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(AioError, match="no LibriSpeech subset.*<subset>/<speaker>/<chapter>"):
        local.librispeech.find_speech(tmp_path, ["train-clean-100"])


def test_a_file_outside_the_layout_is_named(local: SimpleNamespace, corpora: Path) -> None:
    stray = corpora / "libri" / "LibriSpeech" / "train-clean-100" / "11" / "11-7-0009.flac"
    write_noise(stray, 0.1, seed=0)
    with pytest.raises(AioError, match="11-7-0009.flac is not where LibriSpeech has its files"):
        local.librispeech.find_speech(corpora / "libri", ["train-clean-100"])


def test_what_is_left_out_is_counted(
    local: SimpleNamespace, corpora: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = local.settings.load_settings(corpora / "conf.yaml")
    speech = local.librispeech.find_speech(corpora / "libri", ["train-clean-100"])
    prepare = local.prepare_librispeech
    split = prepare.SplitToPrepare("train", settings.train, TASKS["asr"], RATE)
    prepare.prepare_split(speech, split, seed=0)
    expected = "3 utterances; left out: 1 without transcript, 1 longer than 0.5 s"
    assert expected in capsys.readouterr().out


def test_a_broken_transcript_line_is_named(local: SimpleNamespace, corpora: Path) -> None:
    folder = corpora / "libri" / "LibriSpeech" / "train-clean-100" / "11" / "7"
    (folder / "11-7.trans.txt").write_text("11-7-0000 FINE\n11-7-0001\n")
    with pytest.raises(AioError, match="11-7.trans.txt line 2"):
        local.librispeech.read_transcripts(folder)


@pytest.mark.parametrize(
    "line",
    ["a.wav 1.0 b.wav", "a.wav loud b.wav soft", "a.wav 1 b.wav -1 c.wav 0"],
    ids=["short", "word", "3mix"],
)
def test_a_broken_list_line_is_named(local: SimpleNamespace, tmp_path: Path, line: str) -> None:
    path = tmp_path / "mix_2_spk_tr.txt"
    path.write_text(f"a.wav 1 b.wav -1\n{line}\n")
    with pytest.raises(AioError, match="mix_2_spk_tr.txt line 2"):
        local.mixing_lists.read_list(path, local.mixing_lists.SpeakerLine.parse)


def test_extra_speech_joins_train_only(local: SimpleNamespace, corpora: Path) -> None:
    write_chapter(corpora / "more", "train-other-500", "31", (0.2,), transcribed=0)
    settings = local.settings.load_settings(corpora / "conf.yaml")
    speech = local.make_mixing_lists.gather_speech(corpora / "libri", corpora / "more", settings)
    with_31 = [split for split, found in speech.items() if "31" in {one.speaker for one in found}]
    assert with_31 == ["train"]


def test_other_settings_make_the_audio_again(local: SimpleNamespace, tmp_path: Path) -> None:
    class Tone(SimpleNamespace):
        id, task, speaker, sample_rate = "enh-1", TASKS["enh"], "1", RATE

        def render(self) -> Mixture:
            wave = np.full(self.length, 0.5)
            return Mixture(wave, {"speech": wave})

    folder = tmp_path / "enh"
    for length in (100, 200):
        stamp = {"length": length}
        local.speech_mixtures.make_mixtures([Tone(length=length)], folder, stamp, nj=1)
        assert soundfile.info(folder / "enh-1.wav").frames == length
    (folder / "stamp.json").unlink()
    with pytest.raises(AioError, match="has files but no stamp.json"):
        local.speech_mixtures.make_mixtures([], folder, {}, nj=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "needs --librispeech"),
        (["--librispeech", "x", "--wsj0", "y"], "--wsj0 and --wsj0_lists go together"),
        pytest.param(
            ["--librispeech", "/nowhere"],
            "--librispeech /nowhere has no LibriSpeech subset",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    tmp_path: Path, options: list[str], message: str
) -> None:
    done = run_stage_1(make_recipe(tmp_path), *options)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_lists_the_options_of_the_recipe_and_of_all_recipes() -> None:
    done = subprocess.run([RECIPE / "run.sh", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "--librispeech" in done.stdout and "--stop_stage" in done.stdout


def test_real_librispeech_gives_real_transcripts_within_the_limits(local: SimpleNamespace) -> None:
    tree = REALDATA / "librispeech"
    if not tree.is_dir():
        pytest.skip(
            f"no real LibriSpeech recordings at {tree} (set AIO_REALDATA to the folder above)"
        )
    settings = local.settings.load_settings(RECIPE / "conf" / "data_debug.yaml")
    prepare = local.prepare_librispeech
    speech = local.make_mixing_lists.gather_speech(tree, None, settings)
    made = {}
    for name, split in settings.splits().items():
        to_prepare = prepare.SplitToPrepare(name, split, TASKS["asr"], RATE)
        made[name] = prepare.prepare_split(speech[name], to_prepare, seed=0)
    counts = {name: len(utterances) for name, utterances in made.items()}
    assert counts == {"train": 63, "dev": 20, "test": 28}
    utterances = [utterance for split in made.values() for utterance in split]
    assert max(utterance.num_samples for utterance in utterances) <= 10 * RATE
    assert all(utterance.answers["text"].islower() for utterance in made["train"])
    assert {utterance.speaker for utterance in made["train"]} == {"19", "27"}
