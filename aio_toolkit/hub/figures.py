"""A recording as a picture: its wave, its spectrogram, its words.

Letters: C channels, S samples, X columns of a picture, F frequencies, K windows, W samples of a
window, H rows of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aio_toolkit.hub.formats import Word

# A picture has no more columns than can be told apart.
COLUMNS = 720
# Seconds of a window, and from one to the next.
WINDOW, STEP = 0.032, 0.008
# From the loudest to the darkest.
RANGE = 70.0
# Silence has a level too.
SILENCE = 1e-12
# More words than these would cover each other.
MOST_WORDS = 14
# Both can be read on light and on dark pages.
INK, WAVE = "#808490", "#6f74f2"


@dataclass(frozen=True)
class Scale:
    """What pictures have in common that are to be compared.

    Attributes:
        amplitude: of a wave that fills its frame.
        level: dB of the brightest spot.
    """

    amplitude: float
    level: float


def scale_of(wave_CS: np.ndarray, rate: int) -> Scale:
    """The scale at which a recording fills its picture.

    >>> scale_of(np.array([[0.5, -0.25]]), rate=8000).amplitude
    0.5
    """
    return Scale(float(np.abs(wave_CS).max()), float(levels(wave_CS, rate).max()))


def envelope(wave_CS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest sample (X,) of each column, in whatever channel.

    >>> [x_X.tolist() for x_X in envelope(np.array([[0.0, 0.5], [-0.25, 0.25]]))]
    [[-0.25, 0.25], [0.0, 0.5]]
    """
    num_samples = wave_CS.shape[-1]
    columns = min(COLUMNS, num_samples)
    first_X = np.arange(columns) * num_samples // columns
    low_X = np.minimum.reduceat(wave_CS.min(0), first_X)
    high_X = np.maximum.reduceat(wave_CS.max(0), first_X)
    return low_X, high_X


def levels(wave_CS: np.ndarray, rate: int) -> np.ndarray:
    """The level (F, X) in dB of each frequency, the mean power of all channels.

    >>> levels(np.zeros((2, 800)), rate=8000).shape
    (129, 13)
    """
    # Even, so that the highest frequency is half the rate.
    size = 2 * max(1, round(WINDOW * rate / 2))
    step = max(1, round(STEP * rate))
    # Window k stands over sample k * step.
    padded_CS = np.pad(wave_CS, [(0, 0), (size // 2, size // 2)])
    windows_CKW = np.lib.stride_tricks.sliding_window_view(padded_CS, size, axis=1)[:, ::step]
    hann_W = np.hanning(size + 1)[:-1]
    columns = min(COLUMNS, windows_CKW.shape[1])
    # Column by column: the spectra of a long recording would fill the memory.
    powers = [
        np.square(np.abs(np.fft.rfft(part_CKW * hann_W))).mean((0, 1))
        for part_CKW in np.array_split(windows_CKW, columns, axis=1)
    ]
    power_FX = np.stack(powers, axis=1) / np.square(hann_W.sum())
    return 10 * np.log10(np.maximum(power_FX, SILENCE))


def places(words: Sequence[Word], seconds: float) -> list[float]:
    """Where at most `MOST_WORDS` words are written, in seconds from the left.

    Each is at its start, or beside it where its neighbours or the edge leave no room there.

    >>> words = [Word("the", 0.0, 0.1), Word("dog", 0.1, 0.2), Word("sits", 13.9, 14.0)]
    >>> places(words, seconds=14.0)
    [0.0, 1.0, 13.0]
    """
    room = seconds / MOST_WORDS
    found: list[float] = []
    for before, word in enumerate(words):
        first = found[-1] + room if found else 0.0
        last = seconds - (len(words) - before) * room
        found.append(min(max(word.start, first), last))
    return found


def draw(wave_CS: np.ndarray, rate: int, scale: Scale, words: Sequence[Word] = ()) -> np.ndarray:
    """A picture (H, W, 4) of a wave, red, green, blue and opacity from 0 to 255.

    Args:
        wave_CS: the wave.
        rate: Hz.
        scale: of this picture and those beside it.
        words: when words are said in it.
    """
    # Slow to import. `Figure` needs no display, unlike pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 2.6), dpi=200, layout="constrained", facecolor="none")
    canvas = FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    seconds = wave_CS.shape[-1] / rate
    _draw_wave(top, wave_CS, seconds, scale)
    _draw_words(top, words)
    _draw_levels(bottom, levels(wave_CS, rate), (0, seconds, 0, rate / 2000), scale)
    for axis in (top, bottom):
        axis.set_facecolor("none")
        axis.spines[:].set_visible(False)
        axis.tick_params(colors=INK, labelsize="small")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def _draw_wave(axis: Any, wave_CS: np.ndarray, seconds: float, scale: Scale) -> None:
    low_X, high_X = envelope(wave_CS)
    place_X = (np.arange(len(low_X)) + 0.5) * seconds / len(low_X)
    # A line too, for where both are equal.
    axis.fill_between(place_X, low_X, high_X, color=WAVE, linewidth=0.6)
    edge = scale.amplitude or 1.0
    axis.set(xlim=(0, seconds), ylim=(-edge, edge), yticks=[])
    axis.tick_params(bottom=False, labelbottom=False)


def _draw_words(axis: Any, words: Sequence[Word]) -> None:
    for word in words:
        axis.axvspan(word.start, word.end, color=INK, alpha=0.25, linewidth=0)
    if len(words) > MOST_WORDS:
        return
    _, seconds = axis.get_xlim()
    for word, place in zip(words, places(words, seconds), strict=True):
        axis.text(
            place,
            1.04,
            word.text,
            transform=axis.get_xaxis_transform(),
            color=INK,
            rotation=35,
            rotation_mode="anchor",
        )


def _draw_levels(
    axis: Any, level_FX: np.ndarray, extent: tuple[float, float, float, float], scale: Scale
) -> None:
    axis.imshow(
        level_FX,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=extent,
        vmin=scale.level - RANGE,
        vmax=scale.level,
    )
    axis.set_xlabel("seconds", color=INK, fontsize="small")
    axis.set_ylabel("kHz", color=INK, fontsize="small")
