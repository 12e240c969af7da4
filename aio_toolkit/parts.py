"""Interchangeable parts, found by name: `kind: mamba` of an encoder is the file
`encoders/mamba.py`.

A folder of parts has its contract in `base.py`, an abstract class. A part is a file beside it with
exactly one public subclass of the contract, whose options are its own nested dataclass `Config`.
Further packages, which mirror the folders of `aio_toolkit`, are added by `use`.
"""

import difflib
import functools
import importlib
import importlib.util
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aio_toolkit import declarations
from aio_toolkit.config import Choice
from aio_toolkit.errors import AioError

ROOT = "aio_toolkit"
_packages: list[str] = [ROOT]


def use(packages: Iterable[str]) -> None:
    """Look for parts in these packages too.

    A checkpoint never adds one: it only names the parts that it needs.

    Raises:
        AioError: a package cannot be found.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise AioError(
                f"parts: there is no package '{package}' on PYTHONPATH. "
                "Correct the name, or add the folder that holds it."
            )
        if package not in _packages:
            _packages.append(package)
    _listing.cache_clear()


def packages() -> list[str]:
    """The packages that parts are looked for in, for instance to hand them on to a worker."""
    return list(_packages)


def kinds(folder: str) -> list[str]:
    """Names of the parts in a folder.

    >>> kinds("moe/routers")
    ['per_task', 'shared', 'task_conditioned']
    """
    return sorted(_listing(folder))


def locate(folder: str, kind: str) -> str:
    """Name of the module that holds a part.

    Raises:
        AioError: there is no such part (the nearest name is given), or two packages have one.
    """
    modules = _listing(folder).get(kind, [])
    if len(modules) == 1:
        return modules[0]
    if modules:
        raise AioError(
            f"{folder}: two parts are called '{kind}': {' and '.join(modules)}. Rename one file."
        )
    for package in _packages:
        if any(path.stem == kind for path in _files(package, folder)):
            raise AioError(
                f"{package}/{folder}/{kind}.py declares no part. A part is exactly one public "
                f"subclass of the contract in {ROOT}/{folder}/base.py."
            )
    known = kinds(folder)
    near = difflib.get_close_matches(kind, known, n=1, cutoff=0.4)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise AioError(f"{folder}: unknown kind '{kind}'. {hint}Known kinds: {', '.join(known)}.")


def find_in(folder: str, kind: str) -> Any:
    """The class of a part of a folder, whose contract is the abstract class with options in its
    `base.py`."""
    base = importlib.import_module(f"{ROOT}.{folder.replace('/', '.')}.base")
    contracts = [
        member
        for member in vars(base).values()
        if inspect.isabstract(member)
        and member.__module__ == base.__name__
        and hasattr(member, "Config")
    ]
    return find(contracts[0], kind)


def find[T](contract: type[T], kind: str) -> type[T]:
    """The class of a part.

    Args:
        contract: the abstract class of a folder's `base.py`.
        kind: the part's name.

    Raises:
        AioError: no such part, or its file does not fulfil the contract; what is missing is named.
    """
    name = locate(folder_of(contract), kind)
    module = importlib.import_module(name)
    found = [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and member.__module__ == name
        and not member.__name__.startswith("_")
        and issubclass(member, contract)
    ]
    if len(found) != 1:
        names = ", ".join(part.__name__ for part in found) or "none"
        raise AioError(
            f"{module.__file__}: a part is exactly one public subclass of {contract.__name__}; "
            f"here are: {names}."
        )
    missing = sorted(getattr(found[0], "__abstractmethods__", ()))
    if missing:
        raise AioError(
            f"{module.__file__}: {found[0].__name__} lacks {', '.join(missing)} of its contract, "
            f"{contract.__name__} in {contract.__module__.replace('.', '/')}.py."
        )
    return found[0]


def build[T](contract: type[T], choice: Choice, *args: Any) -> T:
    """Make the part that a configuration has chosen, from its options and `args`."""
    part = find(contract, choice.kind)
    options = part.Config() if choice.options is None else choice.options  # type: ignore[attr-defined]
    return part(options, *args)


def options_of(contract: type, choice: Choice) -> Any:
    """The options of a choice; the part's defaults where it gives none."""
    return find(contract, choice.kind).Config() if choice.options is None else choice.options  # type: ignore[attr-defined]


def folder_of(contract: type) -> str:
    """The folder of a contract, relative to the package: `moe/routers`."""
    return contract.__module__.removeprefix(f"{ROOT}.").removesuffix(".base").replace(".", "/")


@functools.cache
def _listing(folder: str) -> dict[str, list[str]]:
    """Modules by part name; files are read, not imported, so a listing costs milliseconds."""
    contract = f"{ROOT}.{folder.replace('/', '.')}.base"
    found: dict[str, list[str]] = {}
    for package in _packages:
        for path in _files(package, folder):
            module = f"{package}.{folder.replace('/', '.')}.{path.stem}"
            if declarations.part_class(module, contract) is not None:
                found.setdefault(path.stem, []).append(module)
    return found


def _files(package: str, folder: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    paths = [path for place in places or () for path in Path(place, folder).glob("*.py")]
    return [path for path in paths if path.stem != "base" and not path.stem.startswith("_")]
