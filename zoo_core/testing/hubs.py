"""A hub on this machine that answers as the public one does, for tests of what is downloaded."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

COMMIT = "c" * 40
"""The only commit there is."""


class LocalHub(NamedTuple):
    """Where it listens, and what it was asked."""

    endpoint: str
    asked: list[str]

    def environ(self, home: str) -> dict[str, str]:
        """What a process needs to ask it instead of the public one; `home` is for the client's own files."""
        return {"HF_ENDPOINT": self.endpoint, "HF_HOME": home, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}


@contextmanager
def local_hub(repository: str, files: Mapping[str, bytes]) -> Iterator[LocalHub]:
    """Serve one repository, `owner/name`, with revisions `main` and `v1`, as long as the context lasts."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """The addresses that a download needs."""

        def do_GET(self) -> None:
            """A description or a file."""
            self._answer(body=True)

        def do_HEAD(self) -> None:
            """The same without its content."""
            self._answer(body=False)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            found = _find(path, repository, files)
            headers = {"X-Repo-Commit": COMMIT, "Content-Length": str(len(found or b"{}"))}
            headers |= {"ETag": f'"{hashlib.sha1(found).hexdigest()}"'} if found else {"X-Error-Code": "RepoNotFound"}
            self.send_response(200 if found else 404)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(found or b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield LocalHub(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _find(path: str, repository: str, files: Mapping[str, bytes]) -> bytes | None:
    """What lies at an address; None where nothing does."""
    if path in (f"/api/models/{repository}/revision/{revision}" for revision in ("main", "v1")):
        siblings = [{"rfilename": name} for name in files]
        return json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
    if path == f"/api/models/{repository}/tree/{COMMIT}":
        rows = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()]
        return json.dumps(rows).encode()
    return files.get(path.removeprefix(f"/{repository}/resolve/{COMMIT}/"))
