"""English speech from espeak-ng: many voices, the same bytes whatever was spoken before."""

import ctypes
import re
from dataclasses import dataclass
from itertools import cycle, product

import numpy as np
from signals import SAMPLE_RATE, num_samples_of

from aio_toolkit.data.resampling import resample
from aio_toolkit.errors import AioError

EDGE_SECONDS = 0.05  # silence kept at each end of an utterance
EDGE_DB = -40.0  # what is silence, from the peak

# Variants of one family sound alike, so a family is never split: dev and test hold singletons only.
_DEV = ("aunty", "david", "f1", "john", "m3", "michel", "shelby", "zac")
_TEST = ("Jacky", "adam", "belinda", "f4", "linda", "m2", "m5", "paul", "quincy", "travis")
# fmt: off
_TRAIN = (
    "Alex", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo",
    "Lee", "Marco", "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "RicishayMax",
    "RicishayMax2", "RicishayMax3", "Tweaky", "anika", "announcer", "antonio", "benjamin",
    "boris", "ed", "edward", "edward2", "grandma", "grandpa", "gustave", "ian", "iven", "iven2",
    "iven3", "iven4", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6",
    "m1", "m4", "m6", "m7", "m8", "marcelo", "max", "miguel", "mike2", "norbert", "pablo",
    "pedro", "rob", "robert", "robosoft", "robosoft2", "robosoft3", "robosoft4", "robosoft5",
    "robosoft6", "robosoft7", "robosoft8", "steph", "steph2", "steph3",
)
# fmt: on
_VARIANTS = {"train": _TRAIN, "dev": _DEV, "test": _TEST}
# Left out: whispers, croaks and effects, and variants whose samples are not the same from run to
# run (Alicia, Demonic, Reed, caleb, f2, f3, f5, sandro, victor): their noise starts from memory
# that was never initialised.

_ACCENTS = {"us": "en-us", "gb": "en"}  # our name: espeak-ng's

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}
_Samples = ctypes.POINTER(ctypes.c_short)
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, _Samples, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """A speaker.

    Attributes:
        variant: voice variant of espeak-ng.
        accent: base accent, a key of `_ACCENTS`.
    """

    variant: str
    accent: str

    @property
    def id(self) -> str:
        """Speaker id, without spaces and underscores: those join the speakers of a mixture."""
        variant = re.sub("[^A-Za-z0-9]", "", self.variant)
        return f"{variant}-{self.accent}"

    @property
    def espeak_name(self) -> str:
        """What espeak-ng calls it."""
        return f"{_ACCENTS[self.accent]}+{self.variant}"


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
    """The voices of a split (train, dev or test); no variant is in two splits.

    Those of train come in every accent: voices are what training has least of.
    """
    if split == "train":
        return tuple(Voice(*pair) for pair in product(_TRAIN, _ACCENTS))
    accents = cycle(_ACCENTS)
    return tuple(Voice(variant, next(accents)) for variant in _VARIANTS[split])


def speak(speech: Speech) -> np.ndarray:
    """Synthesise one utterance.

    Returns:
        float32 (S,) at 16 kHz with a peak of 1, about 50 ms of silence at each end.

    Raises:
        AioError: espeak-ng is not installed, does not know the voice, or gave no sound.
    """
    samples, rate = _synthesise(speech)
    wave = samples.astype(np.float64)
    wave = resample(wave, rate, SAMPLE_RATE)
    wave = _trim(wave)
    peak = np.abs(wave).max()
    return (wave / peak).astype(np.float32)


def _synthesise(speech: Speech) -> tuple[np.ndarray, int]:
    """int16 samples of espeak-ng and their rate.

    The library is loaded afresh for every utterance, as its wave generator keeps phases, filters
    and echo buffers in static variables from one utterance to the next.
    """
    try:
        import espeakng_loader
    except ImportError:
        remedy = "Install it with: pip install espeakng-loader"
        raise AioError(f"the corpus needs espeak-ng. {remedy}") from None

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        chunks, rate = _call(library, espeakng_loader.get_data_path(), speech)
    finally:
        _unload(library)
    if not chunks:
        voice = speech.voice.espeak_name
        raise AioError(f"espeak-ng gave no sound for '{speech.text}' by voice '{voice}'.")
    return np.concatenate(chunks), rate


def _call(library: ctypes.CDLL, data: str, speech: Speech) -> tuple[list[np.ndarray], int]:
    """Chunks of int16 samples and their rate; `data` is the folder of espeak-ng's data."""
    chunks: list[np.ndarray] = []

    def _on_audio(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: object) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0  # go on

    callback = _CALLBACK(_on_audio)
    rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), 0)
    library.espeak_SetSynthCallback(callback)
    name = speech.voice.espeak_name
    if rate <= 0 or library.espeak_SetVoiceByName(name.encode()) != 0:
        remedy = "Install another version of espeakng-loader."
        raise AioError(f"espeak-ng has no voice '{name}'. {remedy}")

    settings = {"rate": speech.rate, "pitch": speech.pitch, "range": speech.pitch_range}
    for key, value in settings.items():
        library.espeak_SetParameter(_PARAMETERS[key], value, 0)

    text = speech.text.encode() + b"\0"
    size = ctypes.c_size_t(len(text))
    flags = _CHARS_UTF8
    library.espeak_Synth(text, size, 0, _POSITION_CHARACTER, 0, flags, None, None)
    library.espeak_Terminate()
    return chunks, rate


def _unload(library: ctypes.CDLL) -> None:
    dlclose = ctypes.CDLL(None).dlclose
    dlclose.argtypes = [ctypes.c_void_p]
    dlclose(library._handle)


def _trim(wave: np.ndarray) -> np.ndarray:
    """Cut silence from both ends, or pad, to `EDGE_SECONDS` each."""
    edge = num_samples_of(EDGE_SECONDS)
    # Padded first, so that speech which starts at once gets its silence too.
    padded = np.pad(wave, edge)
    magnitude = np.abs(padded)
    threshold = magnitude.max() * 10 ** (EDGE_DB / 20)
    loud = np.flatnonzero(magnitude > threshold)
    first = max(loud[0] - edge, 0)
    last = loud[-1] + edge
    return padded[first : last + 1]
