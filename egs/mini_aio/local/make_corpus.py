#!/usr/bin/env python3
"""Make the mini_aio corpus and its data dirs from a seed; unfinished runs go on where they stopped."""

import argparse
import dataclasses
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import mixtures
import soundfile

from aio_toolkit.config import load_config, to_dict
from aio_toolkit.data import mixing
from aio_toolkit.data.audio import write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.errors import AioError, cli
from aio_toolkit.files import atomic_path, read_json, sha256_file, write_json
from aio_toolkit.progress import progress

SPLITS = ("train", "dev", "test")
_WAV_HEADER_BYTES = 44


@dataclass
class Counts:
    """Utterances of each task in a split."""

    asr: int = 0
    st: int = 0
    sep: int = 0
    enh: int = 0
    sound: int = 0
    music: int = 0


@dataclass
class CorpusConfig:
    """conf/corpus.yaml: how many utterances, and what they are like."""

    train: Counts = field(default_factory=Counts)
    dev: Counts = field(default_factory=Counts)
    test: Counts = field(default_factory=Counts)
    levels: mixtures.Levels = field(default_factory=mixtures.Levels)


@dataclass(frozen=True)
class Made:
    """An utterance and the manifest rows of its files: path below the corpus, SHA-256, samples."""

    utterance: Utterance
    rows: tuple[tuple[str, str, int], ...]


@cli
def main() -> None:
    """Parse the command line and make the corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("conf/corpus.yaml"), help="sizes and levels")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"), help="where the audio goes")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the data dirs go")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another corpus")
    parser.add_argument("--nj", type=int, default=2, help="processes; the result does not depend on it")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all counts (at least 2 remain)")
    args = parser.parse_args()
    config = load_config(CorpusConfig, args.config)
    make_corpus(config, args.corpus, args.data, args.seed, args.nj, args.scale)


def make_corpus(config: CorpusConfig, corpus: Path, data: Path, seed: int = 0, nj: int = 1, scale: float = 1.0) -> None:
    """Make the audio under `corpus`, the data dirs under `data`, and `corpus/manifest.tsv` last.

    Raises:
        AioError: a setting makes no sense, or `corpus` holds something that this program did not make.
    """
    if seed < 0 or nj < 1 or scale <= 0:
        raise AioError(f"seed {seed}, nj {nj}, scale {scale}: need seed >= 0, nj >= 1 and scale > 0.")
    stamp = {"seed": seed, "scale": scale, "config": to_dict(config), "generator": _generator_hashes()}
    _adopt(corpus, stamp)
    if _is_complete(corpus, data):
        print(f"{corpus}: complete, nothing to do")
        return
    jobs = [job for split in SPLITS for job in _jobs(split, getattr(config, split), scale)]
    make = partial(_make, levels=config.levels, seed=seed, corpus=corpus)
    made = list(progress(_map(make, jobs, nj), desc="corpus", total=len(jobs)))
    for split in SPLITS:
        utterances = [m.utterance for job, m in zip(jobs, made, strict=True) if job.split == split]
        write_data_dir(data / split, utterances)
    _write_manifest(corpus, made)


def _jobs(split: str, counts: Counts, scale: float) -> list[mixtures.Job]:
    jobs = []
    for task, count in dataclasses.asdict(counts).items():
        scaled = max(2, round(count * scale)) if count else 0
        jobs += [mixtures.Job(split, task, index) for index in range(scaled)]
    return jobs


def _map(function: partial, jobs: list[mixtures.Job], nj: int) -> Iterator[Made]:
    if nj == 1:
        yield from map(function, jobs)
        return
    # spawn: forking a process that has threads (BLAS, a test runner) can deadlock
    context = multiprocessing.get_context("spawn")
    # Control-C is for the parent alone, which then says what to do next.
    quiet = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        with ProcessPoolExecutor(nj, mp_context=context, initializer=quiet) as pool:
            yield from pool.map(function, jobs, chunksize=16)
    except BrokenProcessPool:
        raise AioError(
            "a process died, perhaps for want of memory. Run again to resume, with a smaller --nj."
        ) from None


def _make(job: mixtures.Job, levels: mixtures.Levels, seed: int, corpus: Path) -> Made:
    """Write the files of one utterance, unless an earlier run did."""
    draft = mixtures.draft(job, levels, seed)
    folder = corpus / job.split / job.task
    targets = {name: folder / f"{job.id}_{name}.wav" for name in draft.targets}
    paths = [*targets.values(), folder / f"{job.id}.wav"]
    if not all(path.exists() for path in paths):
        waves = draft.render()
        for path, wave in zip(paths, [*(waves.targets[name] for name in targets), waves.input], strict=True):
            write_wav(path, wave, mixtures.SAMPLE_RATE)
    num_samples = soundfile.info(paths[-1]).frames
    utterance = Utterance(
        id=job.id,
        task=job.task,
        speaker=draft.speaker,
        wav=str(paths[-1]),
        num_samples=num_samples,
        texts=draft.texts,
        targets={name: str(path) for name, path in targets.items()},
    )
    rows = tuple((path.relative_to(corpus).as_posix(), sha256_file(path), num_samples) for path in paths)
    return Made(utterance, rows)


def _generator_hashes() -> dict[str, str]:
    """Checksums of the programs, as audio made by another version of them is another corpus."""
    programs = [*sorted(Path(__file__).parent.glob("*.py")), Path(mixing.__file__)]
    return {path.name: sha256_file(path) for path in programs}


def _adopt(corpus: Path, stamp: dict) -> None:
    """Make `corpus` a folder with this stamp; audio with another stamp goes."""
    path = corpus / "stamp.json"
    for leftover in corpus.rglob(".tmp-*"):
        leftover.unlink()
    if corpus.is_dir() and os.listdir(corpus) and not path.exists():
        raise AioError(f"{corpus} has files but no stamp.json: another program made it. Move it away.")
    if path.exists() and read_json(path) != stamp:
        print(f"{corpus}: other settings or programs than before, making it again")
        (corpus / "manifest.tsv").unlink(missing_ok=True)
        for split in SPLITS:
            shutil.rmtree(corpus / split, ignore_errors=True)
    write_json(path, stamp)


def _is_complete(corpus: Path, data: Path) -> bool:
    """Whether the manifest and all that it names are there; a file of a wrong size is removed."""
    manifest = corpus / "manifest.tsv"
    if not manifest.exists():
        return False
    complete = all((data / split / "wav.scp").exists() for split in SPLITS)
    for line in manifest.read_text(encoding="utf-8").splitlines()[1:]:
        name, _sha256, samples = line.split("\t")
        path = corpus / name
        if not path.exists() or path.stat().st_size != _WAV_HEADER_BYTES + 2 * int(samples):
            path.unlink(missing_ok=True)
            complete = False
    return complete


def _write_manifest(corpus: Path, made: list[Made]) -> None:
    rows = sorted(row for m in made for row in m.rows)
    with atomic_path(corpus / "manifest.tsv") as temporary:
        lines = ["path\tsha256\tsamples", *("\t".join(map(str, row)) for row in rows)]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
