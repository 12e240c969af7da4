"""The command `demo` in a process of its own, for tests of what it serves."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def serving(folder: Path, port: int, temporary: Path, *arguments: str) -> Iterator[str]:
    """The address of a page; it is told to end when the block does, and has to leave no files."""
    options = ["--model", str(folder), "--port", str(port), "--device", "cpu", *arguments]
    # A proxy that does not answer stands for those of companies.
    surroundings = {"TMPDIR": str(temporary), "http_proxy": "http://127.0.0.1:9"}
    server = subprocess.Popen(
        [sys.executable, "-m", "aio_toolkit.bin.demo", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **surroundings},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline()
        (address,) = re.findall("http://[^ ]+", line)
        yield address
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
        assert list(temporary.glob("aio_page_*")) == []
    finally:
        server.kill()
        server.wait()
