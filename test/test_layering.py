"""The build of the package: floors, mirrored tests, sizes, and words where words are due."""

import ast
import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from aio_toolkit import declarations, parts

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "aio_toolkit"

# Each floor imports from those below it, and folders of one floor not from each other.
FLOORS = [
    {"bin"},
    {"hub"},
    {"analysis"},
    {"training"},
    {"decoding", "scoring"},
    {"models"},
    {"heads"},
    {"answers"},
    {"dump"},
    {"encoders", "frontend", "moe", "ssl"},
    {"codec"},
    {"data"},
    {"."},  # the modules of the package itself
]
# Imports upward, inside functions or for annotations alone, and why.
UPWARD = {
    # Commands answer `--help` at once; what they read is made when they run.
    ("arguments.py", "aio_toolkit.dump.split"),
    # `import aio_toolkit` takes no time, and has everything that a finished model needs.
    ("__init__.py", "aio_toolkit.hub.model"),
    # A task names its kind of answer; the class is looked up by name.
    ("tasks.py", "aio_toolkit.answers.base"),
}
# Modules without a test of their own name, and the test that covers them.
TESTED_IN = {
    "answers/audio_target.py": "answers/test_audio.py",
    "data/decoder.py": "data/test_audio_stream.py",
    "data/layout.py": "data/test_datadir.py",
    "data/sources.py": "dump/test_tokenize.py",
    "data/tables.py": "data/test_datadir.py",
    "data/validate.py": "data/test_datadir.py",
    "encoders/_espnet.py": "encoders/test_conformer.py",
}
LONGEST_FILE, LONGEST_FUNCTION, WIDEST_LINE = 300, 50, 100


@dataclasses.dataclass(frozen=True)
class Module:
    """A file of the package."""

    path: Path

    @property
    def name(self) -> str:
        """`moe/pool.py`"""
        return str(self.path.relative_to(PACKAGE))

    @property
    def folder(self) -> str:
        """The folder of the package that it belongs to; a dot for the package itself."""
        return "." if self.path.parent == PACKAGE else self.path.relative_to(PACKAGE).parts[0]

    @property
    def dotted(self) -> str:
        """`aio_toolkit.moe.pool`"""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)

    @property
    def test(self) -> Path:
        """Where its test is."""
        folder = ROOT / "test" / self.path.parent.relative_to(PACKAGE)
        return folder / f"test_{self.path.stem.removeprefix('_')}.py"

    @property
    def lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()

    def nodes[N: ast.AST](self, *types: type[N]) -> Iterator[N]:
        """All pieces of its syntax of some types."""
        return (node for node in ast.walk(syntax(self.path)) if isinstance(node, types))

    def imports(self) -> Iterator[str]:
        """The modules that it imports, wherever in it."""
        for node in self.nodes(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif node.module == "aio_toolkit":
                yield from (f"aio_toolkit.{alias.name}" for alias in node.names)
            elif node.module:
                yield node.module


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


# --- floors ---


def floor_of(folder: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if folder in floor)


def folder_of(dotted: str) -> str:
    """`moe` of `aio_toolkit.moe.routers.base`; a dot for the package itself."""
    first = dotted.split(".")[1] if "." in dotted else ""
    return first if first and (PACKAGE / first).is_dir() else "."


def test_every_folder_has_a_floor():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set.union(*FLOORS) - {"."}


def test_imports_lead_downward():
    upward = set()
    for module in MODULES:
        for other in module.imports():
            folder = folder_of(other)
            if not other.startswith("aio_toolkit") or folder == module.folder:
                continue
            if floor_of(folder) <= floor_of(module.folder):
                upward.add((module.name, other))
    assert upward == UPWARD


@pytest.mark.parametrize(("name", "other"), sorted(UPWARD))
def test_imports_upward_do_not_run_when_the_module_is_imported(name, other):
    top = syntax(PACKAGE / name).body
    assert other not in [node.module for node in top if isinstance(node, ast.ImportFrom)]


# --- tests ---


def test_every_module_has_a_test_of_its_name():
    """Contracts are tested by their parts, commands by the recipes."""
    untested = [
        module.name
        for module in MODULES
        if module.path.stem not in ("base", "__init__")
        and module.folder != "bin"
        and module.name not in TESTED_IN
        and not module.test.is_file()
    ]
    assert untested == []


def test_the_exceptions_are_tested_where_it_says():
    for name, test in TESTED_IN.items():
        assert (PACKAGE / name).is_file()
        assert not Module(PACKAGE / name).test.is_file(), f"{name} is no exception"
        assert (ROOT / "test" / test).is_file()


# --- sizes ---


def test_no_file_is_too_long():
    assert {m.name: len(m.lines) for m in MODULES if len(m.lines) > LONGEST_FILE} == {}


def test_no_line_is_too_wide():
    wide = [
        f"{module.name}:{number}"
        for module in MODULES
        for number, line in enumerate(module.lines, start=1)
        if len(line) > WIDEST_LINE
    ]
    assert wide == []


def test_no_function_is_too_long():
    long = [
        f"{module.name}:{node.name}"
        for module in MODULES
        for node in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


# --- words ---


def options(module: Module) -> Iterator[tuple[ast.ClassDef, ast.ClassDef]]:
    """The dataclasses of options in a file, with their owners."""
    for owner in module.nodes(ast.ClassDef):
        for node in owner.body:
            if isinstance(node, ast.ClassDef) and node.name in ("Config", "Fit"):
                yield owner, node


def explained(node: ast.ClassDef) -> set[str]:
    """The names under `Attributes:`."""
    _, _, attributes = (ast.get_docstring(node) or "").partition("Attributes:\n")
    entries = attributes.partition("\n\n")[0].splitlines()
    # What goes on from the line before stands further to the right.
    heads = [line for line in entries if not line.startswith("     ")]
    return {line.strip().partition(":")[0] for line in heads}


def declared(node: ast.ClassDef) -> set[str]:
    fields = [field.target for field in node.body if isinstance(field, ast.AnnAssign)]
    return {target.id for target in fields if isinstance(target, ast.Name)}


def test_every_option_is_explained():
    unexplained = []
    for module in MODULES:
        for owner, node in options(module):
            missing = declared(node) - explained(node)
            unexplained += [f"{module.name}: {owner.name}.{name}" for name in sorted(missing)]
    assert unexplained == []


def test_no_option_is_explained_that_is_not_there():
    """It may be inherited, and mean something special here."""
    invented = []
    for module in MODULES:
        for owner, node in options(module):
            schema = declarations.options(module.dotted, owner.name, node.name)
            names = {field.name for field in dataclasses.fields(schema)}
            surplus = explained(node) - names
            invented += [f"{module.name}: {owner.name}.{name}" for name in sorted(surplus)]
    assert invented == []


def members(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes of a module, and of its classes; not those within functions."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.ClassDef):
            yield inner
        if isinstance(inner, ast.ClassDef):
            yield from members(inner)


def test_everything_public_is_documented():
    undocumented = [
        f"{module.name}:{node.lineno} {node.name}"
        for module in MODULES
        for node in members(syntax(module.path))
        if not node.name.startswith("_") and ast.get_docstring(node) is None
    ]
    assert undocumented == []


# --- kinds of answer ---

KINDS = set(parts.kinds("answers"))
FOLDERS_OF_KINDS = ("answers", "heads", "decoding", "scoring")
OF_KINDS = {f"{folder}/{kind}.py" for kind in KINDS for folder in FOLDERS_OF_KINDS}


def kinds_in(node: ast.AST) -> set[str]:
    """Names of kinds in a comparison."""
    strings = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)]
    return KINDS & {string for string in strings if isinstance(string, str)}


def test_no_kind_of_answer_is_asked_for_by_name_outside_its_own_files():
    asked = [
        f"{module.name}:{ast.unparse(node)}"
        for module in MODULES
        for node in module.nodes(ast.Compare, ast.MatchValue)
        if module.name not in OF_KINDS and kinds_in(node)
    ]
    assert asked == []
