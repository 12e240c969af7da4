"""Probes made of a split. Letters: T frames, S samples, N sources, C classes."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.codec.base import check_same
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.dump.split import DumpDataset, Split

# A source is active in a frame that has this share of the energy of its own loudest frame.
ACTIVE = 1e-3
# Utterances of a speaker that a speaker probe uses, half of them for training.
UTTERANCES_OF_SPEAKER = 12


@dataclass
class _Side:
    """One side of the probes: a split, and some utterances of each of its tasks by name."""

    dataset: DumpDataset
    utterances: dict[str, list[Utterance]]

    def label(self, task: str, label_of: Callable[[Utterance], Any]) -> Labelled:
        """Features and labels of the utterances of a task."""
        members = self.utterances.get(task, [])
        feats = [self.dataset.feats[u.id] for u in members]
        return Labelled(feats, [label_of(u) for u in members])


def probes_of_data(
    train: Split, test: Split, provenance: Provenance, max_utterances: int = 400
) -> list[Probe]:
    """The probes that the tasks of a corpus allow.

    `speaker` and `content` of recognition, `events` of sound separation, `stems` of music
    separation, `talkers` (how many of two voices speak) of speech separation. Speakers of different
    splits differ, so the speaker probe is trained and tested on halves of the training split.

    Args:
        train: split to fit linear layers on.
        test: split to score.
        provenance: the codec and front end that the encoder was trained with.
        max_utterances: of a task in a split, at most.
    """
    sides = []
    for split in (train, test):
        dumped = split.provenance()
        check_same(provenance.codec, dumped.codec, f"codes in {split.dump}")
        check_same(provenance.front_end, dumped.front_end, f"features in {split.dump}")
        sides.append(_open(split, max_utterances))
    fitted, scored = sides
    tasks = fitted.utterances.keys()
    probes = []
    if "asr" in tasks:
        speakers = [u for u in fitted.dataset.utterances if u.task.name == "asr"]
        probes.append(_speaker_probe(fitted.dataset, speakers))
        probes.append(_content_probe(fitted, scored))
    if "sound" in tasks:
        probes.append(_events_probe(fitted, scored))
    if "music" in tasks:
        stems = list(fitted.utterances["music"][0].task.targets)
        probes.append(
            _activity_probe("stems", stems, fitted, scored, _Activity("music", provenance))
        )
    if "sep" in tasks:
        activity = _Activity("sep", provenance, counted=True)
        probes.append(_activity_probe("talkers", ["one or more", "two"], fitted, scored, activity))
    return probes


def _open(split: Split, max_utterances: int) -> _Side:
    dataset = DumpDataset(split, split.present_tasks())
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in dataset.utterances:
        group = groups[utterance.task.name]
        if len(group) < max_utterances:
            group.append(utterance)
    return _Side(dataset, dict(groups))


def _speaker_probe(dataset: DumpDataset, utterances: Sequence[Utterance]) -> Probe:
    of_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        of_speaker[utterance.speaker].append(utterance)
    speakers = sorted(name for name, members in of_speaker.items() if len(members) >= 2)
    sides = Labelled([], []), Labelled([], [])
    for index, name in enumerate(speakers):
        for number, utterance in enumerate(of_speaker[name][:UTTERANCES_OF_SPEAKER]):
            side = sides[number % 2]
            side.feats.append(dataset.feats[utterance.id])
            side.labels.append(index)
    return Probe("speaker", "class", speakers, *sides)


def _content_probe(train: _Side, test: _Side) -> Probe:
    """Characters of transcripts."""

    def sentence(utterance: Utterance) -> str:
        return utterance.answers[utterance.task.targets[0]]

    both = [*train.utterances["asr"], *test.utterances.get("asr", [])]
    classes = sorted(set("".join(sentence(u) for u in both)))

    def label(utterance: Utterance) -> list[int]:
        return [classes.index(character) for character in sentence(utterance)]

    sides = [side.label("asr", label) for side in (train, test)]
    return Probe("content", "text", classes, *sides)


def _events_probe(train: _Side, test: _Side) -> Probe:
    """Which events a mixture of sounds holds."""
    both = [*train.utterances["sound"], *test.utterances.get("sound", [])]
    classes = sorted(set().union(*(events_of(u) for u in both)))

    def label(utterance: Utterance) -> np.ndarray:
        present = events_of(utterance)
        return np.array([name in present for name in classes], np.int64)

    sides = [side.label("sound", label) for side in (train, test)]
    return Probe("events", "tags", classes, *sides)


def events_of(utterance: Utterance) -> set[str]:
    """The events that `utt2spk` names for a mixture of sounds: joined by `_`, each with digits of
    its own.

    >>> from types import SimpleNamespace
    >>> sorted(events_of(SimpleNamespace(speaker="engine0321_knock0657")))
    ['engine', 'knock']
    """
    return {re.sub(r"\d+$", "", name) for name in utterance.speaker.split("_")}


@dataclass(frozen=True)
class _Activity:
    """When the sources of a task are heard.

    Attributes:
        task: name of the task.
        provenance: says how long frames are.
        counted: label how many sources are heard, not which: which voice is the first is chance.
    """

    task: str
    provenance: Provenance
    counted: bool = False

    def label(self, utterance: Utterance, num_frames: int) -> np.ndarray:
        """Yes or no (T, C) for every frame."""
        codec = self.provenance.codec
        waves = utterance.task.kind.waves(utterance, codec.sample_rate)
        columns = [active_frames(wave_S, codec.hop, num_frames) for wave_S in waves.values()]
        active_TN = np.stack(columns, axis=1)
        if self.counted:
            active_TN = np.stack([active_TN.any(1), active_TN.all(1)], axis=1)
        return active_TN.astype(np.int64)


def _activity_probe(
    name: str, classes: Iterable[str], train: _Side, test: _Side, activity: _Activity
) -> Probe:
    sides = []
    for side in (train, test):
        lengths = dict(
            zip((u.id for u in side.dataset.utterances), side.dataset.num_frames, strict=True)
        )
        sides.append(side.label(activity.task, lambda u, of=lengths: activity.label(u, of[u.id])))
    return Probe(name, "frames", list(classes), *sides)


def active_frames(wave_S: np.ndarray, hop: int, num_frames: int) -> np.ndarray:
    """Whether a source is heard in each frame (T,).

    >>> active_frames(np.array([0.0, 0.0, 1.0, 1.0, 1.0]), hop=2, num_frames=3).tolist()
    [False, True, True]
    """
    padded_S = np.zeros(num_frames * hop)
    padded_S[: len(wave_S)] = wave_S[: len(padded_S)]
    energy_T = np.square(padded_S.reshape(num_frames, hop)).mean(1)
    return energy_T > max(ACTIVE * energy_T.max(), 1e-10)
