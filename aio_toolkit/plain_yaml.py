"""YAML of which nothing is believed: plain values, and none that do anything when they are read."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

# OmegaConf looks up what stands in braces behind it, in the environment for one.
REFERENCE = "${"


class _Dumper(yaml.SafeDumper):
    """Writes a value as often as it occurs: what refers to another place is refused when read."""

    def ignore_aliases(self, data: Any) -> bool:
        """All of them."""
        return True


def write_plain(path: Path, values: dict[str, Any]) -> None:
    """Write a section of plain values, which `read_plain` takes back; tuples become lists.

    Raises:
        AioError: `read_plain` would not take them back.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_plain(Path(folder, "a.yaml"), {"rate": 16000, "tasks": ("asr", "sep")})
    ...     read_plain(Path(folder, "a.yaml"))
    {'rate': 16000, 'tasks': ['asr', 'sep']}
    """
    check_plain(values, str(path))
    # Letters beyond ASCII are escaped: PyYAML does not read all of them back as it writes them.
    text = yaml.dump(values, Dumper=_Dumper, sort_keys=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_plain(path: Path) -> dict[str, Any]:
    """Read a section of plain values.

    Raises:
        AioError: it is missing or not YAML, it names classes or other places in the file, or a
            value is none that stands for itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # A short file of aliases of aliases would fill the memory.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise AioError(f"{path}: aliases (*name) are not allowed. Write the values out.")
        values = yaml.safe_load(text)
    except FileNotFoundError:
        raise AioError(f"{path} does not exist.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise AioError(f"{path} is not plain YAML: {reason}.") from None
    if not isinstance(values, dict):
        raise AioError(f"{path} holds no section of keys.")
    check_plain(values, str(path))
    return values


def check_plain(values: Any, where: str) -> None:
    """Refuse text that refers to something outside: `${...}`, and paths that leave a folder.

    Args:
        values: plain values.
        where: opens the message.

    Raises:
        AioError: the key is named.

    >>> check_plain({"codec": {"home": "${oc.env:HOME}"}}, "model.yaml")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: model.yaml: key 'codec.home': '${oc.env:HOME}' is looked up ...
    >>> check_plain({"files": ["a/b", "../c"]}, "model.yaml")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: model.yaml: key 'files.1': '../c' is a path out of the folder. ...
    """
    for key, text in _texts(values, ""):
        if REFERENCE in text:
            problem = f"'{text}' is looked up elsewhere"
            raise AioError(f"{where}: key '{key}': {problem}. Write the value itself.")
        if leads_out(text):
            problem = f"'{text}' is a path out of the folder"
            raise AioError(f"{where}: key '{key}': {problem}. Only what is in it can be used.")


def leads_out(name: str) -> bool:
    """Whether a text, taken for a path, is not of a file below the folder where it stands.

    >>> names = ["a/b", "/a", "a/../b", "~/a", "C:\\\\a", "..", "a..b"]
    >>> [name for name in names if leads_out(name)]
    ['/a', 'a/../b', '~/a', 'C:\\\\a', '..']
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    is_absolute = posix.is_absolute() or bool(windows.anchor) or name.startswith("~")
    return is_absolute or ".." in (*posix.parts, *windows.parts)


def _texts(values: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """All texts among some values, keys included, by their place."""
    if isinstance(values, str):
        yield prefix, values
    elif isinstance(values, dict):
        for key, value in values.items():
            place = f"{prefix}.{key}" if prefix else str(key)
            yield place, str(key)
            yield from _texts(value, place)
    elif isinstance(values, list | tuple):
        for index, value in enumerate(values):
            yield from _texts(value, f"{prefix}.{index}")
