"""Codecs on disk: round trips, and what is wrong is told."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from aio_toolkit.codec.base import load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, read_folder, save_dac
from aio_toolkit.config import save_config
from aio_toolkit.errors import AioError

CONFIG = Dac.Config(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("codec")
    save_dac(directory, build_dac(CONFIG), CONFIG)
    return directory


def test_a_codec_comes_back_as_it_was_written(tmp_path):
    model = build_dac(CONFIG)
    save_dac(tmp_path, model, CONFIG)
    state = read_folder(tmp_path, Dac.Config).state_dict()
    assert state.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(state[name], value), name


def test_half_weights_are_the_nearest_float16(tmp_path):
    model = build_dac(CONFIG)
    save_dac(tmp_path, model, CONFIG, half=True)
    written = load_file(tmp_path / "codec.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(written[name], value.to(torch.float16)), name


def test_weights_of_another_architecture_are_refused(folder, tmp_path):
    (tmp_path / "codec.safetensors").write_bytes((folder / "codec.safetensors").read_bytes())
    other = dataclasses.replace(CONFIG, latent_dim=12)
    save_config(other, tmp_path / "architecture.yaml")
    with pytest.raises(AioError, match="does not fit"):
        load_codec(tmp_path)


def test_an_unknown_key_of_the_architecture_is_named(folder, tmp_path):
    (tmp_path / "codec.safetensors").write_bytes((folder / "codec.safetensors").read_bytes())
    (tmp_path / "architecture.yaml").write_text("kind: dac\nlatent_dims: 8\n")
    with pytest.raises(AioError, match="architecture.yaml: unknown key.*'latent_dim'"):
        load_codec(tmp_path)


def test_a_damaged_file_of_weights_is_named(folder, tmp_path):
    whole = (folder / "codec.safetensors").read_bytes()
    (tmp_path / "codec.safetensors").write_bytes(whole[: len(whole) // 2])
    save_config(CONFIG, tmp_path / "architecture.yaml")
    with pytest.raises(AioError, match="codec.safetensors does not fit"):
        load_codec(tmp_path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(AioError, match="weights.pth do not exist"):
        load_codec(tmp_path / "weights.pth")


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(AioError, match="weights.pth is no checkpoint"):
        load_codec(tmp_path / "weights.pth")


def test_a_checkpoint_of_the_package_gives_the_package_s_codes(tmp_path):
    reference = build_dac(CONFIG).eval()
    reference.save(tmp_path / "weights.pth", package=False)
    wave_BS = torch.randn(1, 1200)
    with torch.no_grad():
        want = reference.encode(wave_BS[:, None])[1]
    codec = load_codec(tmp_path / "weights.pth")
    assert torch.equal(codec.encode(wave_BS).codes_BTQ.transpose(1, 2), want)
    assert codec.fingerprint.name == "weights"


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_code_in_the_file_of_a_stranger_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, ("raise SystemExit('hacked')",)

    reference = build_dac(CONFIG)
    torch.save(
        {"state_dict": reference.state_dict(), "metadata": {"kwargs": Evil()}},
        tmp_path / "evil.pth",
    )
    reference.save(tmp_path / "package.pth", package=True)
    for name in ("evil", "package"):
        with pytest.raises(AioError, match=f"{name}.pth is no checkpoint of the dac package"):
            load_codec(tmp_path / f"{name}.pth")


def test_an_official_codec_that_cannot_be_fetched_has_a_remedy(monkeypatch):
    import dac

    def offline(model_type):
        raise OSError("no route to host")

    monkeypatch.setattr(dac.utils, "download", offline)
    with pytest.raises(AioError, match="cannot fetch dac-24khz: no route to host.*its .pth file"):
        load_codec("dac-24khz")


def test_an_official_codec_is_named_as_it_was_asked_for(monkeypatch, tmp_path):
    import dac

    build_dac(CONFIG).save(tmp_path / "weights_16khz.pth", package=False)
    monkeypatch.setattr(
        dac.utils, "download", lambda model_type: tmp_path / f"weights_{model_type}.pth"
    )
    assert load_codec("dac-16khz").fingerprint.name == "dac-16khz"
