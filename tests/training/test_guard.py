from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from zoo_core.training.guard import TimeUp, attempt, time_limit
from zoo_core.training.signals import Interrupted


def raising(error: BaseException) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no\nshared \x1b[31mwords"), "ValueError: no shared \\x1b[31mwords"),
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
        (ValueError("x" * 900), "ValueError: " + "x" * 288),
    ],
)
def test_whatever_a_call_raises_is_a_sentence(error: BaseException, words: str) -> None:
    assert attempt(raising(error), 10) == (None, words)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(143, "stopped")])
def test_a_stop_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)):
        attempt(raising(error), 10)


def test_a_call_that_hangs_is_ended_even_where_it_catches_everything() -> None:
    def stubborn() -> None:
        for _ in range(2):
            with suppress(BaseException):  # as a careless plugin does
                time.sleep(100)
        time.sleep(100)

    began = time.monotonic()
    assert attempt(lambda: time.sleep(100), 0.05).problem == "it took longer than 0.05 seconds"
    assert "it took longer" in attempt(stubborn, 0.05).problem
    assert time.monotonic() - began < 20


def test_the_alarm_is_put_back_and_goes_off_no_more() -> None:
    def mine(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGALRM, mine)
    try:
        assert attempt(lambda: 7, 100) == (7, "")
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_limit_within_another_leaves_it_counting() -> None:
    with pytest.raises(TimeUp, match=r"longer than 0.3 seconds"), time_limit(0.3):
        with time_limit(100):
            time.sleep(0.01)
        with pytest.raises(TimeUp, match=r"longer than 0.05 seconds"), time_limit(0.05):
            time.sleep(100)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.3
        with time_limit(100):
            time.sleep(100)


def test_another_thread_has_no_limit_and_works() -> None:
    found: list[int] = []

    def work() -> None:
        with time_limit(0.001):
            found.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]
