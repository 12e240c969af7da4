"""Tokenization against the `dac` package's own command: whole processes, same files, same machine, one run.

For each codec it prints how many times faster than real time each of them is, and how many codes are not those of the
package's model, beside how many of the package's own change with the number of threads: sums in another order round
differently, and codes that are all but equally near change places. The audio is generated; the 16 kHz architecture of
the package has random weights. bfloat16 is left out on a CPU that would have to emulate it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.codec.dac import DacCodec, DacConfig, build_dac, save_dac
from aio_toolkit.data.arks import ArkReader
from aio_toolkit.data.audio import read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.precision import multiplies_bfloat16
from aio_toolkit.scoring.separation import si_sdr_by_query

SAMPLE_RATE = 16000
REPO = Path(__file__).resolve().parents[2]
FRONTEND = "log_mel: false\ncodec_latents: true\n"
SMALL_CODEC_GETS = 5  # times the audio, so that its time too is spent on audio and not on starting
CHECKED = 10  # files whose codes and audio are compared


def main() -> None:
    """Make audio, compare, print a line per codec."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="audio for the large codec")
    parser.add_argument("--codec", type=Path, default=REPO / "egs/mini_aio/codec", help="small codec to compare")
    parser.add_argument("--nj", type=int, default=len(os.sched_getaffinity(0)), help="processes of our command")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        official = Path(folder) / "official"
        save_dac(official, build_dac(DacConfig()), DacConfig())
        for title, codec, seconds in (
            ("dac 16 kHz architecture", official, args.seconds),
            (f"codec of {args.codec.parent.name}", args.codec, SMALL_CODEC_GETS * args.seconds),
        ):
            root = Path(folder) / "files" / title
            print(compare(title, codec, root, make_audio(root, seconds), args.nj), flush=True)


def make_audio(root: Path, seconds: float) -> float:
    """Write files of 5 to 15 s of gliding tones in noise and their data dir; return their total length."""
    rng, total, utterances = np.random.default_rng(0), 0.0, []
    root.mkdir(parents=True)
    (root / "frontend.yaml").write_text(FRONTEND)
    while total < seconds:
        t = np.arange(int(rng.uniform(5, 15) * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = rng.uniform(100, 800) * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.2, 2) * t))
        tone = sum(np.sin(k * 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) / k for k in range(1, 6))
        wave = 0.1 * tone * (1 + np.sin(2 * np.pi * 3 * t)) + 0.01 * rng.standard_normal(len(t))
        id = f"asr-{len(utterances):04d}"
        path = root / "audio" / f"{id}.wav"
        write_wav(path, wave, SAMPLE_RATE)
        utterances.append(Utterance(id, "asr", id, str(path), len(wave), {"text": "a"}))
        total += len(t) / SAMPLE_RATE
    write_data_dir(root / "data", utterances)
    return total


def compare(title: str, codec: Path, root: Path, seconds: float, num_jobs: int) -> str:
    """One line of ratios."""
    weights, package = root / "weights.pth", package_model(codec)
    package.save(weights, package=False)
    theirs = timed(
        [sys.executable, "-m", "dac", "encode", str(root / "audio"), "--output", str(root / "theirs"),
         "--weights_path", str(weights), "--device", "cpu"]
    )  # fmt: skip
    line = f"{title}: dac encode {seconds / theirs:.1f} x real time"
    for precision in ("float32", "bfloat16") if multiplies_bfloat16("cpu") else ("float32",):
        out = root / precision
        ours = timed(
            [sys.executable, "-m", "aio_toolkit.bin.tokenize", "--codec", str(codec), "--frontend",
             str(root / "frontend.yaml"), "--data", str(root / "data"), "--out", str(out), "--nj", str(num_jobs),
             "--precision", precision]
        )  # fmt: skip
        codes = ArkReader(out / "codes_wav.scp", integers=True)
        changed, noise, loss = difference(package, DacCodec.load(codec), codes, root)
        line += f"; {precision} {seconds / ours:.1f} x ({theirs / ours:.2f} times dac encode), "
        line += f"{100 * changed:.4f} % of codes differ (of its own by threads {100 * noise:.4f} %), "
        line += f"SI-SDR {loss:+.2f} dB"
    return line


def package_model(codec: Path) -> torch.nn.Module:
    """The package's model with the codec's weights, weight norm not folded away."""
    from safetensors.torch import load_file

    from aio_toolkit.codec.dac import CONFIG, WEIGHTS
    from aio_toolkit.config import load_config

    model = build_dac(load_config(DacConfig, codec / CONFIG))
    model.load_state_dict(load_file(codec / WEIGHTS))
    return model.eval()


def timed(command: list[str]) -> float:
    """Seconds that a command takes, start to end."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPO)})
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed: {done.stderr[-2000:]}")
    return time.perf_counter() - start


@torch.inference_mode()
def difference(package: torch.nn.Module, codec: DacCodec, codes: ArkReader, root: Path) -> tuple[float, float, float]:
    """How our codes differ from the package's on one thread, over the first files.

    The package's command scales audio before it codes it, so its model is asked for the codes of the same audio.

    Returns:
        The share of codes that differ, the share of the package's own that do on all threads, and what the first does
        to the SI-SDR of the decoded audio in dB.
    """
    changed, noise, scores = [], [], []
    for id in list(codes)[:CHECKED]:
        reference_1S = read_audio(str(root / "audio" / f"{id}.wav"), SAMPLE_RATE)[None]
        theirs_1TQ, threaded_1TQ = (package_codes(package, reference_1S, n) for n in (1, torch.get_num_threads()))
        ours_1TQ = torch.from_numpy(codes[id])[None]
        changed.append((ours_1TQ != theirs_1TQ).float().mean().item())
        noise.append((threaded_1TQ != theirs_1TQ).float().mean().item())
        decoded = [codec.decode(c)[:, : reference_1S.shape[1]].numpy() for c in (theirs_1TQ, ours_1TQ)]
        scores.append([si_sdr_by_query(reference_1S, decoded_1S)[0] for decoded_1S in decoded])
    theirs, ours = np.mean(scores, axis=0)
    return float(np.mean(changed)), float(np.mean(noise)), float(ours - theirs)


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
