"""Evaluation: every sample once, sums and lists gathered over ranks, figures made by the task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import DataError
from zoo_core.settings import Training
from zoo_core.training.hardware import Hardware
from zoo_core.training.order import evaluation_batches
from zoo_core.training.randomness import key, reseed
from zoo_core.training.task import Dataset, Evaluated, Task, move


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
) -> Evaluated:
    """Metrics and artifacts of a task on a data set, without gradients and with the modules in evaluation mode.

    Random draws are keyed by the batch, so two evaluations of the same weights agree to the bit.
    """
    if len(dataset) == 0:
        raise DataError("the evaluation split is empty")
    modules = task.modules()
    modes = [(part, part.training) for module in modules.values() for part in module.modules()]
    for module in modules.values():
        module.eval()
    gathered: dict[str, Tensor | list[Any]] = {}
    batches = evaluation_batches(
        dataset,
        batch_size=batch_size,
        batch_cost=batch_cost,
        rank=hardware.rank,
        ranks=hardware.ranks,
        workers=workers,
    )
    try:
        with torch.no_grad():
            for number, batch in enumerate(batches):
                reseed(key(0, number, hardware.rank), hardware.device)
                with hardware.autocast():
                    parts = task.evaluate(modules, move(batch, hardware.device))
                for name, value in parts.items():
                    _add(gathered, name, value)
            whole = hardware.gather(gathered)
            return Evaluated(task.summarize(whole), task.artifacts(modules, whole), len(dataset))
    finally:
        for part, training in modes:
            part.training = training


def _add(gathered: dict[str, Tensor | list[Any]], name: str, value: Tensor | list[Any]) -> None:
    held = gathered.get(name)
    if held is None:
        gathered[name] = value if isinstance(value, Tensor) else list(value)
    elif isinstance(held, Tensor):
        gathered[name] = held + value  # type: ignore[operator]
    else:
        held.extend(value)
