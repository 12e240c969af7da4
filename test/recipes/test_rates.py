"""The road at other sample rates, with a codec trained there and with the official architectures.

Official weights would have to be fetched: random ones find out whether hops, frames and masks fit.
"""

from pathlib import Path

import pytest
import torch
from small_recipe import copy_recipe, run_recipe

from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.files import read_json
from aio_toolkit.scoring.results import read_results

# What the package publishes: rate, strides, codebooks.
OFFICIAL = {
    "dac-16khz": (16000, [2, 4, 5, 8], 12),
    "dac-24khz": (24000, [2, 4, 5, 8], 32),
    "dac-44khz": (44100, [2, 4, 8, 8], 9),
}
FEW = (
    "trainer.max_steps=2 trainer.val_check_interval=2 data.dev_seconds=8 "
    "data.seconds.asr=3 data.seconds.st=0 data.seconds.sep=3 data.seconds.sound=0 "
    "data.seconds.music=0"
)
OPTIONS = {
    "stop_stage": "6",
    "ssl_args": FEW,
    # Codes of sources too, so that every stage meets the codec.
    "train_args": f"{FEW} model.heads.audio.paths.classes.weight=0.3",
    "decode_args": "decoders.text.beam_size=1 batch_seconds=8",
    "decode_tasks": "enh",
}


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Nothing has run there."""
    return copy_recipe(tmp_path)


def run(recipe: Path, rate: int, codec: str) -> Path:
    """Run the stages from data to scores; the decode folder."""
    done = run_recipe(recipe, {**OPTIONS, "fs": str(rate), "codec": codec})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (decoded,) = (recipe / "exp" / "small").glob("decode_*_test")
    return decoded


def check(decoded: Path, rate: int) -> None:
    """Enhancement has all outputs and bounds, in waves of that rate."""
    (task,) = read_results(decoded).tasks
    outputs = {score.output for score in task.scores}
    assert {"masked", "codec", "wiener", "fixed_filter", "oracle_codec"} <= outputs
    assert read_json(decoded / "decode.json")["sample_rate"] == rate


@pytest.mark.all
@pytest.mark.parametrize("rate", [8000, 22050])
def test_a_codec_of_a_rate_is_trained_there_and_serves_all_stages(recipe, rate):
    check(run(recipe, rate, codec=""), rate)


@pytest.mark.all
@pytest.mark.parametrize("name", OFFICIAL)
def test_the_architectures_of_the_official_codecs_fit_all_stages(recipe, name):
    rate, strides, codebooks = OFFICIAL[name]
    config = Dac.Config(
        sample_rate=rate,
        encoder_rates=strides,
        decoder_rates=strides[::-1],
        n_codebooks=codebooks,
    )
    torch.manual_seed(0)
    save_dac(recipe / "official", build_dac(config), config)
    check(run(recipe, rate, codec="official"), rate)
