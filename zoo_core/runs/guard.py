"""Calls code whose failure must not matter: what it raises becomes a sentence, and it ends when its time is up."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, NamedTuple, TypeVar

from zoo_core.errors import printable

_AGAIN = 1.0
"""Seconds after which a call that caught the end of its time is told again."""
_SOON = 1e-3
"""Seconds to a limit that passed while another one counted; no time at all would switch it off."""

Result = TypeVar("Result")


class TimeUp(BaseException):
    """A call took longer than it may. No `Exception`, so that no `except Exception` in the call swallows it."""


class Attempt(NamedTuple, Generic[Result]):
    """What came of a guarded call."""

    value: Result | None
    """What it returned; None where it failed."""
    problem: str
    """Why it failed, in one sentence; empty where it didn't."""


def attempt(call: Callable[[], Result], seconds: float) -> Attempt[Result]:
    """What `call` returns, or why it failed: it raised, asked the process to exit, or took longer than `seconds`.

    Ctrl-C and the end of a run pass through.
    """
    try:
        with time_limit(seconds):
            return Attempt(call(), "")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it raises, the run goes on
        return Attempt(None, problem_of(error))


def problem_of(error: BaseException) -> str:
    """An exception as one sentence without control characters, at most 300 letters."""
    if isinstance(error, TimeUp):
        return str(error)
    words = " ".join(str(error).split())
    return printable(f"{type(error).__name__}: {words}" if words else type(error).__name__)[:300]


@contextmanager
def time_limit(seconds: float, kind: type[TimeUp] = TimeUp) -> Iterator[None]:
    """Raise a `TimeUp` of that kind in the body when it runs longer than `seconds`; a limit around it goes on counting.

    Works in the main thread and between two instructions of Python, so a call into C that never returns isn't ended;
    in other threads there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    around, again = signal.getitimer(signal.ITIMER_REAL)
    if 0 < around <= seconds:  # the limit around it is the nearer one
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise kind(f"it took longer than {seconds:g} seconds")

    before, began = signal.signal(signal.SIGALRM, end), time.monotonic()
    try:
        # Again and again, because a finalizer or a bare `except` may swallow the first.
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if around:
            signal.setitimer(signal.ITIMER_REAL, max(_SOON, around - (time.monotonic() - began)), again)
