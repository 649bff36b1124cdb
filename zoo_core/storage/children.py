"""Processes of our own beside this one: how they are started, what they may take, and how they are listened to."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import suppress
from typing import IO

from zoo_core.errors import printable

_KEPT = 4096
"""Bytes of the end that are kept."""
_ONCE = 64
"""Reads at one look, so that a process that writes without end holds nobody up."""
_LONGEST = 300
"""Letters of a line that are shown."""


def command(*arguments: str) -> list[str]:
    """This interpreter with what it is to run; the working folder isn't on its path."""
    return [sys.executable, "-P", *arguments]


def environment(**more: str) -> dict[str, str]:
    """This process's environment and the places of its modules, for a process of its own code."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def run(
    *arguments: str, request: bytes, seconds: float, errors: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[bytes]:
    """What a process with this request on its input answers. Raises `subprocess.TimeoutExpired`."""
    pipe, environ = subprocess.PIPE, environment()
    return subprocess.run(
        command(*arguments), input=request, stdout=pipe, stderr=errors, env=environ, timeout=seconds, check=False
    )


def limit(kind: int, most: int, hard: int = resource.RLIM_INFINITY) -> None:
    """Hold this process to a limit of `resource`, unless its system has none of the kind, or a stricter one."""
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, hard))


class Tail:
    """The end of what comes through a pipe. The process is never held up for longer than until the next look."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._end = pipe, b""
        os.set_blocking(pipe.fileno(), False)

    def look(self) -> None:
        """Take what has been written since."""
        for _ in range(_ONCE):
            try:
                data = os.read(self._pipe.fileno(), 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            self._end = (self._end + data)[-_KEPT:]

    def last_line(self) -> str:
        """The last line that isn't empty, without control characters, at most 300 letters; empty where there is none."""
        self.look()
        lines = [line for line in self._end.decode(errors="replace").splitlines() if line.strip()]
        return printable(lines[-1].strip())[:_LONGEST] if lines else ""
