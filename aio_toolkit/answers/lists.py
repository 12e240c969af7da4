"""Lists of `id value` lines, by which decoded answers are found."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from aio_toolkit.errors import AioError, shown
from aio_toolkit.files import atomic_path


def write_list(path: Path, table: Mapping[str, str]) -> None:
    """Write `id value` lines; an empty value leaves the id alone.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "text")
    ...     write_list(path, {"asr-1": "good morning", "asr-2": ""})
    ...     read_list(path)
    {'asr-1': 'good morning', 'asr-2': ''}
    """
    lines = []
    for key, value in table.items():
        line = f"{key} {value}"
        lines.append(line.rstrip())
    write_text(path, "\n".join(lines))


def read_list(path: Path) -> dict[str, str]:
    """Read `id value` lines in any order; the value may be empty.

    Raises:
        AioError: the file is missing, cut off or not UTF-8.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AioError(f"{path} does not exist. Run stage 5 (decoding).") from None
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise AioError(f"{path} is not UTF-8 ({reason}). Convert it.") from None
    if content and not content.endswith("\n"):
        raise AioError(f"{path} is cut off. Run stage 5 (decoding) again.")

    table = {}
    # By line feeds alone: a sentence may hold what Python takes for other ends of lines.
    for line in content.split("\n"):
        if line.strip():
            key, *value = line.strip().split(maxsplit=1)
            table[key] = "".join(value)
    return table


def write_text(path: Path, text: str) -> None:
    """Write a text and a line feed, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def is_whole_text(path: Path) -> bool:
    """Whether a file that `write_text` wrote is there, up to its end.

    >>> is_whole_text(Path("asr/nowhere"))
    False
    """
    try:
        return path.read_text(encoding="utf-8").endswith("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def check_complete(path: Path, lacking: Iterable[str]) -> None:
    """Raise AioError that names the utterances which a list lacks, if there are any.

    >>> check_complete(Path("asr/text"), [])
    >>> check_complete(Path("asr/text"), ["asr-2"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: asr/text lacks 1 utterances of the data dir: asr-2. Finish ...
    """
    ids = sorted(lacking)
    if ids:
        problem = f"{path} lacks {len(ids)} utterances of the data dir: {shown(ids)}"
        raise AioError(f"{problem}. Finish stage 5 (decoding) with the same data dir.")
