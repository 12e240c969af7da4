"""Stage 5: tasks of a split from one checkpoint, resumable utterance by utterance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aio_toolkit import parts
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.answers.padding import pad_arrays
from aio_toolkit.codec.base import check_same
from aio_toolkit.config import Choice, each_of, to_dict
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.sampler import fixed_batches
from aio_toolkit.data.sources import read_input
from aio_toolkit.decoding.base import Decoder
from aio_toolkit.dump.split import DumpDataset, Split
from aio_toolkit.files import sha256_file
from aio_toolkit.heads.base import Frames
from aio_toolkit.models.batch import Example, collate
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task, get_task


class SplitDecoder:
    """Decodes the utterances of a split that are not decoded yet."""

    @dataclass
    class Config:
        """Options of stage 5.

        Attributes:
            decoders: options of the decoder of each kind of answer, `decoding/*.py`.
            batch_seconds: audio that goes through the model at a time.

        >>> from aio_toolkit.config import load_config
        >>> config = load_config(SplitDecoder.Config, None, ["decoders.text.beam_size=1"])
        >>> config.decoders["text"].beam_size
        1
        """

        decoders: dict[str, Any] = each_of("decoding")
        batch_seconds: float = 60.0

    def __init__(self, config: Config, loaded: LoadedAio, dataset: DumpDataset, out: Path):
        """Make the decoders of all kinds of answer that the utterances ask for.

        Args:
            config: options.
            loaded: the model.
            dataset: the utterances.
            out: decode folder.

        Raises:
            AioError: an option is wrong.
        """
        self.model = loaded.model
        self.codec = loaded.provenance.codec
        self.dataset = dataset
        self.out = out
        frames = config.batch_seconds * self.codec.frame_rate
        self.frames_per_batch = int(frames)
        self.decoders: dict[str, Decoder] = {}
        # Not of all heads: to decode text nobody should need a codec.
        kinds = {utterance.task.output for utterance in dataset.utterances}
        for kind in sorted(kinds):
            choice = Choice(kind, config.decoders.get(kind))
            head = self.model.heads[kind]
            units = self.model.units[kind]
            self.decoders[kind] = parts.build(Decoder, choice, head, units)

    def decode(self, task: Task) -> None:
        """Write the answers to a task's utterances, then the lists of them."""
        folder, kind = self.out / task.name, task.kind
        members = []
        todo = []
        for index, utterance in enumerate(self.dataset.utterances):
            if utterance.task.name != task.name:
                continue
            members.append(utterance)
            if not kind.is_finished(folder, utterance):
                todo.append(index)

        with progress(range(len(todo)), f"decode {task.name}") as bar:
            for batch in self._batches(todo, task):
                frames = self._encode(batch, task)
                answers = self.decoders[task.output].decode(frames)
                for utterance, answer in zip(batch, answers, strict=True):
                    kind.write(folder, utterance, answer)
                bar.update(len(batch))
        # Even if nothing was left to do: a killed run may have ended before its lists.
        kind.collect(folder, members)

    def _batches(self, todo: Sequence[int], task: Task) -> Iterator[list[Utterance]]:
        """Utterances by their indices, in batches of similar length, the longest first."""
        num_frames = [self.dataset.num_frames[index] for index in todo]
        names = [task.name] * len(todo)
        batches = fixed_batches(names, num_frames, self.frames_per_batch)
        for places in batches:
            utterances = []
            for place in places:
                index = todo[place]
                utterances.append(self.dataset.utterances[index])
            yield utterances

    def _encode(self, utterances: Sequence[Utterance], task: Task) -> Frames:
        """Run the model up to its heads."""
        examples = []
        for utterance in utterances:
            feats_TF = self.dataset.feats[utterance.id]
            examples.append(Example(utterance.id, task, feats_TF))
        batch = collate(examples, self.model.tasks)
        h_BTD, _ = self.model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
        frames = Frames(h_BTD, batch.lengths_B, batch.feats_BTF, task)

        if self.decoders[task.output].needs_waves:
            rate = self.codec.sample_rate
            waves = [read_input(utterance, rate) for utterance in utterances]
            lengths = [len(wave_S) for wave_S in waves]
            frames.wave_BS = pad_arrays(waves, value=0.0)
            frames.samples_B = torch.tensor(lengths)
        return frames


@torch.inference_mode()
def decode_split(
    config: SplitDecoder.Config,
    model_dir: Path,
    split: Split,
    out: Path,
    names: Sequence[str] = (),
) -> None:
    """Decode a split.

    1. Load the model; refuse a dump that it was not made for.
    2. Make the decoders, which check their options.
    3. Clear `out` if another model or configuration began it.
    4. Decode task by task what is not decoded yet.

    Args:
        config: options of the decoders.
        model_dir: folder of stage 4.
        split: what to decode.
        out: decode folder.
        names: tasks to decode; all of the model by default.

    Raises:
        AioError: model, dump, codec and configuration do not go together, an utterance is missing,
            or `out` is no decode folder.
    """
    loaded = load_aio(model_dir / MODEL)
    made_for, dumped = loaded.provenance, split.provenance()
    against = f"in {split.dump} against {model_dir}"
    check_same(made_for.codec, dumped.codec, f"codes {against}")
    check_same(made_for.front_end, dumped.front_end, f"features {against}")

    known = {task.name: task for task in loaded.model.tasks}
    tasks = [get_task(known, name) for name in names or known]
    # A task is what it was when the model learnt it.
    split = Split(split.data, split.dump, {**split.tasks, **known})
    dataset = DumpDataset(split, tasks)
    # Before the folder is claimed: a mistake in the options must not cost what it holds.
    decoder = SplitDecoder(config, loaded, dataset, out)
    stamp = DecodeStamp(
        config=to_dict(config),
        # Not its name: training goes on in the same folder.
        model=sha256_file(model_dir / MODEL),
        sample_rate=dumped.codec.sample_rate,
    )
    stamp.claim(out)
    for task in tasks:
        decoder.decode(task)
