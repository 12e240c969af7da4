"""Which codec a folder, a file or a name stands for, and which codecs are the same."""

import dataclasses
from pathlib import Path

import pytest
import torch

from aio_toolkit import parts
from aio_toolkit.codec.base import CodecFingerprint, _kind_of, check_same, load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.errors import AioError

TINY = Dac.Config(16000, 4, [5, 3, 2], 8, 16, [2, 3, 5], 3, 11, 4)
FINGERPRINT = CodecFingerprint("tiny", "0", 16000, 300, 3, 11, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("codec")
    save_dac(directory, build_dac(TINY), TINY)
    return directory


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A second package of parts, which has a codec of the kind `mimi`."""
    package = tmp_path / "foreign_codecs"
    (package / "codec").mkdir(parents=True)
    part = "from aio_toolkit.codec.base import Codec\n\n\nclass Mimi(Codec):\n    pass\n"
    (package / "codec" / "mimi.py").write_text(part)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(parts, "_packages", ["aio_toolkit"])
    parts.use(["foreign_codecs"])
    yield
    parts._listing.cache_clear()


def test_a_folder_says_of_what_kind_it_is(tmp_path, packages):
    (tmp_path / "architecture.yaml").write_text("kind: mimi\n")
    assert _kind_of(tmp_path) == "mimi"


def test_a_folder_that_does_not_say_holds_a_dac(folder, tmp_path):
    lines = (folder / "architecture.yaml").read_text().splitlines()
    assert lines[0] == "kind: dac"
    (tmp_path / "architecture.yaml").write_text("\n".join(lines[1:]))
    (tmp_path / "codec.safetensors").write_bytes((folder / "codec.safetensors").read_bytes())
    assert load_codec(tmp_path).fingerprint == load_codec(folder).fingerprint


def test_a_folder_of_an_unknown_kind_is_named(tmp_path):
    (tmp_path / "architecture.yaml").write_text("kind: dak\n")
    with pytest.raises(AioError, match="architecture.yaml: codec: unknown kind 'dak'.*'dac'"):
        load_codec(tmp_path)


@pytest.mark.parametrize(
    ("where", "kind"),
    [("dac-16khz", "dac"), ("mimi-24khz", "mimi"), ("exp/weights.pth", "dac"), ("exp/x-y", "dac")],
)
def test_names_begin_with_the_kind_and_pth_files_are_of_dac(packages, where, kind):
    assert _kind_of(Path(where)) == kind


@pytest.mark.parametrize("where", ["nowhere", "unknown-16khz"])
def test_a_missing_codec_says_how_to_get_one(tmp_path, where):
    remedy = "does not exist. Train a codec .stage 2., or name one of dac-16khz, "
    with pytest.raises(AioError, match=f"{where}.*{remedy}"):
        load_codec(tmp_path / where)


def test_precision_reaches_the_codec(folder):
    wave_BS = torch.randn(1, 3000)
    exact = load_codec(folder).encode(wave_BS).latents_BTC
    rounded = load_codec(folder, "bfloat16").encode(wave_BS).latents_BTC
    assert not torch.equal(rounded, exact)


def test_a_gpu_that_is_not_there_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(AioError, match="'cuda' asks for a GPU"):
        load_codec(folder, device="cuda")


def test_equal_fingerprints_pass():
    check_same(FINGERPRINT, dataclasses.replace(FINGERPRINT), "codes")


@pytest.mark.parametrize("key", [f.name for f in dataclasses.fields(CodecFingerprint)])
def test_fingerprints_that_differ_in_any_field_are_refused(key):
    value = getattr(FINGERPRINT, key)
    other = dataclasses.replace(FINGERPRINT, **{key: value * 2})
    with pytest.raises(AioError, match=f"codes: made for another one .{key} is {value * 2}, "):
        check_same(FINGERPRINT, other, "codes")


def test_the_frame_rate_is_frames_a_second():
    assert FINGERPRINT.grid.frame_rate == pytest.approx(16000 / 300)
