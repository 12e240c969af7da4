"""YAML configurations checked against dataclasses."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path

__all__ = ["MISSING", "load_config", "save_config", "to_dict"]


def load_config[T](schema: type[T], path: Path | str | None, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into an instance of the dataclass `schema`.

    Args:
        schema: dataclass that declares every key with its type and default.
        path: the YAML file; None for the defaults alone.
        overrides: `key.sub=value` strings that win over the file.

    Raises:
        AioError: the file is missing or not YAML, a key is unknown (the nearest valid key is named), a value
            has the wrong type, or a mandatory key has no value.
    """
    config = OmegaConf.structured(schema)
    if path is not None:
        config = _merge(config, _read_yaml(Path(path)), str(path))
    for override in overrides:
        if "=" not in override:
            raise AioError(f"override '{override}' has no '='. Write it as key.sub=value.")
        config = _merge(config, OmegaConf.from_dotlist([override]), f"override '{override}'")
    try:
        return OmegaConf.to_object(config)
    except MissingMandatoryValue as error:
        raise AioError(f"{path or 'defaults'}: key '{error.full_key}' has no value and needs one.") from None
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise AioError(f"{path or 'defaults'}: key '{error.full_key}': {reason}.") from None


def save_config(config: Any, path: Path | str) -> None:
    """Write a dataclass instance as YAML, atomically."""
    with atomic_path(path) as temporary:
        OmegaConf.save(OmegaConf.structured(config), temporary)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass instance as plain dicts and lists, for checkpoints."""
    return OmegaConf.to_container(OmegaConf.structured(config))


def _read_yaml(path: Path) -> DictConfig:
    if not path.is_file():
        raise AioError(f"configuration {path} does not exist.")
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # PyYAML raises several unrelated classes
        raise AioError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, DictConfig):
        raise AioError(f"{path} holds a list, not key: value pairs.")
    return loaded


def _merge(config: DictConfig, update: DictConfig, source: str) -> DictConfig:
    try:
        return OmegaConf.merge(config, update)
    except ConfigKeyError as error:
        raise AioError(_unknown_key(config, str(error.full_key), source)) from None
    except OmegaConfBaseException as error:
        section = _section_given_a_value(config, update)
        if section:
            raise AioError(f"{source}: key '{section}' is a section of keys, not a single value.") from None
        reason = str(error).splitlines()[0]
        raise AioError(f"{source}: key '{error.full_key}': {reason}.") from None


def _section_given_a_value(config: DictConfig, update: DictConfig) -> str | None:
    """The first key of `update` that puts a value where `config` has a section: OmegaConf does not say."""
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
    known = [str(k) for k in _node(config, parent)]
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


def _node(config: DictConfig, path: str) -> DictConfig:
    return OmegaConf.select(config, path) if path else config


def _all_keys(config: DictConfig, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key in config:
        full = f"{prefix}{key}"
        keys.append(full)
        if not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            keys += _all_keys(config[key], f"{full}.")
    return keys
