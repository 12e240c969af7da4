"""Probes made of two splits of a corpus. Letters: T frames, S samples, N sources, C classes."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.sources import read_input
from aio_toolkit.errors import AioError
from aio_toolkit.frames import FrameGrid

# A source is active in a frame that has this share of the energy of its own loudest frame.
ACTIVE = 1e-3
# Mean energy of a frame below which nothing is heard, however silent the rest: -100 dBFS.
SILENT = 1e-10
# Utterances of a speaker that a speaker probe uses, half of them for training.
UTTERANCES_OF_SPEAKER = 12


@dataclass
class _Side:
    """One side of the probes.

    Attributes:
        utterances: those of a split that take part, by the names of their tasks.
        grid: the frames of the encoder.
    """

    utterances: dict[str, list[Utterance]]
    grid: FrameGrid

    def label(self, task: str, label_of: Callable[[Utterance, int], Any]) -> Labelled:
        """Recordings of a task, and what `label_of` them and their frames says."""
        side = Labelled([], [])
        for utterance in self.utterances[task]:
            num_frames = self.grid.num_frames(utterance.num_samples)
            side.waves.append(read_input(utterance, self.grid.sample_rate))
            side.labels.append(label_of(utterance, num_frames))
        return side


def probes_of_data(
    train: Sequence[Utterance],
    test: Sequence[Utterance],
    grid: FrameGrid,
    max_utterances: int = 400,
) -> list[Probe]:
    """The probes that the tasks of a corpus allow.

    `speaker` and `content` of recognition, `events` of sound separation, `stems` of music
    separation, `talkers` (how many of two voices speak) of speech separation. Speakers of different
    splits differ, so the speaker probe is trained and tested on halves of the training split; all
    others need a task that both splits have.

    Args:
        train: utterances of the split to fit linear layers on.
        test: utterances of the split to score.
        grid: the frames of the encoder.
        max_utterances: of a task in a split, at most.

    Raises:
        AioError: no utterance would be left, or audio cannot be read.
    """
    if max_utterances < 1:
        problem = f"--max_utts {max_utterances} leaves nothing to probe"
        raise AioError(f"{problem}. Give one utterance at least.")
    fitted = _open(train, grid, max_utterances)
    scored = _open(test, grid, max_utterances)

    probes: list[Probe] = []
    if "asr" in fitted.utterances:
        probes += _speaker_probes(train, grid)
    # By the names that all recipes give their tasks.
    makers = {
        "asr": _content_probe,
        "sound": _events_probe,
        "music": _stems_probe,
        "sep": _talkers_probe,
    }
    for task, make_probe in makers.items():
        in_both = task in fitted.utterances and task in scored.utterances
        if in_both:
            probe = make_probe(fitted, scored)
            probes.append(probe)
    return probes


def _open(utterances: Sequence[Utterance], grid: FrameGrid, max_utterances: int) -> _Side:
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        group = groups[utterance.task.name]
        if len(group) < max_utterances:
            group.append(utterance)
    return _Side(dict(groups), grid)


def _speaker_probes(utterances: Sequence[Utterance], grid: FrameGrid) -> list[Probe]:
    """Who speaks; none where no speaker has an utterance for either side."""
    of_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if utterance.task.name == "asr":
            of_speaker[utterance.speaker].append(utterance)
    speakers = [name for name, members in of_speaker.items() if len(members) > 1]
    speakers.sort()
    if not speakers:
        return []

    sides = Labelled([], []), Labelled([], [])
    for index, name in enumerate(speakers):
        members = of_speaker[name][:UTTERANCES_OF_SPEAKER]
        for number, utterance in enumerate(members):
            # In turns, so that both sides have the same speakers, as evenly as can be.
            side = sides[number % 2]
            side.waves.append(read_input(utterance, grid.sample_rate))
            side.labels.append(index)
    return [Probe("speaker", "class", speakers, *sides)]


def _content_probe(train: _Side, test: _Side) -> Probe:
    """Characters of transcripts."""

    def _sentence(utterance: Utterance) -> str:
        (target,) = utterance.task.targets
        return utterance.answers[target]

    both = train.utterances["asr"] + test.utterances["asr"]
    # Those of the test side too: a character that was never trained is an error, not a crash.
    present: set[str] = set()
    for utterance in both:
        present.update(_sentence(utterance))
    characters = sorted(present)

    def _label(utterance: Utterance, num_frames: int) -> list[int]:
        sentence = _sentence(utterance)
        return [characters.index(character) for character in sentence]

    sides = [side.label("asr", _label) for side in (train, test)]
    return Probe("content", "text", characters, *sides)


def _events_probe(train: _Side, test: _Side) -> Probe:
    """Which events a mixture of sounds holds."""
    both = train.utterances["sound"] + test.utterances["sound"]
    present: set[str] = set()
    for utterance in both:
        present.update(events_of(utterance))
    events = sorted(present)

    def _label(utterance: Utterance, num_frames: int) -> np.ndarray:
        heard = events_of(utterance)
        label = [event in heard for event in events]
        return np.array(label, np.int64)

    sides = [side.label("sound", _label) for side in (train, test)]
    return Probe("events", "tags", events, *sides)


def events_of(utterance: Utterance) -> set[str]:
    """The events that `utt2spk` names for a mixture of sounds.

    Their names are joined by `_`, each followed by the number of a recording.

    >>> from types import SimpleNamespace
    >>> sorted(events_of(SimpleNamespace(speaker="engine0321_knock0657")))
    ['engine', 'knock']
    """
    recordings = utterance.speaker.split("_")
    return {re.sub(r"\d+$", "", name) for name in recordings}


def _stems_probe(train: _Side, test: _Side) -> Probe:
    """Which stems of a song are heard."""
    first = train.utterances["music"][0]
    stems = list(first.task.targets)

    def _label(utterance: Utterance, num_frames: int) -> np.ndarray:
        active_TN = _activity(utterance, train.grid, num_frames)
        return active_TN.astype(np.int64)

    sides = [side.label("music", _label) for side in (train, test)]
    return Probe("stems", "frames", stems, *sides)


def _talkers_probe(train: _Side, test: _Side) -> Probe:
    """How many voices are heard."""

    def _label(utterance: Utterance, num_frames: int) -> np.ndarray:
        active_TN = _activity(utterance, train.grid, num_frames)
        # Which voice is the first is chance; how many speak is not.
        any_T, all_T = active_TN.any(1), active_TN.all(1)
        counted_TC = np.stack([any_T, all_T], axis=1)
        return counted_TC.astype(np.int64)

    sides = [side.label("sep", _label) for side in (train, test)]
    return Probe("talkers", "frames", ["one or more", "two"], *sides)


def _activity(utterance: Utterance, grid: FrameGrid, num_frames: int) -> np.ndarray:
    """Whether each source is heard in each frame (T, N)."""
    waves = utterance.task.kind.waves(utterance, grid.sample_rate)
    columns = []
    for wave_S in waves.values():
        active_T = active_frames(wave_S, grid.hop, num_frames)
        columns.append(active_T)
    return np.stack(columns, axis=1)


def active_frames(wave_S: np.ndarray, hop: int, num_frames: int) -> np.ndarray:
    """Whether a source is heard in each frame (T,).

    Args:
        wave_S: its wave; zeros complete the last frame, and what is beyond it does not count.
        hop: samples of a frame.
        num_frames: frames T.

    >>> active_frames(np.array([0.0, 0.0, 1.0, 1.0, 1.0]), hop=2, num_frames=3).tolist()
    [False, True, True]
    """
    padded_S = np.zeros(num_frames * hop)
    padded_S[: len(wave_S)] = wave_S[: len(padded_S)]
    frames_TS = padded_S.reshape(num_frames, hop)
    energy_T = np.square(frames_TS).mean(1)
    # Relative to the loudest frame, as sources are mixed at all levels.
    quiet = ACTIVE * energy_T.max()
    return energy_T > max(quiet, SILENT)
