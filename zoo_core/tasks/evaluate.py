"""Evaluation: every sample once, results gathered over batches and ranks, figures made by the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from zoo_core.config.settings import Training
from zoo_core.contract.data import Dataset
from zoo_core.contract.predictor import inference_mode
from zoo_core.contract.task import At, Evaluated, EvaluationResult, Task, move
from zoo_core.errors import DataError
from zoo_core.training.guard import Attempt, attempt
from zoo_core.training.hardware import Hardware, Sum
from zoo_core.training.order import PATIENCE, evaluation_batches, evaluation_plan
from zoo_core.training.randomness import key, reseed

_NOWHERE = At()
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
    at: At = _NOWHERE,
) -> Evaluated:
    """Metrics of a task on a data set, without gradients and with the modules in evaluation mode.

    Random draws are keyed by the batch, and what the batches leave comes together in their order, so two evaluations of
    the same weights agree to the bit, and those on several ranks agree with one but for the rounding of sums. Metrics
    are the main rank's. `check` is called after each batch, equally often on all ranks, and may raise. `at` is where the
    run stands, if there is one.
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
    with inference_mode(*modules.values()):
        for first in range(0, len(plan), hardware.ranks):
            number = first + hardware.rank
            if number < len(plan):
                batch = next(batches)
                reseed(key(0, number, 0), hardware.device)
                with hardware.autocast():
                    found = task.evaluate(modules, move(batch, hardware.device), at._replace(micro=number))
                parts.add(number, found)
            check()
        whole = parts.whole(hardware)
        return Evaluated(hardware.from_main(lambda: task.summarize(whole)), whole, len(dataset))


def artifacts(task: Task, found: Evaluated, *, seconds: float) -> Attempt[dict[str, bytes]]:
    """The files that a task makes of an evaluation, or why it made none; for the main rank only."""
    modules = task.modules()
    with inference_mode(*modules.values()):
        return attempt(lambda: task.artifacts(modules, found.result), seconds)


def intervals(task: Task, found: Evaluated) -> Attempt[Mapping[str, tuple[float, float]]]:
    """95 % intervals of an evaluation's metrics, or why there are none; for the main rank only."""
    return attempt(lambda: _ordered(task.intervals(found.result)), _PATIENCE)


def _ordered(intervals: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Intervals as a card states them."""
    for name, (low, high) in intervals.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"the interval of {name} runs from {low} to {high}")
    return {name: (round(float(low), 6), round(float(high), 6)) for name, (low, high) in intervals.items()}


class _Parts:
    """What the batches of this rank left: sums of tensors, and lists by the number of their batch."""

    def __init__(self) -> None:
        self.kind: type[EvaluationResult] | None = None
        self.sums: dict[str, Sum] = {}
        self.lists: dict[str, dict[int, list[Any]]] = {}

    def add(self, number: int, found: EvaluationResult) -> None:
        """Take in what one batch gave."""
        self.kind = type(found)
        for name, value in vars(found).items():
            if not isinstance(value, Tensor):
                self.lists.setdefault(name, {})[number] = value
            elif name in self.sums:
                self.sums[name] = self.sums[name].plus(value)
            else:
                self.sums[name] = Sum.of(value)

    def whole(self, hardware: Hardware) -> Any:
        """The result of all batches of all ranks, on the main rank, which always has the first of them; elsewhere None."""
        gathered = hardware.gather(self.sums, self.lists)
        return self.kind(**gathered) if self.kind and hardware.is_main else None


def gathered(results: Iterable[EvaluationResult]) -> Any:
    """The result of these batches, in their order, on this rank alone."""
    parts = _Parts()
    for number, found in enumerate(results):
        parts.add(number, found)
    assert parts.kind is not None, "no batch"
    sums = {name: part.total.to(part.dtype) for name, part in parts.sums.items()}
    lists = {name: [item for number in sorted(found) for item in found[number]] for name, found in parts.lists.items()}
    return parts.kind(**sums, **lists)
