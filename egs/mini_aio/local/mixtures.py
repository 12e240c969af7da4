"""The utterances of the six tasks, from a job to its waves."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import events
import music
import noises
import numpy as np
import sentences
import songs
import voices
from signals import num_samples_of

from aio_toolkit.data.mixtures import Mixture, convolve_rir, mix, pad_or_crop, scale_to_snr
from aio_toolkit.tasks import Task


@dataclass
class Levels:
    """Levels, lengths and speaking style of the corpus.

    Attributes:
        rate_wpm: slowest and fastest speech in words per minute.
        pitch: lowest and highest base pitch of espeak-ng; 50 is the voice's own.
        train_pitch: the same in train, where one voice may stand for many.
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
    train_pitch: list[int] = field(default_factory=lambda: [35, 65])
    pitch_range: list[int] = field(default_factory=lambda: [35, 65])
    peak: list[float] = field(default_factory=lambda: [0.5, 0.9])
    sep_db: float = 5.0
    enh_snr_db: list[float] = field(default_factory=lambda: [0.0, 5.0, 10.0])
    reverb_share: float = 0.5
    sound_seconds: float = 2.0
    music_seconds: float = 2.5


@dataclass(frozen=True)
class Job:
    """One utterance to make.

    Attributes:
        split: train, dev or test.
        task: that of the utterance.
        index: number among those of its split and task.
    """

    split: str
    task: Task
    index: int

    @property
    def id(self) -> str:
        """Utterance id; the task comes first."""
        number = f"{self.index:05d}"
        return f"{self.task.name}-{self.split}-{number}"


@dataclass(frozen=True)
class Draft:
    """All that is known of an utterance before a sample is made.

    Attributes:
        speaker: what goes to `utt2spk`.
        texts: by the file that they go to.
        targets: names of the waves that `render` makes.
        render: makes the waves. Call it once: it goes on drawing.
    """

    speaker: str
    texts: dict[str, str]
    targets: tuple[str, ...]
    render: Callable[[], Mixture]


def draft(job: Job, levels: Levels, seed: int) -> Draft:
    """Draw an utterance. The result depends on nothing but the arguments."""
    checksum = zlib.crc32(job.id.encode())
    rng = np.random.default_rng([seed, checksum])
    draw = _DRAFTS[job.task.name]
    return draw(job, levels, rng)


def _transcribed(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """asr: one speaker and what is said."""
    english, _ = sentences.draw_sentence(rng, job.split)
    texts = {"text": english}
    return _plain_speech(job, levels, rng, texts)


def _translated(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """st: one speaker, what is said, and the same in French."""
    english, french = sentences.draw_sentence(rng, job.split)
    texts = {"text": english, "text.fr": french}
    return _plain_speech(job, levels, rng, texts)


def _plain_speech(
    job: Job,
    levels: Levels,
    rng: np.random.Generator,
    texts: dict[str, str],
) -> Draft:
    speech = _draw_speech(rng, job.split, levels, texts["text"])

    def _render() -> Mixture:
        wave = voices.speak(speech)
        # No target: the speech is what is left of the input without targets.
        return mix({}, wave, peak=_draw_peak(rng, levels))

    return Draft(
        speaker=speech.voice.id,
        texts=texts,
        targets=(),
        render=_render,
    )


def _two_speakers(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """sep: two voices with as many words each, cut to the shorter one."""
    first, _ = sentences.draw_sentence(rng, job.split)
    # As many words, or one of the two would often be cut in the middle.
    num_words = len(first.split())
    second, _ = sentences.draw_sentence(rng, job.split, num_words)
    num_voices = len(voices.voices(job.split))
    pair = rng.choice(num_voices, size=2, replace=False)
    speeches = []
    for text, voice in zip((first, second), pair, strict=True):
        speeches.append(_draw_speech(rng, job.split, levels, text, int(voice)))

    def _render() -> Mixture:
        first, second = map(voices.speak, speeches)
        length = min(len(first), len(second))
        first = first[:length]
        second = second[:length]

        level_db = rng.uniform(-levels.sep_db, levels.sep_db)
        second = scale_to_snr(first, second, level_db)
        targets = {"spk1": first, "spk2": second}
        # float64 silence makes the sum one of float64, which decides the last bit of the peak.
        silence = np.zeros(length)
        return mix(targets, silence, peak=_draw_peak(rng, levels))

    return Draft(
        speaker="_".join(speech.voice.id for speech in speeches),
        texts={},
        targets=("spk1", "spk2"),
        render=_render,
    )


def _noisy_speech(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """enh: speech in noise, perhaps in a room.

    The target is the dry speech, in time with the direct path.
    """
    english, _ = sentences.draw_sentence(rng, job.split)
    speech = _draw_speech(rng, job.split, levels, english)

    def _render() -> Mixture:
        dry = voices.speak(speech)
        in_room = rng.random() < levels.reverb_share
        wet = convolve_rir(dry, noises.draw_rir(rng)) if in_room else dry
        snr_db = float(rng.choice(levels.enh_snr_db))
        noise = noises.draw_noise(rng, len(dry))
        noise = scale_to_snr(wet, noise, snr_db)
        # Reverberation is no speech to be kept: it belongs to the background.
        background = wet - dry + noise
        return mix({"speech": dry}, background, peak=_draw_peak(rng, levels))

    return Draft(
        speaker=speech.voice.id,
        texts={},
        targets=("speech",),
        render=_render,
    )


def _sounds(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """sound: two or three events of different classes, each somewhere in the mixture."""
    count = int(rng.integers(2, 4))
    recipes = events.draw_recipes(rng, job.split, count)
    names = job.task.targets[:count]

    def _render() -> Mixture:
        length = num_samples_of(levels.sound_seconds)
        targets = {}
        for name, recipe in zip(names, recipes, strict=True):
            duration = int(length * rng.uniform(0.5, 1.0))
            event = events.render(recipe, rng, duration)
            gain_db = rng.uniform(-2.5, 2.5)
            event = event * 10 ** (gain_db / 20)
            latest = length - duration
            offset = int(rng.integers(latest + 1))
            targets[name] = pad_or_crop(event, length, offset)
        return mix(targets, peak=_draw_peak(rng, levels))

    return Draft(
        speaker="_".join(recipe.id for recipe in recipes),
        texts={},
        targets=names,
        render=_render,
    )


def _song(job: Job, levels: Levels, rng: np.random.Generator) -> Draft:
    """music: the four stems of a song of its own."""
    song = songs.draw_song(rng)

    def _render() -> Mixture:
        length = num_samples_of(levels.music_seconds)
        stems = music.render(song, rng, length)
        return mix(stems, peak=_draw_peak(rng, levels))

    return Draft(
        speaker=f"song-{job.split}-{job.index:05d}",
        texts={},
        targets=music.STEMS,
        render=_render,
    )


_DRAFTS: dict[str, Callable[[Job, Levels, np.random.Generator], Draft]] = {
    "asr": _transcribed,
    "st": _translated,
    "sep": _two_speakers,
    "enh": _noisy_speech,
    "sound": _sounds,
    "music": _song,
}


def _draw_speech(
    rng: np.random.Generator,
    split: str,
    levels: Levels,
    text: str,
    voice: int | None = None,
) -> voices.Speech:
    """How a sentence is spoken; by a random voice of the split, unless told its number."""
    speakers = voices.voices(split)
    if voice is None:
        voice = int(rng.integers(len(speakers)))

    return voices.Speech(
        text=text,
        voice=speakers[voice],
        rate=_draw_within(rng, levels.rate_wpm),
        pitch=_draw_within(rng, levels.train_pitch if split == "train" else levels.pitch),
        pitch_range=_draw_within(rng, levels.pitch_range),
    )


def _draw_within(rng: np.random.Generator, bounds: list[int]) -> int:
    """A whole number, the bounds included."""
    lowest, highest = bounds
    return int(rng.integers(lowest, highest + 1))


def _draw_peak(rng: np.random.Generator, levels: Levels) -> float:
    lowest, highest = levels.peak
    return rng.uniform(lowest, highest)
