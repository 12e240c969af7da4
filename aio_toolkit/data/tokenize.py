"""Stage 2: codec codes of every wave of a data dir, and front-end features of the inputs."""

import dataclasses
import functools
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.codec.base import check_fingerprint
from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.data.arks import write_ark
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.encoders.frontend import FrontEnd, FrontEndConfig
from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path, read_json, write_json
from aio_toolkit.progress import progress
from aio_toolkit.tasks import get_task

SHARD = 64


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


def tokenize_data_dir(codec: str, frontend: FrontEndConfig, data: Path, dump: Path, num_jobs: int) -> None:
    """Write features, codes, lengths and fingerprints of a data dir to `dump`.

    A shard that an earlier run finished is kept; the archives are the same whatever `num_jobs`.

    Raises:
        AioError: bad audio, or `dump` holds codes of another codec or features of another front end.
    """
    utterances = read_data_dir(data)
    loaded = DacCodec.load(codec)
    _claim(dump, loaded, FrontEnd(frontend, loaded))
    shards = make_shards(utterances, dump / "shards")
    todo = [shard for shard in shards if not shard.finished.is_file()]
    if todo:
        _run(todo, codec, frontend, num_jobs, loaded.sample_rate)
    join_shards(shards, utterances, dump)


def make_shards(utterances: list[Utterance], folder: Path) -> list[Shard]:
    """Utterances of similar length together, so that shards cost about the same."""
    order = sorted(utterances, key=lambda utterance: (utterance.num_samples, utterance.id))
    return [Shard(first // SHARD, order[first : first + SHARD], folder) for first in range(0, len(order), SHARD)]


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


def _claim(dump: Path, codec: DacCodec, frontend: FrontEnd) -> None:
    """Keep the fingerprints in `dump`, or check them where they are."""
    for name, fingerprint in (("codec.json", codec.fingerprint), ("frontend.json", frontend.fingerprint)):
        path = dump / name
        if path.is_file():
            check_fingerprint(read_json(path), fingerprint, f"{path} is there already; {dump} was")
        else:
            write_json(path, fingerprint)


def _run(shards: list[Shard], codec: str, frontend: FrontEndConfig, num_jobs: int, sample_rate: int) -> None:
    seconds = sum(u.num_samples * (1 + len(u.targets)) for shard in shards for u in shard.utterances) / sample_rate
    start = time.monotonic()
    work = functools.partial(_tokenize_shard, codec=codec, frontend=frontend)
    with progress(range(sum(len(shard.utterances) for shard in shards)), "tokenize") as bar:
        for count in _parallel(work, shards, num_jobs):
            bar.update(count)
    elapsed = time.monotonic() - start
    print(f"tokenized {seconds:.0f} s of audio in {elapsed:.0f} s: {seconds / elapsed:.1f} times real time")


def _parallel(work, shards: list[Shard], num_jobs: int) -> Iterator[int]:
    """One thread a process: several small processes beat one with several threads."""
    if num_jobs == 1:
        yield from map(work, shards)
        return
    # "spawn": a process forked from one that has used torch's threads may hang.
    with multiprocessing.get_context("spawn").Pool(num_jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.imap_unordered(work, shards)


@functools.cache
def _load(codec: str) -> DacCodec:
    return DacCodec.load(codec)


def _tokenize_shard(shard: Shard, codec: str, frontend: FrontEndConfig) -> int:
    """Write the archives of a shard; return the number of utterances."""
    model = _load(codec)
    front_end = FrontEnd(frontend, model)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for utterance in sorted(shard.utterances, key=lambda utterance: utterance.id):
        for name, array in tokenize_utterance(utterance, model, front_end):
            arrays.setdefault(name, {})[utterance.id] = array
    for name, members in arrays.items():
        write_ark(shard.scp(name).with_suffix(".ark"), shard.scp(name), members)
    with atomic_path(shard.finished):
        pass
    return len(shard.utterances)


def tokenize_utterance(utterance: Utterance, codec: DacCodec, front_end: FrontEnd) -> Iterator[tuple[str, np.ndarray]]:
    """Yield `feats` (T, F), `codes_wav` (T, Q) and the `codes_<source>` (T, Q) of one utterance."""
    wave_1S = _read(utterance.wav, utterance, codec.sample_rate)
    encoded = codec.encode(wave_1S)
    yield "feats", front_end(wave_1S, encoded)[0].numpy()
    yield "codes_wav", encoded.codes_BTQ[0].numpy()
    rest_1S = wave_1S
    for target, spec in utterance.targets.items():
        target_1S = _read(spec, utterance, codec.sample_rate)
        rest_1S = rest_1S - target_1S
        yield f"codes_{target}", codec.encode(target_1S).codes_BTQ[0].numpy()
    residual = get_task(utterance.task).residual
    if residual is not None:
        yield f"codes_{residual}", codec.encode(rest_1S).codes_BTQ[0].numpy()


def _read(spec: str, utterance: Utterance, sample_rate: int) -> torch.Tensor:
    wave = read_audio(spec, sample_rate, utterance.id)
    if len(wave) != utterance.num_samples:
        raise AioError(
            f"{utterance.id}: {spec} has {len(wave)} samples, utt2num_samples says {utterance.num_samples}. "
            "Run stage 1 again."
        )
    return torch.from_numpy(wave)[None]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
