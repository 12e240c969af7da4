"""Speech in noise, perhaps in a room. Letters: see `data.mixing.base`."""

from dataclasses import dataclass, field
from typing import override

import numpy as np

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.mixing.base import (
    MixingRule,
    MixtureDraw,
    Piece,
    by_speaker,
    cut,
    finish,
    pick,
)
from aio_toolkit.data.mixtures import Mixture, convolve_rir, pad_or_crop, scale_to_snr
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.errors import AioError
from aio_toolkit.ranges import bounded
from aio_toolkit.tasks import Task

# What pieces are that belong to no target.
ROOM, NOISE = "room", "noise"


class NoisySpeech(MixingRule):
    """The target is the dry speech in time with the direct path; noise and echoes are background.

    >>> NoisySpeech.Config(sources=["train:asr"], noises=["noise_train"]).room_share
    0.0
    """

    @dataclass
    class Config(MixingRule.Config):
        """Options.

        Attributes:
            noises: sources of noise.
            rooms: sources of room impulse responses.
            snr_db: lowest and highest ratio of what is heard of the speech to the noise.
            room_share: probability of a room.
            speed: how much faster the speech may be played, one of these.
        """

        noises: list[str] = field(default_factory=list)
        rooms: list[str] = field(default_factory=list)
        snr_db: list[float] = field(default_factory=lambda: [0.0, 10.0])
        room_share: float = bounded(0.0, least=0, most=1)
        speed: list[float] = bounded([1.0], above=0)

    def __init__(self, config: Config, task: Task, folders: SourceFolders):
        """Find speech, noises and rooms.

        Raises:
            AioError: one of them is missing, or the task has not one target.
        """
        super().__init__(config, task, folders)
        if len(task.targets) != 1:
            raise AioError(f"{self.where}: noisy_speech has one target, not {len(task.targets)}.")
        if config.room_share and not config.rooms:
            raise AioError(f"{self.where}: room_share without rooms. Name folders of responses.")
        if len(config.snr_db) != 2 or config.snr_db[0] > config.snr_db[1]:
            rule = "snr_db is the lowest and the highest ratio: [0.0, 10.0]"
            raise AioError(f"{self.where}: {rule}.")
        self.members = by_speaker(self.find("sources", config.sources))
        self.noises = self.find("noises", config.noises)
        self.rooms = self.find("rooms", config.rooms) if config.rooms else []

    @override
    def pieces(self, rng: np.random.Generator, num_samples: int) -> list[Piece]:
        """Speech, its room where it has one, and noise."""
        (target,) = self.task.targets
        speaker = pick(rng, list(self.members))
        source = pick(rng, self.members[speaker])
        speed = pick(rng, self.config.speed)
        start, length, offset = cut(rng, source, num_samples, speed)
        pieces = [Piece(source, target, start, length, offset, speed=speed)]
        if rng.random() < self.config.room_share:
            room = pick(rng, self.rooms)
            pieces.append(Piece(room, ROOM, 0, room.num_samples))
        noise = pick(rng, self.noises)
        start, length, _ = cut(rng, noise, num_samples)
        snr_db = float(rng.uniform(*self.config.snr_db))
        pieces.append(Piece(noise, NOISE, start, length, gain_db=-snr_db))
        return pieces

    @override
    def render(self, drawn: MixtureDraw) -> Mixture:
        """Put the speech into its room and the noise below what is heard of it."""
        S = drawn.num_samples
        speech, *others = drawn.pieces
        dry_S = wet_S = self.render_piece(speech, S)
        for piece in others:
            if piece.target == ROOM:
                where = f"{self.where}: {piece.source.id}"
                response_S = read_audio(piece.source.wav, self.sample_rate, where)
                wet_S = convolve_rir(dry_S, response_S)
            else:
                noise = piece
        # A short noise goes on from its beginning.
        noise_S = self.render_piece(noise, noise.num_samples)
        noise_S = np.resize(noise_S, S)
        noise_S = scale_to_snr(wet_S, noise_S, -noise.gain_db)
        background_S = pad_or_crop(wet_S - dry_S + noise_S, S)
        return finish({speech.target: dry_S, "": background_S}, drawn)
