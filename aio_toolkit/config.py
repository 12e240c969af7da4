"""YAML configurations checked against dataclasses.

A configuration class is a dataclass nested in what it configures. Kinds of fields let it hold
parts that are found by name (see `aio_toolkit.parts`):

- `one_of("encoders", "transformer")` is a `Choice`: in YAML `kind:` and, beside it, a section of
  options under the name of each kind. Those of kinds that are not chosen are checked too.
- `each_of("decoding")` holds the options of every part of a folder, a section each.
- `map_of("data/mixing")` holds choices under names that the user gives.

A number that `ranges.bounded(4, least=1)` declares has a range.
"""

import dataclasses
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from aio_toolkit import declarations, parts
from aio_toolkit.choice import Choice, each_of, map_of, one_of
from aio_toolkit.config_hints import section_given_a_value, unknown_key
from aio_toolkit.config_parts import check_kinds, expanded, to_instance
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path
from aio_toolkit.ranges import clashes, out_of_range

__all__ = [
    "MISSING",
    "Choice",
    "check_config",
    "each_of",
    "map_of",
    "from_values",
    "load_config",
    "one_of",
    "read_yaml",
    "save_config",
    "to_dict",
]

# YAML's own mark of a document's end: a file without it was cut off.
END = "...\n"


def load_config[T](schema: type[T], path: Path | str | None, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into an instance of the dataclass `schema`.

    A key `base: other.yaml` names a file, relative to this one, whose values hold where this file
    says nothing. A key `parts: [package]` adds packages that parts are looked for in.

    Args:
        schema: dataclass that declares every key with its type and default.
        path: the YAML file; None for the defaults alone.
        overrides: `key.sub=value` strings that win over the file.

    Raises:
        AioError: the file is missing or not YAML, a key or a kind is unknown (the nearest valid one
            is named), a value has the wrong type or is out of its range, or a mandatory key has no
            value.

    >>> load_config(Choice, None, ["kind=conformer"])
    Choice(kind='conformer', options=None)
    >>> load_config(Choice, None, ["kin=conformer"])
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: override 'kin=conformer': unknown key 'kin'. Did you mean ...
    """
    return to_instance(schema, _checked(schema, path, overrides))


def check_config(
    where: str, path: Path | str | None, overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Raise what `load_config` would raise, without importing the module that declares the schema.

    Returns:
        The values as plain dicts and lists.

    Args:
        where: `package.module:Class`, whose nested dataclass `Config` is the schema.
        path: the YAML file; None for the defaults alone.
        overrides: `key.sub=value` strings that win over the file.

    >>> checked = check_config("aio_toolkit.decoding.run:BatchDecoder", None, ["batch_seconds=20"])
    >>> checked["batch_seconds"]
    20.0
    """
    module, _, name = where.partition(":")
    checked = _checked(declarations.options(module, name), path, overrides)
    return cast(dict[str, Any], OmegaConf.to_container(checked, resolve=True))


def from_values[T](schema: type[T], values: Any, where: str) -> T:
    """An instance of `schema` from plain values or a section of YAML; `where` opens error messages.

    Values that `to_dict` made come back as they were.

    >>> from_values(Choice, {"kind": "conformer"}, "a checkpoint").kind
    'conformer'
    """
    if not isinstance(values, dict | DictConfig):
        raise AioError(f"{where}: is a section of keys, not a single value.")
    empty = OmegaConf.structured(expanded(schema))
    config = _merge(schema, empty, OmegaConf.create(values), where)
    _check_complete(schema, config, where)
    return to_instance(schema, config)


def save_config(config: Any, path: Path | str) -> None:
    """Write a dataclass instance as YAML, atomically.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_config(Choice("conformer"), Path(folder, "config.yaml"))
    ...     load_config(Choice, Path(folder, "config.yaml")).kind
    'conformer'
    """
    text = OmegaConf.to_yaml(OmegaConf.create(to_dict(config)))
    with atomic_path(path) as temporary:
        temporary.write_text(text + END, encoding="utf-8")


def to_dict(config: Any) -> Any:
    """A dataclass instance as plain dicts and lists, in the layout of the YAML, for checkpoints.

    >>> to_dict({"encoder": Choice("conformer")})
    {'encoder': {'kind': 'conformer'}}
    """
    if isinstance(config, Choice):
        section = {"kind": config.kind}
        # Without options the part has its defaults, whatever they are by then.
        if config.options is not None:
            section[config.kind] = to_dict(config.options)
        return section
    if dataclasses.is_dataclass(config):
        names = [field.name for field in dataclasses.fields(config)]
        return {name: to_dict(getattr(config, name)) for name in names}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_dict(value) for value in config]
    if isinstance(config, enum.Enum):
        return config.name
    return config


def read_yaml(path: Path) -> DictConfig:
    """The values of a YAML file over those of its `base:`, which may have a base of its own.

    Raises:
        AioError: a file is missing, not YAML, or its own base.

    >>> sorted(read_yaml(Path("egs/mini_aio/conf/train_aio_dense.yaml")))[:3]
    ['data', 'model', 'optim']
    """
    return _read_with_base(path, ())


def _read_with_base(path: Path, seen: tuple[Path, ...]) -> DictConfig:
    # Resolved: by a relative path or a link a file would be another one each time.
    real = path.resolve()
    chain = (*seen, real)
    if real in seen:
        circle = " -> ".join(map(str, chain))
        raise AioError(f"base: {circle} is a circle. Remove one of the links.")
    if not path.is_file():
        named = f" (the base of {seen[-1]})" if seen else ""
        raise AioError(f"configuration {path}{named} does not exist.")
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # PyYAML raises several unrelated classes
        reason = " ".join(str(error).split())
        raise AioError(f"{path} is not valid YAML: {reason}") from None
    if not isinstance(loaded, DictConfig):
        raise AioError(f"{path} holds a list, not key: value pairs.")

    base = loaded.pop("base", None)
    if base is None:
        return loaded
    below = _read_with_base(path.parent / str(base), chain)
    return cast(DictConfig, OmegaConf.merge(below, loaded))


def _checked(schema: type, path: Path | str | None, overrides: Sequence[str]) -> DictConfig:
    """The values of file and overrides, all of which the schema knows."""
    source = str(path or "defaults")
    values = OmegaConf.create({}) if path is None else read_yaml(Path(path))
    # First of all: the schema itself depends on the parts that there are.
    parts.use(values.pop("parts", None) or ())

    config = OmegaConf.structured(expanded(schema))
    config = _merge(schema, config, values, source)
    for override in overrides:
        if "=" not in override:
            raise AioError(f"override '{override}' has no '='. Write it as key.sub=value.")
        update = OmegaConf.from_dotlist([override])
        config = _merge(schema, config, update, f"override '{override}'")
    _check_complete(schema, config, source)
    return config


def _merge(schema: type, config: DictConfig, update: DictConfig, source: str) -> DictConfig:
    """`config` with the values of `update`; AioError, which `source` opens, where they are
    wrong."""
    # Before unknown keys: with an unknown kind goes a section of that name.
    check_kinds(schema, update, source)
    try:
        merged = cast(DictConfig, OmegaConf.merge(config, update))
    except ConfigKeyError as error:
        raise AioError(f"{source}: {unknown_key(config, str(error.full_key))}") from None
    except OmegaConfBaseException as error:
        section = section_given_a_value(config, update)
        if section:
            reason = f"key '{section}' is a section of keys, not a single value."
            raise AioError(f"{source}: {reason}") from None
        raise AioError(_wrong_value(error, source)) from None
    _check_ranges(merged, source)
    return merged


def _check_ranges(config: DictConfig, source: str) -> None:
    for problem in out_of_range(config):
        raise AioError(f"{source}: {problem}.")


def _check_complete(schema: type, config: DictConfig, source: str) -> None:
    """Every key has a value of its type, and references to other keys lead somewhere."""
    # Merging has not looked at what nobody has overridden.
    try:
        OmegaConf.to_object(config)
    except MissingMandatoryValue as error:
        key = error.full_key
        raise AioError(f"{source}: key '{key}' has no value and needs one.") from None
    except OmegaConfBaseException as error:
        raise AioError(_wrong_value(error, source)) from None
    # Again: a value may have been a reference, which is resolved only now.
    OmegaConf.resolve(config)
    check_kinds(schema, config, source)
    _check_ranges(config, source)
    # Not before: of two that go together, one may come by an override of its own.
    for problem in clashes(config):
        raise AioError(f"{source}: {problem}.")


def _wrong_value(error: OmegaConfBaseException, source: str) -> str:
    reason = str(error).splitlines()[0]
    return f"{source}: key '{error.full_key}': {reason}."
