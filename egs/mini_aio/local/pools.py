"""Sources that training mixes anew in every step: noises, rooms and single events."""

import functools
import zlib
from dataclasses import dataclass
from pathlib import Path

import events
import noises
import numpy as np
from signals import SAMPLE_RATE, num_samples_of

from aio_toolkit.data.resampling import resample
from aio_toolkit.data.source_dir import Source, write_source_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress


@dataclass
class PoolSizes:
    """How many sources of each kind there are.

    Attributes:
        noise: noises.
        rir: impulse responses of rooms.
        event: events, of the recipes of the training split.
        noise_seconds: length of a noise.
        event_seconds: length of an event.
    """

    noise: int = 0
    rir: int = 0
    event: int = 0
    noise_seconds: float = 4.0
    event_seconds: float = 2.0


@dataclass(frozen=True)
class PoolJob:
    """One source to make.

    Attributes:
        kind: noise, rir or event.
        index: number among those of its kind.
    """

    kind: str
    index: int

    @property
    def id(self) -> str:
        """Its id."""
        return f"{self.kind}-train-{self.index:05d}"


@dataclass(frozen=True)
class PoolRun:
    """How sources are made.

    Attributes:
        sizes: lengths.
        seed: another seed gives others.
        sample_rate: Hz of the files.
        corpus: folder of the audio.
    """

    sizes: PoolSizes
    seed: int
    sample_rate: int
    corpus: Path


def make_pools(run: PoolRun, data: Path, scale: float, num_jobs: int) -> None:
    """Write the audio that is not there yet, and `data/<kind>_train` for each kind.

    Args:
        run: what to make.
        data: folder of the data dirs.
        scale: multiplies all counts, of which at least 12 remain: an event of every class.
        num_jobs: processes.
    """
    counts = {"noise": run.sizes.noise, "rir": run.sizes.rir, "event": run.sizes.event}
    jobs = []
    for kind, count in counts.items():
        if count:
            jobs += [PoolJob(kind, index) for index in range(max(12, round(count * scale)))]
    made = parallel_map(functools.partial(_make, run=run), jobs, num_jobs, chunksize=16)
    sources = list(progress(made, desc="sources", total=len(jobs)))
    for kind in counts:
        of_kind = [source for job, source in zip(jobs, sources, strict=True) if job.kind == kind]
        if of_kind:
            write_source_dir(data / f"{kind}_train", of_kind)


def _make(job: PoolJob, run: PoolRun) -> Source:
    """Write a source, unless an earlier run did."""
    checksum = zlib.crc32(job.id.encode())
    rng = np.random.default_rng([run.seed, checksum])
    speaker, wave_S = _RENDER[job.kind](rng, run.sizes, job.index)
    if run.sample_rate != SAMPLE_RATE:
        wave_S = resample(wave_S, SAMPLE_RATE, run.sample_rate)
    path = run.corpus / "train" / job.kind / f"{job.id}.wav"
    if not path.exists():
        # All at one peak: who mixes them sets their levels. Events have theirs already.
        peak = 1.0 if job.kind == "event" else 0.9 / np.max(np.abs(wave_S))
        write_wav(path, wave_S * peak, run.sample_rate)
    return Source(job.id, speaker, str(path), len(wave_S))


def _noise(rng: np.random.Generator, sizes: PoolSizes, index: int) -> tuple[str, np.ndarray]:
    return "noise", noises.draw_noise(rng, num_samples_of(sizes.noise_seconds))


def _rir(rng: np.random.Generator, sizes: PoolSizes, index: int) -> tuple[str, np.ndarray]:
    return f"room{index:05d}", noises.draw_rir(rng)


def _event(rng: np.random.Generator, sizes: PoolSizes, index: int) -> tuple[str, np.ndarray]:
    """Classes in turn, each at random points of its axis; the whole event and its faded end."""
    kind = sorted(events.KINDS)[index % len(events.KINDS)]
    recipe = next(r for r in events.draw_recipes(rng, "train", len(events.KINDS)) if r.kind == kind)
    share = rng.uniform(0.5, 1.0)
    return kind, events.render(recipe, rng, int(num_samples_of(sizes.event_seconds) * share))


_RENDER = {"noise": _noise, "rir": _rir, "event": _event}
