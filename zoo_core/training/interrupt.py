"""Stopping cleanly: the first signal lets the step finish and a checkpoint be saved, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a signal asked the run to stop."""

    signal: int | None = None
    advice: str = ""
    """What to type to go on; empty before there is anything to go on with."""

    @property
    def exit_code(self) -> int:
        """What the process should exit with: 128 + the signal's number."""
        return 128 + self.signal if self.signal else 0


class Interrupted(KeyboardInterrupt):
    """A run that was asked to stop, after it saved its checkpoint."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stopping(Interrupted):
    """Raised between two batches of an evaluation, once all ranks know: there is time to save."""


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let signals end the process while it waits in code that runs no Python, where no handler is ever called."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [
        number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not None
    ]
    before = {n: signal.signal(n, signal.SIG_DFL) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def watching() -> Iterator[Stop]:
    """Catch SIGINT, SIGTERM and SIGHUP for the time of a run, but for a SIGHUP that nohup had ignored.

    In other threads than the main one signals stay as they are.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise Interrupted(
                128 + number, f"stopped at once; the last complete checkpoint stands; {stop.advice}".rstrip("; ")
            )
        stop.signal = number

    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, *hangup)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
