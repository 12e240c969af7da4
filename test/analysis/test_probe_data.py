"""Probes made of a data dir: who is asked what, and the labels by hand.

Every sample of a recording is a number of its own, by which it is known again.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tiny import ALL

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.analysis.probe_data import active_frames, events_of, probes_of_data
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid

RATE, HOP = 8000, 100
GRID = FrameGrid(RATE, HOP)


@dataclass
class Corpus:
    """Utterances by split; `probes` writes them and makes probes of `train` and `test`."""

    folder: Path
    splits: dict[str, list[Utterance]] = field(default_factory=lambda: {"train": [], "test": []})
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, split: str, key: str, speaker="s", text=None, frames=4, **active: str) -> None:
        """An utterance; `active` gives each target a letter per frame, `x` where it is heard."""
        answers = {name: self._write_wave(f"{key}_{name}", heard) for name, heard in active.items()}
        if text is not None:
            answers["text"] = text
        size = max(map(len, active.values()), default=frames) * HOP
        task = ALL[key.split("-")[0]]
        number = self.numbers[key] = len(self.numbers) + 1
        wav = str(self.folder / "wav" / f"{key}.wav")
        write_wav(wav, np.full(size, float(number)), RATE, Subtype.float_32)
        self.splits[split].append(Utterance(key, task, speaker, wav, size, answers))

    def _write_wave(self, name: str, heard: str) -> str:
        path = self.folder / "wav" / f"{name}.wav"
        wave_S = np.repeat([0.5 * (letter == "x") for letter in heard], HOP)
        write_wav(path, wave_S, RATE)
        return str(path)

    def probes(self, **options) -> dict[str, Probe]:
        """The probes of both splits."""
        made = probes_of_data(*self.splits.values(), GRID, **options)
        return {probe.name: probe for probe in made}

    def keys(self, side: Labelled) -> list[str]:
        """Whose recordings these are."""
        key_of = {number: key for key, number in self.numbers.items()}
        return [key_of[int(wave_S[0])] for wave_S in side.waves]


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return Corpus(tmp_path)


# --- speakers ---


def add_speakers(corpus: Corpus, **counts: int) -> None:
    for speaker, count in counts.items():
        for i in range(count):
            corpus.add("train", f"asr-{speaker}-{i:02}", speaker, "a")
    corpus.add("test", "asr-other-00", "other", "a")


def test_speakers_are_asked_of_utterances_that_were_not_trained_on(corpus):
    add_speakers(corpus, ann=5, bob=2, eve=1, joe=16)
    probe = corpus.probes()["speaker"]
    train, test = corpus.keys(probe.train), corpus.keys(probe.test)
    assert not set(train) & set(test)
    assert all(not key.startswith("asr-other") for key in train + test)
    ann_and_bob = ["asr-ann-00", "asr-ann-02", "asr-ann-04", "asr-bob-00"]
    assert train[:4] == ann_and_bob
    assert test[:3] == ["asr-ann-01", "asr-ann-03", "asr-bob-01"]
    # Twelve of a speaker at most, and no speaker with a single utterance.
    assert (len(train), len(test)) == (3 + 1 + 6, 2 + 1 + 6)


def test_the_label_of_an_utterance_is_its_speaker(corpus):
    add_speakers(corpus, joe=3, ann=5, eve=1, bob=2)
    probe = corpus.probes()["speaker"]
    assert (probe.kind, probe.classes) == ("class", ["ann", "bob", "joe"])
    for side in (probe.train, probe.test):
        named = [probe.classes[label] for label in side.labels]
        assert named == [key.split("-")[1] for key in corpus.keys(side)]


def test_without_a_speaker_of_two_utterances_there_is_no_speaker_probe(corpus):
    add_speakers(corpus, ann=1, bob=1)
    assert list(corpus.probes()) == ["content"]


def test_speakers_are_those_of_recognition_alone(corpus):
    add_speakers(corpus, ann=2)
    for i in range(3):
        corpus.add("train", f"sep-{i}", "bob", spk1="x.", spk2="xx")
    corpus.add("test", "sep-9", "bob", spk1="x.", spk2="xx")
    assert corpus.probes()["speaker"].classes == ["ann"]


# --- characters and events ---


def test_content_is_the_characters_of_the_transcripts_of_both_splits(corpus):
    corpus.add("train", "asr-0", text="be a")
    corpus.add("train", "asr-1", text="a")
    corpus.add("test", "asr-2", text="zab")
    probe = corpus.probes()["content"]
    assert (probe.kind, probe.classes) == ("text", [" ", "a", "b", "e", "z"])
    assert probe.train.labels == [[2, 3, 0, 1], [1]]
    assert probe.test.labels == [[4, 1, 2]]
    assert corpus.keys(probe.train) == ["asr-0", "asr-1"]
    assert corpus.keys(probe.test) == ["asr-2"]


def test_events_are_the_classes_that_the_recipe_of_a_mixture_names(corpus):
    sounds = {"sound1": "xx", "sound2": "xx"}
    corpus.add("train", "sound-0", "engine0321_knock0657", **sounds)
    corpus.add("train", "sound-1", "rain12_engine7_rain9", **sounds)
    corpus.add("test", "sound-2", "bell1_knock2", **sounds)
    probe = corpus.probes()["events"]
    assert (probe.kind, probe.classes) == ("tags", ["bell", "engine", "knock", "rain"])
    assert [label_C.tolist() for label_C in probe.train.labels] == [[0, 1, 1, 0], [0, 1, 0, 1]]
    assert [label_C.tolist() for label_C in probe.test.labels] == [[1, 0, 1, 0]]
    assert corpus.keys(probe.train) == ["sound-0", "sound-1"]
    assert corpus.keys(probe.test) == ["sound-2"]


@pytest.mark.parametrize(
    ("speaker", "events"),
    [
        ("engine0321_knock0657", {"engine", "knock"}),
        ("knock1_knock2_knock3", {"knock"}),  # three recordings of one event
        ("bell", {"bell"}),  # without a number
        ("808drum12_glass-break3", {"808drum", "glass-break"}),  # digits at the end alone
    ],
)
def test_events_are_named_before_the_numbers_of_their_recordings(speaker, events):
    utterance = Utterance("sound-0", ALL["sound"], speaker, "none.wav", 100)
    assert events_of(utterance) == events


# --- activity ---


def test_stems_are_those_heard_in_each_frame(corpus):
    silent = {"vocals": "....", "drums": "....", "bass": "....", "other": "...."}
    corpus.add("train", "music-0", **silent | {"vocals": ".xx.", "other": "x..x"})
    corpus.add("test", "music-1", **silent | {"bass": "xxxx", "drums": "...x"})
    probe = corpus.probes()["stems"]
    assert (probe.kind, probe.classes) == ("frames", ["vocals", "drums", "bass", "other"])
    assert probe.train.labels[0].T.tolist() == [[0, 1, 1, 0], [0] * 4, [0] * 4, [1, 0, 0, 1]]
    assert probe.test.labels[0].T.tolist() == [[0] * 4, [0, 0, 0, 1], [1] * 4, [0] * 4]
    assert corpus.keys(probe.train) == ["music-0"]
    assert corpus.keys(probe.test) == ["music-1"]


def test_talkers_are_one_or_more_and_two_whoever_they_are(corpus):
    corpus.add("train", "sep-0", spk1="xx..", spk2=".x.x")
    corpus.add("test", "sep-1", spk1="..xx", spk2="...x")
    probe = corpus.probes()["talkers"]
    assert (probe.kind, probe.classes) == ("frames", ["one or more", "two"])
    assert probe.train.labels[0].T.tolist() == [[1, 1, 0, 1], [0, 1, 0, 0]]
    assert probe.test.labels[0].T.tolist() == [[0, 0, 1, 1], [0, 0, 0, 1]]
    assert corpus.keys(probe.train) == ["sep-0"]
    assert corpus.keys(probe.test) == ["sep-1"]


def test_a_source_is_active_where_it_is_heard():
    wave_S = np.concatenate([np.zeros(100), np.ones(150), 1e-3 * np.ones(50)])
    assert active_frames(wave_S, 100, 4).tolist() == [False, True, True, False]
    assert not active_frames(np.zeros(300), 100, 3).any()


@pytest.mark.parametrize(("amplitude", "active"), [(0.033, True), (0.031, False)])
def test_a_thousandth_of_the_loudest_frame_s_energy_is_where_activity_begins(amplitude, active):
    wave_S = np.repeat([1.0, amplitude], 100)
    assert active_frames(wave_S, 100, 2).tolist() == [True, active]


@pytest.mark.parametrize(("amplitude", "active"), [(1.1e-5, True), (0.9e-5, False)])
def test_below_minus_100_db_nothing_is_heard(amplitude, active):
    assert active_frames(np.full(200, amplitude), 100, 2).tolist() == [active, active]


def heard_in_frames(wave_S: np.ndarray, hop: int, num_frames: int) -> list[bool]:
    """Frame by frame, a sample at a time."""
    energies = []
    for frame in range(num_frames):
        places = range(frame * hop, (frame + 1) * hop)
        squares = [float(wave_S[s]) ** 2 if s < len(wave_S) else 0.0 for s in places]
        energies.append(sum(squares) / hop)
    return [energy > max(1e-3 * max(energies), 1e-10) for energy in energies]


@pytest.mark.parametrize("size", [1, 6, 7, 8, 34, 35, 36, 50])
def test_activity_at_lengths_that_are_no_multiple_of_the_hop(size):
    """Five frames of seven samples: the wave may end within one, or go on after the last."""
    rng = np.random.default_rng(size)
    wave_S = rng.standard_normal(size) * 10.0 ** rng.uniform(-3, 0, size)
    found = active_frames(wave_S, 7, 5)
    assert found.shape == (5,)
    assert found.tolist() == heard_in_frames(wave_S, 7, 5)


def test_what_lies_beyond_the_last_frame_is_not_heard():
    """Nor does it make the frames before it look silent."""
    wave_S = np.concatenate([np.full(14, 0.01), np.full(7, 1.0)])
    assert active_frames(wave_S, 7, 2).all()


# --- what takes part ---


def test_a_split_gives_at_most_so_many_utterances_of_a_task(corpus):
    for i in range(5):
        for split in ("train", "test"):
            corpus.add(split, f"asr-{split}-{i}", text="a")
            corpus.add(split, f"sep-{split}-{i}", spk1="x.", spk2="xx")
    probes = corpus.probes(max_utterances=3)
    for name in ("content", "talkers"):
        assert len(probes[name].train) == len(probes[name].test) == 3
    assert corpus.keys(probes["content"].test) == ["asr-test-0", "asr-test-1", "asr-test-2"]


def test_a_limit_of_no_utterances_is_refused(corpus):
    corpus.add("train", "asr-0", text="a")
    corpus.add("test", "asr-1", text="a")
    with pytest.raises(AioError, match="--max_utts 0 leaves nothing to probe"):
        corpus.probes(max_utterances=0)


def test_a_corpus_is_asked_what_its_tasks_allow(corpus):
    corpus.add("train", "sep-0", spk1="x.", spk2="xx")
    corpus.add("test", "sep-1", spk1="x.", spk2="xx")
    assert list(corpus.probes()) == ["talkers"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_task_that_one_split_lacks_is_not_asked_about(corpus, split):
    for name in ("train", "test"):
        corpus.add(name, f"sep-{name}", spk1="x.", spk2="xx")
    corpus.add(split, "asr-0", text="a")
    assert list(corpus.probes()) == ["talkers"]


def test_speakers_need_no_recognition_in_the_test_split(corpus):
    for name in ("train", "test"):
        corpus.add(name, f"sep-{name}", spk1="x.", spk2="xx")
    corpus.add("train", "asr-0", "ann", "a")
    corpus.add("train", "asr-1", "ann", "a")
    assert list(corpus.probes()) == ["speaker", "talkers"]
