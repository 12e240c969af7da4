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

# Modules that may be imported while declarations are read: they load nothing that takes long.
LIGHT = ("aio_toolkit.config", "aio_toolkit.errors", "aio_toolkit.files")


@dataclass(frozen=True)
class Source:
    """A parsed module.

    Attributes:
        name: its dotted name.
        classes: its top-level classes, by name.
        constants: its top-level assignments to a single name, by that name.
        imports: where a name comes from: local name -> (module, name there; None for the module
            itself).
    """

    name: str
    classes: dict[str, ast.ClassDef]
    constants: dict[str, ast.expr]
    imports: dict[str, tuple[str, str | None]]


@functools.cache
def read(module: str) -> Source:
    """Parse a module by its dotted name; its packages are imported, the module is not."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    source = Source(module, {}, {}, {})
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            source.classes[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            source.constants[node.targets[0].id] = node.value
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                source.imports[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                source.imports[alias.asname or alias.name] = (alias.name, None)
    return source


def part_class(module: str, contract_module: str) -> str | None:
    """Name of the first public class of a module that derives from the contract; None without one.

    The contract is whichever abstract class the module `contract_module` declares.
    """
    contracts = set(read(contract_module).classes)
    for name in read(module).classes:
        if not name.startswith("_") and _derives(module, name, contract_module, contracts):
            return name
    return None


def options(module: str, name: str | None = None, nested: str = "Config") -> type:
    """The dataclass nested in a class of a module; one without fields where there is none.

    Args:
        module: dotted name.
        name: the class; by default the one public class that has such a dataclass.
        nested: name of the dataclass.

    >>> options("aio_toolkit.moe.routers.per_task")().renormalise
    True
    """
    if name is None:
        classes = read(module).classes
        public = [c for c in classes if not c.startswith("_")]
        having = [c for c in public if _member(classes[c], nested) is not None]
        name = (having or public)[0]
    return _options(module, name, nested)


@functools.cache
def _options(module: str, name: str, nested: str) -> type:
    for owner_module, owner in _ancestry(module, name):
        body = _member(owner, nested)
        if body is not None:
            return _execute(owner_module, body)
    return make_dataclass(nested, [])


def _derives(module: str, name: str, contract_module: str, contracts: set[str]) -> bool:
    lineage = [(where, node.name) for where, node in _ancestry(module, name)]
    return any(where == contract_module and found in contracts for where, found in lineage)


def _ancestry(module: str, name: str) -> list[tuple[str, ast.ClassDef]]:
    """A class and its ancestors as far as source of this project tells, nearest first."""
    place = _resolve(module, name)
    if place is None:
        return []
    where, node = place
    found = [place]
    for base in node.bases:
        if isinstance(base, ast.Name):
            found += _ancestry(where, base.id)
    return found


def _resolve(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Where a class that a module calls `name` is defined; None if that is not a project's
    source."""
    source = read(module)
    if name in source.classes:
        return module, source.classes[name]
    origin, original = source.imports.get(name, (None, None))
    if origin is None or original is None or _is_foreign(origin, module):
        return None
    return _resolve(origin, original)


def _is_foreign(origin: str, module: str) -> bool:
    """Whether `origin` belongs neither to the toolkit nor to the package of `module`."""
    return origin.partition(".")[0] not in ("aio_toolkit", module.partition(".")[0])


def _member(owner: ast.ClassDef, name: str) -> ast.ClassDef | None:
    for node in owner.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    return None


@functools.cache
def _execute(module: str, node: ast.ClassDef) -> type:
    """Run a class definition alone, with the names that it uses looked up in its module."""
    used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    namespace: dict[str, Any] = {"__name__": module}
    for name in used - {node.name}:
        if not hasattr(builtins, name):
            namespace |= _lookup(module, name)
    code = ast.Module(body=[node], type_ignores=[])
    exec(compile(code, module, "exec"), namespace)
    return namespace[node.name]


def _lookup(module: str, name: str) -> dict[str, Any]:
    """The meaning of a name in a module, as `{name: value}`; nothing where it would take an
    import."""
    source = read(module)
    if name in source.constants:
        constant = ast.Expression(source.constants[name])
        return {name: eval(compile(constant, module, "eval"), {})}
    place = _resolve(module, name)
    if place is not None:
        return {name: _class_or_stand_in(*place)}
    origin, original = source.imports.get(name, ("", None))
    if origin.partition(".")[0] in sys.stdlib_module_names or origin in LIGHT:
        imported = importlib.import_module(origin)
        return {name: imported if original is None else getattr(imported, original)}
    return {}


def _class_or_stand_in(module: str, node: ast.ClassDef) -> type:
    """A dataclass or an enumeration itself; of any other class something that has its `Config`."""
    if node.decorator_list or any(ast.unparse(base).endswith("Enum") for base in node.bases):
        return _execute(module, node)
    return type(node.name, (), {"Config": _options(module, node.name, "Config")})
