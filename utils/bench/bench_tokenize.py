"""Tokenization against the `dac` package's own command: whole processes, same files, same machine.

For each codec it prints how many times faster than real time each command is, and how many codes
are not those of the package's model, beside how many of the package's own change with the number of
threads: sums in another order round differently, and codes that are all but equally near change
places. The audio is generated; the 16 kHz architecture of the package has random weights. bfloat16
is left out on a CPU that would have to emulate it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, read_folder, save_dac
from aio_toolkit.codec.losses import si_sdr
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.tasks import load_tasks

SAMPLE_RATE = 16000
REPO = Path(__file__).resolve().parents[2]
TASKS_CONFIG = REPO / "egs/TEMPLATE/conf/tasks.yaml"
# An objective that learns from the codes of inputs, so that stage 2 makes them.
SSL_CONFIG = "model: {objective: {kind: masked_codes}}\n"
# Times the audio for the small codec, so that its time too is spent on audio and not on starting.
SMALL_CODEC_GETS = 5
# Files whose codes and audio are compared.
CHECKED = 10


@dataclass(frozen=True)
class Case:
    """A codec and the files that it codes.

    Attributes:
        title: what the line of figures begins with.
        codec: its folder.
        root: folder of the files.
        seconds: audio in all.
    """

    title: str
    codec: Path
    root: Path
    seconds: float


@dataclass(frozen=True)
class Difference:
    """How our codes differ from the package's on one thread.

    Attributes:
        changed: share of codes that differ.
        noise: share of the package's own that differ on all threads.
        si_sdr: what ours do to the SI-SDR of the decoded audio, in dB.
    """

    changed: float
    noise: float
    si_sdr: float


def main() -> None:
    """Make audio, compare, print a line per codec."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    num_cores = len(os.sched_getaffinity(0))
    small = REPO / "egs/mini_aio/codec"
    parser.add_argument("--seconds", type=float, default=600.0, help="audio for the large codec")
    parser.add_argument("--codec", type=Path, default=small, help="small codec to compare")
    parser.add_argument("--nj", type=int, default=num_cores, help="processes of our command")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        official = Path(folder) / "official"
        save_dac(official, build_dac(Dac.Config()), Dac.Config())
        for title, codec, seconds in (
            ("dac 16 kHz architecture", official, args.seconds),
            (f"codec of {args.codec.parent.name}", args.codec, SMALL_CODEC_GETS * args.seconds),
        ):
            root = Path(folder) / "files" / title
            case = Case(title, codec, root, make_audio(root, seconds))
            print(compare(case, args.nj), flush=True)


def make_audio(root: Path, seconds: float) -> float:
    """Write files of 5 to 15 s of gliding tones and their data dir; return their length."""
    rng = np.random.default_rng(0)
    tasks = load_tasks(TASKS_CONFIG)
    utterances: list[Utterance] = []
    total = 0.0
    root.mkdir(parents=True)
    (root / "train_ssl.yaml").write_text(SSL_CONFIG)
    while total < seconds:
        wave_S = gliding_tone(rng)
        id = f"asr-{len(utterances):04d}"
        path = root / "audio" / f"{id}.wav"
        write_wav(path, wave_S, SAMPLE_RATE)
        answers = {"text": "a"}
        utterances.append(Utterance(id, tasks["asr"], id, str(path), len(wave_S), answers))
        total += len(wave_S) / SAMPLE_RATE
    write_data_dir(root / "data", utterances, tasks)
    return total


def gliding_tone(rng: np.random.Generator) -> np.ndarray:
    """A tone (S,) with overtones, vibrato and tremolo, in noise."""
    time_S = np.arange(int(rng.uniform(5, 15) * SAMPLE_RATE)) / SAMPLE_RATE
    middle = rng.uniform(100, 800)
    vibrato_S = np.sin(2 * np.pi * rng.uniform(0.2, 2) * time_S)
    pitch_S = middle * (1 + 0.3 * vibrato_S)
    phase_S = 2 * np.pi * np.cumsum(pitch_S) / SAMPLE_RATE
    tone_S = sum(np.sin(k * phase_S) / k for k in range(1, 6))
    tremolo_S = 1 + np.sin(2 * np.pi * 3 * time_S)
    return 0.1 * tone_S * tremolo_S + 0.01 * rng.standard_normal(len(time_S))


def compare(case: Case, num_jobs: int) -> str:
    """One line of ratios."""
    package = package_model(case.codec)
    theirs = timed(package_command(case, package))
    line = f"{case.title}: dac encode {case.seconds / theirs:.1f} x real time"
    precisions = ("float32", "bfloat16") if multiplies_bfloat16("cpu") else ("float32",)
    for precision in precisions:
        out = case.root / precision
        ours = timed(our_command(case, out, precision, num_jobs))
        codes = ArkReader(out / "codes_wav.scp")
        found = difference(package, load_codec(case.codec), codes, case.root)
        speed, ratio = case.seconds / ours, theirs / ours
        line += f"; {precision} {speed:.1f} x ({ratio:.2f} times dac encode), "
        line += f"{100 * found.changed:.4f} % of codes differ "
        line += f"(of its own by threads {100 * found.noise:.4f} %), SI-SDR {found.si_sdr:+.2f} dB"
    return line


def package_model(codec: Path) -> torch.nn.Module:
    """The package's model with the codec's weights, weight norm not folded away."""
    return read_folder(codec, Dac.Config).eval()


def package_command(case: Case, package: torch.nn.Module) -> list[str]:
    """`dac encode` of the files."""
    weights = case.root / "weights.pth"
    package.save(weights, package=False)
    command = [sys.executable, "-m", "dac", "encode", str(case.root / "audio")]
    command += ["--output", str(case.root / "theirs")]
    return [*command, "--weights_path", str(weights), "--device", "cpu"]


def our_command(case: Case, out: Path, precision: str, num_jobs: int) -> list[str]:
    """`encode_data` of the same files."""
    options = {
        "--codec": case.codec,
        "--ssl_config": case.root / "train_ssl.yaml",
        "--tasks_config": TASKS_CONFIG,
        "--data": case.root / "data",
        "--dump": out,
        "--nj": num_jobs,
        "--precision": precision,
    }
    command = [sys.executable, "-m", "aio_toolkit.bin.encode_data"]
    for name, value in options.items():
        command += [name, str(value)]
    return command


def timed(command: list[str]) -> float:
    """Seconds that a command takes, start to end."""
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed: {done.stderr[-2000:]}")
    return time.perf_counter() - start


@torch.inference_mode()
def difference(package: torch.nn.Module, codec: Codec, codes: ArkReader, root: Path) -> Difference:
    """How our codes differ from the package's, over the first files.

    The package's command scales audio before it codes it, so its model is asked for the codes of
    the same audio.
    """
    changed, noise, gains = [], [], []
    num_threads = torch.get_num_threads()
    for id in list(codes)[:CHECKED]:
        reference_1S = read_audio(str(root / "audio" / f"{id}.wav"), SAMPLE_RATE)[None]
        theirs_1TQ = package_codes(package, reference_1S, 1)
        threaded_1TQ = package_codes(package, reference_1S, num_threads)
        ours_1TQ = torch.from_numpy(codes[id]).long()[None]
        changed.append((ours_1TQ != theirs_1TQ).float().mean().item())
        noise.append((threaded_1TQ != theirs_1TQ).float().mean().item())

        theirs_db, ours_db = (
            si_sdr_of(codec.decode(codes_1TQ), reference_1S) for codes_1TQ in (theirs_1TQ, ours_1TQ)
        )
        gains.append(ours_db - theirs_db)
    return Difference(float(np.mean(changed)), float(np.mean(noise)), float(np.mean(gains)))


def si_sdr_of(decoded_1S: torch.Tensor, reference_1S: np.ndarray) -> float:
    """SI-SDR in dB of decoded audio, which is longer by the rest of its last frame."""
    reference = torch.from_numpy(reference_1S).double()
    estimate = decoded_1S[:, : reference.shape[1]].double()
    return si_sdr(estimate, reference, ceiling=100.0).item()


def package_codes(package: torch.nn.Module, wave_1S: np.ndarray, num_threads: int) -> torch.Tensor:
    """The package's codes (1, T, Q) of a wave, computed on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    padded_11S = package.preprocess(torch.from_numpy(wave_1S)[:, None], SAMPLE_RATE)
    codes_1QT = package.encode(padded_11S)[1]
    torch.set_num_threads(before)
    return codes_1QT.transpose(1, 2)


if __name__ == "__main__":
    main()
