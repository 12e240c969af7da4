"""One way to a model, whatever it is found as."""

import shutil

import pytest
import torch

from aio_toolkit.errors import AioError
from aio_toolkit.files import sha256_file
from aio_toolkit.hub.opened import open_model


def assert_same(found, wanted):
    torch.testing.assert_close(found.state_dict(), wanted.state_dict(), atol=0, rtol=0)


def test_experiment_pack_and_zip_hold_the_same_model(model_folder, packed, tmp_path):
    zipped = shutil.make_archive(str(tmp_path / "a"), "zip", packed)
    wanted = open_model(model_folder)
    from_pack, from_zip = open_model(packed), open_model(zipped)
    assert_same(from_pack.loaded.model, wanted.loaded.model)
    assert_same(from_zip.loaded.model, wanted.loaded.model)
    assert wanted.sha256 == sha256_file(model_folder / "model.pt")
    assert from_pack.sha256 == from_zip.sha256 == sha256_file(packed / "checksums.json")
    assert wanted.card == ""
    assert from_pack.card == from_zip.card == (packed / "README.md").read_text()


def test_a_zip_of_the_folder_is_as_good_as_one_of_its_content(packed, tmp_path):
    folder = shutil.copytree(packed, tmp_path / "a" / "pack")
    zipped = shutil.make_archive(str(tmp_path / "b"), "zip", folder.parent)
    assert open_model(zipped).card


def test_the_files_of_a_zip_are_there_as_long_as_the_model(packed, tmp_path):
    opened = open_model(shutil.make_archive(str(tmp_path / "a"), "zip", packed))
    folder = opened.source.folder
    assert folder.is_dir()
    opened.source.temporary.cleanup()
    assert not folder.exists()


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(AioError, match="no model: stage 4 writes model.pt and stage 8 a pack"):
        open_model(tmp_path)


def test_a_pack_without_its_description_is_no_experiment(pack, model_folder):
    (pack / "model.yaml").unlink()
    shutil.copy(model_folder / "model.pt", pack)
    with pytest.raises(AioError, match="model.yaml is missing"):
        open_model(pack)


def test_a_pickle_in_a_zip_is_not_even_looked_at(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was loaded"))
    zipped = shutil.make_archive(str(tmp_path / "a"), "zip", model_folder)
    with pytest.raises(AioError, match="holds no packed model: there is no model.yaml"):
        open_model(zipped)


def test_a_pickle_beside_a_pack_is_not_looked_at_either(pack, model_folder, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was loaded"))
    shutil.copy(model_folder / "model.pt", pack)
    open_model(pack)
