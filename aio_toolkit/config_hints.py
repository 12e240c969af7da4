"""What to tell whoever wrote a wrong key into a configuration."""

import difflib
from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf


def unknown_key(config: DictConfig, key: str) -> str:
    """A sentence that says that `config` has no `key`, and which one was probably meant.

    >>> unknown_key(OmegaConf.create({"optim": {"lr": 1.0}}), "optim.ler")
    "unknown key 'optim.ler'. Did you mean 'optim.lr'?"
    >>> unknown_key(OmegaConf.create({"optim": {"lr": 1.0}}), "lr")
    "unknown key 'lr'. Did you mean 'optim.lr'?"
    """
    parent, _, name = key.rpartition(".")
    section = OmegaConf.select(config, parent) if parent else config
    known = [str(other) for other in section]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    # A stranger's first guess is often a level too high or too low.
    elsewhere = [path for path in _all_keys(config) if _is_above_or_below(path, key)]
    if near:
        meant = f"{parent}.{near[0]}" if parent else near[0]
        hint = f"Did you mean '{meant}'?"
    elif elsewhere:
        hint = f"Did you mean '{elsewhere[0]}'?"
    else:
        hint = f"Known keys here: {', '.join(known)}."
    return f"unknown key '{key}'. {hint}"


def section_given_a_value(config: DictConfig, update: DictConfig) -> str | None:
    """The first key of `update` that puts a value where `config` has a section.

    OmegaConf refuses such an update, and does not say where.

    >>> known = OmegaConf.create({"optim": {"lr": 1.0}})
    >>> section_given_a_value(known, OmegaConf.create({"optim": 3}))
    'optim'
    """
    for key, node in update.items_ex(resolve=False):
        section = OmegaConf.select(config, str(key))
        if not isinstance(section, DictConfig):
            continue
        if not isinstance(node, DictConfig):
            return str(key)
        below = section_given_a_value(section, node)
        if below:
            return f"{key!s}.{below}"
    return None


def _is_above_or_below(path: str, key: str) -> bool:
    """Whether two keys have the same name, and the section of one holds that of the other."""
    *sections, name = path.split(".")
    *other_sections, other_name = key.split(".")
    if name != other_name:
        return False
    depth = min(len(sections), len(other_sections))
    return sections[:depth] == other_sections[:depth]


def _all_keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in config:
        full = f"{prefix}{key!s}"
        yield full
        # Looking at a value that is missing is an error.
        if not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            yield from _all_keys(config[key], f"{full}.")
