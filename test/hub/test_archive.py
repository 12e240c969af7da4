"""Zips: whole ones are read, wicked ones leave nothing behind."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from aio_toolkit.errors import AioError
from aio_toolkit.hub.archive import MOST_FILES, extract_zip


def zipped(path: Path, content: dict[str, bytes], mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, blob in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, blob, zipfile.ZIP_DEFLATED)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty folder within another, to see what is written beside it."""
    path = tmp_path / "around" / "out"
    path.mkdir(parents=True)
    return path


def test_files_come_out_as_they_went_in(tmp_path, folder):
    content = {"model.yaml": b"a: 1", "units/text/bpe.model": bytes(range(256))}
    assert extract_zip(zipped(tmp_path / "a.zip", content), folder) == folder
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
    assert {name: path.read_bytes() for name, path in found.items()} == content


def test_a_zip_of_the_folder_itself_is_taken_too(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", {"pack/": b"", "pack/model.yaml": b"a: 1"})
    assert extract_zip(path, folder) == folder / "pack"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\..\\evil", "C:\\x"])
def test_files_that_would_be_elsewhere_are_refused(tmp_path, folder, name):
    path = zipped(tmp_path / "a.zip", {"model.yaml": b"a: 1", name: b"evil"})
    with pytest.raises(AioError, match="would be written outside its folder"):
        extract_zip(path, folder)
    assert not [p for p in (tmp_path / "around").rglob("*") if p != folder]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, folder, kind):
    path = zipped(tmp_path / "a.zip", {"model.yaml": b"/etc/passwd"}, kind | 0o777)
    with pytest.raises(AioError, match="'model.yaml' is a link or a device"):
        extract_zip(path, folder)
    assert not [*folder.iterdir()]


def test_a_bomb_is_refused_by_what_it_says(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", {"model.safetensors": bytes(50 << 20)})
    assert path.stat().st_size < 100_000
    with pytest.raises(AioError, match="would grow from .* to 52428800 bytes"):
        extract_zip(path, folder)
    assert not [*folder.iterdir()]


def test_a_bomb_that_lies_about_its_size_does_not_grow_beyond_it(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", {"model.safetensors": bytes(50 << 20)})
    blob = bytearray(path.read_bytes())
    # The size is at 22 of the file's own header and at 24 of its entry in the directory.
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", blob, blob.index(signature) + offset, 1000)
    path.write_bytes(blob)
    with pytest.raises(AioError, match="is no whole zip file"):
        extract_zip(path, folder)
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 1000


def test_more_files_than_any_pack_has_are_refused(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", {f"units/{n}": b"" for n in range(MOST_FILES + 1)})
    with pytest.raises(AioError, match=f"holds {MOST_FILES + 1} files"):
        extract_zip(path, folder)


def test_more_than_the_disk_has_room_for_is_told(tmp_path, folder, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"model.yaml": b"12345"})
    monkeypatch.setattr("shutil.disk_usage", lambda where: type("Usage", (), {"free": 4}))
    with pytest.raises(AioError, match="needs 5 bytes of temporary space.*TMPDIR"):
        extract_zip(path, folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for blob in (b"first", b"second"):
            archive.writestr("model.yaml", blob)
    with pytest.raises(AioError, match="'model.yaml' is there twice"):
        extract_zip(tmp_path / "a.zip", folder)


@pytest.mark.parametrize("damage", [lambda blob: blob[:-30], lambda blob: b"no zip"])
def test_a_damaged_zip_is_told(tmp_path, folder, damage):
    path = zipped(tmp_path / "a.zip", {"model.yaml": b"abcdefgh" * 50})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AioError, match="is no whole zip file"):
        extract_zip(path, folder)


def test_a_flipped_byte_is_told(tmp_path, folder):
    path = zipped(tmp_path / "a.zip", {"model.yaml": bytes(range(256)) * 9})
    blob = bytearray(path.read_bytes())
    blob[60] ^= 1
    path.write_bytes(blob)
    with pytest.raises(AioError, match="is no whole zip file"):
        extract_zip(path, folder)
