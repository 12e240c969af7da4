"""What the runs of `same_numbers.py` read and write, by plain code.

Neither goes through the package: a change of how it prepares data or reads files must not change
what the checkouts are compared by.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Value = float | str | None | np.ndarray

SPLITS = {"train": 8, "dev": 3, "test": 3}
TARGETS = {
    "asr": (),
    "st": (),
    "sep": ("spk1", "spk2"),
    "enh": ("speech",),
    "sound": ("sound1", "sound2", "sound3"),
    "music": ("vocals", "drums", "bass", "other"),
}
TEXT_FILES = {"asr": "text", "st": "text.fr"}
WORDS = {
    "asr": ("red", "blue", "cat", "dog", "sees", "hears"),
    "st": ("rouge", "bleu", "chat", "chien", "voit", "entend"),
}
EVENTS = ("engine", "knock", "bell")
RATE = 16000


def write_inputs(folder: Path) -> None:
    """Data dirs of three splits, always the same, and an empty configuration."""
    (folder / "empty.yaml").write_text("seed: 0\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    for split, count in SPLITS.items():
        tables: dict[str, dict[str, str]] = defaultdict(dict)
        for task, number in itertools.product(TARGETS, range(count)):
            _add_utterance(_Utterance(task, number, folder, f"data/{split}"), tables, rng)
        for name, table in tables.items():
            lines = "".join(f"{key} {table[key]}\n" for key in sorted(table))
            (folder / "data" / split / name).write_text(lines, encoding="utf-8")


class _Utterance(NamedTuple):
    """Which utterance, the working folder, and its data dir from there."""

    task: str
    number: int
    folder: Path
    data: str


def _add_utterance(
    utterance: _Utterance, tables: dict[str, dict[str, str]], rng: np.random.Generator
) -> None:
    """Write the waves of one utterance and enter it in the files of its data dir."""
    task, number, folder, data = utterance
    key = f"{task}-{number:02}"
    num_samples = int(rng.integers(int(0.4 * RATE), int(0.9 * RATE)))
    waves = {target: _sound(rng, num_samples) for target in TARGETS[task]}
    if task == "sound" and number % 2:
        del waves["sound3"]  # two sources where others have three
    if task == "music" and number % 3 == 1:
        waves["bass"][:] = 0  # a silent reference
    # Several targets sum to the mixture; a lone voice, or none, has something beside it.
    rest = 0 if len(waves) > 1 else _sound(rng, num_samples)
    for name, wave in {"wav": sum(waves.values()) + rest, **waves}.items():
        tables[f"{name}.scp"][key] = _write_wave(folder, f"{data}/wav/{key}_{name}.wav", wave)
    pair = rng.choice(EVENTS, 2, replace=False)
    events = "_".join(f"{event}{number}" for event in pair)
    tables["utt2task"][key] = task
    tables["utt2spk"][key] = events if task == "sound" else f"s{number % 2}"
    tables["utt2num_samples"][key] = str(num_samples)
    if task in WORDS:
        tables[TEXT_FILES[task]][key] = " ".join(rng.choice(WORDS[task], 3))


def _sound(rng: np.random.Generator, num_samples: int) -> np.ndarray:
    """Partials and noise under a slow envelope that is zero for a part of the time, (S,)."""
    time_S = np.arange(num_samples) / RATE
    frequencies = rng.uniform(100, 3000, 4)
    partials = [np.sin(2 * np.pi * frequency * time_S) for frequency in frequencies]
    rate, phase = rng.uniform(1, 4), rng.uniform(0, 6)
    envelope_S = np.sin(2 * np.pi * rate * time_S + phase).clip(0)
    noise_S = rng.standard_normal(num_samples)
    return envelope_S * (0.04 * sum(partials) + 0.01 * noise_S)


def _write_wave(folder: Path, path: str, wave_S: np.ndarray) -> str:
    import soundfile

    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / path, wave_S, RATE, subtype="PCM_16")
    return path


def kind_of(path: Path) -> str:
    """What a file holds, as it is called in a comparison."""
    kinds = {".pt": "weights", ".safetensors": "weights", ".scp": "arrays", ".json": "figures"}
    return kinds.get(path.suffix, "texts")


def read_values(path: Path) -> Iterator[tuple[str, Value]]:
    """Names and values: tensors of a checkpoint, arrays of an scp file, numbers of JSON, lines."""
    if path.suffix == ".pt":
        import torch

        content = torch.load(path, map_location="cpu", weights_only=False)
        tensors = [(name, leaf) for name, leaf in _leaves(content) if torch.is_tensor(leaf)]
        yield from ((name, tensor.detach().numpy()) for name, tensor in tensors)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        yield from load_file(path).items()
    elif path.suffix == ".json":
        leaves = _leaves(_as_before(json.loads(path.read_text(encoding="utf-8"))))
        yield from ((name, leaf) for name, leaf in leaves if not isinstance(leaf, str))
    elif path.suffix == ".scp":
        for line in path.read_text(encoding="utf-8").splitlines():
            key, place = line.split(maxsplit=1)
            yield key, _read_array(place)
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from ((f"line {number}", line) for number, line in enumerate(lines, start=1))


def _as_before(content: Any) -> Any:
    """The scores of a `results.json` in the layout of e2673a6; anything else as it is."""
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
        return content
    return {"tasks": {task["name"]: _task_as_before(task) for task in content["tasks"]}}


def _task_as_before(task: dict[str, Any]) -> dict[str, Any]:
    before: dict[str, Any] = {}
    for score in task["scores"]:
        place = before
        if score["output"] == "hypothesis":
            before["score"] = score["interval"]
            continue
        if score["target"]:
            place = before.setdefault("targets", {}).setdefault(score["target"], {})
        section = place.setdefault("improvement" if score["over"] else "outputs", {})
        section[score["output"]] = score["interval"]
    return before


def _leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What nested dicts and lists hold, by dotted names."""
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    if not isinstance(content, dict):
        yield prefix, content
        return
    for key, value in content.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))


def _read_array(place: str) -> np.ndarray:
    """A wave, or an array of a Kaldi archive."""
    if place.endswith(".wav"):
        import soundfile

        return soundfile.read(place, dtype="float32")[0]
    import kaldiio

    return np.array(kaldiio.load_mat(place))
