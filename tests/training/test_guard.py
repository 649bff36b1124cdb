from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from zoo_core.data.sampling import spread, spread_places
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


@pytest.mark.parametrize(("size", "count"), [(10, 10), (10, 20), (64, 8), (1_000_000, 512), (7, 1)])
def test_places_are_spread_over_the_whole(size: int, count: int) -> None:
    places = spread_places(size, count)
    assert places == spread_places(size, count) == sorted(set(places))
    assert len(places) == min(size, count) and places[0] >= 0 and places[-1] < size
    if count < size:
        edges = [number * size // count for number in range(count + 1)]
        assert all(start <= place < end for start, place, end in zip(edges, places, edges[1:], strict=False))


def test_classes_in_blocks_and_classes_in_turn_are_both_met() -> None:
    blocks, turns = ["cat"] * 32 + ["dog"] * 32, ["cat", "dog"] * 32
    for labels in (blocks, turns):
        assert set(spread(labels, 8)) == {"cat", "dog"}
    assert spread(blocks, None) is blocks and spread(blocks, 64) is blocks


def test_chosen_samples_are_read_when_they_are_asked_for() -> None:
    class Lazy:
        read: ClassVar[list[int]] = []

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, place: int) -> int:
            self.read.append(place)
            return place

    chosen = spread(Lazy(), 10)  # type: ignore[arg-type]
    assert len(chosen) == 10 and Lazy.read == []
    assert list(chosen) == spread_places(1000, 10) and list(chosen[2:4]) == spread_places(1000, 10)[2:4]
