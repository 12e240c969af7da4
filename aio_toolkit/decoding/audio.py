"""Waves by a codec's frozen decoder, and by the mixture that they are parts of.

Letters: N sources, S samples; besides, those of `heads.base`.
"""

from dataclasses import dataclass, field
from typing import override

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.decoded_audio import DecodedAudio
from aio_toolkit.codec.base import check_same, load_codec
from aio_toolkit.decoding.base import Decoder
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.base import Frames
from aio_toolkit.masks import WienerFilter


class AudioDecoder(Decoder):
    """Two outputs: `codec`, the decoded codes, and `wiener`, the mixture filtered with them."""

    needs_waves = True

    @dataclass
    class Config:
        """From head to wave.

        Attributes:
            codec: folder, file or name of the codec that the model was trained with.
            mode: a mode of one of the head's paths. `latent` decodes the codes that the codec's
                quantizer makes of the estimated latent; `argmax` the most likely code of every
                predicted codebook; `soft` the latent expected under their probabilities, which is
                not a sequence of codes.
            wiener: the filter on the mixture.

        >>> AudioDecoder.Config().mode
        'latent'
        """

        codec: str = "exp/codec"
        mode: str = "latent"
        wiener: WienerFilter.Config = field(default_factory=WienerFilter.Config)

    def __init__(self, config: Config, head: AudioHead, units: CodecUnits):
        """Find the path of the mode, load the codec.

        Raises:
            AioError: an unknown mode, or another codec than the model's.
        """
        super().__init__(config, head, units)
        self.head = head
        self.mode = config.mode
        # Before the codec, which takes a while to load.
        self.path = head.path_of_mode(config.mode)
        self.filter = WienerFilter(config.wiener)
        self.codec = load_codec(config.codec)
        check_same(units.fingerprint, self.codec.fingerprint, f"codec {config.codec}")

    @override
    def decode(self, frames: Frames) -> list[DecodedAudio]:
        """The waves of each row's targets, as long as its input."""
        answers = []
        for row in range(len(frames.h_BTD)):
            answer = self._decode_row(frames, row)
            answers.append(answer)
        return answers

    def _decode_row(self, frames: Frames, row: int) -> DecodedAudio:
        """The waves of one row.

        1. Take the row out of its batch.
        2. Decode each source by the codec.
        3. Filter the mixture with all of them, the residual included.
        4. Leave the residual out.
        """
        if frames.wave_BS is None or frames.samples_B is None:
            raise ValueError("decoding audio needs the input's waves")
        alone = _take_row(frames, row)
        num_samples = int(frames.samples_B[row])
        mixture_S = frames.wave_BS[row, :num_samples]

        (waves_NS,) = self.path.waves(self.head.split(alone), self.codec, self.mode)
        # The codec completes the last frame.
        waves_NS = waves_NS[:, :num_samples]
        filtered_NS = self.filter(mixture_S, waves_NS)

        # The residual comes last and is nobody's answer.
        targets = frames.task.targets
        outputs = {
            "codec": dict(zip(targets, waves_NS, strict=False)),
            "wiener": dict(zip(targets, filtered_NS, strict=False)),
        }
        return DecodedAudio(outputs, self.codec.sample_rate)


def _take_row(frames: Frames, row: int) -> Frames:
    """A batch of one row without its padding, so that it does not depend on the others."""
    num_frames = int(frames.lengths_B[row])
    kept = slice(row, row + 1)
    return Frames(
        frames.h_BTD[kept, :num_frames],
        frames.lengths_B[kept],
        frames.feats_BTF[kept, :num_frames],
        frames.task,
    )
