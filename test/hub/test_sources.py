"""Folders, zips and names on the hub, against a hub on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_stub import StubHub, running_hub

from aio_toolkit.errors import AioError
from aio_toolkit.hub.sources import find_source

# A process of its own each: the library reads its variables when it is imported.
FETCH = """
import json, sys
from aio_toolkit.errors import AioError
from aio_toolkit.hub.sources import find_source
name, revision = json.loads(sys.argv[1])
try:
    found = find_source(name, revision)
    print(json.dumps([str(found.folder), str(found.root), found.is_foreign]))
except AioError as error:
    sys.exit(str(error))
"""
FILES = {
    "model.yaml": b"version: 1\n",
    "checksums.json": b"{}",
    "units/text/bpe.model": bytes(range(200)),
    "README.md": b"# tiny\n",
}


@pytest.fixture(scope="module")
def hub():
    with running_hub() as running:
        yield running


@pytest.fixture
def home(hub: StubHub, tmp_path) -> dict[str, str]:
    """The variables of a user with an empty cache."""
    own = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_token"}
    return {**os.environ, **own, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def fetch(home: dict[str, str], name: str, revision: str | None = None, **variables: str):
    command = [sys.executable, "-c", FETCH, json.dumps([name, revision])]
    environment = {**home, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def folder_of(done: subprocess.CompletedProcess[str]) -> Path:
    assert done.returncode == 0, done.stderr
    folder, root, is_foreign = json.loads(done.stdout)
    assert is_foreign
    assert Path(folder, "model.yaml").resolve().is_relative_to(root)
    return Path(folder)


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_name_is_fetched_its_commit_told_and_kept_for_when_there_is_no_net(hub, home):
    sha = hub.add("user/tiny", FILES)
    first = fetch(home, "user/tiny")
    assert content(folder_of(first)) == FILES
    assert folder_of(first).name == sha
    assert first.stderr.strip() == f"user/tiny is at commit {sha}; revision= keeps to it"

    hub.asked.clear()
    offline = fetch(home, "user/tiny", HF_HUB_OFFLINE="1")
    assert content(folder_of(offline)) == FILES
    assert hub.asked == []
    nowhere = fetch(home, "user/tiny", HF_ENDPOINT="http://127.0.0.1:9")
    assert content(folder_of(nowhere)) == FILES
    other = fetch(home, "user/unknown", HF_HUB_OFFLINE="1")
    assert other.returncode == 1
    assert "the hub cannot be asked, and it was not fetched before." in other.stderr


def test_a_revision_is_the_one_that_is_fetched(hub, home):
    old = hub.add("user/moving", FILES)
    new = hub.add("user/moving", {**FILES, "model.yaml": b"version: 2\n"})
    pinned = fetch(home, "user/moving", old)
    assert content(folder_of(pinned))["model.yaml"] == b"version: 1\n"
    assert pinned.stderr == ""
    assert folder_of(fetch(home, "user/moving")).name == new
    wrong = fetch(home, "user/moving", "v9")
    assert wrong.stderr.strip().endswith("the hub has it without revision 'v9'.")


def test_files_that_belong_to_no_pack_are_not_fetched(hub, home):
    hub.add("user/more", {**FILES, "model.pt": b"pickle", "units.py": b"code", "x/y.bin": b""})
    hub.asked.clear()
    assert content(folder_of(fetch(home, "user/more"))) == FILES
    assert not [path for path in hub.asked if "model.pt" in path or "units.py" in path]


def test_a_name_that_the_hub_does_not_know_is_one_line(home):
    done = fetch(home, "exp/train_aio")
    assert done.returncode == 1
    assert done.stderr.startswith("exp/train_aio is neither a folder of a model nor a name on the")
    assert "the hub does not know it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_hubs_own_command_uploads_is_what_is_fetched(hub, home, tmp_path):
    for name, blob in FILES.items():
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_bytes(blob)
    command = [Path(sys.executable).with_name("hf"), "upload", "user/mine", tmp_path / "pack"]
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [*hub.commits["user/mine"].values()] == [FILES]
    assert content(folder_of(fetch(home, "user/mine"))) == FILES


def test_a_folder_on_this_disk_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user" / "tiny").mkdir(parents=True)
    found = find_source("user/tiny")
    assert (found.name, found.folder, found.is_foreign) == ("user/tiny", Path("user/tiny"), False)
    with pytest.raises(AioError, match="user/tiny is on this disk and has no revisions"):
        find_source("user/tiny", "main")


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "./a/b", "/a/b", "a b/c", "~/tiny", "a/b\n"])
def test_what_cannot_be_a_name_is_not_asked_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(AioError, match="neither a folder of a model nor a name on the hub"):
        find_source(name)


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
@pytest.mark.parametrize("name", ["model.pt", "pipe.tar"])
def test_a_single_file_is_told(tmp_path, make, name):
    make(tmp_path / name)
    with pytest.raises(AioError, match="is a single file. Give an experiment folder"):
        find_source(tmp_path / name)


def test_a_pipe_that_is_called_a_zip_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(AioError, match="is a single file"):
        find_source(tmp_path / "a.zip")
