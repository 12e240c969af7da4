"""How fast audio is decoded and checked, beside one `soundfile.read` of it in the same run.

Every line is a format: how many seconds of audio a second of processor time reads by
`soundfile.read`, by blocks, and whole as one channel, and how that compares; the best of several
runs each, which take turns. Of MP3 without a table, soundfile reads only what it estimates there to
be.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from aio_toolkit.data.audio import open_audio, read_audio

# Rate and channels of speech, and of music.
SHAPES = {"speech": (16000, 1), "music": (44100, 2)}
FORMATS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III")}


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the audio")
    parser.add_argument("--block", type=int, default=2**16, help="samples of a block")
    parser.add_argument("--runs", type=int, default=7, help="runs of which the best counts")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, (rate, channels) in SHAPES.items():
            samples_SC = make_sound(rate, channels, args.seconds)
            for extension, (format, subtype) in FORMATS.items():
                path = Path(folder, f"{name}.{extension}")
                soundfile.write(path, samples_SC, rate, format=format, subtype=subtype)
                report(path, args.block, args.runs)
            path.with_suffix(".no_table.mp3").write_bytes(without_table(path.read_bytes()))
            report(path.with_suffix(".no_table.mp3"), args.block, args.runs)


def make_sound(rate: int, channels: int, seconds: float) -> np.ndarray:
    """Tones that swell and fade above a little noise: codecs neither idle nor fill up."""
    rng = np.random.default_rng(0)
    time_S = np.arange(int(rate * seconds)) / rate
    swell_S = 0.3 * np.sin(2 * np.pi * 0.3 * time_S) ** 2
    tones = [np.sin(2 * np.pi * (220 + 60 * channel) * time_S) for channel in range(channels)]
    noise_SC = 0.01 * rng.standard_normal((len(time_S), channels))
    return np.stack(tones, 1) * swell_S[:, None] + noise_SC


def without_table(mp3: bytes) -> bytes:
    """MP3 without its first frame, which says how many there are: FFmpeg has to read it."""
    return mp3[mp3.index(mp3[:2], 4) :]


def report(path: Path, block: int, runs: int) -> None:
    """Time all ways of reading a file."""
    rate = soundfile.info(path).samplerate

    def by_blocks() -> int:
        with open_audio(str(path)) as stream:
            return sum(len(block_SC) for block_SC in stream.blocks(block))

    ways: dict[str, Callable[[], int]] = {
        "soundfile": lambda: len(soundfile.read(path, dtype="float32", always_2d=True)[0]),
        "blocks": by_blocks,
        "whole": lambda: len(read_audio(str(path), rate)),
    }
    speeds = dict.fromkeys(ways, 0.0)
    for _ in range(runs):
        for way, read in ways.items():
            before = time.process_time()
            seconds = read() / rate
            speeds[way] = max(speeds[way], seconds / (time.process_time() - before))
    told = ", ".join(
        f"{way} {speed:,.0f} x real time ({speed / speeds['soundfile']:.2f})"
        for way, speed in speeds.items()
    )
    print(f"{path.name}: {told}", flush=True)


if __name__ == "__main__":
    main()
