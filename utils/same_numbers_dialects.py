"""What `same_numbers.py` calls things in each checkout, and every command line that it runs.

Everything here is said in the words of commit e2673a6. A checkout of another age has a dialect: the
tables translate to it, an entry a line, so that one matrix of runs fits all checkouts.
"""

import contextlib
import importlib.util
import itertools
import re
from collections.abc import Iterable, Iterator

REFERENCE, NOW = DIALECTS = ("e2673a6", "now")

# In each table: the name in e2673a6, the name now.
# Modules of `aio_toolkit.bin`.
COMMANDS = {
    "tokenize": "encode_data",
    "train_tokenizer": "fit_units",
}
# Options; "command --option" holds for that command alone. "" leaves the option and its value out.
OPTIONS = {
    "--token": "--units",
    "train_aio --codec": "",
    "decode --codec": "",
    "probe --most": "--max_utts",
    "train_tokenizer --vocab_size": "",
}
# Keys of YAML files, sections of keys, or whole "key=value" pairs; the longest that fits counts.
# Several names, separated by spaces, all get the value. "" leaves the key out.
_ENCODERS = ("transformer", "conformer", "e_branchformer")
_ROUTERS = ("per_task", "shared", "task_conditioned")
_MOE = "model.backbone.moe"
KEYS = {
    "model.encoder.width": " ".join(f"model.encoder.{kind}.width" for kind in _ENCODERS),
    "model.encoder.num_layers": " ".join(f"model.encoder.{kind}.num_layers" for kind in _ENCODERS),
    "model.encoder.num_heads": " ".join(f"model.encoder.{kind}.num_heads" for kind in _ENCODERS),
    "model.encoder.hidden": " ".join(f"model.encoder.{kind}.ffn_width" for kind in _ENCODERS),
    "model.encoder.conv_kernel": " ".join(
        f"model.encoder.{kind}.conv_kernel" for kind in _ENCODERS
    ),
    "model.encoder.stem_kernel": "model.stem_kernel",
    "model.backbone.hidden": "model.backbone.ffn_width",
    f"{_MOE}.layers": f"{_MOE}.feed_forward.layers",
    f"{_MOE}.num_experts": f"{_MOE}.feed_forward.num_experts",
    f"{_MOE}.top_k": f"{_MOE}.feed_forward.top_k",
    f"{_MOE}.expert_hidden": f"{_MOE}.feed_forward.experts.feed_forward.ffn_width",
    f"{_MOE}.activation": f"{_MOE}.feed_forward.experts.feed_forward.activation",
    f"{_MOE}.shared_hidden": f"{_MOE}.feed_forward.shared_width",
    f"{_MOE}.router.top_p": " ".join(f"{_MOE}.router.{kind}.top_p" for kind in _ROUTERS),
    f"{_MOE}.router.renormalise": " ".join(
        f"{_MOE}.router.{kind}.renormalise" for kind in _ROUTERS
    ),
    f"{_MOE}.attention.head_width": f"{_MOE}.attention.experts.attention_heads.head_width",
    "model.text_head": "model.heads.text",
    "model.text_head.hidden": "model.heads.text.ffn_width",
    "model.codes_head.hidden": "model.heads.audio.width",
    "model.codes_head.num_codebooks": "model.heads.audio.paths.classes.num_codebooks",
    "quantise_from": "quantize_from",
    "adapt": "trained",
    "text": "decoders.text",
    "audio": "decoders.audio",
    "audio.wiener_detail": "decoders.audio.wiener.detail",
}
# Patterns of the files that are collected, in the folder that a step writes. "" collects none.
FILES = {
    "token/tokens.txt": "units/text/tokens.txt",
}
# Tensors, arrays, figures and lines, as `file:name`: a regular expression and what replaces it. The
# first that fits counts. None: there is no such item any more, or its numbers may change.
ITEMS: dict[str, str | None] = {
    # How scores were made, and counts that now stand in notes.
    r"^results.json:(bootstrap|si_sdr|sample_rate)": None,
    r"^results.json:.*\.(insertions|deletions|substitutions|words|num_utterances)$": None,
    r"^results.json:.*\.silent_references$": None,
    # A lone target has the scores of its task.
    r"^results.json:.*\.targets\.speech\.": None,
    r"^ceiling.json:masks\.wiener_": "ceiling.json:masks.",
    # Oracles are made in scoring now, and not written.
    r"/(oracle_codec|oracle_wiener|ideal_mask)/\w+\.scp:": None,
    r"^token/tokens.txt:": "units/text/tokens.txt:",
    r"^(.*model\.pt:)state\.text_head\.": r"\1state.heads.text.",
    r"^(.*model\.pt:)state\.codes_head\.embedding_QVC": r"\1units.audio.embedding_QVC",
    r"^(.*model\.pt:)state\.codes_head\.(queries|norm|mlp)": r"\1state.heads.audio.\2",
    r"^(.*model\.pt:)state\.codes_head\.latent_norm": r"\1state.heads.audio.paths.latent.norm",
    r"^(.*model\.pt:)state\.codes_head\.latent\.": r"\1state.heads.audio.paths.latent.linear.",
    r"^(.*model\.pt:)state\.codes_head\.": r"\1state.heads.audio.paths.classes.",
}
# Items of today that e2673a6 does not have.
NEW = (r"^(.*model\.pt:)units\.audio\.silence_Q$",)


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
        new = any(re.search(pattern, item) for pattern in NEW)
        return (None if new else item), None
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
        options = {"data": "data/train", "out": out}
        if self.dialect == REFERENCE:
            return self._line("train_tokenizer", **options, vocab_size="40")
        settings = ("units.text.vocab_size=40", "units.audio.codec=codec")
        return self._line("train_tokenizer", *settings, **{**options, "out": "dump/units"})

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
        units = "dump/token" if self.dialect == REFERENCE else "dump/units"
        folders = {"data": "data", "dump": "dump", "token": units, "ssl": "ssl/best_rq"}
        options = {"config": "empty.yaml", **folders, "codec": "codec", "out": out}
        return self._line("train_aio", *settings, **options)

    def adapt(self, model: str, task: str, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 4: one more task for a trained model."""
        settings = (*settings, f"adapt={model}", f"data.seconds={{{task}: 1}}")
        if self.dialect == REFERENCE:
            return self.train_aio(out, settings)
        options = {"config": "empty.yaml", "data": "data", "dump": "dump", "token": "dump/units"}
        return self._line("adapt", *settings, **options, out=out)

    def extract(self, model: str, tasks: Iterable[str], out: str) -> list[str]:
        """Sub-networks of some tasks."""
        options = {"model": model, "data": "data/dev", "dump": "dump/dev", "out": out}
        return self._line("extract", **options, task=tasks)

    def decode(self, model: str, out: str, settings: Iterable[str]) -> list[str]:
        """Stage 5."""
        options = {"model": model, "codec": "codec", "data": "data/test", "dump": "dump/test"}
        if self.dialect != REFERENCE:
            settings = (*settings, "audio.codec=codec")
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


@contextlib.contextmanager
def draws_of_the_reference(command: str) -> Iterator[None]:
    """Let stage 4 of later checkouts begin with the random numbers that e2673a6 began with.

    That commit loaded the codec between seeding and making the model, and the codec's initial
    weights, overwritten at once, moved the generator on.
    """
    import lightning

    seed_everything = lightning.seed_everything

    def seed_and_make_codec(seed: int) -> int:
        from aio_toolkit.codec.base import load_codec

        seeded = seed_everything(seed)
        load_codec("codec")
        return seeded

    later = importlib.util.find_spec("aio_toolkit.parts") is not None
    try:
        if later and command in ("train_aio", "adapt"):
            lightning.seed_everything = seed_and_make_codec
        yield
    finally:
        lightning.seed_everything = seed_everything
