"""Workers that fail, die, hang or have no memory to hand their batches over: one error in words, as without workers."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo_core import Dataset, SampleKey
from zoo_core.errors import DataError, TrainingError, UnknownName, UsageError, ZooError
from zoo_core.training.order import evaluation_batches


class Spoiled(Dataset):
    """Three samples, of which getting the second does harm."""

    def __init__(self, harm: Callable[[], Any]) -> None:
        self.harm = harm

    def __len__(self) -> int:
        return 3

    def sample(self, key: SampleKey) -> torch.Tensor:
        return torch.tensor(self.harm() if key.index == 1 else key.index)

    def collate(self, samples: list[Any]) -> Any:
        return {"numbers": torch.stack(samples)}


def batches(harm: Callable[[], Any], workers: int, timeout: float = 60.0) -> list[Any]:
    loader = evaluation_batches(Spoiled(harm), batch_size=1, rank=0, ranks=1, workers=workers, timeout=timeout)
    return [batch["numbers"].tolist() for batch in loader]


def cut_off() -> None:
    raise DataError("cat/01.jpg: it is cut off", hint="leave it out")


def unknown() -> None:
    raise UnknownName("label", "dg", ["cat", "dog"])


@pytest.mark.parametrize("harm", [cut_off, unknown])
def test_a_bad_sample_is_named_in_the_same_words_with_and_without_workers(harm: Callable[[], Any]) -> None:
    said = []
    for workers in (0, 1):
        with pytest.raises(ZooError) as caught:
            batches(harm, workers)
        said.append((caught.value.message, caught.value.hint, caught.value.exit_code))
    assert said[0] == said[1] and "Traceback" not in str(said)


def test_what_a_plugin_raises_in_a_worker_is_one_line() -> None:
    with pytest.raises(DataError) as caught:
        batches(lambda: 1 / 0, 1)
    assert str(caught.value) == "ZeroDivisionError: division by zero"


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(TrainingError, match="a worker of the loader died") as caught:
        batches(lambda: os._exit(3), 1)
    assert "training.workers=0" in caught.value.hint and "Traceback" not in caught.value.message


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_hangs_ends_the_batch_in_time_and_is_named(workers: int) -> None:
    with pytest.raises(TrainingError) as caught:
        batches(lambda: threading.Event().wait(), workers, timeout=1.0)
    assert caught.value.message == "a batch took longer than 1 s; sample 2 of its split was being read"
    assert "training.timeout" in caught.value.hint and caught.value.exit_code == 6


def test_a_worker_that_no_exception_reaches_is_given_up_and_its_samples_are_named() -> None:
    with pytest.raises(TrainingError) as caught:
        batches(_stuck, 1, timeout=1.0)
    assert caught.value.message == (
        "no batch came from the loader's workers within 2 s; it was to hold sample 2 of its split"
    )


def test_samples_that_hang_while_they_are_put_together_end_the_batch_too() -> None:
    class Sticking(Spoiled):
        def collate(self, samples: list[Any]) -> Any:
            threading.Event().wait()

    for workers in (0, 1):
        with pytest.raises(TrainingError, match="a batch took longer than 1 s; its samples were being put together"):
            list(evaluation_batches(Sticking(lambda: 1), batch_size=1, rank=0, ranks=1, workers=workers, timeout=1.0))


def test_what_was_there_before_the_watchdog_is_there_after_it() -> None:
    before, threads = signal.getsignal(signal.SIGALRM), set(threading.enumerate())
    assert batches(lambda: 1, 0) == [[0], [1], [2]]
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    for thread in threading.enumerate():
        if thread.name == "zoo watchdog":
            thread.join(10)
    assert set(threading.enumerate()) <= threads


def _stuck() -> None:
    """Wait for a lock of C's own, which no signal ends."""
    lock = ctypes.create_string_buffer(256)  # all zeros is what PTHREAD_MUTEX_INITIALIZER is on Linux
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(lock)


STUCK = """
import ctypes, torch
from zoo_core import Dataset
from zoo_core.training.order import evaluation_batches

class Stuck(Dataset):
    def __len__(self):
        return 3

    def sample(self, key):
        lock = ctypes.create_string_buffer(256)
        for _ in range(key.index + 1):
            ctypes.CDLL(None).pthread_mutex_lock(lock)
        return torch.zeros(1)

    def collate(self, samples):
        return torch.stack(samples)

list(evaluation_batches(Stuck(), batch_size=1, rank=0, ranks=1, workers=0, timeout=1.0))
"""


def test_a_call_that_no_exception_reaches_ends_the_process_with_one_sentence() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.splitlines() == [
        "error: a batch took longer than 1 s; sample 2 of its split was being read, and it couldn't be interrupted",
        "see what it waits for and leave it out, or allow more with training.timeout",
    ]


def test_sound_batches_come_through(tmp_path: Path) -> None:
    assert batches(lambda: 1, 2) == batches(lambda: 1, 0) == [[0], [1], [2]]


def test_a_daemon_is_refused_workers_before_it_tries() -> None:
    parent, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_in_a_daemon, args=(child,), daemon=True)
    process.start()
    assert parent.poll(60) and "training.workers=0" in parent.recv()
    process.join()


def _in_a_daemon(answer: Any) -> None:
    try:
        answer.send(str(batches(lambda: 1, 1)))
    except UsageError as error:
        answer.send(str(error))


TINY = """
import torch
from zoo_core import Dataset
from zoo_core.errors import TrainingError
from zoo_core.training.order import evaluation_batches

class Large(Dataset):
    def __len__(self):
        return 4

    def sample(self, key):
        return torch.zeros(1_000_000)

    def collate(self, samples):
        return (torch.stack(samples), ["a"])

try:
    print(len(list(evaluation_batches(Large(), batch_size=1, rank=0, ranks=1, workers=2, timeout=60.0))))
except TrainingError as error:
    print(type(error).__name__, error)
"""


def test_little_shared_memory_is_an_error_that_names_the_ways_out() -> None:
    launcher = ["unshare", "--user", "--map-root-user", "--mount"]
    mounted = [*launcher, "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*mounted, "true"], capture_output=True).returncode:
        pytest.skip("namespaces are not permitted here, so shared memory can't be made small")
    done = subprocess.run([*mounted, sys.executable, "-c", TINY], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "TrainingError the loader's workers have too little shared memory (0.1 MB free at /dev/shm)",
        "set training.workers=0, or give more shared memory (docker run --shm-size=1g)",
    ], done.stderr
