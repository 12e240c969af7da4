"""What `same_numbers.py` calls things in each checkout, and every command line that it runs.

Everything here is said in the words of commit e2673a6. A checkout of another age has a dialect: the
tables translate to it, an entry a line, so that one matrix of runs fits all checkouts.
"""

import itertools
import re
from collections.abc import Iterable

REFERENCE, NOW = DIALECTS = ("e2673a6", "now")

# In each table: the name in e2673a6, the name now.
# Modules of `aio_toolkit.bin`.
COMMANDS = {
    "tokenize": "tokenize",
    "train_tokenizer": "train_tokenizer",
    "train_codec": "train_codec",
    "train_ssl": "train_ssl",
    "train_aio": "train_aio",
    "extract": "extract",
    "ceiling": "ceiling",
    "probe": "probe",
    "routing": "routing",
}
# Options; "command --option" holds for that command alone. "" leaves the option and its value out.
OPTIONS = {
    "--codec": "--codec",
    "--data": "--data",
    "--dump": "--dump",
    "--token": "--token",
    "--ssl": "--ssl",
    "extract --task": "--task",
    "probe --most": "--most",
}
# Keys of YAML files, sections of keys, or whole "key=value" pairs; the longest that fits counts.
# Several names, separated by spaces, all get the value. "" leaves the key out.
KEYS = {
    "model.encoder": "model.encoder",
    "model.encoder.hidden": "model.encoder.hidden",
    "model.objective": "model.objective",
    "model.backbone": "model.backbone",
    "model.backbone.hidden": "model.backbone.hidden",
    "model.backbone.moe": "model.backbone.moe",
    "model.backbone.moe.expert_hidden": "model.backbone.moe.expert_hidden",
    "model.text_head": "model.text_head",
    "model.codes_head": "model.codes_head",
    "adapt": "adapt",
}
# Patterns of the files that are collected, in the folder that a step writes. "" collects none.
FILES = {
    "model.pt": "model.pt",
    "*/model.pt": "*/model.pt",
    "*/feats.scp": "*/feats.scp",
    "*/codes_*.scp": "*/codes_*.scp",
    "*/*/*.scp": "*/*/*.scp",
    "*/text": "*/text",
}
# Tensors, arrays, figures and lines, as `file:name`: a regular expression and what replaces it. The
# first that fits counts. None: there is no such item any more, or its numbers may change.
ITEMS: dict[str, str | None] = {
    r"^(.*model\.pt:)state\.text_head\.": r"\1state.text_head.",
    r"^(.*model\.pt:)state\.codes_head\.": r"\1state.codes_head.",
}


def rename(table: dict[str, str], name: str, dialect: str) -> str:
    """The name in a dialect of what e2673a6 calls `name`."""
    return name if dialect == REFERENCE else table.get(name, name)


def rename_setting(setting: str, dialect: str) -> list[str]:
    """The `key=value` pairs of a dialect that stand for one of e2673a6."""
    fitting = [key for key in KEYS if re.match(rf"{re.escape(key)}([.=]|$)", setting)]
    if dialect == REFERENCE or not fitting:
        return [setting]
    longest = max(fitting, key=len)
    rest = setting.removeprefix(longest)
    return [name + rest for name in KEYS[longest].split()]


def rename_item(item: str, dialect: str) -> tuple[str | None, str | None]:
    """An item's present name, None where it has none, and the pattern in `ITEMS` that fits."""
    if dialect != REFERENCE:
        return item, None
    for pattern, replacement in ITEMS.items():
        if re.search(pattern, item):
            name = None if replacement is None else re.sub(pattern, replacement, item)
            return name, pattern
    return item, None


class CommandLines:
    """Every command line in the dialect of a checkout; paths are relative to the working folder."""

    def __init__(self, dialect: str):
        self.dialect = dialect

    def tokenize(self, split: str, out: str, **options: str) -> list[str]:
        """Stage 2: codes and features of a split."""
        return self._line("tokenize", codec="codec", data=f"data/{split}", out=out, **options)

    def train_tokenizer(self, out: str) -> list[str]:
        """Stage 2: text units."""
        return self._line("train_tokenizer", data="data/train", out=out, vocab_size="40")

    def train_codec(self, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 2: a codec."""
        options = {"config": "empty.yaml", "data": "data/train", "dev": "data/dev", "out": out}
        return self._line("train_codec", *settings, **options)

    def train_ssl(self, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 3."""
        options = {"config": "empty.yaml", "data": "data", "dump": "dump", "out": out}
        return self._line("train_ssl", *settings, **options)

    def train_aio(self, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 4."""
        folders = {"data": "data", "dump": "dump", "token": "dump/token", "ssl": "ssl/best_rq"}
        options = {"config": "empty.yaml", **folders, "codec": "codec", "out": out}
        return self._line("train_aio", *settings, **options)

    def adapt(self, model: str, task: str, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 4: one more task for a trained model."""
        return self.train_aio(out, (*settings, f"adapt={model}", f"data.seconds={{{task}: 1}}"))

    def extract(self, model: str, tasks: Iterable[str], out: str) -> list[str]:
        """Sub-networks of some tasks."""
        options = {"model": model, "data": "data/dev", "dump": "dump/dev", "out": out}
        return self._line("extract", **options, task=tasks)

    def decode(self, model: str, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 5."""
        options = {"model": model, "codec": "codec", "data": "data/test", "dump": "dump/test"}
        return self._line("decode", *settings, **options, out=out)

    def score(self, decode: str, tasks: Iterable[str]) -> list[str]:
        """Stage 6."""
        return self._line("score", data="data/test", decode=decode, tasks=tasks)

    def ceiling(self, out: str) -> list[str]:
        """What the codec allows."""
        return self._line("ceiling", codec="codec", data="data/dev", out=out)

    def probe(self, ssl: str, out: str) -> list[str]:
        """What an encoder knows."""
        return self._line("probe", ssl=ssl, data="data", dump="dump", most="4", steps="5", out=out)

    def routing(self, model: str, out: str) -> list[str]:
        """Which experts serve which task."""
        return self._line("routing", model=model, data="data/test", dump="dump/test", out=out)

    def _line(self, command: str, *settings: str, **options: str | Iterable[str]) -> list[str]:
        line = [rename(COMMANDS, command, self.dialect)]
        for name, value in options.items():
            values = [value] if isinstance(value, str) else value
            line += self._option(command, f"--{name}", values)
        if settings:
            renamed = [rename_setting(setting, self.dialect) for setting in settings]
            line += self._option(command, "--set", itertools.chain(*renamed))
        return line

    def _option(self, command: str, option: str, values: Iterable[str]) -> list[str]:
        special = f"{command} {option}"
        name = rename(OPTIONS, special if special in OPTIONS else option, self.dialect)
        return [name.removeprefix(f"{command} "), *values] if name else []
