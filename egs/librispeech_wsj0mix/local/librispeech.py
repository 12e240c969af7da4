"""Reading a LibriSpeech tree.

- `train-clean-100/19/198/19-198-0000.flac` is `<subset>/<speaker>/<chapter>/<utterance>.flac`,
- `train-clean-100/19/198/19-198.trans.txt` holds the transcripts of the chapter, a line each:
  `19-198-0000 NORTHANGER ABBEY`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from settings import check_disjoint

from aio_toolkit.errors import AioError

LAYOUT = "<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac"


@dataclass(frozen=True)
class Speech:
    """One recorded utterance.

    Attributes:
        id: as in the transcripts, "19-198-0000".
        speaker: number of the reader.
        path: the FLAC file.
    """

    id: str
    speaker: str
    path: Path


def find_root(directory: Path, subsets: Sequence[str] = ()) -> Path:
    """The folder that holds the subsets: `directory` itself, or `LibriSpeech` in it.

    Raises:
        AioError: it holds none of `subsets` (any subset, if none is named).
    """
    # Archives of OpenSLR unpack to a folder LibriSpeech; people name either it or its parent.
    for root in (directory, directory / "LibriSpeech"):
        wanted = subsets or _subsets(root)
        if any((root / subset).is_dir() for subset in wanted):
            return root

    there = _subsets(directory / "LibriSpeech") or _subsets(directory)
    if there and subsets:
        raise AioError(
            f"--librispeech {directory} has {', '.join(there)}, but not {', '.join(subsets)}, "
            "which the data configuration names. Get it, or name other sets there "
            "(--debug true needs a few speakers only)."
        )
    raise AioError(
        f"--librispeech {directory} has no LibriSpeech subset in it. "
        f"Name the folder whose files are {LAYOUT}, or the one above it."
    )


def find_speech(directory: Path, sets: Sequence[str]) -> list[Speech]:
    """All utterances of the named sets, sorted by path.

    Args:
        directory: the tree, or the folder above it.
        sets: "subset" or "subset:speaker,speaker".

    Raises:
        AioError: a subset or speaker is missing, or a file is not where LibriSpeech has it.
    """
    parsed = [_parse_set(item) for item in sets]
    root = find_root(directory, [subset for subset, _ in parsed])
    found: list[Speech] = []
    for subset, speakers in parsed:
        found += _read_subset(root / subset, speakers)
    # Two sets may name the same speaker.
    once = dict.fromkeys(found)
    return sorted(once, key=lambda speech: speech.path)


def find_all_speech(directory: Path) -> list[Speech]:
    """All utterances of all subsets of a tree, sorted by path."""
    root = find_root(directory)
    return find_speech(root, _subsets(root))


def check_speakers(speech: Mapping[str, Sequence[Speech]]) -> None:
    """Raise AioError where splits share a speaker."""
    speakers = {}
    for split, found in speech.items():
        speakers[split] = {one.speaker for one in found}
    check_disjoint(speakers, "speaker")


def read_transcripts(folder: Path) -> dict[str, str]:
    """Utterance id to text of a chapter, in the capitals of the corpus.

    Trees without transcripts are good enough for mixtures, so that a missing file is no mistake.

    Raises:
        AioError: a line is not UTF-8 text of the form "id text".
    """
    transcripts: dict[str, str] = {}
    for path in sorted(folder.glob("*.trans.txt")):
        transcripts |= _parse_transcripts(path)
    return transcripts


def _parse_transcripts(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs of id and text of one file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AioError(f"{path} is not UTF-8 ({error.reason}). Unpack LibriSpeech again.") from None
    prefix = path.name.removesuffix(".trans.txt") + "-"
    for number, line in enumerate(lines, start=1):
        id, _, text = line.strip().partition(" ")
        if not text or not id.startswith(prefix):
            found = f"'{line}' is not '<utterance> <text>'"
            raise AioError(f"{path} line {number}: {found}. Fix the line.")
        yield id, text


def _parse_set(item: str) -> tuple[str, list[str]]:
    """Subset and speakers of "subset:speaker,speaker"; no speakers stands for all."""
    subset, _, listed = item.partition(":")
    speakers = []
    for speaker in listed.split(","):
        if speaker.strip():
            speakers.append(speaker.strip())
    return subset.strip(), speakers


def _subsets(root: Path) -> list[str]:
    """Names of the folders in `root` that look like subsets: speakers are numbers."""
    if not root.is_dir():
        return []
    names = []
    for folder in root.iterdir():
        speakers = folder.iterdir() if folder.is_dir() else ()
        if any(child.is_dir() and child.name.isdecimal() for child in speakers):
            names.append(folder.name)
    return sorted(names)


def _read_subset(folder: Path, speakers: list[str]) -> list[Speech]:
    if not folder.is_dir():
        beside = ", ".join(_subsets(folder.parent)) or "-"
        raise AioError(f"{folder} does not exist. Found beside it: {beside}.")
    everyone = sorted(child.name for child in folder.iterdir() if child.is_dir())
    found = []
    for speaker in speakers or everyone:
        place = folder / speaker
        if not place.is_dir():
            remedy = "Fix the sets of the data configuration."
            raise AioError(f"{folder} has no speaker {speaker}. {remedy}")
        paths = sorted(place.glob("**/*.flac"))
        found += map(_to_speech, paths)
    if not found:
        raise AioError(f"{folder} holds no speech. Expected {LAYOUT}.")
    return found


def _to_speech(path: Path) -> Speech:
    *_, speaker, chapter, _file = path.parts
    *named, _number = path.stem.split("-")
    # A stray file would bring a speaker of one split into another.
    if named != [speaker, chapter]:
        raise AioError(f"{path} is not where LibriSpeech has its files. Expected {LAYOUT}.")
    return Speech(path.stem, speaker, path)
