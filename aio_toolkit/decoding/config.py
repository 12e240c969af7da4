"""Options of stage 5."""

from dataclasses import dataclass, field


@dataclass
class TextConfig:
    """Beam search.

    Attributes:
        beam_size: hypotheses kept.
        ctc_weight: share of the CTC prefix score, the rest is the attention decoder's (Watanabe et al. 2017).
        length_bonus: added to the score for every token.
        max_length_ratio: most tokens per frame.
    """

    beam_size: int = 5
    ctc_weight: float = 0.5
    length_bonus: float = 0.0
    max_length_ratio: float = 0.4


@dataclass
class AudioConfig:
    """From head to wave.

    Attributes:
        mode: `latent` decodes the codes that the codec's quantizer makes of the estimated latent; `argmax` the most
            likely code of every predicted codebook; `soft` the latent expected under their probabilities, which is
            nearer the reference in SI-SDR than `argmax` but not a sequence of codes.
        wiener_window: STFT window of the mixture-consistent filter, in samples.
        wiener_power: exponent of its levels.
        wiener_detail: how much of the estimates' own phase it keeps, 0 to 1.
    """

    mode: str = "latent"
    wiener_window: int = 512
    wiener_power: float = 2.0
    wiener_detail: float = 0.0


@dataclass
class DecodeConfig:
    """Stage 5. `batch_seconds` of audio go through the model at a time."""

    text: TextConfig = field(default_factory=TextConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    batch_seconds: float = 60.0
