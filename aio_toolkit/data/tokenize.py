"""Stage 2: codec codes of every wave of a data dir, and front-end features of the inputs."""

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.codec.base import Encoded, check_fingerprint
from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.data.arks import write_ark
from aio_toolkit.data.datadir import MAX_SHOWN, Utterance, read_data_dir
from aio_toolkit.data.sources import read_input, read_sources
from aio_toolkit.encoders.frontend import FrontEnd, FrontEndConfig
from aio_toolkit.files import atomic_path, read_json, write_json
from aio_toolkit.parallel import parallel_map
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.progress import progress
from aio_toolkit.tasks import get_task

# Utterances in a shard: at most this many, and fewer where they would make fewer shards than this.
SHARD, SHARDS = 64, 32


@dataclasses.dataclass(frozen=True)
class Shard:
    """A fixed set of utterances whose archives are written together: the unit of work and of resumption."""

    number: int
    utterances: list[Utterance]
    folder: Path

    def scp(self, name: str) -> Path:
        """The shard's own scp for `feats`, `codes_wav` or `codes_<target>`."""
        return self.folder / f"{name}.{self.number}.scp"

    @property
    def finished(self) -> Path:
        """Written last."""
        return self.folder / f"done.{self.number}"


@dataclasses.dataclass(frozen=True)
class TokenizeConfig:
    """How stage 2 runs.

    Attributes:
        codec: folder, file or name of the codec.
        frontend: the features that the frozen encoder hears.
        precision: `float32`, whose codes are the `dac` package's own, or `bfloat16`, faster and not quite the same.
        device: `cpu`, or `cuda` with one job.
        batch_seconds: audio that goes through the codec at once; 0 takes the waves one by one, which is the fastest
            on a CPU.
        num_jobs: processes.
    """

    codec: str
    frontend: FrontEndConfig
    precision: str = "float32"
    device: str = "cpu"
    batch_seconds: float = 0.0
    num_jobs: int = 1


def tokenize_data_dir(config: TokenizeConfig, data: Path, dump: Path) -> None:
    """Write features, codes, lengths and fingerprints of a data dir to `dump`.

    A shard that an earlier run finished is kept. The codes are the same whatever the number of jobs; features differ by
    rounding between one job, of several threads, and several jobs of one thread each.

    Raises:
        AioError: bad audio, or `dump` holds codes of another codec or precision, or features of another front end.
    """
    utterances = read_data_dir(data)
    if config.precision == "bfloat16" and not multiplies_bfloat16(torch.device(config.device).type):
        print(f"warning: {config.device} has no arithmetic for bfloat16: precision float32 is faster here, and exact")
    codec = _load(config.codec, config.precision, config.device)
    _claim(dump, codec, FrontEnd(config.frontend, codec), config.precision)
    shards = make_shards(utterances, dump / "shards")
    todo = [shard for shard in shards if not shard.finished.is_file()]
    if todo:
        _run(todo, config, codec.sample_rate)
    join_shards(shards, utterances, dump)


def make_shards(utterances: list[Utterance], folder: Path) -> list[Shard]:
    """Utterances of similar length together, the longest first, so that no process is left with a long one."""
    order = sorted(utterances, key=lambda utterance: (-utterance.num_samples, utterance.id))
    size = min(SHARD, -(-len(order) // SHARDS))
    return [Shard(first // size, order[first : first + size], folder) for first in range(0, len(order), size)]


def join_shards(shards: list[Shard], utterances: list[Utterance], dump: Path) -> None:
    """Put the shards' scp files together, sorted by id; `feats.scp` appears last."""
    names = sorted({f"codes_{source}" for u in utterances for source in get_task(u.task).sources if u.targets})
    for name in (*names, "codes_wav", "feats"):
        lines = []
        for shard in shards:
            if shard.scp(name).is_file():
                lines += shard.scp(name).read_text(encoding="utf-8").splitlines()
        _write_lines(dump / f"{name}.scp", sorted(lines))
        if name == "codes_wav":
            hop = read_json(dump / "codec.json")["hop"]
            _write_lines(dump / "utt2num_frames", [f"{u.id} {-(-u.num_samples // hop)}" for u in utterances])


def _claim(dump: Path, codec: DacCodec, frontend: FrontEnd, precision: str) -> None:
    """Keep the fingerprints in `dump`, or check them where they are."""
    fingerprints = {
        "codec.json": codec.fingerprint,
        "frontend.json": frontend.fingerprint,
        "tokenize.json": {"precision": precision},
    }
    for name, fingerprint in fingerprints.items():
        path = dump / name
        if path.is_file():
            check_fingerprint(read_json(path), fingerprint, f"{path} is there already; {dump} was")
        else:
            write_json(path, fingerprint)


def _run(shards: list[Shard], config: TokenizeConfig, sample_rate: int) -> None:
    seconds = sum(u.num_samples * (1 + len(u.targets)) for shard in shards for u in shard.utterances) / sample_rate
    start = time.monotonic()
    work = functools.partial(_tokenize_shard, config=config)
    clipped: list[str] = []
    with progress(range(sum(len(shard.utterances) for shard in shards)), "tokenize") as bar:
        for count, found in parallel_map(work, shards, config.num_jobs, ordered=False):
            bar.update(count)
            clipped += found
    elapsed = time.monotonic() - start
    print(f"tokenized {seconds:.0f} s of audio in {elapsed:.0f} s: {seconds / elapsed:.1f} times real time")
    if clipped:
        shown = ", ".join(sorted(clipped)[:MAX_SHOWN])
        print(f"warning: {len(clipped)} waves look clipped: {shown}{', ...' if len(clipped) > MAX_SHOWN else ''}")


@functools.cache
def _load(codec: str, precision: str, device: str) -> DacCodec:
    return DacCodec.load(codec, precision, device)


def _tokenize_shard(shard: Shard, config: TokenizeConfig) -> tuple[int, list[str]]:
    """Write the archives of a shard; return the number of utterances and the waves that look clipped."""
    codec = _load(config.codec, config.precision, config.device)
    front_end = FrontEnd(config.frontend, codec)
    waves = {
        (name, utterance.id): wave
        for utterance in sorted(shard.utterances, key=lambda utterance: utterance.id)
        for name, wave in _waves(utterance, codec.sample_rate)
    }
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for keys in batch_by_length({key: len(wave) for key, wave in waves.items()}, _batch_samples(config, codec)):
        for (name, id), encoded, feats_TF in tokenize_batch({key: waves[key] for key in keys}, codec, front_end):
            arrays.setdefault(f"codes_{name}", {})[id] = encoded
            if name == "wav":
                arrays.setdefault("feats", {})[id] = feats_TF
    for name, members in arrays.items():
        write_ark(shard.scp(name).with_suffix(".ark"), shard.scp(name), dict(sorted(members.items())))
    with atomic_path(shard.finished):
        pass
    return len(shard.utterances), [f"{id} ({name})" for (name, id), wave in waves.items() if looks_clipped(wave)]


def _waves(utterance: Utterance, sample_rate: int) -> Iterator[tuple[str, np.ndarray]]:
    yield "wav", read_input(utterance, sample_rate)
    yield from read_sources(utterance, sample_rate).items()


def _batch_samples(config: TokenizeConfig, codec: DacCodec) -> int:
    return round(config.batch_seconds * codec.sample_rate)


def batch_by_length[K](lengths: dict[K, int], most_samples: int) -> Iterator[list[K]]:
    """Keys in batches of similar length, of at most `most_samples` with padding unless a wave alone has more."""
    batch: list[K] = []
    for key in sorted(lengths, key=lambda key: -lengths[key]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > most_samples:
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


def tokenize_batch[K](
    waves: dict[K, np.ndarray], codec: DacCodec, front_end: FrontEnd
) -> Iterator[tuple[K, np.ndarray, np.ndarray]]:
    """Yield key, codes (T, Q) and features (T, F) of each wave (S,), as if each were alone."""
    lengths_B = torch.tensor([len(wave) for wave in waves.values()], device=codec.device)
    wave_BS = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(wave) for wave in waves.values()], batch_first=True)
    encoded = codec.encode(wave_BS.to(codec.device), lengths_B if len(waves) > 1 else None)
    feats_BTF = front_end(wave_BS, Encoded(encoded.codes_BTQ.cpu(), encoded.latents_BTC.cpu()))
    for row, (key, wave) in enumerate(waves.items()):
        frames = -(-len(wave) // codec.hop)
        yield key, encoded.codes_BTQ[row, :frames].cpu().numpy(), feats_BTF[row, :frames].numpy()


def looks_clipped(wave: np.ndarray) -> bool:
    """Whether the wave (S,) stays at its peak, near full scale, for three samples or more, ten times or more."""
    at_peak = np.abs(wave) >= max(0.98, np.abs(wave).max())
    return np.count_nonzero(at_peak[:-2] & at_peak[1:-1] & at_peak[2:]) >= 10


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
