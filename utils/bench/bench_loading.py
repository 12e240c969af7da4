"""How long a step waits for its batch when the model takes 1,000 seconds of audio a second.

A loop stands in for the model: it sleeps as long as such a model would take for the batch. Batches
are of recognition, separation and enhancement in rooms, the latter two mixed anew. It prints the
share of the time that the loop waits.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import load_config
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.source_dir import Source, write_source_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.dump.fingerprints import claim_dump
from aio_toolkit.dump.split import Corpus
from aio_toolkit.models.batch import Batch
from aio_toolkit.tasks import load_tasks
from aio_toolkit.training.data_module import TaskDataModule
from aio_toolkit.training.dataset import PretrainingDataset

RATE, SPEED = 16000, 1000.0
REPO = Path(__file__).resolve().parents[2]
TASKS = load_tasks(REPO / "egs/TEMPLATE/conf/tasks.yaml")
CODEC = CodecFingerprint("none", "0", RATE, 320, 1, 2, 2)
WARM_UP, BATCHES = 5, 40
MIXING = """{
    sep: {kind: speakers, speakers: {sources: ["train:asr"]}},
    enh: {kind: noisy_speech, noisy_speech: {sources: ["train:asr"], noises: [noise_train],
          rooms: [rir_train], room_share: 0.5}},
}"""


def main() -> None:
    """Print a line for loader processes, and one for none."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--num_workers", type=int, default=2, help="loader processes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder))
        for num_workers in (0, args.num_workers):
            waited, total, seconds = wait(corpus, num_workers)
            print(
                f"{num_workers} loader processes: {seconds / BATCHES:.0f} s of audio a batch, "
                f"{100 * waited / total:.1f} % of the time waiting at {SPEED:.0f} s of audio a "
                "second",
                flush=True,
            )


def make_corpus(root: Path) -> Corpus:
    """Speech-long noise of twenty speakers, noises and rooms."""
    rng = np.random.default_rng(0)

    def wave(name: str, seconds: float) -> tuple[str, int]:
        wave_S = 0.1 * rng.standard_normal(int(seconds * RATE))
        path = root / "audio" / f"{name}.wav"
        write_wav(path, wave_S, RATE)
        return str(path), len(wave_S)

    for split in ("train", "dev"):
        utterances = []
        for number in range(200):
            path, size = wave(f"{split}-{number}", rng.uniform(2, 15))
            speaker, answer = f"s{number % 20}", {"text": "a"}
            id = f"asr-{split}-{number:03d}"
            utterances.append(Utterance(id, TASKS["asr"], speaker, path, size, answer))
        write_data_dir(root / "data" / split, utterances, TASKS)
        claim_dump(root / "dump" / split, CODEC, "float32")
    for kind, seconds in (("noise", 5.0), ("rir", 0.4)):
        sources = []
        for number in range(40):
            path, size = wave(f"{kind}-{number}", seconds)
            sources.append(Source(f"{kind}-{number:02d}", kind, path, size))
        write_source_dir(root / "data" / f"{kind}_train", sources)
    return Corpus(root / "data", root / "dump", TASKS)


def wait(corpus: Corpus, num_workers: int) -> tuple[float, float, float]:
    """Seconds of waiting, of the whole loop, and of the audio in it."""
    batches = iter(open_batches(corpus, num_workers))
    for _ in range(WARM_UP):
        next(batches)
    waited = audio = 0.0
    start = time.perf_counter()
    for _ in range(BATCHES):
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        seconds = batch.samples_B.sum().item() / RATE
        audio += seconds
        time.sleep(seconds / SPEED)
    return waited, time.perf_counter() - start, audio


def open_batches(corpus: Corpus, num_workers: int) -> Iterator[Batch]:
    """The first batches that a training would draw."""
    options = [
        "seconds={asr: 240, sep: 120, enh: 120}",
        "segment_seconds=4.0",
        f"num_workers={num_workers}",
    ]
    config = load_config(TaskDataModule.Config, None, [*options, f"mixing={MIXING}"])
    tasks = config.chosen(TASKS)
    train = PretrainingDataset(corpus.train, tasks, config.rules(corpus, CODEC.grid))
    dev = PretrainingDataset(corpus.dev, [TASKS["asr"]])
    data = TaskDataModule(config, train, dev, tasks, seed=0)
    return data.first_batches(WARM_UP + BATCHES)


if __name__ == "__main__":
    main()
