"""Declarations read from source are those that an import gives."""

import dataclasses
import enum
import importlib
import subprocess
import sys
import uuid
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from foreign import in_use

from aio_toolkit import declarations, parts
from aio_toolkit.config import Choice
from aio_toolkit.errors import AioError

ROOT = Path(__file__).parents[1]
FOLDERS = [
    "answers",
    "codec",
    "data/mixing",
    "decoding",
    "encoders",
    "frontend",
    "heads",
    "heads/paths",
    "moe/balances",
    "moe/experts",
    "moe/routers",
    "ssl",
]
PARTS = [(folder, kind, "Config") for folder in FOLDERS for kind in parts.kinds(folder)]
PARTS += [("answers", kind, "Fit") for kind in parts.kinds("answers")]
SCHEMAS = [
    "aio_toolkit.analysis.ceiling:Ceiling",
    "aio_toolkit.analysis.extraction:Extraction",
    "aio_toolkit.answers.fit:UnitsFit",
    "aio_toolkit.decoding.run:BatchDecoder",
    "aio_toolkit.training.adapt:Adaptation",
    "aio_toolkit.training.codec:CodecModule",
    "aio_toolkit.training.multitask:MultitaskModule",
    "aio_toolkit.training.pretrain:PretrainModule",
]


def shape(hint: Any) -> Any:
    """A type, where classes that were read from source are equal to the real ones."""
    if dataclasses.is_dataclass(hint):
        return described(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint.__name__, [(member.name, member.value) for member in hint]
    if get_args(hint):
        return str(getattr(hint, "__origin__", "union")), [shape(a) for a in get_args(hint)]
    return hint


def value(content: Any) -> Any:
    """A default, likewise."""
    if isinstance(content, Choice):
        return "choice", content.kind
    if dataclasses.is_dataclass(content):
        return {f.name: value(getattr(content, f.name)) for f in dataclasses.fields(content)}
    if isinstance(content, enum.Enum):
        return type(content).__name__, content.name
    return content


def default_of(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return value(field.default_factory())
    return value(field.default)


def described(schema: type) -> list[tuple]:
    """Name, type, default and metadata of every field."""
    hints = get_type_hints(schema)
    return [
        (f.name, shape(hints[f.name]), default_of(f), dict(f.metadata))
        for f in dataclasses.fields(schema)
    ]


@pytest.mark.parametrize(("folder", "kind", "nested"), PARTS)
def test_the_options_of_a_part_are_the_real_ones_field_by_field(folder, kind, nested):
    declared = declarations.options(parts.locate(folder, kind), nested=nested)
    real = getattr(parts.find_in(folder, kind), nested, None)
    assert described(declared) == ([] if real is None else described(real))


@pytest.mark.parametrize("where", SCHEMAS)
def test_the_schema_of_a_stage_is_the_real_one_field_by_field(where):
    module, _, name = where.partition(":")
    real = getattr(importlib.import_module(module), name).Config
    assert described(declarations.options(module, name)) == described(real)


def test_every_command_s_schema_is_among_them():
    named = set()
    for path in (ROOT / "aio_toolkit" / "bin").glob("*.py"):
        constants = declarations.read(f"aio_toolkit.bin.{path.stem}").constants
        if "SCHEMA" in constants:
            named.add(constants["SCHEMA"].value)
    assert named
    assert named <= set(SCHEMAS)


def test_reading_declarations_imports_nothing_slow():
    """In a process of its own, as this one has imported everything."""
    code = (
        "import sys\n"
        "from aio_toolkit import declarations, parts\n"
        f"for folder in {FOLDERS}:\n"
        "    for kind in parts.kinds(folder):\n"
        "        declarations.options(parts.locate(folder, kind))\n"
        f"for where in {SCHEMAS}:\n"
        "    declarations.options(*where.split(':'))\n"
        "print(sorted({'torch', 'numpy', 'lightning', 'espnet2', 'dac'} & sys.modules.keys()))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


@pytest.fixture
def module(tmp_path):
    """A function that writes a module in a package of its own; its dotted name."""
    package = f"declared_{uuid.uuid4().hex}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    with in_use(path=tmp_path):

        def write(source: str, name: str = "part") -> str:
            source = source.replace("PACKAGE", package)
            (tmp_path / package / f"{name}.py").write_text(source, encoding="utf-8")
            importlib.invalidate_caches()
            return f"{package}.{name}"

        yield write


HEAVY = """
import enum
from dataclasses import dataclass, field

import no_such_module
from no_such_module import Base

raise RuntimeError("this module has been run")
"""


def test_a_module_is_read_without_running_it(module):
    name = module(
        HEAVY + "class Part(Base):\n    @dataclass\n    class Config:\n        size: int = 3\n"
    )
    assert declarations.options(name)().size == 3


def test_constants_of_the_module_may_be_defaults(module):
    source = (
        "SIZE = 2 + 3\n\nclass Part:\n    @dataclass\n    class Config:\n        size: int = SIZE\n"
    )
    assert declarations.options(module(HEAVY + source))().size == 5


def test_options_are_inherited_from_the_nearest_ancestor(module):
    module(
        HEAVY + "class Old(Base):\n    @dataclass\n    class Config:\n        size: int = 3\n",
        "old",
    )
    source = "from PACKAGE.old import Old as Elder\n\nclass Part(Elder):\n    pass\n"
    assert declarations.options(module(HEAVY + source))().size == 3


def test_options_may_extend_those_of_another_class(module):
    module(
        HEAVY + "class Old(Base):\n    @dataclass\n    class Config:\n        size: int = 3\n",
        "old",
    )
    source = (
        "from PACKAGE.old import Old\n\n"
        "class Part(Old):\n"
        "    @dataclass\n"
        "    class Config(Old.Config):\n"
        "        more: str = 'x'\n"
    )
    config = declarations.options(module(HEAVY + source))()
    assert (config.size, config.more) == (3, "x")


def test_an_enumeration_of_the_module_is_a_type_of_its_own(module):
    source = (
        "class Color(enum.StrEnum):\n    red = 'red'\n\n"
        "class Part:\n"
        "    @dataclass\n"
        "    class Config:\n"
        "        color: Color | None = Color.red\n"
    )
    schema = declarations.options(module(HEAVY + source))
    kinds = [t for t in get_args(get_type_hints(schema)["color"]) if t is not NoneType]
    assert [[member.name for member in kind] for kind in kinds] == [["red"]]
    assert schema().color == "red"


def test_a_class_without_options_has_a_schema_without_fields(module):
    assert dataclasses.fields(declarations.options(module(HEAVY + "class Part:\n    pass\n"))) == ()


def test_the_public_class_with_options_is_taken_where_none_is_named(module):
    nested = "    @dataclass\n    class Config:\n        size: int = {size}\n"
    source = "class _Private:\n" + nested.format(size=1)
    source += "class Plain:\n    pass\n\nclass Part:\n" + nested.format(size=2)
    assert declarations.options(module(HEAVY + source))().size == 2


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ModuleNotFoundError):
        declarations.read("aio_toolkit.nowhere")


def test_a_part_is_a_public_class_that_derives_from_the_contract(module):
    base = module("class Contract:\n    pass\n", "base")
    source = "from PACKAGE.base import Contract\n"
    source += "class _Helper(Contract):\n    pass\nclass Other:\n    pass\n"
    assert declarations.part_class(module(source, "none"), base) is None
    source += "class Middle(_Helper):\n    pass\n"
    assert declarations.part_class(module(source, "one"), base) == "Middle"


def test_what_is_no_python_is_named_with_its_line(module):
    with pytest.raises(AioError, match=r"part.py line 2: "):
        declarations.read(module("SIZE = 1\nclass :\n"))


def test_constants_may_be_made_of_others_and_have_types(module):
    source = (
        "HALF: int = 4\nWHOLE = 2 * HALF\n\n"
        "class Part:\n    @dataclass\n    class Config:\n        size: int = WHOLE\n"
    )
    assert declarations.options(module(HEAVY + source))().size == 8


def test_options_that_need_what_must_be_imported_are_refused(module):
    source = (
        "class Part:\n"
        "    @dataclass\n"
        "    class Config:\n"
        "        size: int = field(default_factory=make_size)\n"
    )
    with pytest.raises(AioError, match=r"part.py line \d+: Config needs 'make_size', which"):
        declarations.options(module("from no_such_module import make_size\n" + HEAVY + source))
