"""Breaking a module on purpose: the list of mutants, and replacement in the syntax tree."""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

PACKAGE = "aio_toolkit"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# `_X` in a pattern stands for any expression, which the replacement may use again.
PLACEHOLDER = re.compile(r"_[A-Z]")

# Where a node hangs: the list or the attributes that hold it, and its key there.
Place = tuple[list | dict, int | str]
Bindings = dict[str, ast.expr]


class MutantError(Exception):
    """A mutant that cannot be made of the code as it is; the message is one line."""


@dataclass(frozen=True)
class Mutant:
    """One way to break the package.

    Attributes:
        name: what is wrong then, in a few words.
        module: the file, relative to the package.
        old: expression or statement to look for, compared as a syntax tree.
        new: what takes its place; several statements may replace one.
        function: qualified name of the function or class to look in; the whole file by default.
        occurrence: which match is meant, counted from 1; needed where there are several.
        tests: test files or folders to run instead of the mirrored ones.
    """

    name: str
    module: str
    old: str
    new: str
    function: str = ""
    occurrence: int | None = None
    tests: tuple[str, ...] = ()


def load_mutants(path: Path) -> list[Mutant]:
    """Read the list; refuse unknown keys and names that appear twice."""
    known = {field.name for field in fields(Mutant)}
    mutants: dict[str, Mutant] = {}
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    for entry in entries:
        name = entry["name"]
        unknown = sorted(entry.keys() - known)
        if unknown:
            raise MutantError(f"{name}: unknown key {', '.join(unknown)}.")
        # Verdicts go by the name.
        if name in mutants:
            raise MutantError(f"{name}: the name appears twice.")
        mutants[name] = Mutant(**entry)
    return list(mutants.values())


def mutated_source(root: Path, mutant: Mutant) -> str:
    """The broken source of the mutant's module in the repository `root`.

    Raises:
        MutantError: the code that it breaks is not there; says where the function has moved to.
    """
    package = root / PACKAGE
    path = package / mutant.module
    try:
        if not path.is_file():
            raise MutantError("the file does not exist.")
        source = path.read_text(encoding="utf-8")
        return mutate(source, mutant)
    except MutantError as error:
        problem = f"{mutant.name}: {mutant.module}: {error}"
        hint = _elsewhere(package, mutant)
        raise MutantError(problem + hint) from None


def mutate(source: str, mutant: Mutant) -> str:
    """The source with its one match of `old` replaced; comments and formatting are lost.

    Raises:
        MutantError: there is no match, or more than one and no `occurrence`.
    """
    tree = ast.parse(source)
    old, new = _snippets(mutant)
    scope = _definition(tree, mutant.function)
    found = []
    for holder, key in _places(scope):
        # What placeholders stand for is another matter at every place.
        bound: Bindings = {}
        if _matches(old, holder[key], bound):
            found.append((holder, key, bound))

    wanted = mutant.occurrence or 1
    sought = f"match for `{mutant.old.strip()}`"
    if len(found) < wanted:
        count = len(found) or "no"
        where = mutant.function or "the file"
        raise MutantError(f"{where} has {count} {sought}.")
    if len(found) > 1 and mutant.occurrence is None:
        plural = sought.replace("match", "matches", 1)
        raise MutantError(f"{len(found)} {plural}: add `occurrence`.")

    holder, key, bound = found[wanted - 1]
    fill = _Fill(bound)
    filled = [fill.visit(node) for node in new]
    if isinstance(key, int):
        holder[key : key + 1] = filled
    else:
        holder[key] = filled[0]
    # New nodes have no line numbers, which unparsing asks for.
    complete = ast.fix_missing_locations(tree)
    return ast.unparse(complete)


def _snippets(mutant: Mutant) -> tuple[ast.AST, list[ast.AST]]:
    """Pattern and replacement: both expressions where both can be, statements otherwise."""
    old = ast.parse(mutant.old).body
    new = ast.parse(mutant.new).body
    if len(old) != 1:
        raise MutantError("`old` is not one expression or statement.")
    (pattern,) = old
    both = [pattern, *new]
    # A statement that is an expression stands for the expression, wherever it is.
    if len(new) == 1 and all(isinstance(node, ast.Expr) for node in both):
        return pattern.value, [new[0].value]
    return pattern, new


def _definition(tree: ast.AST, qualified_name: str) -> ast.AST:
    """The class or function; the whole tree where no name is given."""
    scope = tree
    for name in filter(None, qualified_name.split(".")):
        named = []
        for node in ast.walk(scope):
            if isinstance(node, DEFINITIONS) and node.name == name and node is not scope:
                named.append(node)
        if not named:
            raise MutantError(f"there is no {qualified_name}.")
        scope = named[0]
    return scope


def _places(node: ast.AST) -> Iterator[Place]:
    """Every node below `node`, in the order of the syntax tree."""
    for name, value in ast.iter_fields(node):
        holder, keys = vars(node), [name]
        if isinstance(value, list):
            holder, keys = value, range(len(value))
        for key in keys:
            if isinstance(holder[key], ast.AST):
                yield holder, key
                yield from _places(holder[key])


def _matches(pattern: object, node: object, bound: Bindings) -> bool:
    """Whether two trees are equal; notes in `bound` what placeholders stand for."""
    if isinstance(pattern, ast.Name) and PLACEHOLDER.fullmatch(pattern.id):
        if not isinstance(node, ast.expr):
            return False
        first = bound.setdefault(pattern.id, node)
        return ast.dump(first) == ast.dump(node)

    # The types too: 1, 1.0 and True are equal in Python and not in a program.
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, ast.AST):
        parts = [getattr(pattern, name) for name in pattern._fields]
        others = [getattr(node, name) for name in pattern._fields]
        return _matches(parts, others, bound)
    if isinstance(pattern, list):
        if len(pattern) != len(node):
            return False
        pairs = zip(pattern, node, strict=True)
        return all(_matches(*pair, bound) for pair in pairs)
    return pattern == node


class _Fill(ast.NodeTransformer):
    """Puts what placeholders stand for into a replacement."""

    def __init__(self, bound: Bindings) -> None:
        self.bound = bound

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """The expression in the place of its placeholder; any other name as it is."""
        name = node.id
        if PLACEHOLDER.fullmatch(name) and name not in self.bound:
            raise MutantError(f"`new` uses {name}, which `old` lacks.")
        found = self.bound.get(name, node)
        # A copy, as a tree must not hold one node twice.
        return copy.deepcopy(found)


def _elsewhere(package: Path, mutant: Mutant) -> str:
    """A hint at other files that define the mutant's function, for code that has moved."""
    if not mutant.function:
        return ""
    others = []
    for path in sorted(package.rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            _definition(tree, mutant.function)
        except (MutantError, SyntaxError):
            continue
        others.append(path.relative_to(package).as_posix())
    moved = [module for module in others if module != mutant.module]
    if not moved:
        return ""
    return f" {mutant.function} is in {', '.join(moved)}."
