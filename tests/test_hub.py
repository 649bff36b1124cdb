"""Folders of the hub, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from zoo_core.errors import UsageError
from zoo_core.hub import download

FILES = {
    "config.json": b'{"kind": "tiny"}',
    "model.safetensors": bytes(range(256)) * 9,
    "pytorch_model.bin": b"\x80\x04never",
    "modeling.py": b"raise SystemExit",
}
COMMIT = "c" * 40
asked: list[str] = []


class Hub(BaseHTTPRequestHandler):
    """The two addresses that a download needs."""

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        asked.append(path)
        headers = {"X-Repo-Commit": COMMIT}
        if path in ("/api/models/some/tiny/revision/main", "/api/models/some/tiny/revision/v1"):
            siblings = [{"rfilename": name} for name in FILES]
            data = json.dumps({"id": "some/tiny", "sha": COMMIT, "siblings": siblings}).encode()
        elif path == f"/api/models/some/tiny/tree/{COMMIT}":
            rows = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in FILES.items()]
            data = json.dumps(rows).encode()
        elif path.startswith(f"/some/tiny/resolve/{COMMIT}/") and path.rpartition("/")[2] in FILES:
            data = FILES[path.rpartition("/")[2]]
            headers["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
        else:
            headers["X-Error-Code"] = "RepoNotFound"
            self.send(404, headers, b"{}" if body else b"")
            return
        self.send(200, headers, data, body=body)

    def send(self, status: int, headers: dict[str, str], data: bytes, *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(source: str, folder: Path, home: Path, endpoint: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the library reads its settings when it is imported."""
    code = (
        "import sys; from pathlib import Path; from zoo_core import hub, errors\n"
        "try: hub.download(sys.argv[1], Path(sys.argv[2]))\n"
        "except errors.DataError as error: print(error.message)\n"
    )
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
        **environ,
    }
    command = [sys.executable, "-W", "error", "-c", code, source, str(folder)]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("source", ["hub:some/tiny", "hub:some/tiny@v1"])
def test_descriptions_and_safetensors_come_and_nothing_that_holds_code(
    source: str, tmp_path: Path, endpoint: str
) -> None:
    done = fetched(source, tmp_path / "folder", tmp_path / "home", endpoint)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found = {path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir() if path.is_file()}
    assert found == {name: FILES[name] for name in ("config.json", "model.safetensors")}
    assert not any(path.endswith((".bin", ".py")) for path in asked)


def test_a_repository_that_is_not_there_is_one_error_that_names_it(tmp_path: Path, endpoint: str) -> None:
    done = fetched("hub:some/other", tmp_path / "folder", tmp_path / "home", endpoint)
    assert done.returncode == 0 and done.stdout.startswith("hub:some/other can't be downloaded: "), done.stderr


def test_offline_nobody_is_asked(tmp_path: Path, endpoint: str) -> None:
    done = fetched("hub:some/tiny", tmp_path / "folder", tmp_path / "home", endpoint, HF_HUB_OFFLINE="1")
    assert done.stdout.startswith("hub:some/tiny can't be downloaded: ") and not asked


@pytest.mark.parametrize(
    "source", ["hub:", "hub:tiny", "hub:some/tiny/more", "hub:../../etc", "hub:some/tiny@", "hub:a b/c"]
)
def test_names_that_are_none_are_refused_before_anything_is_imported(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not of the form hub:owner/name"):
        download(source, tmp_path)
