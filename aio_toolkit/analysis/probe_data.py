"""Probes made of a data dir, and of labelled files."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.analysis.probe import Labelled, Probe
from aio_toolkit.codec.base import check_fingerprint
from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.dataset import DumpDataset
from aio_toolkit.data.sources import read_sources
from aio_toolkit.encoders.frontend import FrontEnd, FrontEndConfig
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json
from aio_toolkit.models.checkpoint import Provenance
from aio_toolkit.tasks import get_task

# A source is active in a frame that has this share of the energy of its own loudest frame.
ACTIVE = 1e-3


def probes_of_data(
    data: Path, dump: Path, splits: tuple[str, str], provenance: Provenance, most: int = 400
) -> list[Probe]:
    """The probes that the tasks of a corpus allow, of at most so many utterances of a task in a split.

    `speaker` and `content` of recognition, `events` of sound separation, `stems` of music separation, `talkers` (which
    of two voices speak) of speech separation. Speakers of different splits differ, so the speaker probe is trained and
    tested on halves of the training split.
    """
    for split in splits:
        check_fingerprint(provenance.codec, read_json(dump / split / "codec.json"), f"codes in {dump / split}")
        check_fingerprint(provenance.frontend, read_json(dump / split / "frontend.json"), f"features in {dump / split}")
    hop, sample_rate = provenance.codec["hop"], provenance.codec["sample_rate"]
    train, test = (_read(data / split, dump / split) for split in splits)
    of = {name: _by_task(dataset, most) for name, dataset in (("train", train), ("test", test))}
    probes = []
    if of["train"]["asr"]:
        probes.append(_speaker_probe(train, [u for u in train.utterances if u.task == "asr"]))
        probes.append(_content_probe(train, test, of["train"]["asr"], of["test"]["asr"]))
    if of["train"]["sound"]:
        probes.append(_events_probe(train, test, of["train"]["sound"], of["test"]["sound"]))
    for task, name in (("music", "stems"), ("sep", "talkers")):
        if of["train"][task]:
            sides = [_activity(d, of[s][task], hop, sample_rate) for d, s in ((train, "train"), (test, "test"))]
            classes = list(get_task(task).targets) if task == "music" else ["one or more", "two"]
            probes.append(Probe(name, "frames", classes, *sides))
    return probes


def _read(data: Path, dump: Path) -> DumpDataset:
    return DumpDataset(data, dump, sorted({utterance.task for utterance in read_data_dir(data)}))


def _by_task(dataset: DumpDataset, most: int) -> dict[str, list[Utterance]]:
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in dataset.utterances:
        if len(groups[utterance.task]) < most:
            groups[utterance.task].append(utterance)
    return groups


def _speaker_probe(dataset: DumpDataset, utterances: list[Utterance], each: int = 12) -> Probe:
    of_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        of_speaker[utterance.speaker].append(utterance)
    speakers = sorted(name for name, members in of_speaker.items() if len(members) >= 2)
    sides = ([], [])
    for index, name in enumerate(speakers):
        for number, utterance in enumerate(of_speaker[name][:each]):
            sides[number % 2].append((dataset.feats[utterance.id], index))
    return Probe("speaker", "class", speakers, *(Labelled(*map(list, zip(*side, strict=True))) for side in sides))


def _content_probe(train: DumpDataset, test: DumpDataset, of_train: list[Utterance], of_test: list[Utterance]) -> Probe:
    classes = sorted(set("".join(u.texts["text"] for u in (*of_train, *of_test))))
    sides = [
        Labelled([d.feats[u.id] for u in us], [[classes.index(c) for c in u.texts["text"]] for u in us])
        for d, us in ((train, of_train), (test, of_test))
    ]
    return Probe("content", "text", classes, *sides)


def _events_probe(train: DumpDataset, test: DumpDataset, of_train: list[Utterance], of_test: list[Utterance]) -> Probe:
    """The `speaker` of a sound mixture names its events, as in `engine0321_knock0657`: letters are the class."""

    def events(utterance: Utterance) -> set[str]:
        return {re.sub(r"\d+$", "", name) for name in utterance.speaker.split("_")}

    classes = sorted(set().union(*(events(u) for u in (*of_train, *of_test))))
    sides = [
        Labelled([d.feats[u.id] for u in us], [np.array([c in events(u) for c in classes], np.int64) for u in us])
        for d, us in ((train, of_train), (test, of_test))
    ]
    return Probe("events", "tags", classes, *sides)


def _activity(dataset: DumpDataset, utterances: list[Utterance], hop: int, sample_rate: int) -> Labelled:
    feats, labels = [], []
    for utterance in utterances:
        feats_TF = dataset.feats[utterance.id]
        active_TN = np.stack(
            [active_frames(wave, hop, len(feats_TF)) for wave in read_sources(utterance, sample_rate).values()], axis=1
        )
        if utterance.task == "sep":  # which voice is the first is chance; how many speak is not
            active_TN = np.stack([active_TN.any(1), active_TN.all(1)], axis=1)
        feats.append(feats_TF)
        labels.append(active_TN.astype(np.int64))
    return Labelled(feats, labels)


def active_frames(wave_S: np.ndarray, hop: int, num_frames: int) -> np.ndarray:
    """Whether a source is heard in each frame (T,)."""
    padded = np.zeros(num_frames * hop)
    padded[: len(wave_S)] = wave_S[: len(padded)]
    energy_T = np.square(padded.reshape(num_frames, hop)).mean(1)
    return energy_T > max(ACTIVE * energy_T.max(), 1e-10)


def probes_of_lists(specs: Sequence[str], codec_path: str, provenance: Provenance) -> list[Probe]:
    """A probe of each `name=file`; AioError where the codec is not the encoder's."""
    codec = DacCodec.load(codec_path)
    check_fingerprint(provenance.codec, codec.fingerprint, f"codec {codec_path} against the encoder")
    names = {field.name for field in dataclasses.fields(FrontEndConfig)}
    options = {key: value for key, value in provenance.frontend.items() if key in names}
    front_end = FrontEnd(FrontEndConfig(**options), codec)
    probes = []
    for spec in specs:
        name, _, path = spec.partition("=")
        if not Path(path).is_file():
            raise AioError(f"--list {spec}: there is no file '{path}'. Write it as NAME=FILE.")
        probes.append(probe_of_list(Path(path), name, codec, front_end))
    return probes


def probe_of_list(path: Path, name: str, codec: DacCodec, front_end: FrontEnd) -> Probe:
    """A `class` probe of labelled files.

    Args:
        path: lines of `file<TAB>label<TAB>train` or `... test`; files are relative to the list's folder.
        name: what the labels say.
        codec: the codec of the encoder's front end.
        front_end: that front end.

    Raises:
        AioError: a line is malformed, or a side is empty.
    """
    sides: dict[str, list[tuple[np.ndarray, str]]] = {"train": [], "test": []}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 3 or fields[2] not in sides:
            raise AioError(f"{path} line {number} is not 'file<TAB>label<TAB>train|test': {line!r}.")
        wave_1S = torch.from_numpy(read_audio(str(path.parent / fields[0]), codec.sample_rate, fields[0]))[None]
        feats_1TF = front_end(wave_1S, codec.encode(wave_1S))
        sides[fields[2]].append((feats_1TF[0].numpy(), fields[1]))
    classes = sorted({label for side in sides.values() for _, label in side})
    if not all(sides.values()):
        raise AioError(f"{path} has no line of {' and '.join(s for s, rows in sides.items() if not rows)}.")
    labelled = [Labelled([f for f, _ in side], [classes.index(c) for _, c in side]) for side in sides.values()]
    return Probe(name, "class", classes, *labelled)
