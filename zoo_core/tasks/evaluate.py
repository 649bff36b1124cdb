"""Evaluation: every sample once, sums and lists gathered over ranks, figures made by the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.config.settings import Training
from zoo_core.contract.data import Dataset
from zoo_core.contract.task import Evaluated, Task, move
from zoo_core.errors import DataError
from zoo_core.training.guard import Attempt, attempt
from zoo_core.training.hardware import Hardware, Sum
from zoo_core.training.order import PATIENCE, evaluation_batches, evaluation_plan
from zoo_core.training.randomness import key, reseed

_PATIENCE = 120.0
"""Seconds that the intervals of an evaluation may take."""


def micro_batch(training: Training, ranks: int) -> tuple[int, int | None]:
    """Samples, and padded units where they are capped, of an evaluation's batch: the share of one of the micro-batches."""
    share = training.accumulation * ranks
    return max(1, training.batch_size // share), None if training.batch_cost is None else training.batch_cost // share


def evaluate(
    task: Task,
    dataset: Dataset,
    *,
    hardware: Hardware,
    batch_size: int,
    batch_cost: int | None = None,
    workers: int = 0,
    timeout: float = PATIENCE,
    check: Callable[[], None] = lambda: None,
) -> Evaluated:
    """Metrics of a task on a data set, without gradients and with the modules in evaluation mode.

    Random draws are keyed by the batch, and what the batches leave comes together in their order, so two evaluations of
    the same weights agree to the bit, and those on several ranks agree with one but for the rounding of sums. Metrics
    are the main rank's. `check` is called after each batch, equally often on all ranks, and may raise.
    """
    if len(dataset) == 0:
        raise DataError("the evaluation split is empty")
    modules = task.modules()
    batches = evaluation_batches(
        dataset,
        batch_size=batch_size,
        batch_cost=batch_cost,
        rank=hardware.rank,
        ranks=hardware.ranks,
        workers=workers,
        timeout=timeout,
    )
    plan = evaluation_plan(dataset, batch_size=batch_size, batch_cost=batch_cost)
    parts = _Parts()
    with inference(modules):
        for first in range(0, len(plan), hardware.ranks):
            number = first + hardware.rank
            if number < len(plan):
                batch = next(batches)
                reseed(key(0, number, 0), hardware.device)
                with hardware.autocast():
                    found = task.evaluate(modules, move(batch, hardware.device))
                parts.add(number, found)
            check()
        whole = hardware.gather(parts.sums, parts.lists)
        return Evaluated(hardware.from_main(lambda: task.summarize(whole)), whole, len(dataset))


def artifacts(task: Task, found: Evaluated, *, seconds: float) -> Attempt[dict[str, bytes]]:
    """The files that a task makes of an evaluation, or why it made none; for the main rank only."""
    modules = task.modules()
    with inference(modules):
        return attempt(lambda: task.artifacts(modules, found.gathered), seconds)


def intervals(task: Task, found: Evaluated) -> Attempt[Mapping[str, tuple[float, float]]]:
    """95 % intervals of an evaluation's metrics, or why there are none; for the main rank only."""
    return attempt(lambda: _ordered(task.intervals(found.gathered)), _PATIENCE)


@contextmanager
def inference(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """The modules in evaluation mode and without gradients, and each part back in its own mode afterwards."""
    modes = [(part, part.training) for module in modules.values() for part in module.modules()]
    for module in modules.values():
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def _ordered(intervals: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Intervals as a card states them."""
    for name, (low, high) in intervals.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"the interval of {name} runs from {low} to {high}")
    return {name: (round(float(low), 6), round(float(high), 6)) for name, (low, high) in intervals.items()}


class _Parts:
    """What the batches of this rank left: sums of tensors, and lists by the number of their batch."""

    def __init__(self) -> None:
        self.sums: dict[str, Sum] = {}
        self.lists: dict[str, dict[int, list[Any]]] = {}

    def add(self, number: int, found: Mapping[str, Tensor | list[Any]]) -> None:
        """Take in what one batch gave."""
        for name, value in found.items():
            if not isinstance(value, Tensor):
                self.lists.setdefault(name, {})[number] = list(value)
            elif name in self.sums:
                self.sums[name] = self.sums[name].plus(value)
            else:
                self.sums[name] = Sum.of(value)
