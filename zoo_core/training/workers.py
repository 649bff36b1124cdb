"""What the loader's workers hand over: batches, or failures in the words they have without workers; never silence."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import get_worker_info

from zoo_core.errors import DataError, PluginError, StoreError, TrainingError, UsageError, ZooError
from zoo_core.training.guard import Watchdog

SHARED_MEMORY = Path("/dev/shm")
_LEAST = 1 << 20
"""Bytes of shared memory without which workers aren't started: their queues alone take a good part of it."""
_REMEDY = "set training.workers=0, or give more shared memory (docker run --shm-size=1g)"


class Failed(NamedTuple):
    """In place of a batch: what went wrong in a worker, in plain words, so that any error can be sent."""

    exit_code: int
    message: str
    hint: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """The error as the process that trains raises it."""
        if _lacks_memory(error):
            error = _no_memory()
        if isinstance(error, ZooError):
            return cls(error.exit_code, error.message, error.hint)
        return cls(DataError.exit_code, f"{type(error).__name__}: {error}", "")

    @property
    def error(self) -> ZooError:
        """The error again, as the kind that exits with the same code."""
        kinds = (UsageError, PluginError, DataError, StoreError, TrainingError)
        kind = next((kind for kind in kinds if kind.exit_code == self.exit_code), DataError)
        return kind(self.message, hint=self.hint)


class Bad(NamedTuple):
    """A training sample that can't be one, found when it was drawn."""

    index: int  # type: ignore[assignment]  # as in SampleKey
    """Its place in the split, from 0."""
    what: str
    """What is wrong with it, and where."""
    hint: str


class Drawn(NamedTuple):
    """Samples, or the batch of them, and those in whose places others came; what is counted travels with the batch, so that
    no number of workers and no reading ahead changes when it counts."""

    samples: Any
    bad: list[Bad]


class Guarded(TorchDataset[Any]):
    """A data set whose failures in a worker are handed over, where torch would add the worker's traceback to them."""

    def __init__(self, dataset: TorchDataset[Any], watchdog: Watchdog) -> None:
        self.dataset, self.watchdog = dataset, watchdog

    def __getitems__(self, keys: list[Any]) -> Any:
        """The samples, or what went wrong."""
        return _attempt(lambda: self.dataset.__getitems__(keys), self.watchdog)  # type: ignore[attr-defined]


class Collated:
    """A collate function that passes failures on, and moves a worker's batch to shared memory while it can still say that
    there is none: afterwards, in the queue's thread, torch would drop the batch and everybody would wait."""

    def __init__(self, collate: Callable[[list[Any]], Any], watchdog: Watchdog) -> None:
        self.collate, self.watchdog = collate, watchdog

    def __call__(self, samples: Any) -> Any:
        """A batch, or what went wrong."""
        if isinstance(samples, Failed):
            return samples
        return _attempt(lambda: Drawn(_shared(self.collate(samples.samples)), samples.bad), self.watchdog)


class Asked:
    """Batches of keys as torch's loader asks for them; those that haven't come yet are remembered."""

    def __init__(self, keys: Iterator[list[Any]]) -> None:
        self.keys = keys
        self.open: deque[list[Any]] = deque()

    def __iter__(self) -> Iterator[list[Any]]:
        for keys in self.keys:
            self.open.append(keys)
            yield keys


def received(batches: Iterator[Any], asked: Asked, watchdog: Watchdog) -> Iterator[Any]:
    """The batches of a loader with workers, as `Drawn`. Raises what went wrong in one, and `TrainingError` where one died or
    hangs."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            raise _explained(error, asked, watchdog) from error
        if isinstance(batch, Failed):
            raise batch.error
        asked.open.popleft()
        yield batch


def made_here(batches: Iterator[Any], watchdog: Watchdog) -> Iterator[Any]:
    """The batches of a loader without workers. Raises `TrainingError` for one that takes longer than it may."""
    with watchdog.ending_process():
        while True:
            with watchdog.batch():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def demand_workers(workers: int) -> None:
    """Workers can be started here. Raises `UsageError`, and `TrainingError` for too little shared memory."""
    if workers and multiprocessing.current_process().daemon:
        raise UsageError("a worker of another pool can't have workers of its own", hint="set training.workers=0")
    free = _free_shared_memory()
    if workers and free is not None and free < _LEAST:
        raise _no_memory()


def _attempt(work: Callable[[], Any], watchdog: Watchdog) -> Any:
    """What `work` gives; in a worker, what it raises as well, and that it took too long."""
    if get_worker_info() is None:
        return work()
    try:
        with watchdog.batch():
            return work()
    except Exception as error:  # noqa: BLE001 - raised again in the process that trains
        return Failed.of(error)


def _shared(batch: Any) -> Any:
    """The batch with its tensors in shared memory, where a worker made it."""
    if get_worker_info() is None:
        return batch
    if isinstance(batch, Tensor):
        return batch.share_memory_()  # type: ignore[no-untyped-call]
    if isinstance(batch, Mapping):
        for value in batch.values():
            _shared(value)
    elif isinstance(batch, list | tuple):
        for value in batch:
            _shared(value)
    return batch


def _lacks_memory(error: Exception) -> bool:
    words = str(error)
    return "shared memory" in words or "/torch_" in words or "Bus error" in words


def _free_shared_memory() -> int | None:
    """Bytes; None where shared memory has no folder."""
    if not SHARED_MEMORY.is_dir():
        return None
    found = os.statvfs(SHARED_MEMORY)
    return found.f_bavail * found.f_frsize


def _no_memory() -> TrainingError:
    free = _free_shared_memory()
    size = "" if free is None else f" ({free / 1e6:.1f} MB free at {SHARED_MEMORY})"
    return TrainingError(f"the loader's workers have too little shared memory{size}", hint=_REMEDY)


def _explained(error: RuntimeError, asked: Asked, watchdog: Watchdog) -> ZooError:
    words = str(error)
    if "timed out" in words:
        return watchdog.missing([key.index for key in asked.open[0]])
    if _lacks_memory(error):
        return _no_memory()
    first = words.splitlines()[0] if words else type(error).__name__
    return TrainingError(f"a worker of the loader died: {first}", hint="set training.workers=0 to see what it dies of")
