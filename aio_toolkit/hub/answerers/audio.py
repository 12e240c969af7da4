"""Sources of a recording of any length, at its own rate, in all of its channels.

Letters: N sources, C channels, S samples.
"""

import dataclasses
import functools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from aio_toolkit.answers.audio import Match
from aio_toolkit.data.wav_writer import Subtype
from aio_toolkit.errors import AioError
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.paths.base import CodePath
from aio_toolkit.hub.answerers.base import Answerer
from aio_toolkit.hub.answers import AudioAnswer, codes_of
from aio_toolkit.hub.audible import audible
from aio_toolkit.hub.blocks import Tap, resampled
from aio_toolkit.hub.places import Places
from aio_toolkit.hub.recording import Recording
from aio_toolkit.hub.wave_folder import write_waves
from aio_toolkit.hub.windows import cut, join

# A window is so many times as long as what training showed: masks fit best that are made of as much
# as then, places are found best in long windows. Neighbours share a part of it.
TIMES, OVERLAP = 2.0, 0.25


class Through(StrEnum):
    """The waves that are answered: the mixture under masks, or decoded codes of it."""

    masks = "masks"
    codec = "codec"


# The output of a path that each way asks for.
OUTPUTS = {Through.masks: "masked", Through.codec: "codec"}


class AudioAnswerer(Answerer[np.ndarray, np.ndarray, AudioAnswer]):
    """Masks, made of the mean of all channels and put on each of them.

    1. Bring the recording to the model's rate; cut it into windows.
    2. Let the model hear each window, and mask every channel of it.
    3. Join the windows; bring the sources back to the recording's rate.
    4. What they do not hold is the rest.
    """

    @dataclass
    class Options(Answerer.Options):
        """How sources are answered.

        Attributes:
            through: masks, or codec: the codes of the masked waves, decoded.
            num_sources: how many of the speakers or sounds are answered, the loudest; none given,
                those that can be heard.
            two_stems: the only target that is answered; all others go to the rest.
            subtype: how files store samples: FLOAT, or PCM_16, which clips at full scale.
        """

        through: Through = Through.masks
        num_sources: int | None = None
        two_stems: str | None = None
        subtype: Subtype = Subtype.float_32

    def check(self, options: Options) -> None:
        """There is such a target, and a window of that length."""
        if options.two_stems not in (None, *self.task.targets):
            known = ", ".join(self.task.targets)
            problem = f"task '{self.task.name}' has no target '{options.two_stems}'"
            raise AioError(f"two_stems: {problem}. Choose one of: {known}.")
        self._window(options)

    def cut(self, recording: Recording, options: Options) -> Iterator[np.ndarray]:
        """Windows (C, S) at the model's rate."""
        if recording.rate > self.rate:
            _notice_lost_band(recording.rate, self.rate)
        at_model = resampled(recording.blocks, recording.rate, self.rate)
        return cut(at_model, self._window(options), self._overlap(options))

    @torch.inference_mode()
    def hear(self, windows: Sequence[np.ndarray], options: Options) -> list[np.ndarray]:
        """The sources (N, C, S) of each window."""
        head = cast(AudioHead, self.model.head_of(self.task))
        path, mode = _path_of(head, options.through)
        codec = self.codec() if options.through == Through.codec else None
        sources_B = head.split(self.frames([window_CS.mean(0) for window_CS in windows]))
        heard = []
        for row, window_CS in enumerate(windows):
            sources = sources_B.row(row)
            channels = []
            for wave_S in torch.from_numpy(window_CS).to(sources.wave_BS.device):
                # The same masks on another mixture.
                channel = dataclasses.replace(sources, wave_BS=wave_S[None])
                made_BNS = path.outputs(channel, codec, mode)[OUTPUTS[options.through]]
                channels.append(made_BNS[0, :, : len(wave_S)])
            heard.append(torch.stack(channels, 1).cpu().numpy())
        return heard

    def pieces(
        self, recording: Recording, heard: Iterator[np.ndarray], options: Options
    ) -> Iterator[AudioAnswer]:
        """Targets and rest, which add up to the recording."""
        targets = self.task.targets
        joined = join(heard, self._overlap(options), Places(self._num_equals, self._profiles))
        # The residual, where the task has one, comes last and is not asked for.
        at_model = (made_NCS[: len(targets)] for made_NCS in joined)
        tap = Tap(recording.blocks)
        for made_NCS in resampled(at_model, self.rate, recording.rate):
            # Resampling there and back rounds the length up.
            wave_CS = tap.take(made_NCS.shape[-1])
            if not wave_CS.size:
                continue
            made_NCS = made_NCS[..., : wave_CS.shape[-1]]
            waves = dict(zip(targets, made_NCS, strict=True))
            rest_CS = wave_CS - made_NCS.sum(0, dtype=np.float32)
            answer = AudioAnswer(self.task.name, recording.rate, waves, rest_CS, self._codes)
            others = set(targets) - {options.two_stems} if options.two_stems else ()
            yield answer.without(others)

    def joined(self, pieces: Iterable[AudioAnswer], options: Options) -> AudioAnswer:
        """One answer, without those of the speakers or sounds that are not there."""
        answer = AudioAnswer.joined([*pieces])
        return answer.without(self._silent(answer.energies(), options))

    def write(self, pieces: Iterable[AudioAnswer], folder: Path, options: Options) -> None:
        """`<target>.wav` of each target, and `rest.wav`."""
        write_waves(
            pieces, folder, options.subtype, lambda energies: self._silent(energies, options)
        )

    def _window(self, options: Options) -> int:
        return self.window(options.window, TIMES)

    def _overlap(self, options: Options) -> int:
        return max(1, int(OVERLAP * self._window(options)))

    @property
    def _num_equals(self) -> int:
        """How many targets, the first, have no place of their own."""
        return len(self.task.targets) if self.task.options.match == Match.permutation else 0

    def _silent(self, energies: dict[str, float], options: Options) -> set[str]:
        """The targets that are not there. Only equals may be absent; a stem has its own name."""
        if not self._num_equals:
            return set()
        return set(energies) - set(audible(energies, options.num_sources))

    @torch.inference_mode()
    def _profiles(self, wave_NS: np.ndarray) -> np.ndarray:
        """What the frozen encoder knows of waves, the mean of its last layer's frames (N, D)."""
        frames = torch.from_numpy(wave_NS).to(next(self.model.parameters()).device)
        samples_N = torch.full((len(wave_NS),), wave_NS.shape[1], device=frames.device)
        encoder = self.model.encoder
        inputs_NTF = encoder.front_end(encoder.front_end.extract(frames, samples_N))
        states = encoder(inputs_NTF, -(-samples_N // encoder.grid.hop))
        return states[-1].mean(1).cpu().numpy()

    def _codes(self, wave_CS: np.ndarray, rate: int) -> np.ndarray:
        return codes_of(self.codec(), wave_CS, rate)


def _path_of(head: AudioHead, through: Through) -> tuple[CodePath, str]:
    """The path that makes the waves, and its mode."""
    modes = [mode for path in head.paths.values() for mode in cast(Any, path).modes]
    if through == Through.masks and "mask" not in modes:
        problem = "the model has no masks"
        raise AioError(f"through: {problem}. Give another: through=codec.")
    mode = "mask" if "mask" in modes else modes[0]
    return head.path_of_mode(mode), mode


@functools.cache  # once for each pair of rates
def _notice_lost_band(rate: int, models_rate: int) -> None:
    heard = f"the model hears {models_rate} Hz: of a recording at {rate} Hz"
    print(f"notice: {heard} what lies above {models_rate // 2} Hz is in 'rest'", file=sys.stderr)
