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


_ALWAYS = (signal.SIGINT, signal.SIGTERM)


def _of_schedulers() -> tuple[signal.Signals, ...]:
    """Signals that end a process by default and by which terminals and schedulers ask a run to stop, as Slurm's
    `--signal=USR1@60` does; less those that are ignored, as under nohup, or that the user handles."""
    usual = [one for one in (signal.SIGUSR1, signal.SIGUSR2) if signal.getsignal(one) is signal.SIG_DFL]
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (*hangup, *usual)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let signals end the process while it waits in code that runs no Python, where no handler is ever called."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = (*_ALWAYS, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    numbers = [number for number in caught if signal.getsignal(number) not in (None, signal.SIG_IGN, signal.SIG_DFL)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signal_handler() -> Iterator[Stop]:
    """Catch SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 for the time of a run, but for a SIGHUP that nohup had ignored and
    for SIGUSR1 and SIGUSR2 where somebody else does.

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

    before = {number: signal.signal(number, handle) for number in (*_ALWAYS, *_of_schedulers())}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
