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
from types import ModuleType
from typing import Any

from aio_toolkit import declarations
from aio_toolkit.choice import Choice
from aio_toolkit.errors import AioError

ROOT = "aio_toolkit"
_packages: list[str] = [ROOT]


def use(packages: Iterable[str]) -> None:
    """Look for parts in these packages too.

    Checkpoints never add one: reading a file must not run code that nobody asked for.

    Raises:
        AioError: a package cannot be found.

    >>> use(["no_such_package"])
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: parts: there is no package 'no_such_package' on PYTHONPATH. ...
    """
    for package in packages:
        if not _exists(package):
            problem = f"parts: there is no package '{package}' on PYTHONPATH"
            remedy = "Correct the name, or add the folder that holds it."
            raise AioError(f"{problem}. {remedy}")
        if package not in _packages:
            _packages.append(package)
    # Files may have come since the folders were read.
    _listing.cache_clear()


def packages() -> list[str]:
    """The packages that parts are looked for in, for instance to hand them on to a worker.

    >>> packages()[0]
    'aio_toolkit'
    """
    # A copy: packages are added by `use` alone.
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

    >>> locate("moe/routers", "shared")
    'aio_toolkit.moe.routers.shared'
    >>> locate("moe/routers", "shard")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: moe/routers: unknown kind 'shard'. Did you mean 'shared'? ...
    """
    modules = _listing(folder).get(kind, [])
    if len(modules) == 1:
        return modules[0]
    if modules:
        both = " and ".join(modules)
        problem = f"two parts are called '{kind}': {both}"
        raise AioError(f"{folder}: {problem}. Rename one file.")

    # The file may be there, and be no part.
    for package in _packages:
        names = [path.stem for path in _files(package, folder)]
        if kind in names:
            problem = f"{package}/{folder}/{kind}.py declares no part"
            contract = f"{ROOT}/{folder}/base.py"
            remedy = f"A part is exactly one public subclass of the contract in {contract}."
            raise AioError(f"{problem}. {remedy}")

    raise AioError(f"{folder}: unknown kind '{kind}'. {_remedy(folder, kind)}")


def find_in(folder: str, kind: str) -> Any:
    """The class of a part of a folder, for those who do not know the folder's contract.

    Raises:
        AioError: as `find`.

    >>> find_in("moe/routers", "shared").__name__
    'SharedRouter'
    """
    return find(_contract(folder), kind)


def find[T](contract: type[T], kind: str) -> type[T]:
    """The class of a part.

    Args:
        contract: the abstract class of a folder's `base.py`.
        kind: the part's name.

    Raises:
        AioError: no such part, or its file does not fulfil the contract; what is missing is named.

    >>> from aio_toolkit.moe.routers.base import Router
    >>> find(Router, "shared").__name__
    'SharedRouter'
    """
    folder = folder_of(contract)
    module = importlib.import_module(locate(folder, kind))
    part = _only_part(module, contract)
    # Python itself would refuse to make it too, but not say where the contract is.
    missing = sorted(getattr(part, "__abstractmethods__", ()))
    if missing:
        names = ", ".join(missing)
        where = f"{contract.__name__} in {ROOT}/{folder}/base.py"
        problem = f"{part.__name__} lacks {names} of its contract"
        raise AioError(f"{module.__file__}: {problem}, {where}.")
    return part


def build[T](contract: type[T], choice: Choice, *args: Any) -> T:
    """Make the part that a configuration has chosen, from its options and `args`.

    >>> from aio_toolkit.moe.balances.base import Balance
    >>> build(Balance, Choice("switch")).config.weight
    0.01
    """
    part = find(contract, choice.kind)
    return part(options_of(contract, choice), *args)  # type: ignore[call-arg]


def options_of(contract: type, choice: Choice) -> Any:
    """The options of a choice; the part's defaults where it gives none.

    >>> from aio_toolkit.encoders.base import Encoder
    >>> options_of(Encoder, Choice("transformer")).width
    192
    """
    if choice.options is not None:
        return choice.options
    part: Any = find(contract, choice.kind)
    return part.Config()


def folder_of(contract: type) -> str:
    """The folder of a contract, relative to the package.

    >>> from aio_toolkit.moe.routers.base import Router
    >>> folder_of(Router)
    'moe/routers'
    """
    inside = contract.__module__.removeprefix(f"{ROOT}.")
    return inside.removesuffix(".base").replace(".", "/")


def _exists(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        # The package around it is not there, or this is no name.
        return False


def _remedy(folder: str, kind: str) -> str:
    """What to do about a kind that there is not."""
    known = kinds(folder)
    listed = f"Known kinds: {', '.join(known)}."
    near = difflib.get_close_matches(kind, known, n=1, cutoff=0.4)
    if near:
        return f"Did you mean '{near[0]}'? {listed}"
    return f"{listed} Those of another package need it named by --parts."


def _module(package: str, folder: str, name: str) -> str:
    dotted = folder.replace("/", ".")
    return f"{package}.{dotted}.{name}"


def _contract(folder: str) -> type:
    """The abstract class of a folder's `base.py`; of several the one that has options."""
    base = importlib.import_module(_module(ROOT, folder, "base"))
    abstract = [
        member
        for member in vars(base).values()
        if inspect.isabstract(member) and member.__module__ == base.__name__
    ]
    with_options = [member for member in abstract if hasattr(member, "Config")]
    return (with_options or abstract)[0]


def _only_part[T](module: ModuleType, contract: type[T]) -> type[T]:
    # By name, as one class may go by two.
    found = {
        member.__name__: member
        for member in vars(module).values()
        if inspect.isclass(member)
        and member.__module__ == module.__name__
        and not member.__name__.startswith("_")
        and issubclass(member, contract)
    }
    if len(found) != 1:
        names = ", ".join(found) or "none"
        rule = f"a part is exactly one public subclass of {contract.__name__}"
        raise AioError(f"{module.__file__}: {rule}; here are: {names}.")
    (part,) = found.values()
    return part


@functools.cache
def _listing(folder: str) -> dict[str, list[str]]:
    """Modules by part name; files are read, not imported, so a listing costs milliseconds."""
    contract = _module(ROOT, folder, "base")
    found: dict[str, list[str]] = {}
    for package in _packages:
        for path in _files(package, folder):
            module = _module(package, folder, path.stem)
            if declarations.part_class(module, contract) is not None:
                modules = found.setdefault(path.stem, [])
                modules.append(module)
    return found


def _files(package: str, folder: str) -> list[Path]:
    """The files of a folder that may hold parts."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    found = []
    for place in places or ():
        for path in Path(place, folder).glob("*.py"):
            if path.stem != "base" and not path.stem.startswith("_"):
                found.append(path)
    return found
