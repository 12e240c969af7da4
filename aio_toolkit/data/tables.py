"""Kaldi's tables, `id value` lines sorted by id, and what is wrong with them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from aio_toolkit.errors import MAX_SHOWN, AioError
from aio_toolkit.files import atomic_path

Table = dict[str, str]


class Problems:
    """Collects problems, so that one run reports all of them, those with one remedy together.

    >>> problems = Problems("data/dev")
    >>> problems.add("wav.scp line 3: is empty. Remove it.")
    >>> problems.raise_any()
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: data/dev: wav.scp line 3: is empty. Remove it.
    """

    def __init__(self, title: str) -> None:
        """`title` opens the message: the folder that the problems are found in."""
        self.title = title
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Take note of a problem: where, what, and what to do."""
        self.messages.append(message)

    def raise_any(self) -> None:
        """Raise AioError with the first problems of each kind and the count of all, if there are
        any."""
        count = len(self.messages)
        if count == 0:
            return
        if count == 1:
            raise AioError(f"{self.title}: {self.messages[0]}")
        lines = [f"{self.title}: {count} problems:"]
        kinds: dict[str, list[str]] = {}
        for message in self.messages:
            *_, remedy = message.split(". ")
            kinds.setdefault(remedy, []).append(message)
        for messages in kinds.values():
            lines += messages[:MAX_SHOWN]
            more = len(messages) - MAX_SHOWN
            if more > 0:
                lines.append(f"... and {more} more of this kind")
        raise AioError("\n  ".join(lines))


def write_table(path: Path, table: Mapping[str, str]) -> None:
    """Write `id value` lines, in the order of the mapping, atomically."""
    lines = [f"{key} {value}".rstrip() + "\n" for key, value in table.items()]
    content = "".join(lines)
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


def read_table(path: Path, problems: Problems, *, holds_text: bool = False) -> Table:
    """Read the `id value` lines of a file; what is wrong is told with file and line.

    Args:
        path: the file, sorted by id in C order.
        problems: gets what is wrong.
        holds_text: a line without a value is an utterance that says nothing, not a typing error.
    """
    content = _decode(path, problems)
    table: Table = {}
    previous, is_sorted = "", True
    for number, line in enumerate(_lines(content), start=1):
        where = f"{path.name} line {number}"
        id, value = _split(line)
        if not id:
            problems.add(f"{where}: is empty. Remove it.")
        elif not value and not holds_text:
            problems.add(f"{where}: {id} has no value, expected 'id value'. Fix the line.")
        elif id in table:
            problems.add(f"{where}: {id} appears twice. Make the ids unique.")
        elif id < previous and is_sorted:
            # Told once, as the other lines need the same remedy.
            is_sorted = False
            remedy = "Sort with: LC_ALL=C sort"
            problems.add(f"{where}: {id} follows {previous}: not sorted. {remedy}")
        # A line with a problem counts too, so that its id is not reported missing as well.
        table[id] = value
        previous = max(previous, id)
    return table


def _decode(path: Path, problems: Problems) -> str:
    """The content of a file; nothing where its encoding is wrong."""
    data = path.read_bytes()
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"0x{data[error.start]:02x}"
        remedy = f"Convert the file, for instance: iconv -f latin1 -t utf-8 {path}"
        problems.add(f"{path.name} line {line}: byte {byte} is not UTF-8. {remedy}")
        return ""
    if content.startswith("\ufeff"):
        remedy = "Save it as UTF-8 without BOM."
        problems.add(f"{path.name} line 1: starts with a byte order mark. {remedy}")
        return ""
    if "\r" in content:
        line = content.count("\n", 0, content.index("\r")) + 1
        remedy = f"Run: sed -i 's/\\r$//' {path}"
        problems.add(f"{path.name} line {line}: ends in CR LF (Windows). {remedy}")
        return ""
    return content


def _lines(content: str) -> Iterator[str]:
    # Not splitlines(): it also splits at characters that a transcript may hold, such as U+2028.
    lines = content.split("\n")
    yield from lines[:-1]
    if lines[-1]:
        yield lines[-1]


def _split(line: str) -> tuple[str, str]:
    """Id and value of a line; both are empty where it is blank."""
    id, *rest = line.split(maxsplit=1) or [""]
    # split() leaves the white space after the last piece.
    value = "".join(rest).strip()
    return id, value
