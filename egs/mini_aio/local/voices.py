"""English speech from espeak-ng: many voices, the same bytes whatever was spoken before."""

import ctypes
import re
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from aio_toolkit.errors import AioError

SAMPLE_RATE = 16_000
EDGE_SECONDS = 0.05  # silence kept at each end of an utterance

# Variants of one family sound alike, so a family is never split: dev and test hold singletons only.
_DEV = ("aunty", "david", "f1", "john", "m3", "michel", "shelby", "zac")
_TEST = ("Jacky", "adam", "belinda", "f4", "linda", "m2", "m5", "paul", "quincy", "travis")
# fmt: off
_TRAIN = (
    "Alex", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Lee",
    "Marco", "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "RicishayMax", "RicishayMax2",
    "RicishayMax3", "Tweaky", "anika", "announcer", "antonio", "benjamin", "boris", "ed", "edward",
    "edward2", "grandma", "grandpa", "gustave", "ian", "iven", "iven2", "iven3", "iven4", "kaukovalta",
    "klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6", "m1", "m4", "m6", "m7", "m8", "marcelo",
    "max", "miguel", "mike2", "norbert", "pablo", "pedro", "rob", "robert", "robosoft", "robosoft2",
    "robosoft3", "robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8", "steph", "steph2",
    "steph3",
)
# fmt: on
# Left out: whispers, croaks and effects, and variants whose samples are not the same from run to run (Alicia,
# Demonic, Reed, caleb, f2, f3, f5, sandro, victor): their noise starts from memory never initialised.

_ACCENTS = {"us": "en-us", "gb": "en"}  # our name: espeak-ng's

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """A speaker: a voice variant of espeak-ng with a base accent."""

    variant: str
    accent: str

    @property
    def id(self) -> str:
        """Speaker id without spaces or underscores (the underscore joins the speakers of a mixture)."""
        return f"{re.sub('[^A-Za-z0-9]', '', self.variant)}-{self.accent}"


@dataclass(frozen=True)
class Speech:
    """What is said and how: everything that `speak` needs.

    Attributes:
        text: an English sentence.
        voice: the speaker.
        rate: words per minute.
        pitch: espeak-ng's base pitch, 0 to 100, 50 is the voice's own.
        pitch_range: espeak-ng's pitch range, 0 to 100, 50 is the voice's own.
    """

    text: str
    voice: Voice
    rate: int
    pitch: int
    pitch_range: int


def voices(split: str) -> tuple[Voice, ...]:
    """The voices of a split (train, dev or test); no variant is in two splits."""
    variants = {"train": _TRAIN, "dev": _DEV, "test": _TEST}[split]
    return tuple(Voice(variant, accent) for variant, accent in zip(variants, cycle(_ACCENTS)))


def speak(speech: Speech) -> np.ndarray:
    """Synthesise one utterance.

    Returns:
        float32 (S,) at 16 kHz with a peak of 1, about 50 ms of silence at each end.

    Raises:
        AioError: espeak-ng is not installed, does not know the voice, or gave no sound.
    """
    wave, rate = _synthesise(speech)
    wave = _trim(_resample(wave, rate))
    return (wave / np.abs(wave).max()).astype(np.float32)


def _synthesise(speech: Speech) -> tuple[np.ndarray, int]:
    """int16 samples of espeak-ng and their rate.

    The library is loaded afresh for every utterance, as its wave generator keeps phases, filters and echo
    buffers in static variables from one utterance to the next.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise AioError("the corpus needs espeak-ng. Install it with: pip install espeakng-loader") from None

    chunks: list[np.ndarray] = []

    def on_audio(samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    callback = _CALLBACK(on_audio)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data = espeakng_loader.get_data_path().encode()
        rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
        library.espeak_SetSynthCallback(callback)
        name = f"{_ACCENTS[speech.voice.accent]}+{speech.voice.variant}"
        if rate <= 0 or library.espeak_SetVoiceByName(name.encode()) != 0:
            raise AioError(f"espeak-ng has no voice '{name}'. Install another version of espeakng-loader.")
        settings = {"rate": speech.rate, "pitch": speech.pitch, "range": speech.pitch_range}
        for key, value in settings.items():
            library.espeak_SetParameter(_PARAMETERS[key], value, 0)
        text = speech.text.encode() + b"\0"
        size = ctypes.c_size_t(len(text))
        library.espeak_Synth(text, size, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        library.espeak_Terminate()
    finally:
        _unload(library)
    if not chunks:
        raise AioError(f"espeak-ng gave no sound for '{speech.text}' by voice '{name}'.")
    return np.concatenate(chunks), rate


def _resample(wave: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = np.gcd(rate, SAMPLE_RATE)
    return resample_poly(wave.astype(np.float64), SAMPLE_RATE // divisor, rate // divisor)


def _unload(library: ctypes.CDLL) -> None:
    dlclose = ctypes.CDLL(None).dlclose
    dlclose.argtypes = [ctypes.c_void_p]
    dlclose(library._handle)


def _trim(wave: np.ndarray, threshold_db: float = -40.0) -> np.ndarray:
    """Cut silence (below the peak by `threshold_db`) from both ends, or pad, to `EDGE_SECONDS` each."""
    edge = int(EDGE_SECONDS * SAMPLE_RATE)
    padded = np.pad(wave, edge)
    loud = np.flatnonzero(np.abs(padded) > np.abs(wave).max() * 10 ** (threshold_db / 20))
    return padded[max(loud[0] - edge, 0) : loud[-1] + 1 + edge]
