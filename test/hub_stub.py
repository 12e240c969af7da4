"""A hub on this machine, of as much of the real one's interface as fetching and uploading need."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class StubHub:
    """Repositories by name: commits in order, each of files by their path.

    Attributes:
        commits: content of every commit by its hash, by repository.
        asked: method and path of every request.
        url: where it listens.
    """

    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, repository: str, files: dict[str, bytes]) -> str:
        """A commit; its hash."""
        of_repository = self.commits.setdefault(repository, {})
        sha = hashlib.sha1(f"{repository} {len(of_repository)}".encode()).hexdigest()
        of_repository[sha] = files
        return sha

    def resolve(self, repository: str, revision: str) -> str | None:
        """The hash of a commit; `main` is the newest."""
        known = [*self.commits.get(repository, {})]
        if revision == "main" and known:
            return known[-1]
        return revision if revision in known else None


@contextlib.contextmanager
def running_hub() -> Iterator[StubHub]:
    """Serve on loopback as long as the block runs."""
    hub = StubHub()

    class Handler(_Handler):
        stub = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    stub: StubHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        match self._words():
            case ["api", "models", user, name, "revision", revision]:
                self._info(f"{user}/{name}", revision)
            case ["api", "models", user, name, "tree", revision, *_]:
                self._tree(f"{user}/{name}", revision)
            case ["api", "models", user, name]:
                self._info(f"{user}/{name}", "main")
            case [user, name, "resolve", revision, *path]:
                self._file(f"{user}/{name}", revision, "/".join(path))
            case _:
                self._missing("RepoNotFound")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self._words():
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked.get('organization') or 'user'}/{asked['name']}"
                self.stub.commits.setdefault(name, {})
                self._json({"url": f"{self.stub.url}/{name}", "name": name})
            case ["api", "models", _, _, "preupload", _]:
                files = json.loads(body)["files"]
                modes = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in files
                ]
                self._json({"files": modes})
            case ["api", "models", user, name, "commit", _]:
                self._commit(f"{user}/{name}", body)
            case ["api", "validate-yaml"]:
                self._json({"errors": [], "warnings": []})
            case _:
                self._missing("RepoNotFound")

    def _words(self) -> list[str]:
        self.stub.asked.append(f"{self.command} {self.path}")
        return [unquote(word) for word in urlsplit(self.path).path.strip("/").split("/")]

    def _commit(self, repository: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        sha = self.stub.add(repository, files)
        url = f"{self.stub.url}/{repository}/commit/{sha}"
        self._json({"success": True, "commitOid": sha, "commitUrl": url})

    def _info(self, repository: str, revision: str) -> None:
        if repository not in self.stub.commits:
            self._missing("RepoNotFound")
            return
        sha = self.stub.resolve(repository, revision)
        if sha is None:
            # A repository without commits has information too.
            if not self.stub.commits[repository] and revision == "main":
                self._json({"id": repository, "sha": "0" * 40, "siblings": []})
                return
            self._missing("RevisionNotFound")
            return
        siblings = [{"rfilename": path} for path in self.stub.commits[repository][sha]]
        self._json({"id": repository, "sha": sha, "siblings": siblings, "private": False})

    def _tree(self, repository: str, revision: str) -> None:
        sha = self.stub.resolve(repository, revision)
        files = self.stub.commits[repository][sha] if sha else {}
        entries = [
            {"type": "file", "path": path, "size": len(blob), "oid": _blob_id(blob)}
            for path, blob in files.items()
        ]
        self._json(entries)

    def _file(self, repository: str, revision: str, path: str) -> None:
        sha = self.stub.resolve(repository, revision)
        blob = self.stub.commits[repository][sha].get(path) if sha else None
        if blob is None:
            self._missing("EntryNotFound")
            return
        self._answer(200, blob, {"ETag": f'"{_blob_id(blob)}"', "X-Repo-Commit": str(sha)})

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _missing(self, code: str) -> None:
        self._answer(404, b"{}", {"X-Error-Code": code, "X-Error-Message": "not found"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _blob_id(blob: bytes) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()
