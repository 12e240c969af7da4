"""The utterances of the six tasks, from a job to its waves."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import events
import music
import noises
import numpy as np
import sentences
import voices

from aio_toolkit.data.mixing import convolve_rir, pad_or_crop, peak_normalise, scale_to_snr

SAMPLE_RATE = 16_000


@dataclass
class Levels:
    """Levels, lengths and speaking style of the corpus.

    Attributes:
        rate_wpm: slowest and fastest speech in words per minute.
        pitch: lowest and highest base pitch of espeak-ng; 50 is the voice's own.
        pitch_range: smallest and largest pitch range of espeak-ng; 50 is the voice's own.
        peak: smallest and largest peak of an utterance, full scale is 1.
        sep_db: largest level difference between two speakers.
        enh_snr_db: signal-to-noise ratios that an enh utterance draws from.
        reverb_share: share of enh utterances in a room.
        sound_seconds: length of a sound mixture.
        music_seconds: length of a music excerpt.
    """

    rate_wpm: list[int] = field(default_factory=lambda: [155, 195])
    pitch: list[int] = field(default_factory=lambda: [42, 58])
    pitch_range: list[int] = field(default_factory=lambda: [35, 65])
    peak: list[float] = field(default_factory=lambda: [0.5, 0.9])
    sep_db: float = 5.0
    enh_snr_db: list[float] = field(default_factory=lambda: [0.0, 5.0, 10.0])
    reverb_share: float = 0.5
    sound_seconds: float = 2.0
    music_seconds: float = 2.5


@dataclass(frozen=True)
class Job:
    """One utterance to make."""

    split: str
    task: str
    index: int

    @property
    def id(self) -> str:
        """Utterance id; the task comes first."""
        return f"{self.task}-{self.split}-{self.index:05d}"


@dataclass(frozen=True)
class Waves:
    """The input of an utterance and its targets, all (S,): input = sum of targets + what is no target."""

    input: np.ndarray
    targets: dict[str, np.ndarray]


@dataclass(frozen=True)
class Draft:
    """All that is known of an utterance before a sample is made. Call `render` once: it goes on drawing."""

    speaker: str
    texts: dict[str, str]
    targets: tuple[str, ...]
    render: Callable[[], Waves]


def draft(job: Job, levels: Levels, seed: int) -> Draft:
    """Draw an utterance. The result depends on nothing but the arguments."""
    rng = np.random.default_rng([seed, zlib.crc32(job.id.encode())])
    return _DRAFTS[job.task](job, levels, rng)


def _plain_speech(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """asr and st: one speaker, no audio target; st adds the French text."""
    english, french = sentences.draw_sentence(rng, job.split)
    speech = _speech(rng, job.split, levels, english)
    texts = {"text": english, "text.fr": french} if job.task == "st" else {"text": english}
    return Draft(speech.voice.id, texts, (), lambda: _mix({}, voices.speak(speech), levels, rng))


def _two_speakers(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """sep: two voices with as many words each, cut to the shorter one."""
    first, _ = sentences.draw_sentence(rng, job.split)
    second, _ = sentences.draw_sentence(rng, job.split, num_words=len(first.split()))
    pair = rng.choice(len(voices.voices(job.split)), size=2, replace=False)
    speeches = [
        _speech(rng, job.split, levels, text, int(voice)) for text, voice in zip((first, second), pair, strict=True)
    ]

    def render() -> Waves:
        waves = [voices.speak(speech) for speech in speeches]
        length = min(len(wave) for wave in waves)
        loud, soft = (pad_or_crop(wave, length) for wave in waves)
        soft = scale_to_snr(loud, soft, rng.uniform(-levels.sep_db, levels.sep_db))
        return _mix({"spk1": loud, "spk2": soft}, np.zeros(length), levels, rng)

    return Draft("_".join(speech.voice.id for speech in speeches), {}, ("spk1", "spk2"), render)


def _noisy_speech(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """enh: speech in noise, perhaps in a room; the target is the dry speech, in time with the direct path."""
    english, _ = sentences.draw_sentence(rng, job.split)
    speech = _speech(rng, job.split, levels, english)

    def render() -> Waves:
        dry = voices.speak(speech)
        wet = convolve_rir(dry, noises.draw_rir(rng)) if rng.random() < levels.reverb_share else dry
        snr = float(rng.choice(levels.enh_snr_db))
        noise = scale_to_snr(wet, noises.draw_noise(rng, len(dry)), snr)
        return _mix({"speech": dry}, wet - dry + noise, levels, rng)

    return Draft(speech.voice.id, {}, ("speech",), render)


def _sounds(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """sound: two or three events of different classes, each somewhere in the mixture."""
    recipes = events.draw_recipes(rng, job.split, count=int(rng.integers(2, 4)))
    names = tuple(f"sound{i + 1}" for i in range(len(recipes)))

    def render() -> Waves:
        length = int(levels.sound_seconds * SAMPLE_RATE)
        targets = {}
        for name, recipe in zip(names, recipes, strict=True):
            duration = int(length * rng.uniform(0.5, 1.0))
            event = events.render(recipe, rng, duration) * 10 ** (rng.uniform(-2.5, 2.5) / 20)
            targets[name] = pad_or_crop(event, length, offset=int(rng.integers(length - duration + 1)))
        return _mix(targets, np.zeros(length), levels, rng)

    return Draft("_".join(recipe.id for recipe in recipes), {}, names, render)


def _song(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """music: the four stems of a song of its own."""
    song = music.draw_song(rng)

    def render() -> Waves:
        length = int(levels.music_seconds * SAMPLE_RATE)
        return _mix(music.render(song, rng, length), np.zeros(length), levels, rng)

    return Draft(f"song-{job.split}-{job.index:05d}", {}, music.STEMS, render)


_DRAFTS = {
    "asr": _plain_speech,
    "st": _plain_speech,
    "sep": _two_speakers,
    "enh": _noisy_speech,
    "sound": _sounds,
    "music": _song,
}


def _speech(rng: np.random.Generator, split: str, levels: Levels, text: str, voice: int | None = None) -> voices.Speech:
    speakers = voices.voices(split)
    voice = int(rng.integers(len(speakers))) if voice is None else voice

    def within(bounds: list[int]) -> int:
        return int(rng.integers(bounds[0], bounds[1] + 1))

    rate, pitch, pitch_range = within(levels.rate_wpm), within(levels.pitch), within(levels.pitch_range)
    return voices.Speech(text, speakers[voice], rate, pitch, pitch_range)


def _mix(targets: dict[str, np.ndarray], background: np.ndarray, levels: Levels, rng: np.random.Generator) -> Waves:
    """Sum and scale to a random peak; all waves on the grid of 16-bit samples, so files add up exactly."""
    total = np.sum([background, *targets.values()], axis=0)
    scaled = peak_normalise([total, background, *targets.values()], peak=rng.uniform(*levels.peak))
    on_grid = {name: _to_grid(wave) for name, wave in zip(targets, scaled[2:], strict=True)}
    return Waves(_to_grid(np.sum([scaled[1], *on_grid.values()], axis=0)), on_grid)


def _to_grid(wave: np.ndarray) -> np.ndarray:
    return (np.round(wave * 32768) / 32768).astype(np.float32)
