"""What is in a packed folder: changed, lost, exchanged and special files are named."""

import os
from pathlib import Path

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, write_json
from aio_toolkit.hub.checksums import verify, write_checksums

# sha256 of b"abc", from the standard.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def pack(tmp_path) -> Path:
    """Files of a pack's names; their content does not matter here."""
    folder = tmp_path / "pack"
    for name in ("model.yaml", "model.safetensors", "README.md", "units/text/tokens.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("abc")
    write_checksums(folder)
    return folder


def test_every_file_is_listed_with_its_hash(pack):
    names = ["README.md", "model.safetensors", "model.yaml", "units/text/tokens.txt"]
    assert verify(pack, pack) == dict.fromkeys(names, ABC)


def test_a_changed_file_is_named(pack):
    (pack / "units/text/tokens.txt").write_text("abd")
    with pytest.raises(AioError, match="units/text/tokens.txt has changed since it was packed"):
        verify(pack, pack)


def test_a_missing_file_is_named(pack):
    (pack / "model.safetensors").unlink()
    with pytest.raises(AioError, match="model.safetensors is missing"):
        verify(pack, pack)


def test_an_edited_card_is_told_and_taken(pack, capsys):
    (pack / "README.md").write_text("licence: mine")
    verify(pack, pack)
    assert "README.md was edited after packing" in capsys.readouterr().err


def test_a_missing_list_says_that_the_pack_is_not_whole(pack):
    (pack / "checksums.json").unlink()
    with pytest.raises(AioError, match="checksums.json does not exist: the pack is not whole"):
        verify(pack, pack)


@pytest.mark.parametrize("content", [[1], {"model.yaml": 3}, "x"])
def test_another_list_is_refused(pack, content):
    write_json(pack / "checksums.json", content)
    with pytest.raises(AioError, match="no list of files and their hashes"):
        verify(pack, pack)


@pytest.mark.parametrize("name", ["/etc/passwd", "../model.yaml", "units/../../x", "", "~/x"])
def test_a_path_out_of_the_folder_is_refused_before_it_is_read(pack, name):
    write_json(pack / "checksums.json", {name: ABC})
    with pytest.raises(AioError, match="is a path out of the folder"):
        verify(pack, pack)


def test_a_link_out_of_the_folder_is_refused_though_its_content_is_right(pack, tmp_path):
    (tmp_path / "secret").write_text("abc")
    (pack / "model.yaml").unlink()
    (pack / "model.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(AioError, match="model.yaml is a link out of the pack"):
        verify(pack, pack)
    # The hub's cache has its files beside the snapshot.
    verify(pack, tmp_path)


def test_a_linked_folder_is_refused(pack, tmp_path):
    (pack / "units").rename(tmp_path / "elsewhere")
    (pack / "units").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AioError, match="tokens.txt is a link out of the pack"):
        verify(pack, pack)
    write_json(pack / "checksums.json", {"model.yaml": ABC, "model.safetensors": ABC})
    with pytest.raises(AioError, match="units/text/tokens.txt is not among|units is not among"):
        verify(pack, pack)


@pytest.mark.parametrize("name", ["model.yaml", "units/text/tokens.txt"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(pack, name):
    (pack / name).unlink()
    os.mkfifo(pack / name)
    with pytest.raises(AioError, match=f"{name} is not a file"):
        verify(pack, pack)


@pytest.mark.parametrize("name", ["model.yaml", "units/text/tokens.txt", "codec/codec.safetensors"])
def test_a_file_that_the_model_is_made_of_has_to_be_listed(pack, name):
    (pack / name).parent.mkdir(exist_ok=True)
    (pack / name).write_text("abc")
    sums = read_json(pack / "checksums.json")
    sums.pop(name, None)
    write_json(pack / "checksums.json", sums)
    with pytest.raises(AioError, match=f"{name} is not among checksums.json"):
        verify(pack, pack)


def test_files_that_nobody_reads_may_lie_beside(pack):
    (pack / ".gitattributes").write_text("*.safetensors filter=lfs")
    (pack / "LICENSE").write_text("mine")
    verify(pack, pack)
