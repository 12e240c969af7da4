"""Audio of every odd kind, and what its samples are by another way of reading.

Letters: S samples, C channels.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000
# Names of WAV codings, their tags, and bits of a sample.
CODINGS = {
    "pcm8": (1, 8),
    "pcm16": (1, 16),
    "pcm24": (1, 24),
    "pcm32": (1, 32),
    "float": (3, 32),
    "double": (3, 64),
    "alaw": (6, 8),
    "ulaw": (7, 8),
}
# What stands in the fields of the sizes of file and data where a program cannot know them.
UNKNOWN_SIZES = {
    "streamed": (0, 0),
    "never_closed": (36, 0),
    "ffmpeg": (2**32 - 1, 2**32 - 1),
    "sox": (0x7FFFF024, 0x7FFFF000),
    "arecord": (2**31 + 36, 2**31),
}


def wav(
    raw: bytes,
    coding: str = "pcm16",
    channels: int = 1,
    sizes: tuple[int, int] | None = None,
    form: bytes = b"RIFF",
    before: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """A WAV file of samples as they are stored.

    Args:
        raw: the samples.
        coding: a name of `CODINGS`.
        channels: how many.
        sizes: what the header says of the bytes of file and data; None is the truth.
        form: RIFF, RIFX or RF64.
        before: chunks before the samples.
        behind: chunks behind them.
    """
    order = ">" if form == b"RIFX" else "<"
    tag, bits = CODINGS[coding]
    block = channels * bits // 8
    numbers = tag, channels, RATE, RATE * block, block, bits
    format_ = struct.pack(f"{order}4sIHHIIHH", b"fmt ", 16, *numbers)
    # Chunks begin at even places; who cannot know sizes, knows nothing behind the samples either.
    padded = raw if sizes else raw + bytes(len(raw) % 2)
    true_sizes = 12 + len(format_) + len(before) + len(padded) + len(behind), len(raw)
    if form == b"RF64":
        true_sizes = true_sizes[0] + 36, true_sizes[1]
        lengths = sizes or true_sizes
        before = struct.pack("<4sIQQQI", b"ds64", 28, *lengths, len(raw) // block, 0) + before
        sizes = 2**32 - 1, 2**32 - 1
    of_file, of_data = sizes or true_sizes
    opening = struct.pack(f"{order}4sI4s", form, of_file, b"WAVE")
    data = struct.pack(f"{order}4sI", b"data", of_data)
    return opening + before + format_ + data + padded + behind


def stored(coding: str, channels: int = 1, size: int = 2503) -> tuple[bytes, np.ndarray]:
    """Random samples as they are stored, and what they are (S, C)."""
    rng = np.random.default_rng(0)
    count = size * channels
    if coding in ("float", "double"):
        # Beyond full scale too.
        values = rng.uniform(-1.5, 1.5, count).astype("<f4" if coding == "float" else "<f8")
        return values.tobytes(), values.astype(np.float32).reshape(size, channels)
    if coding in ("alaw", "ulaw"):
        codes = rng.integers(0, 256, count).astype(np.uint8)
        return codes.tobytes(), DECODERS[coding](codes).reshape(size, channels)
    width = CODINGS[coding][1] // 8
    half = 2 ** (8 * width - 1)
    numbers = rng.integers(-half, half, count)
    numbers[:2] = -half, half - 1
    shifted = numbers + half if width == 1 else numbers
    raw = b"".join(int(n).to_bytes(width, "little", signed=width > 1) for n in shifted)
    return raw, (numbers / half).astype(np.float32).reshape(size, channels)


def _alaw(codes: np.ndarray) -> np.ndarray:
    """By the formula of G.711."""
    codes = codes.astype(int) ^ 0x55
    exponent, mantissa = codes >> 4 & 7, codes & 15
    first = mantissa * 16 + 8
    rest = (mantissa * 16 + 264) << np.maximum(exponent - 1, 0)
    magnitude = np.where(exponent == 0, first, rest)
    return (np.where(codes & 128, 1, -1) * magnitude / 2**15).astype(np.float32)


def _ulaw(codes: np.ndarray) -> np.ndarray:
    """By the formula of G.711."""
    codes = ~codes.astype(int) & 255
    magnitude = (((codes & 15) * 8 + 132) << (codes >> 4 & 7)) - 132
    return (np.where(codes & 128, -1, 1) * magnitude / 2**15).astype(np.float32)


DECODERS = {"alaw": _alaw, "ulaw": _ulaw}


def coded(name: str, format: str, subtype: str, **more: float | str) -> bytes:
    """Noise of two channels as libsndfile writes it; `name` draws it."""
    rng = np.random.default_rng(len(name))
    file = io.BytesIO()
    samples_SC = rng.uniform(-0.5, 0.5, (9001, 2))
    soundfile.write(file, samples_SC, RATE, format=format, subtype=subtype, **more)
    return file.getvalue()


def without_length(flac: bytes) -> bytes:
    """FLAC as it is written into a pipe: no samples in all, which means unknown."""
    changed = bytearray(flac)
    changed[21] &= 0xF0
    changed[22:26] = bytes(4)
    return bytes(changed)


def without_table(mp3: bytes) -> bytes:
    """MP3 without its first frame, which says how many there are."""
    second = mp3.index(mp3[:2], 4)
    return mp3[second:]


def shorten(numbers: np.ndarray, block: int = 256) -> bytes:
    """16-bit mono as NIST's older discs have it: shorten, every sample for itself, in SPHERE."""
    bits: list[int] = []

    def unsigned(value: int, width: int) -> None:
        bits.extend([0] * (value >> width) + [1])
        bits.extend(value >> place & 1 for place in reversed(range(width)))

    def number(value: int) -> None:
        unsigned(value.bit_length(), 2)
        unsigned(value, value.bit_length())

    # 16-bit, one channel, samples of a block, no prediction, no mean, nothing skipped.
    for value in (5, 1, block, 0, 0, 0):
        number(value)
    for start in range(0, len(numbers), block):
        piece = numbers[start : start + block].tolist()
        if len(piece) < block:
            unsigned(5, 2)
            number(len(piece))
        unsigned(0, 2)
        unsigned(12, 3)
        for value in piece:
            unsigned(2 * value if value >= 0 else -2 * value - 1, 13)
    unsigned(4, 2)
    bits.extend([0] * (-len(bits) % 32))
    header = sphere_header(len(numbers), "-s26 pcm,embedded-shorten-v2.00")
    return header + b"ajkg\x02" + np.packbits(bits).tobytes()


def sphere_header(count: int, coding: str = "-s3 pcm") -> bytes:
    """The header of a NIST SPHERE file, 16-bit mono."""
    fields = {
        "channel_count": "-i 1",
        "sample_count": f"-i {count}",
        "sample_rate": f"-i {RATE}",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": "-s2 01",
        "sample_sig_bits": "-i 16",
        "sample_coding": coding,
    }
    lines = "".join(f"{name} {value}\n" for name, value in fields.items())
    return f"NIST_1A\n   1024\n{lines}end_head\n".encode().ljust(1024)


def reference(content: bytes) -> np.ndarray:
    """What soundfile reads of an intact file at once."""
    return soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0]


def _wav_kinds() -> dict[str, Callable[[], tuple[bytes, np.ndarray]]]:
    def of(coding: str, channels: int = 1, **more: object) -> tuple[bytes, np.ndarray]:
        raw, samples_SC = stored(coding, channels)
        return wav(raw, coding, channels, **more), samples_SC

    info = struct.pack("<4sI", b"LIST", 7) + b"INFOabc" + b"\0"
    kinds = {f"wav_{coding}": (coding, 1, {}) for coding in CODINGS}
    kinds |= {f"stereo_{coding}": (coding, 2, {}) for coding in ("pcm8", "pcm24", "float")}
    kinds["ten_channels"] = "pcm16", 10, {}
    kinds["ten_channels_streamed"] = "pcm16", 10, {"sizes": (0, 0)}
    kinds["titles_before"] = "pcm16", 1, {"before": info}
    kinds["titles_behind"] = "pcm8", 1, {"behind": info}
    kinds["rf64"] = "pcm24", 2, {"form": b"RF64"}
    kinds["rf64_streamed"] = "pcm24", 2, {"form": b"RF64", "sizes": (0, 0)}
    for name, sizes in UNKNOWN_SIZES.items():
        kinds[f"{name}_pcm16"] = "pcm16", 2, {"sizes": sizes}
        kinds[f"{name}_float"] = "float", 1, {"sizes": sizes}
    # Sox rounds its largest size down to whole samples.
    kinds["sox_pcm24"] = "pcm24", 1, {"sizes": (0x7FFFF023, 0x7FFFF000 // 3 * 3)}
    kinds["streamed_ulaw"] = "ulaw", 1, {"sizes": (0, 0)}
    return {
        name: lambda coding=coding, channels=channels, more=more: of(coding, channels, **more)
        for name, (coding, channels, more) in kinds.items()
    }


def _coded_kinds() -> dict[str, Callable[[], tuple[bytes, np.ndarray]]]:
    def as_written(content: bytes) -> tuple[bytes, np.ndarray]:
        return content, reference(content)

    def flac_without_length() -> tuple[bytes, np.ndarray]:
        flac = coded("flac", "FLAC", "PCM_24")
        return without_length(flac), reference(flac)

    def rifx() -> tuple[bytes, np.ndarray]:
        raw, samples_SC = stored("pcm16")
        return wav(np.frombuffer(raw, "<i2").astype(">i2").tobytes(), form=b"RIFX"), samples_SC

    def numbers() -> np.ndarray:
        return np.random.default_rng(1).integers(-3000, 3000, 2501).astype("<i2")

    def sphere(content: bytes) -> tuple[bytes, np.ndarray]:
        return content, (numbers()[:, None] / 2**15).astype(np.float32)

    formats = {
        "ima_adpcm": ("WAV", "IMA_ADPCM"),
        "ms_adpcm": ("WAV", "MS_ADPCM"),
        "wavex": ("WAVEX", "PCM_24"),
        "flac": ("FLAC", "PCM_16"),
        "vorbis": ("OGG", "VORBIS"),
        "opus": ("OGG", "OPUS"),
        "mp3": ("MP3", "MPEG_LAYER_III"),
        "aiff": ("AIFF", "PCM_16"),
        "w64": ("W64", "PCM_16"),
    }
    return {
        **{
            name: lambda name=name, format=format: as_written(coded(name, *format))
            for name, format in formats.items()
        },
        "flac_without_length": flac_without_length,
        "rifx": rifx,
        "sphere": lambda: sphere(sphere_header(2501) + numbers().tobytes()),
        "sphere_shorten": lambda: sphere(shorten(numbers())),
    }


KINDS = _wav_kinds() | _coded_kinds()


def make(kind: str, folder: Path) -> tuple[Path, np.ndarray]:
    """Write a file of a kind, and say what its samples (S, C) are."""
    content, samples_SC = KINDS[kind]()
    path = folder / f"{kind}.wav"
    path.write_bytes(content)
    return path, samples_SC
