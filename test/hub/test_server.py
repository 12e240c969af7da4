"""The page on a port: its folder, its refusals, and what it keeps to itself."""

import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from page_server import free_port, serving

from aio_toolkit.errors import AioError
from aio_toolkit.hub import server


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_that_cannot_be_is_told(model, port):
    with pytest.raises(AioError, match=rf"at 127.0.0.1, port {port}: .* Choose others: --host"):
        server.serve(model, "127.0.0.1", port, max_minutes=1)


def test_files_are_kept_in_a_folder_that_goes(monkeypatch):
    surroundings = {**os.environ, "no_proxy": "intern"}
    monkeypatch.setattr(os, "environ", surroundings)
    monkeypatch.setattr(server.signal, "signal", lambda *_: None)
    with server._own_folder("::1"):
        folder = Path(surroundings["GRADIO_TEMP_DIR"])
        assert folder.is_dir()
        assert Path(surroundings["GRADIO_EXAMPLES_CACHE"]).is_relative_to(folder)
        assert surroundings["GRADIO_ALLOWED_PATHS"] == ""
        assert surroundings["no_proxy"] == "intern,localhost,::1"
    assert not folder.exists()


def fetched(address: str, body: dict | None = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
def test_no_other_file_of_the_machine_is_served_or_answered(
    model_folder, tmp_path, tmp_path_factory
):
    pytest.importorskip("gradio", reason="needs the extra `demo`")
    recording = str(tmp_path / "private.wav")
    soundfile.write(recording, np.zeros(1000), 16000)
    temporary = tmp_path_factory.mktemp("temporary")
    with serving(model_folder, free_port(), temporary) as address:
        for path in ("/etc/passwd", recording, "README.md", "../README.md", f"{temporary}/x"):
            assert fetched(f"{address}gradio_api/file={path}")[0] == 403
        _, config = fetched(f"{address}config")
        (click,) = [d for d in json.loads(config)["dependencies"] if d["targets"][0][1] == "click"]
        file = {"path": recording, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [file, "asr"], "fn_index": click["id"], "session_hash": "me"}
        assert fetched(f"{address}gradio_api/queue/join", body)[0] == 200
        _, events = fetched(f"{address}gradio_api/queue/data?session_hash=me")
        assert '"success":false' in events.replace(" ", "")


@pytest.mark.slow
def test_a_port_that_is_taken_is_told_in_one_line(model, monkeypatch):
    pytest.importorskip("gradio", reason="needs the extra `demo`")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(server.signal, "signal", lambda *_: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AioError, match=rf"listen at 127.0.0.1, port {port}: it is taken"):
            server.serve(model, "127.0.0.1", port, max_minutes=1)
