"""Stage 5: answers to the recordings of a data dir, resumable batch by batch.

Nothing but the model and the recordings is read: no references, no codes.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from aio_toolkit import parts
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.config import Choice, each_of, from_values, to_dict
from aio_toolkit.data.batching import fixed_batches
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.digest import digest_of
from aio_toolkit.data.inputs import read_inputs
from aio_toolkit.decoding.base import Decoder
from aio_toolkit.decoding.read import read_batch
from aio_toolkit.devices import pick_device
from aio_toolkit.errors import AioError
from aio_toolkit.files import sha256_file
from aio_toolkit.folders import alone_in
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.models.half import round_weights
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task, get_task


class BatchDecoder:
    """Decodes batches of recordings of one task."""

    @dataclass
    class Config:
        """Options of stage 5.

        Attributes:
            decoders: options of the decoder of each kind of answer, `decoding/*.py`.
            batch_seconds: audio that goes through the model at a time.
            half: round the weights to float16 first, to score what `pack --half` hands on.

        >>> from aio_toolkit.config import load_config
        >>> config = load_config(BatchDecoder.Config, None, ["decoders.text.beam_size=1"])
        >>> config.decoders["text"].beam_size
        1
        """

        decoders: dict[str, Any] = each_of("decoding")
        batch_seconds: float = bounded(60.0, above=0)
        half: bool = False

    def __init__(self, config: Config, loaded: LoadedAio, kinds: Sequence[str]):
        """Make the decoders of some kinds of answer: to decode text nobody should need a codec.

        Args:
            config: options.
            loaded: the model, on the device that it is to run on; `half` changes it.
            kinds: kinds of answer.

        Raises:
            AioError: an option is wrong.
        """
        self.model = loaded.model
        if config.half:
            round_weights(self.model)
        self.decoders: dict[str, Decoder] = {}
        for kind in kinds:
            choice = Choice(kind, config.decoders.get(kind))
            head = self.model.heads[kind]
            units = self.model.units[kind]
            self.decoders[kind] = parts.build(Decoder, choice, head, units)

    @torch.inference_mode()
    def decode(self, utterances: Sequence[Utterance]) -> list[Any]:
        """The answers to recordings of one task."""
        task = utterances[0].task
        batch = read_batch(self.model, utterances)
        frames = self.model.frames(self.model.encode(batch), batch, task)
        return self.decoders[task.output].decode(frames)


@dataclass(frozen=True)
class DecodeRun:
    """What is decoded, and on what.

    Attributes:
        data: the data dir; `wav.scp` and `utt2task` are enough.
        out: decode folder.
        known: tasks that utterances may have besides those of the model, by name.
        names: tasks to decode; empty: those of the model that the data dir has.
        num_jobs: processes on a CPU.
        device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
    """

    data: Path
    out: Path
    known: Mapping[str, Task] = field(default_factory=dict)
    names: Sequence[str] = ()
    num_jobs: int = 1
    device: str = "cpu"


def decode_data_dir(config: BatchDecoder.Config, model_dir: Path, run: DecodeRun) -> None:
    """Decode recordings.

    1. Load the model; find the recordings of the tasks asked for.
    2. Make the decoders, which check their options.
    3. Clear the folder if another model, configuration or version of the data began it.
    4. Cut all recordings into batches; decode those of which an answer is missing.
    5. Write the lists of all answers.

    Args:
        config: options of the decoders.
        model_dir: folder of stage 4.
        run: what to decode.

    Raises:
        AioError: the model lacks a task, codec and configuration do not go together, a recording
            cannot be read, or the folder is not a decode folder or another run's.
    """
    run = replace(run, device=pick_device(run.device))
    path = model_dir / MODEL
    loaded = load_aio(path)
    known = {task.name: task for task in loaded.model.tasks}
    # A task is what it was when the model learnt it.
    tasks = {**run.known, **known}
    recordings = read_inputs(run.data, tasks, loaded.codec.sample_rate)
    chosen = _choose(known, recordings, run)
    todo_of = {task.name for task in chosen}
    utterances = [utterance for utterance in recordings if utterance.task.name in todo_of]

    kinds = sorted({task.output for task in chosen})
    loaded.model.to(run.device)
    # Before the folder is claimed: a mistake in the options must not cost what it holds.
    decoder = BatchDecoder(config, loaded, kinds)
    stamp = DecodeStamp(
        config=to_dict(config),
        # Not its name: training goes on in the same folder.
        model=sha256_file(path),
        sample_rate=loaded.codec.sample_rate,
        data=digest_of(recordings),
    )
    with alone_in(run.out):
        stamp.claim(run.out)
        batches = _unfinished(_batches(utterances, config, loaded.codec.sample_rate), run.out)
        _write(batches, _answers(batches, decoder, _Setup(config, path, kinds), run), run.out)
        for task in chosen:
            members = [utterance for utterance in utterances if utterance.task.name == task.name]
            # Even if nothing was left to do: a killed run may have ended before its lists.
            task.kind.collect(run.out / task.name, members)


def _choose(
    known: Mapping[str, Task], recordings: Sequence[Utterance], run: DecodeRun
) -> list[Task]:
    """The tasks to decode, those of the model that the data dir has unless some are named."""
    present = {utterance.task.name for utterance in recordings}
    if run.names:
        chosen = []
        for name in run.names:
            if name not in known:
                listed = ", ".join(known)
                raise AioError(f"--tasks: the model has no task '{name}'. Its tasks: {listed}.")
            if name not in present:
                listed = ", ".join(sorted(present))
                raise AioError(f"--tasks: {run.data} has no '{name}'. Its tasks: {listed}.")
            chosen.append(get_task(known, name))
        return chosen
    skipped = sorted(present - known.keys())
    if skipped:
        print(f"notice: the model has no task {', '.join(skipped)}: not decoded")
    chosen = [task for name, task in known.items() if name in present]
    if not chosen:
        listed = ", ".join(known)
        raise AioError(f"{run.data} has no utterance of the model's tasks: {listed}.")
    return chosen


def _batches(
    utterances: Sequence[Utterance], config: BatchDecoder.Config, sample_rate: int
) -> list[list[Utterance]]:
    """All recordings in batches of similar length and one task, whatever is decoded already.

    So a batch, and with it the rounding of its answers, does not depend on earlier runs.
    """
    names = [utterance.task.name for utterance in utterances]
    lengths = [utterance.num_samples for utterance in utterances]
    budget = int(config.batch_seconds * sample_rate)
    batches = fixed_batches(names, lengths, budget)
    return [[utterances[index] for index in batch] for batch in batches]


def _unfinished(batches: Sequence[list[Utterance]], out: Path) -> list[list[Utterance]]:
    """The batches of which an answer is missing; they are decoded as a whole."""
    return [
        batch
        for batch in batches
        if not all(u.task.kind.is_finished(out / u.task.name, u) for u in batch)
    ]


def _answers(
    batches: Sequence[list[Utterance]], decoder: BatchDecoder, setup: "_Setup", run: DecodeRun
) -> Iterator[list[Any]]:
    """The answers to each batch; on a CPU processes share the batches, each with its own model."""
    if run.num_jobs > 1 and run.device == "cpu":
        work = functools.partial(_decode_in_worker, setup=setup)
        return parallel_map(work, batches, run.num_jobs, ordered=True)
    return map(decoder.decode, batches)


def _write(batches: Sequence[list[Utterance]], answered: Iterator[list[Any]], out: Path) -> None:
    total = sum(map(len, batches))
    with progress(range(total), "decode") as bar:
        for batch, answers in zip(batches, answered, strict=True):
            for utterance, answer in zip(batch, answers, strict=True):
                utterance.task.kind.write(out / utterance.task.name, utterance, answer)
            bar.update(len(batch))


@dataclass(frozen=True)
class _Setup:
    """What a worker makes its decoder of."""

    config: BatchDecoder.Config
    model: Path
    kinds: list[str]


def _decode_in_worker(batch: list[Utterance], setup: _Setup) -> list[Any]:
    content = json.dumps(to_dict(setup.config), sort_keys=True)
    return _decoder_of(content, str(setup.model), tuple(setup.kinds)).decode(batch)


@functools.cache
def _decoder_of(config: str, model: str, kinds: tuple[str, ...]) -> BatchDecoder:
    """One model a process."""
    checked = from_values(BatchDecoder.Config, json.loads(config), "configuration of stage 5")
    return BatchDecoder(checked, load_aio(Path(model)), kinds)
