"""The list of a comparison: which systems, which seeds, on which split."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aio_toolkit import parts
from aio_toolkit.config import check_config, load_config
from aio_toolkit.errors import AioError

# Options of run.sh that a list has a say in by other words, or that would lead runs astray.
RESERVED = ("stage", "stop_stage", "seed", "tag", "test_sets", "adapt_config", "compare", "keep")
# Of those the ones that are empty unless somebody gives them.
UNSAID = ("seed", "tag", "adapt_config", "keep")
# Options that change no result.
INDIFFERENT = ("ngpu", "nj", "pipes", "python", "local_data_opts", "pack_args")
# Options that hold key=value pairs: a system's come after those of all.
PAIRS = "_args"
# What checks the configuration of `--<name>_config` and `--<name>_args`.
SCHEMAS = {
    "ssl": "aio_toolkit.training.pretrain:PretrainModule",
    "train": "aio_toolkit.training.multitask:MultitaskModule",
    "decode": "aio_toolkit.decoding.run:BatchDecoder",
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class PlannedRun:
    """A system that is trained with a seed, decoded and scored.

    Attributes:
        system: its name.
        seed: of stage 4.
        split: what is decoded and scored.
        options: of run.sh, all of them except those that `arguments` adds.

    >>> run = PlannedRun("dense", 1, "dev", {"nj": "2", "train_config": "conf/dense.yaml"})
    >>> str(run.folder(Path("results/compare")))
    'results/compare/dense/1'
    >>> run.told
    {'train_config': 'conf/dense.yaml', 'split': 'dev'}
    >>> run.arguments(keep=Path("kept"))[:8]
    ['--stage', '3', '--stop_stage', '6', '--seed', '1', '--test_sets', 'dev']
    """

    system: str
    seed: int
    split: str
    options: Mapping[str, str]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.system}, seed {self.seed}"

    def folder(self, results: Path) -> Path:
        """Where its results are kept, below those of the list."""
        return results / self.system / str(self.seed)

    @property
    def told(self) -> dict[str, str]:
        """What may tell it from a run of the same name."""
        told = {name: text for name, text in self.options.items() if name not in INDIFFERENT}
        return {**told, "split": self.split}

    def arguments(self, keep: Path) -> list[str]:
        """Arguments of run.sh; stage 3 is finished at once where the encoder is that of others."""
        own = {"stage": "3", "stop_stage": "6", "seed": str(self.seed), "test_sets": self.split}
        words = []
        for name, text in {**own, **self.options, "keep": str(keep)}.items():
            words += [f"--{name}", text]
        return words


class ComparisonList:
    """Systems and seeds, with everything that run.sh is to be told for each.

    >>> systems = {"demo": {}, "slow": {"train_args": "optim.lr=1e-4"}}
    >>> config = ComparisonList.Config(systems=systems)
    >>> given = {"train_args": "trainer.max_steps=9", "tag": ""}
    >>> plan = ComparisonList(config, given, "compare.yaml")
    >>> [(run.system, run.seed) for run in plan.runs][:3]
    [('demo', 0), ('slow', 0), ('demo', 1)]
    >>> plan.runs[1].options
    {'train_args': 'trainer.max_steps=9 optim.lr=1e-4'}
    """

    @dataclass
    class Config:
        """A list of systems.

        Attributes:
            split: what systems are compared on; `test` only for a final claim.
            seeds: of stage 4. Two can reject an idea, three can claim it.
            options: options of run.sh that all systems share, without dashes.
            systems: options of run.sh of each system, by its name. The first is the one that the
                others are compared with.
        """

        split: str = "dev"
        seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
        options: dict[str, Any] = field(default_factory=dict)
        systems: dict[str, Any] = field(default_factory=dict)

    def __init__(self, config: Config, given: Mapping[str, str], where: str):
        """Check a list.

        Args:
            config: the list.
            given: all options that run.sh has, with the values that hold where the list is silent.
            where: opens error messages.

        Raises:
            AioError: there is no system or no seed, one is there twice, or an option is unknown or
                not the list's to give.
        """
        self.split = config.split
        self.where = where
        _check_given(given)
        self._check_seeds(config.seeds)
        if not config.systems:
            raise AioError(f"{where}: key 'systems' names none. Write a line for each: demo: {{}}")
        known = {name: text for name, text in given.items() if name not in RESERVED}
        shared = _joined(known, self._texts(config.options, "options", known))
        self.systems: dict[str, dict[str, str]] = {}
        for system, options in config.systems.items():
            if not NAME.fullmatch(system):
                problem = f"system '{system}' is to name a folder"
                raise AioError(f"{where}: {problem}. Use letters, digits, '.', '_' and '-'.")
            # An empty section of YAML is nothing.
            own = self._texts(options or {}, f"systems.{system}", known)
            self.systems[system] = _joined(shared, own)
        # Seed by seed, so that an early look compares all systems.
        self.runs = [
            PlannedRun(system, seed, self.split, options)
            for seed in config.seeds
            for system, options in self.systems.items()
        ]

    def check_configs(self) -> None:
        """Check the configurations of all systems, before anything is trained or torch is loaded.

        Raises:
            AioError: one is wrong; the system is named.
        """
        checked = set()
        for system, options in self.systems.items():
            try:
                parts.use(options["parts"].split())
                for name, schema in SCHEMAS.items():
                    what = schema, options[f"{name}_config"], options[f"{name}{PAIRS}"]
                    if what not in checked:
                        check_config(*what[:2], what[2].split())
                    checked.add(what)
            except AioError as error:
                raise AioError(f"{self.where}: system '{system}': {error}") from None

    def _check_seeds(self, seeds: list[int]) -> None:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            remedy = "Write different numbers from 0 on: [0, 1, 2]."
            raise AioError(f"{self.where}: key 'seeds' is {list(seeds)}. {remedy}")

    def _texts(self, section: Any, key: str, known: Mapping[str, str]) -> dict[str, str]:
        """The options of a section as a shell has them."""
        if not isinstance(section, dict):
            example = "{train_args: optim.lr=1.0e-3}"
            problem = f"key '{key}' is a section of options of run.sh"
            raise AioError(f"{self.where}: {problem}, such as {example}.")
        texts = {}
        for name, value in section.items():
            if name in RESERVED:
                remedy = "Remove it: the list has keys of its own for seeds and split."
                raise AioError(f"{self.where}: '{key}.{name}' is not the list's to give. {remedy}")
            if name not in known:
                (near,) = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
                problem = f"'{key}.{name}': run.sh has no option --{name}"
                raise AioError(f"{self.where}: {problem}. Did you mean {near}?")
            texts[name] = _text(value)
        return texts


def read_list(path: Path, words: Sequence[str]) -> ComparisonList:
    """Read a list, and check it and the configurations that it names.

    Args:
        path: its YAML file.
        words: all options of run.sh with their values: `--nj`, `2`, ...

    Raises:
        AioError: something is wrong in it.
    """
    names = [word.removeprefix("--") for word in words[::2]]
    given = dict(zip(names, words[1::2], strict=True))
    plan = ComparisonList(load_config(ComparisonList.Config, path), given, str(path))
    plan.check_configs()
    return plan


def _check_given(given: Mapping[str, str]) -> None:
    for name in UNSAID:
        if given.get(name):
            remedy = "The list says what is trained; call run.sh without it."
            raise AioError(f"--compare and --{name} do not go together. {remedy}")


def _text(value: Any) -> str:
    """A value of YAML as a word, or several, of a shell."""
    if isinstance(value, list):
        return " ".join(map(_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _joined(below: Mapping[str, str], above: Mapping[str, str]) -> dict[str, str]:
    """The options of both; those above win, after the pairs of those below."""
    joined = dict(below)
    for name, text in above.items():
        joined[name] = f"{below[name]} {text}".strip() if name.endswith(PAIRS) else text
    return joined
