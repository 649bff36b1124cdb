"""The last line that a process writes to a pipe, read without waiting for it and without keeping the rest."""

from __future__ import annotations

import os
from typing import IO

from zoo_core.errors import printable

_KEPT = 4096
"""Bytes of the end that are kept."""
_ONCE = 64
"""Reads at one look, so that a process that writes without end holds nobody up."""
_LONGEST = 300
"""Letters of a line that are shown."""


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
