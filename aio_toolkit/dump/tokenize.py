"""Stage 2: codec codes of the waves of a data dir.

Letters: B batch, S samples, T frames, Q codebooks.
"""

import functools
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from aio_toolkit.codec.base import Codec, CodecFingerprint, load_codec
from aio_toolkit.data.clipping import looks_clipped
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.digest import waves_digest
from aio_toolkit.data.sources import read_input
from aio_toolkit.dump.arks import write_ark
from aio_toolkit.dump.fingerprints import claim_dump
from aio_toolkit.dump.shards import (
    INPUT,
    Part,
    Shard,
    clean_up,
    join_shards,
    make_shards,
    read_made,
)
from aio_toolkit.dump.split import Split
from aio_toolkit.errors import AioError, shown
from aio_toolkit.files import atomic_path
from aio_toolkit.folders import alone_in
from aio_toolkit.parallel import parallel_map
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.progress import progress
from aio_toolkit.ranges import bounded


class Tokenizer:
    """Codes of waves, each as if it were alone.

    >>> waves = {"a": np.zeros(700, np.float32), "b": np.zeros(300, np.float32)}
    >>> for key, codes_TQ in Tokenizer(Tokenizer.Config("egs/mini_aio/codec")).tokenize(waves):
    ...     print(key, codes_TQ.shape)
    a (3, 32)
    b (1, 32)
    """

    @dataclass(frozen=True)
    class Config:
        """How stage 2 runs.

        Attributes:
            codec: folder, file or name of the codec.
            precision: `float32`, whose codes are the `dac` package's own, or `bfloat16`, faster and
                not quite the same.
            device: `cpu`, or `cuda` with one job.
            batch_seconds: audio that goes through the codec at once; 0 takes the waves one by one,
                which is the fastest on a CPU.
            num_jobs: processes.
        """

        codec: str
        precision: str = "float32"
        device: str = "cpu"
        batch_seconds: float = bounded(0.0, least=0)
        num_jobs: int = bounded(1, least=1)

    def __init__(self, config: Config) -> None:
        """Load the codec, once in a process; AioError where it cannot be loaded."""
        self.codec = _load(config.codec, config.precision, config.device)
        self.batch_samples = round(config.batch_seconds * self.codec.sample_rate)

    def tokenize[K](self, waves: Mapping[K, np.ndarray]) -> Iterator[tuple[K, np.ndarray]]:
        """Yield key and codes (T, Q) of each wave (S,), the longest first."""
        lengths = {key: len(wave_S) for key, wave_S in waves.items()}
        for keys in batch_by_length(lengths, self.batch_samples):
            yield from self._tokenize_batch({key: waves[key] for key in keys})

    def _tokenize_batch[K](self, waves: Mapping[K, np.ndarray]) -> Iterator[tuple[K, np.ndarray]]:
        codec = self.codec
        rows = [torch.from_numpy(wave_S) for wave_S in waves.values()]
        lengths = [len(row_S) for row_S in rows]
        wave_BS = pad_sequence(rows, batch_first=True)
        # A wave alone is not padded, and the codec is faster without lengths.
        lengths_B = None
        if len(rows) > 1:
            lengths_B = torch.tensor(lengths, device=codec.device)

        codes_BTQ = codec.encode(wave_BS.to(codec.device), lengths_B).codes_BTQ.cpu()
        for codes_TQ, key, length in zip(codes_BTQ, waves, lengths, strict=True):
            num_frames = codec.fingerprint.grid.num_frames(length)
            yield key, codes_TQ[:num_frames].numpy()


def tokenize_data_dir(
    config: Tokenizer.Config, split: Split, parts: Collection[Part], sample_rate: int
) -> None:
    """Write fingerprints of the codec, and the codes of some parts of a data dir.

    1. Claim the dump for codec and precision.
    2. Find the utterances whose codes are missing, or were made of other waves.
    3. Tokenize the shards of them that no earlier run has finished.
    4. Join them with what has not changed.

    The codes are the same whatever the number of jobs.

    Args:
        config: codec and processes.
        split: the data dir, and where its dump goes.
        parts: what is to be coded; parts that are there already are brought up to date.
        sample_rate: that of the recipe.

    Raises:
        AioError: bad audio, a codec of another rate, or the dump holds codes of another codec or
            precision, or another run is at work there.
    """
    utterances = read_data_dir(split.data, split.tasks)
    if config.precision == "bfloat16":
        _warn_of_emulation(config.device)
    codec = Tokenizer(config).codec
    check_rate(codec.fingerprint, config.codec, sample_rate)
    digests = {utterance.id: waves_digest(utterance) for utterance in utterances}
    with alone_in(split.dump):
        # Before the first code is written, so that a killed run too is told from another one.
        claim_dump(split.dump, codec.fingerprint, config.precision)
        for part in Part:
            # Codes that are there must be of the data, whether they are asked for today or not.
            if part in parts or read_made(split.dump, part):
                _update(part, _with_part(part, utterances), digests, (config, split.dump))


def check_rate(codec: CodecFingerprint, name: str, sample_rate: int) -> None:
    """Refuse a codec of another sample rate than the recipe's.

    >>> check_rate(CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8), "tiny", 8000)
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: codec tiny is of 16000 Hz, the recipe of 8000. Give --fs 16000, ...
    """
    if codec.sample_rate != sample_rate:
        problem = f"codec {name} is of {codec.sample_rate} Hz, the recipe of {sample_rate}"
        remedy = f"Give --fs {codec.sample_rate}, or --codec '' to train a codec."
        raise AioError(f"{problem}. {remedy}")


def _with_part(part: Part, utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances that have a part: not every answer has sources."""
    if part == Part.input:
        return list(utterances)
    return [utterance for utterance in utterances if len(utterance.waves) > 1]


def _update(
    part: Part,
    utterances: Sequence[Utterance],
    digests: Mapping[str, str],
    where: tuple[Tokenizer.Config, Path],
) -> None:
    """Code what is new or has changed, drop what has gone."""
    config, dump_split = where
    of_part = {utterance.id: digests[utterance.id] for utterance in utterances}
    made = read_made(dump_split, part)
    stale = [
        utterance for utterance in utterances if made.get(utterance.id) != of_part[utterance.id]
    ]
    if made == of_part:
        print(f"{dump_split}: codes of {part} are up to date ({len(of_part)} utterances)")
        return
    folder = dump_split / "arks"
    folder.mkdir(parents=True, exist_ok=True)
    if made:
        gone = len(made.keys() - of_part.keys())
        print(f"{dump_split}: {len(stale)} utterances are new or have changed, {gone} are gone")
    shards = make_shards(part, stale, of_part, folder)
    unfinished = [shard for shard in shards if not shard.finished.is_file()]
    if unfinished:
        _run(unfinished, config)
    join_shards(part, shards, of_part, dump_split)
    clean_up(folder, dump_split)


def batch_by_length[K](lengths: Mapping[K, int], max_samples: int) -> Iterator[list[K]]:
    """Keys in batches of similar length, the longest first.

    Args:
        lengths: samples by key.
        max_samples: samples of a batch with its padding; a wave that alone has more is alone.

    >>> list(batch_by_length({"a": 3, "b": 7, "c": 2}, max_samples=8))
    [['b'], ['a', 'c']]
    """
    batch: list[K] = []
    for key in sorted(lengths, key=lambda key: -lengths[key]):
        if batch:
            # The first of a batch is its longest: all are padded to it.
            longest = lengths[batch[0]]
            if longest * (len(batch) + 1) > max_samples:
                yield batch
                batch = []
        batch.append(key)
    if batch:
        yield batch


def _warn_of_emulation(device: str) -> None:
    if not multiplies_bfloat16(torch.device(device).type):
        print(
            f"warning: {device} has no arithmetic for bfloat16: precision float32 is faster here, "
            "and exact"
        )


def _run(shards: Sequence[Shard], config: Tokenizer.Config) -> None:
    """Tokenize shards with a bar; tell the speed and which waves look clipped."""
    part = shards[0].part
    total = sum(len(shard.utterances) for shard in shards)
    start = time.monotonic()
    work = functools.partial(_tokenize_shard, config=config)
    clipped: list[str] = []
    seconds = 0.0
    with progress(range(total), f"tokenize {part}") as bar:
        for done in parallel_map(work, shards, config.num_jobs, ordered=False):
            bar.update(done.num_utterances)
            seconds += done.seconds
            clipped += done.clipped

    elapsed = time.monotonic() - start
    speed = seconds / elapsed
    print(f"tokenized {seconds:.0f} s of audio in {elapsed:.0f} s: {speed:.1f} times real time")
    if clipped:
        print(f"warning: {len(clipped)} waves look clipped: {shown(sorted(clipped))}")


@functools.cache
def _load(codec: str, precision: str, device: str) -> Codec:
    """The codec of this process: every shard needs it."""
    return load_codec(codec, precision, device)


@dataclass(frozen=True)
class _Done:
    """What has been made of a shard.

    Attributes:
        num_utterances: how many.
        seconds: audio that went through the codec.
        clipped: waves that look clipped.
    """

    num_utterances: int
    seconds: float
    clipped: list[str]


def _tokenize_shard(shard: Shard, config: Tokenizer.Config) -> _Done:
    """Write the archives of a shard."""
    tokenizer = Tokenizer(config)
    sample_rate = tokenizer.codec.sample_rate
    waves = _read_waves(shard, sample_rate)

    archives: dict[str, dict[str, np.ndarray]] = {}
    for (name, id), codes_TQ in tokenizer.tokenize(waves):
        archives.setdefault(name, {})[id] = codes_TQ
    for name, codes in archives.items():
        scp = shard.scp(name)
        in_order = dict(sorted(codes.items()))
        write_ark(scp.with_suffix(".ark"), scp, in_order)
    # From here on a later run skips the shard.
    with atomic_path(shard.finished):
        pass
    seconds = sum(map(len, waves.values())) / sample_rate
    clipped = [f"{id} ({name})" for (name, id), wave_S in waves.items() if looks_clipped(wave_S)]
    return _Done(len(shard.utterances), seconds, clipped)


def _read_waves(shard: Shard, sample_rate: int) -> dict[tuple[str, str], np.ndarray]:
    """The waves (S,) to be coded, by name and utterance."""
    waves = {}
    # In an order of their own, for batches depend on it where lengths are equal.
    for utterance in sorted(shard.utterances, key=lambda utterance: utterance.id):
        if shard.part == Part.input:
            waves[INPUT, utterance.id] = read_input(utterance, sample_rate)
            continue
        for source, wave_S in utterance.task.kind.waves(utterance, sample_rate).items():
            waves[source, utterance.id] = wave_S
    return waves
