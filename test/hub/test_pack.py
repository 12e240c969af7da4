"""Packing: what is written, and that what comes back answers to the bit."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
import yaml
from foreign import in_use
from safetensors.torch import load_file
from tiny import CODEC, RATE, TASKS, named, save_tiny, tiny_model, units_of

import aio_toolkit
from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.codec.base import load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.config import from_values
from aio_toolkit.decoding.run import BatchDecoder
from aio_toolkit.errors import AioError
from aio_toolkit.hub.card import About
from aio_toolkit.hub.opened import open_model
from aio_toolkit.hub.pack import pack_model
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import LoadedAio, load_aio
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.models.subnetwork import extract

TINY = About("tiny")


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(num_samples).astype(np.float32) / 4


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    """A codec's folder, of the frames of all tiny models."""
    folder = tmp_path_factory.mktemp("codec")
    small = Dac.Config(encoder_dim=4, latent_dim=8, decoder_dim=16, n_codebooks=2)
    torch.manual_seed(0)
    save_dac(folder, build_dac(small), small)
    (folder / "tensorboard").mkdir()
    return folder


def test_only_tensors_plain_values_and_text_are_written(packed):
    assert sorted(path.relative_to(packed).as_posix() for path in packed.rglob("*.*")) == [
        "README.md",
        "checksums.json",
        "model.safetensors",
        "model.yaml",
        "units/audio/tensors.safetensors",
        "units/audio/values.yaml",
        "units/text/bpe.model",
        "units/text/tokens.txt",
    ]
    description = yaml.safe_load((packed / "model.yaml").read_text())
    keys = ["version", "parts", "config", "encoder", "tasks", "num_experts", "example_seconds"]
    assert [*description] == keys
    assert description["encoder"]["codec"] == dataclasses.asdict(CODEC)
    assert [*description["tasks"]] == ["asr", "st", "sep", "enh", "sound", "music"]


@pytest.mark.parametrize("task", ["asr", "st", "sep", "enh", "sound", "music"])
def test_a_pack_answers_to_the_bit_what_its_model_answers(model, packed, task):
    loaded = aio_toolkit.load(packed, device="cpu")
    ours, theirs = (m.answer(task, noise(4000), rate=RATE) for m in (model, loaded))
    if hasattr(ours, "waves"):
        for target, wave_CS in ours.waves.items():
            np.testing.assert_array_equal(theirs.waves[target], wave_CS)
    else:
        assert (theirs.text, theirs.score) == (ours.text, ours.score)


def test_half_a_pack_is_the_model_with_its_weights_rounded(model_folder, tmp_path):
    pack_model(model_folder, tmp_path / "half", TINY, half=True)
    written = load_file(tmp_path / "half" / "model.safetensors")
    whole = load_aio(model_folder / "model.pt").model.state_dict()
    assert {t.dtype for t in written.values() if t.is_floating_point()} == {torch.float16}
    found = open_model(tmp_path / "half").loaded.model.state_dict()
    assert {name: t.dtype for name, t in found.items()} == {n: t.dtype for n, t in whole.items()}
    for name, tensor in whole.items():
        rounded = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(found[name], rounded), name


def test_half_a_pack_answers_to_the_bit_what_stage_5_scores(vocabulary, tmp_path):
    model = tiny_model(vocabulary, tasks=named("enh")).eval()
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    save_tiny(tmp_path / "whole" / "model.pt", model)
    pack_model(tmp_path / "whole", tmp_path / "half", TINY, half=True)
    BatchDecoder(BatchDecoder.Config(half=True), LoadedAio(model, CODEC), kinds=[])
    save_tiny(tmp_path / "scored" / "model.pt", model)
    whole, half, scored = (
        aio_toolkit.load(tmp_path / name, device="cpu").enhance(noise(4000), rate=RATE)["speech"]
        for name in ("whole", "half", "scored")
    )
    np.testing.assert_array_equal(half, scored)
    assert 0 < np.abs(half - whole).max() < 1e-2


def test_numbers_that_float16_does_not_have_are_named(vocabulary, tmp_path):
    model = tiny_model(vocabulary)
    model.encoder.front_end.std_F.fill_(1e5)
    save_tiny(tmp_path / "exp" / "model.pt", model)
    with pytest.raises(AioError, match="std_F holds numbers beyond float16"):
        pack_model(tmp_path / "exp", tmp_path / "pack", TINY, half=True)
    assert [path.name for path in tmp_path.iterdir()] == ["exp"]
    pack_model(tmp_path / "exp", tmp_path / "pack", TINY)


def test_a_sub_network_is_packed_as_small_as_it_is(vocabulary, tmp_path):
    (asr,) = named("asr")
    whole = tiny_model(vocabulary)
    small = extract(whole, asr, dict.fromkeys(whole.backbone.moe_layers(), [2, 0, 3])).eval()
    save_tiny(tmp_path / "asr" / "model.pt", small)
    pack_model(tmp_path / "asr", tmp_path / "pack", TINY)
    description = yaml.safe_load((tmp_path / "pack" / "model.yaml").read_text())
    assert set(description["num_experts"].values()) == {3}
    loaded = open_model(tmp_path / "pack").loaded.model
    assert [task.name for task in loaded.tasks] == ["asr"]
    torch.testing.assert_close(loaded.state_dict(), small.state_dict(), atol=0, rtol=0)


def test_the_codec_goes_along_with_its_hash(vocabulary, codec, tmp_path):
    fingerprint = load_codec(codec).fingerprint
    save_tiny(tmp_path / "exp" / "model.pt", tiny_model(vocabulary), fingerprint)
    pack_model(tmp_path / "exp", tmp_path / "pack", TINY, codec)
    inside = tmp_path / "pack" / "codec"
    assert {path.name for path in inside.iterdir()} == {"architecture.yaml", "codec.safetensors"}
    assert load_codec(inside).fingerprint == fingerprint
    open_model(tmp_path / "pack")


def test_another_codec_is_not_packed(model_folder, codec, tmp_path):
    with pytest.raises(AioError, match=r"codec .*: made for another one \(name is "):
        pack_model(model_folder, tmp_path / "pack", TINY, codec)
    with pytest.raises(AioError, match="dac-16khz is no folder of a codec"):
        pack_model(model_folder, tmp_path / "pack", TINY, codec.parent / "dac-16khz")
    assert not (tmp_path / "pack").exists()


def test_a_model_that_hears_through_its_codec_takes_it_along(
    vocabulary, codec, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    shutil.copytree(codec, mine)
    options = {"codec_latents": {"codec": str(mine)}}
    front_end = {"parts": ["codec_latents"], "options": options}
    fingerprint = load_codec(codec).fingerprint
    encoder = SslEncoder(
        from_values(SslEncoder.Config, {"front_end": front_end}, "tiny"), fingerprint.grid
    )
    model = AioModel(tiny_model(vocabulary).config, TASKS, encoder, units_of(vocabulary))
    save_tiny(tmp_path / "exp" / "model.pt", model, fingerprint)
    with pytest.raises(AioError, match="needs its codec. Name its folder: --codec"):
        pack_model(tmp_path / "exp", tmp_path / "pack", TINY)
    pack_model(tmp_path / "exp", tmp_path / "pack", TINY, codec)
    shutil.rmtree(mine)
    loaded = open_model(shutil.make_archive("a", "zip", "pack"))
    torch.testing.assert_close(loaded.loaded.model.state_dict(), model.state_dict(), atol=0, rtol=0)
    assert str(tmp_path) not in (tmp_path / "pack" / "model.yaml").read_text()


def test_packages_in_use_are_written_down(model_folder, tmp_path):
    with in_use("newcomers"):
        pack_model(model_folder, tmp_path / "pack", TINY)
    assert yaml.safe_load((tmp_path / "pack" / "model.yaml").read_text())["parts"] == ["newcomers"]


def test_a_new_pack_takes_the_place_of_an_old_one_and_of_nothing_else(model_folder, pack, tmp_path):
    (pack / "units" / "old.bin").touch()
    pack_model(model_folder, pack, TINY)
    assert not (pack / "units" / "old.bin").exists()
    assert "# tiny" in (pack / "README.md").read_text()
    for name in ("mine.txt", "folder"):
        path = tmp_path / name
        path.mkdir() if name == "folder" else path.touch()
        with pytest.raises(AioError, match=f"{name} is there and is no pack"):
            pack_model(model_folder, path, TINY)


def test_a_pack_that_fails_leaves_the_old_one_and_nothing_else(
    model_folder, pack, tmp_path, monkeypatch
):
    before = (pack / "checksums.json").read_bytes()
    monkeypatch.setattr("aio_toolkit.hub.pack.card_of", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pack_model(model_folder, pack, TINY)
    assert (pack / "checksums.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_packing_twice_gives_the_same_bytes(model_folder, packed, tmp_path):
    about = About("tiny", "cc-by-4.0", ["mini_aio"])
    pack_model(model_folder, tmp_path / "again", about)
    assert (tmp_path / "again/checksums.json").read_text() == (
        packed / "checksums.json"
    ).read_text()


def test_scores_of_another_model_do_not_go_along(model_folder, tmp_path):
    """As those of a model that has been trained for longer since."""
    decoded = tmp_path / "decode"
    DecodeStamp({"decoders": {}}, "0a1b", RATE, "2c").claim(decoded)
    about = About("tiny", results=[decoded / "results.json"])
    with pytest.raises(AioError, match="results.json has the scores of another model than .*again"):
        pack_model(model_folder, tmp_path / "pack", about)
    assert not (tmp_path / "pack").exists()
