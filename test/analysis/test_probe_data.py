"""Probes made of a data dir: who is asked what, and the labels by hand.

The features of every utterance are a number of its own, by which it is known again.
"""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.analysis.probe_data import active_frames, probe_of_list, probes_of_data
from aio_toolkit.data.arks import write_ark
from aio_toolkit.data.audio import write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.models.checkpoint import Provenance

RATE, HOP = 8000, 100
PROVENANCE = Provenance({"name": "codec", "sample_rate": RATE, "hop": HOP}, {"name": "frontend"})


@dataclass
class Corpus:
    """Utterances by split; `probes` writes them and makes probes of `train` and `test`."""

    folder: Path
    splits: dict[str, list[Utterance]] = field(default_factory=lambda: {"train": [], "test": []})
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, split: str, key: str, speaker="s", texts=(), frames=4, **active: str) -> None:
        """An utterance; `active` gives each target a letter per frame, `x` where it is heard."""
        targets = {name: self._write_wave(f"{key}_{name}", heard) for name, heard in active.items()}
        frames = max(map(len, active.values()), default=frames)
        task, size = key.split("-")[0], frames * HOP
        utterance = Utterance(key, task, speaker, "none.wav", size, dict(texts), targets)
        self.splits[split].append(utterance)
        self.numbers[key] = len(self.numbers) + 1

    def _write_wave(self, name: str, heard: str) -> str:
        path = self.folder / "wav" / f"{name}.wav"
        wave_S = np.repeat([0.5 * (letter == "x") for letter in heard], HOP)
        write_wav(path, wave_S, RATE)
        return str(path)

    def probes(self, **options) -> dict[str, Probe]:
        for split, utterances in self.splits.items():
            write_data_dir(self.folder / "data" / split, utterances)
            dump = self.folder / "dump" / split
            feats = {u.id: self._features(u) for u in utterances}
            write_ark(dump / "feats.ark", dump / "feats.scp", feats)
            lines = [f"{key} {len(feats_TF)}\n" for key, feats_TF in feats.items()]
            (dump / "utt2num_frames").write_text("".join(lines))
            write_json(dump / "codec.json", PROVENANCE.codec)
            write_json(dump / "frontend.json", PROVENANCE.frontend)
        return self.made(**options)

    def made(self, **options) -> dict[str, Probe]:
        folders = self.folder / "data", self.folder / "dump"
        probes = probes_of_data(*folders, ("train", "test"), PROVENANCE, **options)
        return {probe.name: probe for probe in probes}

    def _features(self, utterance: Utterance) -> np.ndarray:
        return np.full((utterance.num_samples // HOP, 2), self.numbers[utterance.id])

    def keys(self, side: Labelled) -> list[str]:
        """Whose features these are."""
        key_of = {number: key for key, number in self.numbers.items()}
        return [key_of[int(feats_TF[0, 0])] for feats_TF in side.feats]


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return Corpus(tmp_path)


def add_speakers(corpus: Corpus, **counts: int) -> None:
    for speaker, count in counts.items():
        for i in range(count):
            key = f"asr-{speaker}-{i:02}"
            corpus.add("train", key, speaker, {"text": "a"})
    corpus.add("test", "asr-other-00", "other", {"text": "a"})


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


@pytest.mark.xfail(strict=True, raises=TypeError, reason="the sides of the probe are empty")
def test_without_a_speaker_of_two_utterances_there_is_no_speaker_probe(corpus):
    add_speakers(corpus, ann=1, bob=1)
    assert list(corpus.probes()) == ["content"]


def test_content_is_the_characters_of_the_transcripts_of_both_splits(corpus):
    corpus.add("train", "asr-0", texts={"text": "be a"})
    corpus.add("train", "asr-1", texts={"text": "a"})
    corpus.add("test", "asr-2", texts={"text": "zab"})
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


def test_a_split_gives_at_most_so_many_utterances_of_a_task(corpus):
    for i in range(5):
        for split in ("train", "test"):
            corpus.add(split, f"asr-{split}-{i}", texts={"text": "a"})
            corpus.add(split, f"sep-{split}-{i}", spk1="x.", spk2="xx")
    probes = corpus.probes(most=3)
    for name in ("content", "talkers"):
        assert len(probes[name].train) == len(probes[name].test) == 3


def test_a_corpus_is_asked_what_its_tasks_allow(corpus):
    corpus.add("train", "sep-0", spk1="x.", spk2="xx")
    corpus.add("test", "sep-1", spk1="x.", spk2="xx")
    assert list(corpus.probes()) == ["talkers"]


@pytest.mark.parametrize("name", ["codec", "frontend"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_dump_of_another_codec_or_front_end_is_refused(corpus, name, split):
    corpus.add("train", "sep-0", spk1="x.", spk2="xx")
    corpus.add("test", "sep-1", spk1="x.", spk2="xx")
    corpus.probes()
    write_json(corpus.folder / "dump" / split / f"{name}.json", {"name": "another"})
    with pytest.raises(AioError, match=f"dump/{split}: made for another one"):
        corpus.made()


def test_a_source_is_active_where_it_is_heard():
    wave_S = np.concatenate([np.zeros(100), np.ones(150), 1e-3 * np.ones(50)])
    assert active_frames(wave_S, 100, 4).tolist() == [False, True, True, False]
    assert not active_frames(np.zeros(300), 100, 3).any()


@pytest.mark.parametrize(("amplitude", "active"), [(0.033, True), (0.031, False)])
def test_a_thousandth_of_the_loudest_frame_s_energy_is_where_activity_begins(amplitude, active):
    wave_S = np.repeat([1.0, amplitude], 100)
    assert active_frames(wave_S, 100, 2).tolist() == [True, active]


# --- lists of labelled files ---


def probe_of(path: Path) -> Probe:
    """A codec that keeps the wave as it is, a front end of one feature a sample."""
    codec = SimpleNamespace(sample_rate=RATE, encode=lambda wave_1S: wave_1S)

    def front_end(wave_1S: torch.Tensor, encoded_1S: torch.Tensor) -> torch.Tensor:
        return torch.stack([wave_1S, encoded_1S], -1)

    return probe_of_list(path, "animals", codec, front_end)


def test_a_list_names_files_beside_it_their_labels_and_their_sides(tmp_path):
    lines = [("b.wav", "dog", "train"), ("a.wav", "cat", "test"), ("c.wav", "ape", "train")]
    for level, (name, _, _) in enumerate(lines, start=1):
        write_wav(tmp_path / "list" / name, np.full(5, level / 8), RATE, subtype="FLOAT")
    path = tmp_path / "list" / "animals.tsv"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    probe = probe_of(path)
    assert (probe.name, probe.kind) == ("animals", "class")
    assert probe.classes == ["ape", "cat", "dog"]
    assert (probe.train.labels, probe.test.labels) == ([2, 0], [1])
    levels = [[feats_TF[0, 0] for feats_TF in side.feats] for side in (probe.train, probe.test)]
    assert levels == [[1 / 8, 3 / 8], [2 / 8]]


def test_a_malformed_line_is_named_with_its_number(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("a.wav dog train\n")
    message = "list.tsv line 1 is not 'file<TAB>label<TAB>train|test'"
    with pytest.raises(AioError, match=message.replace("|", r"\|")):
        probe_of(path)


def test_an_empty_side_is_named(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("")
    with pytest.raises(AioError, match="list.tsv has no line of train and test"):
        probe_of(path)
