"""Waves by masks and by a codec's frozen decoder, and by the mixture that they are parts of.

Letters: N sources, S samples; besides, those of `heads.base`.
"""

from dataclasses import dataclass, field
from typing import override

import torch

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.answers.decoded_audio import DecodedAudio
from aio_toolkit.codec.base import check_same, load_codec
from aio_toolkit.decoding.base import Decoder
from aio_toolkit.heads.audio import AudioHead
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.paths.base import SourceFrames
from aio_toolkit.masks import WienerFilter


class AudioDecoder(Decoder):
    """Up to three outputs.

    - `masked`: the mixture under the masks of the path `mask`, before any codec;
    - `codec`: the codes of the estimates, decoded;
    - `wiener`: the mixture filtered with those.
    """

    @dataclass
    class Config:
        """From head to wave.

        Attributes:
            codec: folder, file or name of the codec that the model was trained with.
            mode: a mode of one of the head's paths. `mask` codes the mixture under masks; `latent`
                decodes the codes that the codec's quantizer makes of the estimated latent; `argmax`
                the most likely code of every predicted codebook; `soft` the latent expected under
                their probabilities, which is not a sequence of codes.
            wiener: the filter on the mixture.

        >>> AudioDecoder.Config().mode
        'mask'
        """

        codec: str = "exp/codec"
        mode: str = "mask"
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
        device = next(head.parameters()).device
        self.codec = load_codec(config.codec, device=str(device))
        check_same(units.fingerprint, self.codec.fingerprint, f"codec {config.codec}")

    @override
    def decode(self, frames: Frames) -> list[DecodedAudio]:
        """The waves of each row's targets, as long as its input."""
        sources = self.head.split(frames)
        targets = frames.task.targets
        answers = []
        for number in range(len(frames.h_BTD)):
            outputs = self._decode_row(sources.row(number))
            # The residual comes last and is nobody's answer.
            named = {
                output: dict(zip(targets, waves_NS.cpu(), strict=False))
                for output, waves_NS in outputs.items()
            }
            answers.append(DecodedAudio(named, self.codec.sample_rate))
        return answers

    def _decode_row(self, sources: SourceFrames) -> dict[str, torch.Tensor]:
        """Waves (N, S) of the sources of one row, the residual included, by output.

        1. Go the path of the mode.
        2. Filter the mixture with what the codec made of all sources.
        """
        (mixture_S,) = sources.wave_BS
        made = self.path.outputs(sources, self.codec, self.mode)
        # The codec completes the last frame.
        outputs = {name: waves_BNS[0, :, : len(mixture_S)] for name, waves_BNS in made.items()}
        outputs["wiener"] = self.filter(mixture_S, outputs["codec"])
        return outputs
