"""Limits on what surrounds the loop: exceptions and time of what a plugin does beside it, and a watch over samples that hang."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Generic, NamedTuple, TypeVar

from zoo_core.errors import TrainingError, printable

_AGAIN = 1.0
"""Seconds after which a call that caught the end of its time gets it once more."""
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


HINT = "see what it waits for and leave it out, or allow more with training.timeout"
_GRACE = 10.0
_SHOWN = 8


class _Overtime(TimeUp):
    """The time of a batch is up; told apart from limits around it."""


class Watchdog:
    """The time of one batch after the other, and which sample is being read. Goes to the loader's workers as it is."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sample: int | None = None
        """Its place in the split, from 0; None while no sample is read."""
        self._until = math.inf

    @property
    def grace(self) -> float:
        """Seconds between the exception and the end of the process, or of the wait for a worker."""
        return min(self.seconds, _GRACE)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Raise `TrainingError` in the body when it takes longer than a batch may; without effect in other threads than the
        main one."""
        self.sample, self._until = None, time.monotonic() + self.seconds + self.grace
        try:
            with time_limit(self.seconds, _Overtime):
                yield
        except _Overtime as error:
            raise TrainingError(self._overtime(), hint=HINT) from error
        finally:
            self._until = math.inf

    def missing(self, samples: Sequence[int]) -> TrainingError:
        """What to raise where a worker handed over no batch; `samples` are those of the batch, by their places from 0."""
        numbers = ", ".join(str(place + 1) for place in samples[:_SHOWN])
        more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
        waited = f"no batch came from the loader's workers within {self.seconds + self.grace:g} s"
        return TrainingError(f"{waited}; it was to hold sample {numbers}{more} of its split", hint=HINT)

    @contextmanager
    def ending_process(self) -> Iterator[None]:
        """In the body, end the process where a batch goes on after its exception: in a call that never comes back to Python.

        What such a call can't do either is let other threads run; one that keeps the interpreter's lock isn't ended.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True, name="zoo watchdog")
        thread.start()
        try:
            yield
        finally:
            over.set()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(max(0.0, min(self._until - time.monotonic(), self.seconds))):
            if time.monotonic() >= self._until:
                said = printable(f"error: {self._overtime()}, and it couldn't be interrupted\n{HINT}\n")
                with suppress(OSError):
                    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, said.encode())
                os._exit(TrainingError.exit_code)

    def _overtime(self) -> str:
        place = self.sample
        doing = (
            "its samples were being put together"
            if place is None
            else f"sample {place + 1} of its split was being read"
        )
        return f"a batch took longer than {self.seconds:g} s; {doing}"
