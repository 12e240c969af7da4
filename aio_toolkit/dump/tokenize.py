"""Stage 2: codec codes of every wave of a data dir, and front-end features of the inputs.

Letters: B batch, S samples, T frames, Q codebooks, F feature bins.
"""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from aio_toolkit.codec.base import Codec, Encoded, load_codec
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.sources import read_input
from aio_toolkit.dump.arks import write_ark
from aio_toolkit.dump.fingerprints import Provenance, claim_dump
from aio_toolkit.dump.shards import FEATURES, Shard, join_shards, make_shards
from aio_toolkit.errors import shown
from aio_toolkit.files import atomic_path
from aio_toolkit.frontend.features import FrontEnd
from aio_toolkit.parallel import parallel_map
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task

# A wave looks clipped with so many stretches of three samples at its peak, near full scale.
CLIPPED_STRETCHES = 10
FULL_SCALE = 0.98
# What the input is called among the waves of an utterance; no source may have that name.
INPUT = "wav"


class Tokenizer:
    """Codes and features of waves, each as if it were alone.

    >>> config = Tokenizer.Config("egs/mini_aio/codec", FrontEnd.Config(log_mel=False))
    >>> waves = {"a": np.zeros(700, np.float32), "b": np.zeros(300, np.float32)}
    >>> for key, codes_TQ, feats_TF in Tokenizer(config).tokenize(waves):
    ...     print(key, codes_TQ.shape, feats_TF.shape)
    a (3, 32) (3, 256)
    b (1, 32) (1, 256)
    """

    @dataclass(frozen=True)
    class Config:
        """How stage 2 runs.

        Attributes:
            codec: folder, file or name of the codec.
            frontend: the features that the frozen encoder hears.
            precision: `float32`, whose codes are the `dac` package's own, or `bfloat16`, faster and
                not quite the same.
            device: `cpu`, or `cuda` with one job.
            batch_seconds: audio that goes through the codec at once; 0 takes the waves one by one,
                which is the fastest on a CPU.
            num_jobs: processes.
        """

        codec: str
        frontend: FrontEnd.Config
        precision: str = "float32"
        device: str = "cpu"
        batch_seconds: float = 0.0
        num_jobs: int = 1

    def __init__(self, config: Config) -> None:
        """Load the codec, once in a process.

        Raises:
            AioError: it cannot be loaded, or the front end does not fit it.
        """
        self.codec = _load(config.codec, config.precision, config.device)
        self.front_end = FrontEnd(config.frontend, self.codec)
        self.batch_samples = round(config.batch_seconds * self.codec.sample_rate)

    @property
    def provenance(self) -> Provenance:
        """What its codes and features mean."""
        return Provenance(self.codec.fingerprint, self.front_end.fingerprint)

    def tokenize[K](
        self, waves: Mapping[K, np.ndarray]
    ) -> Iterator[tuple[K, np.ndarray, np.ndarray]]:
        """Yield key, codes (T, Q) and features (T, F) of each wave (S,), the longest first."""
        lengths = {key: len(wave_S) for key, wave_S in waves.items()}
        for keys in batch_by_length(lengths, self.batch_samples):
            yield from self._tokenize_batch({key: waves[key] for key in keys})

    def _tokenize_batch[K](
        self, waves: Mapping[K, np.ndarray]
    ) -> Iterator[tuple[K, np.ndarray, np.ndarray]]:
        codec = self.codec
        rows = [torch.from_numpy(wave_S) for wave_S in waves.values()]
        lengths = [len(row_S) for row_S in rows]
        wave_BS = pad_sequence(rows, batch_first=True)
        # A wave alone is not padded, and the codec is faster without lengths.
        lengths_B = None
        if len(rows) > 1:
            lengths_B = torch.tensor(lengths, device=codec.device)

        on_device = codec.encode(wave_BS.to(codec.device), lengths_B)
        codes_BTQ = on_device.codes_BTQ.cpu()
        encoded = Encoded(codes_BTQ, on_device.latents_BTC.cpu())
        feats_BTF = self.front_end(wave_BS, encoded)

        for row, key in enumerate(waves):
            frames = -(-lengths[row] // codec.hop)
            codes_TQ = codes_BTQ[row, :frames]
            feats_TF = feats_BTF[row, :frames]
            yield key, codes_TQ.numpy(), feats_TF.numpy()


def tokenize_data_dir(
    config: Tokenizer.Config, tasks: Mapping[str, Task], data: Path, dump_split: Path
) -> None:
    """Write features, codes, lengths and fingerprints of a data dir.

    1. Claim the dump for codec, front end and precision.
    2. Tokenize the shards that no earlier run has finished.
    3. Join them.

    The codes are the same whatever the number of jobs; features differ by rounding between one job,
    of several threads, and several jobs of one thread each.

    Args:
        config: codec, front end and processes.
        tasks: all tasks that utterances may have, by name.
        data: the data dir.
        dump_split: where its dump goes.

    Raises:
        AioError: bad audio, or the dump holds codes of another codec or precision, or features of
            another front end.
    """
    utterances = read_data_dir(data, tasks)
    if config.precision == "bfloat16":
        _warn_of_emulation(config.device)
    tokenizer = Tokenizer(config)
    codec = tokenizer.codec
    # Before the first code is written, so that a killed run too is told from another one.
    claim_dump(dump_split, tokenizer.provenance, config.precision)

    shards = make_shards(utterances, dump_split / "shards")
    unfinished = [shard for shard in shards if not shard.finished.is_file()]
    if unfinished:
        _run(unfinished, config, codec.sample_rate)

    join_shards(shards, utterances, dump_split, codec.hop)


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


def looks_clipped(wave_S: np.ndarray) -> bool:
    """Whether a wave stays at its peak, near full scale, for three samples in many places.

    >>> tone = np.sin(0.05 * np.arange(8000))
    >>> looks_clipped(0.9 * tone), looks_clipped(np.clip(3 * tone, -1, 1))
    (False, True)
    """
    level_S = np.abs(wave_S)
    threshold = max(FULL_SCALE, level_S.max())
    at_peak_S = level_S >= threshold
    # Loud sounds touch the peak; clipped ones stay there.
    next_S = at_peak_S[1:-1] & at_peak_S[2:]
    stays_S = at_peak_S[:-2] & next_S
    return int(np.count_nonzero(stays_S)) >= CLIPPED_STRETCHES


def _warn_of_emulation(device: str) -> None:
    if not multiplies_bfloat16(torch.device(device).type):
        print(
            f"warning: {device} has no arithmetic for bfloat16: precision float32 is faster here, "
            "and exact"
        )


def _run(shards: Sequence[Shard], config: Tokenizer.Config, sample_rate: int) -> None:
    """Tokenize shards with a bar; tell the speed and which waves look clipped."""
    utterances = [utterance for shard in shards for utterance in shard.utterances]
    samples = sum(u.num_samples * len(u.waves) for u in utterances)
    start = time.monotonic()
    work = functools.partial(_tokenize_shard, config=config)
    clipped: list[str] = []
    with progress(range(len(utterances)), "tokenize") as bar:
        for count, found in parallel_map(work, shards, config.num_jobs, ordered=False):
            bar.update(count)
            clipped += found

    elapsed = time.monotonic() - start
    seconds = samples / sample_rate
    speed = seconds / elapsed
    print(f"tokenized {seconds:.0f} s of audio in {elapsed:.0f} s: {speed:.1f} times real time")
    if clipped:
        print(f"warning: {len(clipped)} waves look clipped: {shown(sorted(clipped))}")


@functools.cache
def _load(codec: str, precision: str, device: str) -> Codec:
    """The codec of this process: every shard needs it."""
    return load_codec(codec, precision, device)


def _tokenize_shard(shard: Shard, config: Tokenizer.Config) -> tuple[int, list[str]]:
    """Write the archives of a shard; return the number of utterances and the clipped waves."""
    tokenizer = Tokenizer(config)
    waves = _read_waves(shard.utterances, tokenizer.codec.sample_rate)

    archives: dict[str, dict[str, np.ndarray]] = {}
    for (name, id), codes_TQ, feats_TF in tokenizer.tokenize(waves):
        codes = archives.setdefault(f"codes_{name}", {})
        codes[id] = codes_TQ
        if name == INPUT:
            feats = archives.setdefault(FEATURES, {})
            feats[id] = feats_TF

    for name, arrays in archives.items():
        scp = shard.scp(name)
        in_order = dict(sorted(arrays.items()))
        write_ark(scp.with_suffix(".ark"), scp, in_order)
    # From here on a later run skips the shard.
    with atomic_path(shard.finished):
        pass
    clipped = [key for key, wave_S in waves.items() if looks_clipped(wave_S)]
    return len(shard.utterances), [f"{id} ({name})" for name, id in clipped]


def _read_waves(
    utterances: Sequence[Utterance], sample_rate: int
) -> dict[tuple[str, str], np.ndarray]:
    """Inputs and waves of the answers (S,), by name and utterance."""
    waves = {}
    # In an order of their own, for batches depend on it where lengths are equal.
    for utterance in sorted(utterances, key=lambda utterance: utterance.id):
        waves[INPUT, utterance.id] = read_input(utterance, sample_rate)
        answer = utterance.task.kind.waves(utterance, sample_rate)
        for source, wave_S in answer.items():
            waves[source, utterance.id] = wave_S
    return waves
