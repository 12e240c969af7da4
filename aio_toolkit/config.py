"""YAML configurations checked against dataclasses.

A configuration class is a dataclass nested in what it configures. Two kinds of fields let it hold
parts that are found by name (see `aio_toolkit.parts`):

- `one_of("encoders", "transformer")` is a `Choice`: in YAML `kind:` and, beside it, a section of
  options under the name of each kind. Those of kinds that are not chosen are checked too.
- `each_of("decoding")` holds the options of every part of a folder, a section each.
"""

import dataclasses
import difflib
import enum
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

__all__ = [
    "MISSING",
    "Choice",
    "check_config",
    "each_of",
    "from_values",
    "load_config",
    "one_of",
    "read_yaml",
    "save_config",
    "to_dict",
]


@dataclass
class Choice:
    """A part by its name.

    Attributes:
        kind: its name.
        options: an instance of its `Config`; None stands for its defaults.
    """

    kind: str
    options: Any = None


def one_of(folder: str, default: str) -> Any:
    """A field that holds the choice of one part of a folder."""
    return field(default_factory=functools.partial(Choice, default), metadata={"one_of": folder})


def each_of(folder: str, nested: str = "Config") -> Any:
    """A field that holds the options of every part of a folder, by the part's name."""
    return field(default_factory=dict, metadata={"each_of": folder, "nested": nested})


def load_config[T](schema: type[T], path: Path | str | None, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into an instance of the dataclass `schema`.

    A key `base: other.yaml` names a file, relative to this one, whose values hold where this file
    says nothing. A key `parts: [package]` adds packages that parts are looked for in.

    Args:
        schema: dataclass that declares every key with its type and default.
        path: the YAML file; None for the defaults alone.
        overrides: `key.sub=value` strings that win over the file.

    Raises:
        AioError: the file is missing or not YAML, a key is unknown (the nearest valid key is
            named), a value has the wrong type, or a mandatory key has no value.
    """
    return _to_instance(schema, _checked(schema, path, overrides))


def check_config(where: str, path: Path | str | None, overrides: Sequence[str] = ()) -> None:
    """Raise what `load_config` would raise, without importing the module that declares the schema.

    Args:
        where: `package.module:Class`, whose nested dataclass `Config` is the schema.
        path: the YAML file; None for the defaults alone.
        overrides: `key.sub=value` strings that win over the file.
    """
    from aio_toolkit import declarations

    module, _, name = where.partition(":")
    _checked(declarations.options(module, name), path, overrides)


def from_values[T](schema: type[T], values: Any, where: str) -> T:
    """An instance of `schema` from plain values or a section of YAML; `where` opens error messages.

    Values that `to_dict` made come back as they were.
    """
    if not isinstance(values, dict | DictConfig):
        raise AioError(f"{where}: is a section of keys, not a single value.")
    merged = _merged(schema, OmegaConf.create(values), where)
    return _to_instance(schema, _complete(schema, merged, where))


def save_config(config: Any, path: Path | str) -> None:
    """Write a dataclass instance as YAML, atomically."""
    with atomic_path(path) as temporary:
        OmegaConf.save(OmegaConf.create(to_dict(config)), temporary)


def to_dict(config: Any) -> Any:
    """A dataclass instance as plain dicts and lists, in the layout of the YAML, for checkpoints."""
    if isinstance(config, Choice):
        section = {} if config.options is None else {config.kind: to_dict(config.options)}
        return {"kind": config.kind, **section}
    if dataclasses.is_dataclass(config):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_dict(value) for value in config]
    return config.name if isinstance(config, enum.Enum) else config


def read_yaml(path: Path) -> DictConfig:
    """The values of a YAML file over those of its `base:`, which may have a base of its own.

    Raises:
        AioError: a file is missing, not YAML, or its own base.
    """
    return _read_with_base(path, ())


def _read_with_base(path: Path, seen: tuple[Path, ...]) -> DictConfig:
    chain = (*seen, path.resolve())
    if path.resolve() in seen:
        raise AioError(
            f"base: {' -> '.join(map(str, chain))} is a circle. Remove one of the links."
        )
    if not path.is_file():
        named = f" (the base of {seen[-1]})" if seen else ""
        raise AioError(f"configuration {path}{named} does not exist.")
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # PyYAML raises several unrelated classes
        raise AioError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if isinstance(loaded, ListConfig):
        raise AioError(f"{path} holds a list, not key: value pairs.")
    base = loaded.pop("base", None)
    if base is None:
        return loaded
    return OmegaConf.merge(_read_with_base(path.parent / str(base), chain), loaded)


def _checked(schema: type, path: Path | str | None, overrides: Sequence[str]) -> DictConfig:
    """The values of file and overrides, all of which the schema knows."""
    from aio_toolkit import parts

    values = OmegaConf.create({}) if path is None else read_yaml(Path(path))
    parts.use(values.pop("parts", None) or ())
    config = _merged(schema, values, str(path))
    for override in overrides:
        if "=" not in override:
            raise AioError(f"override '{override}' has no '='. Write it as key.sub=value.")
        config = _merge(config, OmegaConf.from_dotlist([override]), f"override '{override}'")
    return _complete(schema, config, str(path or "defaults"))


def _complete(schema: type, config: DictConfig, where: str) -> DictConfig:
    """The configuration, with every value there, every dataclass content with its own, every part
    known."""
    _check_kinds(schema, config, where)
    try:
        OmegaConf.to_object(config)
    except MissingMandatoryValue as error:
        key = error.full_key
        raise AioError(f"{where}: key '{key}' has no value and needs one.") from None
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise AioError(f"{where}: key '{error.full_key}': {reason}.") from None
    return config


def _check_kinds(schema: type, config: DictConfig, where: str, prefix: str = "") -> None:
    """Raise AioError where a `kind:` names no part."""
    from aio_toolkit import parts

    hints = get_type_hints(schema)
    for f in dataclasses.fields(schema):
        key = f"{prefix}{f.name}"
        if "one_of" in f.metadata:
            try:
                parts.locate(f.metadata["one_of"], config[f.name].kind)
            except AioError as error:
                raise AioError(f"{where}: key '{key}.kind': {error}") from None
        elif dataclasses.is_dataclass(hints[f.name]):
            _check_kinds(hints[f.name], config[f.name], where, f"{key}.")  # type: ignore[arg-type]


def _merged(schema: type, values: DictConfig, source: str) -> DictConfig:
    return _merge(OmegaConf.structured(_expanded(schema)), values, source)


def _merge(config: DictConfig, update: DictConfig, source: str) -> DictConfig:
    try:
        return OmegaConf.merge(config, update)
    except ConfigKeyError as error:
        raise AioError(_unknown_key(config, str(error.full_key), source)) from None
    except OmegaConfBaseException as error:
        section = _section_given_a_value(config, update)
        if section:
            reason = f"key '{section}' is a section of keys, not a single value."
            raise AioError(f"{source}: {reason}") from None
        reason = str(error).splitlines()[0]
        raise AioError(f"{source}: key '{error.full_key}': {reason}.") from None


def _expanded(schema: type) -> type:
    """The schema with every field of parts replaced by a dataclass that OmegaConf understands."""
    hints = get_type_hints(schema)
    replaced: list[tuple[str, Any, Any]] = []
    for f in dataclasses.fields(schema):
        if "one_of" in f.metadata:
            default = f.default_factory().kind  # type: ignore[misc]
            inner = make_dataclass("Choice", [("kind", str, default), *_sections(f)])
        elif "each_of" in f.metadata:
            inner = make_dataclass("Sections", _sections(f))
        elif dataclasses.is_dataclass(hints[f.name]):
            inner = _expanded(hints[f.name])
            if inner is hints[f.name]:
                continue
        else:
            continue
        replaced.append((f.name, inner, field(default_factory=inner)))
    if not replaced:
        return schema
    return make_dataclass(schema.__name__, replaced, bases=(schema,))


def _sections(f: dataclasses.Field) -> list[tuple[str, type, Any]]:
    """A field of options for each part of the folder that `f` is about."""
    from aio_toolkit import declarations, parts

    folder = f.metadata.get("one_of") or f.metadata["each_of"]
    nested = f.metadata.get("nested", "Config")
    sections = []
    for kind in parts.kinds(folder):
        declared = declarations.options(parts.locate(folder, kind), nested=nested)
        inner = _expanded(declared)
        sections.append((kind, inner, field(default_factory=inner)))
    return sections


def _to_instance[T](schema: type[T], values: DictConfig) -> T:
    """Checked values as an instance of the real classes, imported only where they are chosen."""
    hints = get_type_hints(schema)
    arguments = {}
    for f in dataclasses.fields(schema):  # type: ignore[arg-type]
        value = values[f.name]
        if "one_of" in f.metadata:
            section = value[value.kind]
            real = _real_options(f.metadata["one_of"], value.kind, "Config")
            arguments[f.name] = Choice(value.kind, _to_instance(real, section))
        elif "each_of" in f.metadata:
            folder, nested = f.metadata["each_of"], f.metadata["nested"]
            arguments[f.name] = {
                kind: _to_instance(_real_options(folder, kind, nested), section)
                for kind, section in value.items()
            }
        elif dataclasses.is_dataclass(hints[f.name]):
            arguments[f.name] = _to_instance(hints[f.name], value)
        else:
            arguments[f.name] = _plain(value, hints[f.name])
    return schema(**arguments)


def _plain(value: Any, hint: Any) -> Any:
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_object(value)
    if isinstance(value, enum.Enum):
        # The enumeration that was read from source is a twin of the real one.
        real = next(t for t in (*get_args(hint), hint) if isinstance(t, type) and t is not NoneType)
        return real[value.name]
    return value


def _real_options(folder: str, kind: str, nested: str) -> type:
    from aio_toolkit import parts

    return getattr(parts.find_in(folder, kind), nested)


def _section_given_a_value(config: DictConfig, update: DictConfig) -> str | None:
    """The first key of `update` that puts a value where `config` has a section: OmegaConf does not
    say."""
    for key, node in update.items_ex(resolve=False):
        section = OmegaConf.select(config, str(key))
        if isinstance(section, DictConfig):
            if not isinstance(node, DictConfig):
                return str(key)
            below = _section_given_a_value(section, node)
            if below:
                return f"{key}.{below}"
    return None


def _unknown_key(config: DictConfig, key: str, source: str) -> str:
    parent, _, name = key.rpartition(".")
    known = [str(k) for k in (OmegaConf.select(config, parent) if parent else config)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    # The right name may sit in another section; a stranger's first guess is often one level off.
    elsewhere = [path for path in _all_keys(config) if path.rpartition(".")[2] == name]
    if near:
        hint = f"Did you mean '{'.'.join(filter(None, [parent, near[0]]))}'?"
    elif elsewhere:
        hint = f"Did you mean '{elsewhere[0]}'?"
    else:
        hint = f"Known keys here: {', '.join(known)}."
    return f"{source}: unknown key '{key}'. {hint}"


def _all_keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in config:
        full = f"{prefix}{key}"
        yield full
        if not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            yield from _all_keys(config[key], f"{full}.")
