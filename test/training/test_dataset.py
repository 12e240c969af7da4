"""Training examples of waves in which every sample has a number of its own."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ALL, CODEC, HOP, named, sources_of, utterance, write_split

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.text import TextUnits
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixing.base import MixingRule, Piece
from aio_toolkit.data.resampling import changed_length
from aio_toolkit.data.sampler import NO_UTTERANCE, Draw
from aio_toolkit.data.source_dir import Source, SourceFolders
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.dump.split import Split
from aio_toolkit.errors import AioError
from aio_toolkit.training.dataset import AnswerDataset, PretrainingDataset, WaveDataset

# Targets that are not there: a third sound is listed for some utterances only.
FRAMES = {
    "asr-1": 31,
    "st-1": 23,
    "sep-1": 29,
    "sep-2": 11,
    "enh-1": 27,
    "sound-1": 25,
    "sound-2": 37,
    "music-1": 19,
}
Q = 3
SILENCE_Q = np.array([32001, 32002, 32003])
EVERY_TASK = list(ALL.values())
CODES = dict.fromkeys(("text", "audio"), frozenset({"codes"}))
WAVES = dict.fromkeys(("text", "audio"), frozenset())


def wave_of(index: int, source: int, num_samples: int) -> np.ndarray:
    """A wave that says which it is of, and where."""
    return (100_000 * index + 20_000 * source + np.arange(num_samples)).astype(np.float32)


def codes_of(index: int, source: int, frames: int) -> np.ndarray:
    """Codes (T, Q) that do the same."""
    return 4000 * index + 700 * source + 10 * np.arange(frames)[:, None] + np.arange(Q)


def with_numbers(made: Utterance, index: int, folder: Path) -> Utterance:
    answers = dict(made.answers)
    for number, target in enumerate(made.task.targets, start=1):
        if answers.get(target) == "none.wav":
            answers[target] = str(folder / f"{made.id}_{target}.wav")
            write_wav(answers[target], wave_of(index, number, made.num_samples), 16000, FLOAT)
    wav = str(folder / f"{made.id}.wav")
    write_wav(wav, wave_of(index, 0, made.num_samples), 16000, FLOAT)
    return Utterance(made.id, made.task, made.speaker, wav, made.num_samples, answers)


FLOAT = Subtype.float_32


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    root = tmp_path_factory.mktemp("dataset")
    utterances, codes = [], {"wav": {}}
    for index, (id, frames) in enumerate(FRAMES.items()):
        made = utterance(id.split("-")[0], id, frames, absent=int(id == "sound-1"))
        utterances.append(with_numbers(made, index, root / "waves"))
        codes["wav"][id] = codes_of(index, 0, frames)
        if made.task.output == "audio":
            for number, source in enumerate(sources_of(made.task), start=1):
                if source in made.answers or source == made.task.options.residual:
                    codes.setdefault(source, {})[id] = codes_of(index, number, frames)
    return write_split(root, "train", utterances, codes)


@pytest.fixture
def units(vocabulary) -> Mapping[str, object]:
    codec = CodecUnits(CODEC, torch.zeros(Q, 1, 1), torch.from_numpy(SILENCE_Q))
    return {"text": TextUnits(vocabulary), "audio": codec}


def index_of(id: str) -> int:
    return list(FRAMES).index(id)


def example(dataset: WaveDataset, id: str, start: int = 0, num_samples: int | None = None):
    """A stretch of an utterance, all of it by default."""
    ids = [u.id for u in dataset.utterances]
    whole = FRAMES[id] * HOP
    return dataset[Draw(ids.index(id), 7, 0, start, num_samples or whole)]


@pytest.mark.parametrize("id", [id for id in FRAMES if id.split("-")[0] not in ("asr", "st")])
@pytest.mark.parametrize(("first", "samples"), [(0, None), (3, 1600), (2, 999)])
def test_input_targets_and_codes_are_of_the_same_stretch(split, units, id, first, samples):
    dataset = AnswerDataset(split, EVERY_TASK, units, CODES)
    index, num_samples = index_of(id), samples or FRAMES[id] * HOP
    got = example(dataset, id, first * HOP, num_samples)
    where = slice(first * HOP, first * HOP + num_samples)
    frames = slice(first, first + -(-num_samples // HOP))
    u = dataset.utterances[[u.id for u in dataset.utterances].index(id)]
    np.testing.assert_array_equal(got.wave_S, wave_of(index, 0, FRAMES[id] * HOP)[where])
    assert (got.id, got.task, got.number) == (id, u.task, 7)
    for number, target in enumerate(u.task.targets, start=1):
        want_S = wave_of(index, number, FRAMES[id] * HOP)[where]
        if target not in u.answers:
            want_S = np.zeros(num_samples)
        np.testing.assert_array_equal(got.target.wave_NS[number - 1], want_S)
    for number, source in enumerate(sources_of(u.task), start=1):
        want_TQ = codes_of(index, number, FRAMES[id])[frames]
        if source not in u.answers and source != u.task.options.residual:
            want_TQ = np.stack([SILENCE_Q] * len(want_TQ))
        np.testing.assert_array_equal(got.target.codes_NTQ[number - 1], want_TQ)


def test_codes_are_not_read_where_nothing_learns_from_them(split, units, tmp_path):
    """Nor need they be there: stage 2 has written the codec's fingerprint alone."""
    (tmp_path / "codec.json").symlink_to(split.dump / "codec.json")
    dataset = AnswerDataset(Split(split.data, tmp_path, ALL), EVERY_TASK, units, WAVES)
    assert example(dataset, "sep-1").target.codes_NTQ is None
    with pytest.raises(AioError, match="codes_.*scp does not exist.*Run stage 2 again"):
        AnswerDataset(Split(split.data, tmp_path, ALL), EVERY_TASK, units, CODES)
    with pytest.raises(AioError, match="codes_wav.scp does not exist.*Run stage 2 again"):
        PretrainingDataset(Split(split.data, tmp_path, ALL), EVERY_TASK, reads_codes=True)


def test_text_examples_hold_their_own_language(split, units, vocabulary):
    dataset = AnswerDataset(split, EVERY_TASK, units, WAVES)
    asr, st = example(dataset, "asr-1"), example(dataset, "st-1")
    np.testing.assert_array_equal(st.wave_S, wave_of(1, 0, 23 * HOP))
    assert asr.target.tolist() == vocabulary.encode("red cat sees dog")
    assert st.target.tolist() == vocabulary.encode("chat voit chien")


def test_pre_training_reads_the_codes_of_the_input_of_every_task(split):
    dataset = PretrainingDataset(split, EVERY_TASK, reads_codes=True)
    for index, id in enumerate(FRAMES):
        got = example(dataset, id, HOP, 5 * HOP)
        np.testing.assert_array_equal(got.wave_S, wave_of(index, 0, 6 * HOP)[HOP:])
        np.testing.assert_array_equal(got.codes_TQ, codes_of(index, 0, 6)[1:])
        assert got.target is None
    assert example(PretrainingDataset(split, EVERY_TASK), "sep-1").codes_TQ is None


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_text_example_at_another_speed_is_the_whole_utterance_with_its_words(split, units, speed):
    dataset = AnswerDataset(split, EVERY_TASK, units, CODES)
    index = [utterance.id for utterance in dataset.utterances].index("asr-1")
    num_samples = dataset.utterances[index].num_samples
    whole = dataset[Draw(index, 0, 0, 0, num_samples)]
    changed = changed_length(num_samples, speed)
    played = dataset[Draw(index, 0, 0, 0, changed, speed=speed)]
    assert len(played.wave_S) == changed
    np.testing.assert_array_equal(played.target, whole.target)
    # Samples are numbered: the number is the time in the utterance.
    time_S = np.arange(changed) * speed
    middle = slice(changed // 4, -changed // 4)
    np.testing.assert_allclose(played.wave_S[middle], time_S[middle], rtol=0.02)


def test_what_can_be_cut_is_for_stage_4_a_question_of_the_answer(split, units):
    of_answers = AnswerDataset(split, EVERY_TASK, units, WAVES)
    cut = [task.name for task in EVERY_TASK if of_answers.can_be_cut(task)]
    assert cut == ["sep", "enh", "sound", "music"]
    assert all(map(PretrainingDataset(split, EVERY_TASK).can_be_cut, EVERY_TASK))


def test_only_the_chosen_tasks_are_read(split, units):
    chosen = AnswerDataset(split, named("sep", "st"), units, WAVES)
    assert [u.id for u in chosen.utterances] == ["sep-1", "sep-2", "st-1"]
    assert len(chosen) == 3


def test_a_wave_that_has_vanished_is_named_with_its_utterance(split, units, tmp_path):
    made = utterance("asr", "asr-9", 5)
    gone = write_split(tmp_path, "train", [made])
    dataset = AnswerDataset(gone, named("asr"), units, WAVES)
    with pytest.raises(AioError, match="asr-9: audio file none.wav does not exist"):
        dataset[Draw(0, 0, 0, 0, 5 * HOP)]


class Pairs(MixingRule):
    """Two stretches of one file."""

    path = ""

    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        source = Source("a", "ann", self.path, 5000)
        return [Piece(source, "spk1", 0, num_samples), Piece(source, "spk2", 500, num_samples)]


def test_a_drawn_mixture_is_rendered_with_its_sources_and_without_codes(split, units):
    sep = ALL["sep"]
    rule = Pairs(Pairs.Config(), sep, SourceFolders(split.data.parent, ALL, 16000))
    [first] = [u for u in split.utterances([ALL["asr"]])]
    rule.path = first.wav
    dataset = AnswerDataset(split, EVERY_TASK, units, CODES, {"sep": rule})
    drawn = rule.draw(np.random.default_rng(0), 700)
    got = dataset[Draw(NO_UTTERANCE, 4, 2, 0, 700, drawn)]
    np.testing.assert_allclose(got.wave_S, got.target.wave_NS.sum(0), rtol=1e-5)
    wave_S = wave_of(0, 0, 1200)
    ratio = got.target.wave_NS[1, 1:] / got.target.wave_NS[0, 1:]
    np.testing.assert_allclose(ratio, wave_S[501:1200] / wave_S[1:700], rtol=1e-4)
    assert got.target.codes_NTQ is None
    assert (got.task, got.number) == (sep, 4)


def test_a_task_may_be_without_utterances_where_its_mixtures_are_made(tmp_path, units):
    only = write_split(tmp_path, "train", [utterance("asr", "asr-1", 5)])
    rule = Pairs(Pairs.Config(), ALL["sep"], SourceFolders(only.data.parent, ALL, 16000))
    dataset = AnswerDataset(only, named("asr", "sep"), units, WAVES, {"sep": rule})
    assert [u.id for u in dataset.utterances] == ["asr-1"]
    with pytest.raises(AioError, match="has no utterance of task sep"):
        AnswerDataset(only, named("asr", "sep"), units, WAVES)
