"""What a source file declares, read without running it.

A mistake in a YAML file is to be told at once, yet the dataclasses that it is checked against stand
in modules that import torch, which takes seconds. So those dataclasses are taken out of the source:
`options("aio_toolkit.moe.routers.per_task")` executes the nested `Config` of that file's part and
what its fields need, nothing else. Parts are listed in the same way.
"""

import ast
import builtins
import functools
import importlib
import importlib.util
import sys
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError

# Modules that may be imported while declarations are read: they load nothing that takes long.
LIGHT = (
    "aio_toolkit.choice",
    "aio_toolkit.config",
    "aio_toolkit.errors",
    "aio_toolkit.files",
    "aio_toolkit.ranges",
)


@dataclass(frozen=True)
class Source:
    """A parsed module, see `read` for an example.

    Attributes:
        name: its dotted name.
        path: its file.
        classes: its top-level classes, by name.
        constants: its top-level assignments to a single name, by that name.
        imports: where a name comes from: local name -> (module, name there; None for the module
            itself).
    """

    name: str
    path: Path
    classes: dict[str, ast.ClassDef]
    constants: dict[str, ast.expr]
    imports: dict[str, tuple[str, str | None]]


@functools.cache
def read(module: str) -> Source:
    """Parse a module by its dotted name; its packages are imported, the module is not.

    Raises:
        ModuleNotFoundError: there is none.
        AioError: it is not Python; the message names file and line.

    >>> source = read("aio_toolkit.loss")
    >>> list(source.classes), source.imports["torch"]
    (['Loss'], ('torch', None))
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    path = Path(spec.origin)
    source = Source(module, path, {}, {}, {})
    # The top level alone: what a function declares is its own.
    for node in _parse(path).body:
        if isinstance(node, ast.ClassDef):
            source.classes[node.name] = node
        source.constants.update(_constant(node))
        source.imports.update(_imported(node))
    return source


def part_class(module: str, contract_module: str) -> str | None:
    """Name of the first public class of a module that derives from the contract; None without one.

    The contract is whichever class the module `contract_module` declares.

    >>> part_class("aio_toolkit.moe.routers.shared", "aio_toolkit.moe.routers.base")
    'SharedRouter'
    >>> part_class("aio_toolkit.moe.routers.shared", "aio_toolkit.moe.balances.base")
    """
    contracts = read(contract_module).classes.keys()
    for name in read(module).classes:
        if name.startswith("_"):
            continue
        lineage = _ancestry(module, name)
        if any(where == contract_module and node.name in contracts for where, node in lineage):
            return name
    return None


def options(module: str, name: str | None = None, nested: str = "Config") -> type:
    """The dataclass nested in a class of a module; one without fields where there is none.

    Args:
        module: dotted name.
        name: the class; by default the one public class that has such a dataclass.
        nested: name of the dataclass.

    Raises:
        AioError: the dataclass needs more than its source, so it cannot be read without imports.

    >>> options("aio_toolkit.moe.routers.per_task")().renormalise
    True
    """
    if name is None:
        name = _owner_of(nested, module)
    return _options(module, name, nested)


def _owner_of(nested: str, module: str) -> str:
    """The public class that has a dataclass of that name; the first one where none has."""
    classes = read(module).classes
    public = [name for name in classes if not name.startswith("_")]
    for name in public:
        if _member(classes[name], nested) is not None:
            return name
    return public[0]


@functools.cache
def _options(module: str, name: str, nested: str) -> type:
    for owner_module, owner in _ancestry(module, name):
        body = _member(owner, nested)
        if body is not None:
            return _execute(owner_module, body)
    return make_dataclass(nested, [])


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise AioError(f"{path} line {error.lineno}: {error.msg}. Correct the file.") from None


def _constant(node: ast.stmt) -> dict[str, ast.expr]:
    """The name and value of an assignment to a single name; empty for any other statement."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return {name: value}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return {name: value}
    return {}


def _imported(node: ast.stmt) -> dict[str, tuple[str, str | None]]:
    """Local names and origins of an import; empty for any other statement."""
    match node:
        case ast.ImportFrom(module=str(origin)):
            return {alias.asname or alias.name: (origin, alias.name) for alias in node.names}
        case ast.Import():
            return {alias.asname or alias.name: (alias.name, None) for alias in node.names}
    return {}


def _ancestry(module: str, name: str) -> list[tuple[str, ast.ClassDef]]:
    """A class and its ancestors as far as source of this project tells, nearest first."""
    place = _resolve(module, name)
    if place is None:
        return []
    where, node = place
    found = [place]
    for base in node.bases:
        # Of `Contract[Type]`, the contract.
        if isinstance(base, ast.Subscript):
            base = base.value
        # `nn.Module` and its like have nothing that is looked for here.
        if isinstance(base, ast.Name):
            found += _ancestry(where, base.id)
    return found


def _resolve(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Where a class that a module calls `name` is defined; None outside this project's source."""
    source = read(module)
    if name in source.classes:
        return module, source.classes[name]
    origin, original = source.imports.get(name, (None, None))
    if origin is None or original is None or _is_foreign(origin, module):
        return None
    return _resolve(origin, original)


def _is_foreign(origin: str, module: str) -> bool:
    """Whether `origin` belongs neither to the toolkit nor to the package of `module`."""
    root, own_root = origin.split(".")[0], module.split(".")[0]
    return root not in ("aio_toolkit", own_root)


def _member(owner: ast.ClassDef, name: str) -> ast.ClassDef | None:
    for node in owner.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    return None


@functools.cache
def _execute(module: str, node: ast.ClassDef) -> type:
    """Run a class definition alone, with the names that it uses looked up in its module.

    Cached: a class that is asked for twice must be one class.
    """
    namespace = _names_in(module, node, {node.name})
    namespace["__name__"] = module
    # Alone, without the class around it: that one may derive from a torch module.
    code = ast.Module(body=[node], type_ignores=[])
    try:
        exec(compile(code, module, "exec"), namespace)
    except NameError as error:
        problem = f"{read(module).path} line {node.lineno}: {node.name} needs '{error.name}'"
        remedy = "Build options of constants, enumerations, dataclasses and the standard library."
        raise AioError(f"{problem}, which cannot be known without imports. {remedy}") from None
    return namespace[node.name]


def _names_in(module: str, node: ast.AST, own: set[str] | None = None) -> dict[str, Any]:
    """The meaning of all names that a piece of a module uses, except its own and Python's."""
    used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    namespace: dict[str, Any] = {}
    for name in used - (own or set()):
        if not hasattr(builtins, name):
            namespace |= _lookup(module, name)
    return namespace


def _lookup(module: str, name: str) -> dict[str, Any]:
    """The meaning of a name in a module, as `{name: value}`; empty where it would take an
    import."""
    source = read(module)
    if name in source.constants:
        constant = source.constants[name]
        namespace = _names_in(module, constant)
        code = compile(ast.Expression(constant), module, "eval")
        return {name: eval(code, namespace)}

    origin, original = source.imports.get(name, ("", None))
    root = origin.split(".")[0]
    is_standard = root in sys.stdlib_module_names
    if is_standard or origin in LIGHT:
        imported = importlib.import_module(origin)
        return {name: imported if original is None else getattr(imported, original)}

    place = _resolve(module, name)
    if place is not None:
        return {name: _class_or_stand_in(*place)}
    return {}


def _class_or_stand_in(module: str, node: ast.ClassDef) -> type:
    """A dataclass or an enumeration itself; of any other class something that has its `Config`."""
    bases = [ast.unparse(base) for base in node.bases]
    is_enumeration = any(base.endswith("Enum") for base in bases)
    # Everything decorated here is a dataclass.
    if node.decorator_list or is_enumeration:
        return _execute(module, node)
    members = {"Config": _options(module, node.name, "Config")}
    return type(node.name, (), members)
