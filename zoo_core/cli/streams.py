"""The program's two streams: answers, where a failure to write is an error, and notes, which are dropped instead."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TextIO, cast

from zoo_core.errors import DiskError


class Answers(io.TextIOBase):
    """Stdout. A closed one takes answers as /dev/null does; a full disk is a `DiskError`, a closed pipe a BrokenPipeError."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = _prepared(stream)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def write(self, words: str) -> int:
        """Raises `DiskError`."""
        if self.stream is None:
            return len(words)
        try:
            return self.stream.write(words)
        except OSError as error:
            raise self._given_up(error) from error

    def flush(self) -> None:
        """Raises `DiskError`."""
        if self.stream is None:
            return
        try:
            self.stream.flush()
        except OSError as error:
            raise self._given_up(error) from error

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor. Raises `io.UnsupportedOperation` where it has none."""
        if self.stream is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self.stream.fileno()

    def as_text(self) -> TextIO:
        """The same object by the name that the standard library's annotations ask for."""
        return cast("TextIO", self)

    def drop(self) -> None:
        """Write nothing more, also not what the stream still holds."""
        if self.stream is not None:
            _point_at_nothing(self.stream)
            self.stream = None

    def _given_up(self, error: OSError) -> Exception:
        self.drop()
        if isinstance(error, BrokenPipeError):
            return error
        return DiskError(
            f"the answer can't be written: {error.strerror}", hint="stdout goes to a place that takes no more"
        )


class Notes(Answers):
    """Stderr: what can't be written is dropped, and with it the stream, because no run may end for want of a reader."""

    def write(self, words: str) -> int:
        """Never raises an OSError."""
        with contextlib.suppress(OSError, DiskError):
            super().write(words)
        return len(words)

    def flush(self) -> None:
        """Never raises an OSError."""
        with contextlib.suppress(OSError, DiskError):
            super().flush()


def fill_closed_descriptors() -> None:
    """Point the standard descriptors that were closed at nothing: the next file that is opened would take their place, and
    what a library prints would end in it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _prepared(stream: TextIO | None) -> TextIO | None:
    """The stream, made to show escapes for characters it doesn't know; None for one that was closed at the start."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream


def _point_at_nothing(stream: TextIO) -> None:
    """Point the stream at nothing, so that the interpreter's last flush doesn't fail."""
    with contextlib.suppress(io.UnsupportedOperation, OSError):  # a stream in memory has no descriptor
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
