"""Schemas some of whose fields hold parts, in the form that OmegaConf understands and back."""

import dataclasses
import enum
import functools
from collections.abc import Iterator
from dataclasses import MISSING as MISSING_DEFAULT
from dataclasses import field, make_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from aio_toolkit import declarations, parts
from aio_toolkit.choice import Choice
from aio_toolkit.errors import AioError

# What `choice.one_of`, `choice.each_of` and `choice.map_of` leave at a field.
ONE_OF, EACH_OF, MAP_OF, NESTED = "one_of", "each_of", "map_of", "nested"


def expanded(schema: type) -> type:
    """The schema with every field of parts replaced by a dataclass that OmegaConf understands.

    The options in it are read from source: parts that are not chosen need not be imported.

    >>> from aio_toolkit.choice import one_of
    >>> @dataclasses.dataclass
    ... class Config:
    ...     encoder: Choice = one_of("encoders", "transformer")
    >>> config = expanded(Config)()
    >>> config.encoder.kind, config.encoder.transformer.num_heads
    ('transformer', 4)
    """
    hints = get_type_hints(schema)
    replaced: list[tuple[str, Any, Any]] = []
    for f in dataclasses.fields(schema):
        inner: Any = hints[f.name]
        factory: Any = None
        if ONE_OF in f.metadata:
            default = f.default_factory().kind  # type: ignore[operator]
            inner = factory = _choice(f.metadata[ONE_OF], default)
        elif EACH_OF in f.metadata:
            sections = _sections(f.metadata[EACH_OF], f.metadata[NESTED])
            inner = factory = make_dataclass("Sections", sections)
        elif MAP_OF in f.metadata:
            choice = _choice(f.metadata[MAP_OF], MISSING)
            inner, factory = dict[str, choice], dict  # type: ignore[valid-type]
        elif dataclasses.is_dataclass(inner):
            inner = expanded(inner)  # type: ignore[arg-type]
            factory = functools.partial(inner, **_own_defaults(f))
        if inner is not hints[f.name]:
            replaced.append((f.name, inner, field(default_factory=factory)))
    # As it is, so that what OmegaConf says of it has its name.
    if not replaced:
        return schema
    return make_dataclass(schema.__name__, replaced, bases=(schema,))


def check_kinds(schema: type, values: DictConfig, source: str, prefix: str = "") -> None:
    """Raise AioError, which `source` opens, where a `kind:` among some values names no part.

    >>> from aio_toolkit.choice import one_of
    >>> @dataclasses.dataclass
    ... class Config:
    ...     encoder: Choice = one_of("encoders", "transformer")
    >>> values = OmegaConf.create({"encoder": {"kind": "conformr"}})
    >>> check_kinds(Config, values, "train.yaml")
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: train.yaml: key 'encoder.kind': encoders: unknown kind ...
    """
    hints = get_type_hints(schema)
    for f, section in _sections_among(schema, values):
        key = f"{prefix}{f.name}"
        if ONE_OF in f.metadata:
            _check_kind(f.metadata[ONE_OF], section, f"{source}: key '{key}.kind'")
        elif MAP_OF in f.metadata:
            for name in map(str, section):
                where = f"{source}: key '{key}.{name}.kind'"
                _check_kind(f.metadata[MAP_OF], section.get(name), where)
        elif dataclasses.is_dataclass(hints[f.name]):
            check_kinds(hints[f.name], section, source, f"{key}.")


def to_instance[T](schema: type[T], values: DictConfig) -> T:
    """Values that were checked as an instance of the real classes; the parts chosen are imported.

    >>> to_instance(Choice, OmegaConf.create({"kind": "conformer", "options": None}))
    Choice(kind='conformer', options=None)
    """
    hints = get_type_hints(schema)
    arguments: dict[str, Any] = {}
    for f in dataclasses.fields(schema):  # type: ignore[arg-type]
        value = values[f.name]
        if ONE_OF in f.metadata:
            arguments[f.name] = _to_choice(f.metadata[ONE_OF], value)
        elif MAP_OF in f.metadata:
            folder = f.metadata[MAP_OF]
            arguments[f.name] = {key: _to_choice(folder, of_key) for key, of_key in value.items()}
        elif EACH_OF in f.metadata:
            folder, nested = f.metadata[EACH_OF], f.metadata[NESTED]
            arguments[f.name] = {
                kind: to_instance(_real_options(folder, kind, nested), section)
                for kind, section in value.items()
            }
        elif dataclasses.is_dataclass(hints[f.name]):
            arguments[f.name] = to_instance(hints[f.name], value)
        else:
            arguments[f.name] = _plain(value, hints[f.name])
    return schema(**arguments)


def _choice(folder: str, default: str) -> type:
    """A section with the name of a part and the options of all."""
    return make_dataclass("Choice", [("kind", str, default), *_sections(folder, "Config")])


def _to_choice(folder: str, value: DictConfig) -> Choice:
    real = _real_options(folder, value.kind, "Config")
    return Choice(value.kind, to_instance(real, value[value.kind]))


def _check_kind(folder: str, section: Any, where: str) -> None:
    # Whatever else is there in place of a section or a name is told of elsewhere.
    kind = _get(section, "kind") if isinstance(section, DictConfig) else None
    if isinstance(kind, str):
        try:
            parts.locate(folder, kind)
        except AioError as error:
            raise AioError(f"{where}: {error}") from None


def _own_defaults(f: dataclasses.Field) -> dict[str, Any]:
    """Values by which the default of a field differs from those of its class, parts left out."""
    if f.default_factory is MISSING_DEFAULT:
        return {}
    default = f.default_factory()
    own = {}
    for inner in dataclasses.fields(default):
        value = getattr(default, inner.name)
        is_plain = not inner.metadata and not dataclasses.is_dataclass(value)
        if is_plain and value != getattr(type(default)(), inner.name):
            own[inner.name] = value
    return own


def _sections(folder: str, nested: str) -> list[tuple[str, type, Any]]:
    """A field of options for each part of a folder."""
    sections = []
    for kind in parts.kinds(folder):
        declared = declarations.options(parts.locate(folder, kind), nested=nested)
        inner = expanded(declared)
        sections.append((kind, inner, field(default_factory=inner)))
    return sections


def _sections_among(
    schema: type, values: DictConfig
) -> Iterator[tuple[dataclasses.Field, DictConfig]]:
    """The fields for which there is a section among the values, and that section."""
    for f in dataclasses.fields(schema):
        section = _get(values, f.name)
        # Whatever else is there in place of a section is told of elsewhere.
        if isinstance(section, DictConfig):
            yield f, section


def _get(values: DictConfig, key: str) -> Any:
    """A value; None where there is none, or a reference, which may not lead anywhere yet."""
    if key not in values or OmegaConf.is_interpolation(values, key):
        return None
    return values.get(key)


def _plain(value: Any, hint: Any) -> Any:
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_object(value)
    if isinstance(value, enum.Enum):
        # The enumeration that was read from source is a twin of the real one.
        candidates = (*get_args(hint), hint)
        real: Any = next(t for t in candidates if isinstance(t, type) and t is not NoneType)
        return real[value.name]
    return value


def _real_options(folder: str, kind: str, nested: str) -> type:
    return getattr(parts.find_in(folder, kind), nested)
