"""How long a batch may take, and what ends it: an exception where Python runs, the end of the process where it doesn't."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from zoo_core.errors import TrainingError, printable
from zoo_core.runs.guard import TimeUp, time_limit

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
