"""Reading a LibriSpeech tree: `<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    for root in (directory, directory / "LibriSpeech"):
        if any((root / subset).is_dir() for subset in subsets or _folders(root)):
            return root
    there = _folders(directory / "LibriSpeech") or _folders(directory)
    if there and subsets:
        raise AioError(
            f"--librispeech {directory} has {', '.join(there)}, but not {', '.join(subsets)}, which the data "
            "configuration names. Get it, or name other sets there (--debug true needs a few speakers only)."
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
    found = [speech for subset, speakers in parsed for speech in _read_subset(root / subset, speakers)]
    return sorted(dict.fromkeys(found), key=lambda speech: speech.path)


def find_all_speech(directory: Path) -> list[Speech]:
    """All utterances of all subsets of a tree, sorted by path."""
    root = find_root(directory)
    return find_speech(root, _folders(root))


def read_transcripts(folder: Path) -> dict[str, str]:
    """Utterance id to text of a chapter, in the capitals of the corpus; empty without a `.trans.txt`.

    Raises:
        AioError: a line is not UTF-8 text of the form "id text".
    """
    transcripts: dict[str, str] = {}
    for path in sorted(folder.glob("*.trans.txt")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise AioError(f"{path} is not UTF-8 ({error.reason}). Unpack LibriSpeech again.") from None
        for number, line in enumerate(lines, start=1):
            id, _, text = line.strip().partition(" ")
            if not text or not id.startswith(path.name.removesuffix(".trans.txt") + "-"):
                raise AioError(f"{path} line {number}: '{line}' is not '<utterance> <text>'. Mend the line.")
            transcripts[id] = text
    return transcripts


def _parse_set(item: str) -> tuple[str, tuple[str, ...]]:
    subset, _, speakers = item.partition(":")
    return subset.strip(), tuple(speaker.strip() for speaker in speakers.split(",") if speaker.strip())


def _folders(root: Path) -> list[str]:
    """Names of the folders in `root` that look like subsets: speakers are numbers."""
    if not root.is_dir():
        return []
    return sorted(
        folder.name
        for folder in root.iterdir()
        if folder.is_dir() and any(child.is_dir() and child.name.isdecimal() for child in folder.iterdir())
    )


def _read_subset(folder: Path, speakers: tuple[str, ...]) -> list[Speech]:
    if not folder.is_dir():
        raise AioError(f"{folder} does not exist. Found beside it: {', '.join(_folders(folder.parent)) or '-'}.")
    found = []
    for speaker in speakers or sorted(child.name for child in folder.iterdir() if child.is_dir()):
        if not (folder / speaker).is_dir():
            raise AioError(f"{folder} has no speaker {speaker}. Mend the sets of the data configuration.")
        found += [_speech(path) for path in sorted((folder / speaker).glob("**/*.flac"))]
    if not found:
        raise AioError(f"{folder} holds no speech. Expected {LAYOUT}.")
    return found


def _speech(path: Path) -> Speech:
    speaker, chapter = path.parts[-3:-1]
    if path.stem.split("-")[:-1] != [speaker, chapter]:
        raise AioError(f"{path} is not where LibriSpeech has its files. Expected {LAYOUT}.")
    return Speech(path.stem, speaker, path)
