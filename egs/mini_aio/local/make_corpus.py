#!/usr/bin/env python3
"""Make the mini_aio corpus and its data dirs; an unfinished run goes on where it stopped."""

import dataclasses
import itertools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import mixtures
import numpy as np
import soundfile
from pools import PoolRun, PoolSizes, make_pools
from signals import SAMPLE_RATE

from aio_toolkit import folders
from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.config import load_config, to_dict
from aio_toolkit.data import mixtures as arithmetic
from aio_toolkit.data import resampling, wav_writer
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.errors import AioError, cli
from aio_toolkit.files import atomic_path, sha256_file
from aio_toolkit.parallel import parallel_map
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task, get_task, load_tasks

SPLITS = ("train", "dev", "test")
MANIFEST = "manifest.tsv"


@dataclass
class Counts:
    """Utterances of each task in a split.

    Attributes:
        asr: speech recognition.
        st: speech translation.
        sep: speech separation.
        enh: speech enhancement.
        sound: sound separation.
        music: music source separation.
    """

    asr: int = 0
    st: int = 0
    sep: int = 0
    enh: int = 0
    sound: int = 0
    music: int = 0


@dataclass
class CorpusConfig:
    """conf/corpus.yaml: how many utterances, and what they are like.

    Attributes:
        train: utterances to train on.
        dev: utterances that choose the best checkpoint.
        test: utterances of the results.
        pools: sources of the mixtures that training makes on the fly.
        levels: levels, lengths and speaking style.
    """

    train: Counts = field(default_factory=Counts)
    dev: Counts = field(default_factory=Counts)
    test: Counts = field(default_factory=Counts)
    pools: PoolSizes = field(default_factory=PoolSizes)
    levels: mixtures.Levels = field(default_factory=mixtures.Levels)


@dataclass(frozen=True)
class Run:
    """How the corpus is made.

    Attributes:
        seed: another seed gives another corpus.
        nj: number of processes; the result does not depend on it.
        scale: multiplies all counts, of which at least 2 remain.
        sample_rate: Hz of the files; sounds are made at 16 kHz and hold nothing above 8 kHz.
    """

    seed: int = 0
    nj: int = 1
    scale: float = 1.0
    sample_rate: int = SAMPLE_RATE


@dataclass(frozen=True)
class Made:
    """What one job has made.

    Attributes:
        utterance: its line of the data dir.
        rows: the manifest rows of its files: path below the corpus, SHA-256, samples.
    """

    utterance: Utterance
    rows: tuple[tuple[str, str, int], ...]


@cli
def main() -> None:
    """Parse the command line and make the corpus."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--config", type=Path, default=Path("conf/corpus.yaml"), help="sizes and levels"
    )
    parser.add_argument("--corpus", type=Path, default=Path("corpus"), help="where the audio goes")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the data dirs go")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another corpus")
    parser.add_argument(
        "--nj", type=int, default=2, help="processes; the result does not depend on it"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="multiplies all counts (at least 2 remain)"
    )
    parser.add_argument("--fs", type=int, default=SAMPLE_RATE, help="sample rate in Hz")
    add_tasks(parser)
    args = parse(parser)

    config, tasks = load_config(CorpusConfig, args.config), load_tasks(args.tasks_config)
    run = Run(args.seed, args.nj, args.scale, args.fs)
    make_corpus(config, args.corpus, args.data, tasks, run)


def make_corpus(
    config: CorpusConfig,
    corpus: Path,
    data: Path,
    tasks: Mapping[str, Task],
    run: Run,
) -> None:
    """Make the audio, the data dirs, and `manifest.tsv` last.

    Args:
        config: what to make.
        corpus: folder of the audio and the manifest.
        data: folder of the data dirs.
        tasks: all tasks of the recipe, by name.
        run: how to make it.

    Raises:
        AioError: a setting makes no sense, or `corpus` holds something that this program did not
            make.
    """
    if run.seed < 0 or run.nj < 1 or run.scale <= 0 or run.sample_rate < 4000:
        found = f"seed {run.seed}, nj {run.nj}, scale {run.scale}, fs {run.sample_rate}"
        raise AioError(f"{found}: need seed >= 0, nj >= 1, scale > 0 and fs >= 4000.")
    stamp = {
        "seed": run.seed,
        "scale": run.scale,
        "sample_rate": run.sample_rate,
        "config": to_dict(config),
        "generator": _hash_generator(),
    }
    folders.claim(corpus, stamp, clear=_clear)
    if _is_complete(corpus, data):
        print(f"{corpus}: complete, nothing to do")
        return

    jobs = []
    for split in SPLITS:
        jobs += _list_jobs(split, getattr(config, split), tasks, run.scale)
    work = partial(_make, levels=config.levels, run=run, corpus=corpus)
    results = parallel_map(work, jobs, run.nj, chunksize=16)
    made = list(progress(results, desc="corpus", total=len(jobs)))

    for split in SPLITS:
        pairs = zip(jobs, made, strict=True)
        utterances = [one.utterance for job, one in pairs if job.split == split]
        write_data_dir(data / split, utterances, tasks)
    pool_run = PoolRun(config.pools, run.seed, run.sample_rate, corpus)
    make_pools(pool_run, data, run.scale, run.nj)
    _write_manifest(corpus, made)


def _list_jobs(
    split: str,
    counts: Counts,
    tasks: Mapping[str, Task],
    scale: float,
) -> list[mixtures.Job]:
    jobs = []
    for name, count in dataclasses.asdict(counts).items():
        if count:
            task = get_task(tasks, name)
            scaled = max(2, round(count * scale))
            jobs += [mixtures.Job(split, task, index) for index in range(scaled)]
    return jobs


def _make(job: mixtures.Job, levels: mixtures.Levels, run: Run, corpus: Path) -> Made:
    """Write the files of one utterance, unless an earlier run did."""
    draft = mixtures.draft(job, levels, run.seed)
    folder = corpus / job.split / job.task.name
    targets = {name: folder / f"{job.id}_{name}.wav" for name in draft.targets}
    mixture = folder / f"{job.id}.wav"
    paths = [*targets.values(), mixture]
    if not all(path.exists() for path in paths):
        waves = draft.render()
        for name, path in targets.items():
            _write(path, waves.targets[name], run.sample_rate)
        _write(mixture, waves.input, run.sample_rate)

    num_samples = soundfile.info(mixture).frames
    utterance = Utterance(
        id=job.id,
        task=job.task,
        speaker=draft.speaker,
        wav=str(mixture),
        num_samples=num_samples,
        answers=draft.texts | {name: str(path) for name, path in targets.items()},
    )
    rows = []
    for path in paths:
        name = path.relative_to(corpus).as_posix()
        rows.append((name, sha256_file(path), num_samples))
    return Made(utterance, tuple(rows))


def _write(path: Path, wave_S: np.ndarray, sample_rate: int) -> None:
    if sample_rate != SAMPLE_RATE:
        wave_S = resampling.resample(wave_S, SAMPLE_RATE, sample_rate)
    wav_writer.write_wav(path, wave_S, sample_rate)


def _hash_generator() -> dict[str, str]:
    """Checksums of the programs, as audio made by another version of them is another corpus."""
    programs = sorted(Path(__file__).parent.glob("*.py"))
    for module in (wav_writer, resampling, arithmetic):
        programs.append(Path(str(module.__file__)))
    return {path.name: sha256_file(path) for path in programs}


def _clear(corpus: Path) -> None:
    """Remove what this program has made, and nothing else."""
    # The manifest first: it says that the rest is there.
    (corpus / MANIFEST).unlink(missing_ok=True)
    for split in SPLITS:
        shutil.rmtree(corpus / split, ignore_errors=True)


def _is_complete(corpus: Path, data: Path) -> bool:
    """Whether the manifest and all that it names are there; a file with a wrong sum is removed."""
    checksums = _read_manifest(corpus / MANIFEST)
    made = [path for split in SPLITS for path in (corpus / split).rglob("*.wav")]
    names = {path.relative_to(corpus).as_posix() for path in made}
    has_lists = all((data / split / "wav.scp").exists() for split in SPLITS)
    complete = has_lists and bool(names) and names == checksums.keys()
    for name, checksum in checksums.items():
        if name in names and sha256_file(corpus / name) != checksum:
            (corpus / name).unlink()
            complete = False
    return complete


def _read_manifest(manifest: Path) -> dict[str, str]:
    """The checksum of each file, but of those in lines that cannot be read."""
    if not manifest.exists():
        return {}
    rows = manifest.read_text(encoding="utf-8", errors="replace").split("\n")[1:]
    cells = [row.split("\t") for row in rows]
    return {name: checksum for name, checksum, *_ in (row for row in cells if len(row) == 3)}


def _write_manifest(corpus: Path, made: list[Made]) -> None:
    rows = sorted(itertools.chain.from_iterable(one.rows for one in made))
    content = "path\tsha256\tsamples\n"
    for path, checksum, num_samples in rows:
        content += f"{path}\t{checksum}\t{num_samples}\n"
    with atomic_path(corpus / MANIFEST) as temporary:
        temporary.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
