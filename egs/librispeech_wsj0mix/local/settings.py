"""conf/data.yaml: which speakers make which split, and how much of each task."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aio_toolkit.config import MISSING, load_config
from aio_toolkit.errors import AioError

SPLITS = ("train", "dev", "test")

# Smallest values that make sense; None, where it is allowed, stands for no limit.
_LEAST = {"asr": 1e-3, "sep": 0, "enh": 0, "max_seconds": 1e-3, "mix_seconds": 1e-3}


@dataclass
class SplitSettings:
    """One of train, dev and test.

    Attributes:
        sets: LibriSpeech subsets, "train-clean-100", or some speakers of one,
            "train-clean-100:19,27".
        asr: largest number of utterances; beyond it a random choice is taken. None: all.
        sep: two-speaker mixtures to make; official WSJ0-2mix lists say it themselves.
        enh: noisy utterances to make.
        max_seconds: asr leaves out longer utterances. None: keeps all.
        mix_seconds: mixtures are cut to this length. None: they keep the length of their (shorter)
            speech.
    """

    sets: list[str] = MISSING
    asr: int | None = None
    sep: int = 0
    enh: int = 0
    max_seconds: float | None = None
    mix_seconds: float | None = None

    def mix_samples(self, sample_rate: int) -> int | None:
        """`mix_seconds` in samples."""
        if self.mix_seconds is None:
            return None
        return round(self.mix_seconds * sample_rate)


@dataclass
class DataSettings:
    """The file as a whole.

    Attributes:
        train: the split to train on.
        dev: the split that chooses the best checkpoint.
        test: the split of the results.
        sep_snr_db: a mixture has one speaker at +x and the other at -x dB, x uniform between 0 and
            this.
        enh_snr_db: lowest and highest signal-to-noise ratio; uniform between.
        noise_shares: shares of the noise recordings that go to train, dev and test.
        seed: of all random choices.
    """

    train: SplitSettings = field(default_factory=SplitSettings)
    dev: SplitSettings = field(default_factory=SplitSettings)
    test: SplitSettings = field(default_factory=SplitSettings)
    sep_snr_db: float = 2.5
    enh_snr_db: tuple[float, float] = (-5.0, 10.0)
    noise_shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0

    def splits(self) -> dict[str, SplitSettings]:
        """The settings of each split by its name."""
        return {name: getattr(self, name) for name in SPLITS}


def load_settings(path: Path) -> DataSettings:
    """Read the file.

    Raises:
        AioError: as `load_config`, and for numbers that make no sense.
    """
    settings = load_config(DataSettings, path)
    for name, split in settings.splits().items():
        for key, least in _LEAST.items():
            value = getattr(split, key)
            if value is not None and value < least:
                raise AioError(f"{path}: {name}.{key} is {value}. Give a positive number.")

    # What only sampling would notice, in the middle of stage 1.
    lowest, highest = settings.enh_snr_db
    if lowest > highest or settings.sep_snr_db < 0:
        expected = "enh_snr_db is [lowest, highest], and sep_snr_db is not negative"
        raise AioError(f"{path}: {expected}. Fix them.")
    shares = settings.noise_shares
    if min(shares) < 0 or sum(shares) <= 0:
        raise AioError(f"{path}: noise_shares are {shares}. Give shares that are not negative.")
    return settings


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and `--fs`, which every program of this folder takes."""
    parser.add_argument(
        "--config", type=Path, default=Path("conf/data.yaml"), help="sizes, levels and splits"
    )
    parser.add_argument("--fs", type=int, default=16_000, help="sample rate of the recipe in Hz")


def check_disjoint(parts: Mapping[str, Iterable[str]], what: str) -> None:
    """Raise AioError where something is in two splits; `what` names it in the message.

    >>> check_disjoint({"train": ["19", "27"], "test": ["23"]}, "speaker")
    """
    owner: dict[str, str] = {}
    for split, names in parts.items():
        for name in sorted(set(names)):
            if name in owner:
                found = f"{what} {name} is in {owner[name]} and in {split}"
                reason = "results would flatter the model"
                raise AioError(f"{found}: {reason}. Fix the sets of the data configuration.")
            owner[name] = split
