"""What trivial methods reach beside a model, each by itself and from a bounded number of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping

from zoo_core.contract.data import Data
from zoo_core.contract.task import Baseline, Task
from zoo_core.data.sampling import spread
from zoo_core.training.guard import attempt

SAMPLES = 50_000
"""Samples of each split that baselines learn from and are measured on at most, spread over the split."""


def baselines_of(task: Task, data: Data, split: str) -> Mapping[str, Baseline]:
    """The task's baselines for a split by name; none where the data has no training split to learn from."""
    if "train" not in data.splits():
        return {}
    return task.baselines(spread(data.samples("train"), SAMPLES), spread(data.samples(split), SAMPLES))


def figures_of(baseline: Baseline) -> dict[str, float]:
    """A baseline's metrics, computed where they aren't yet. Raises `TypeError` for what is no mapping to numbers."""
    found = baseline() if callable(baseline) else baseline
    if not isinstance(found, Mapping):
        raise TypeError(f"expected metrics by name, found {type(found).__name__}")
    figures = {str(name): float(value) for name, value in found.items()}
    lacking = [name for name, value in figures.items() if math.isnan(value)]
    if lacking:
        raise ValueError(f"{lacking[0]} is not a number")
    return figures


def measured_baselines(
    task: Task, data: Data, split: str, *, seconds: float
) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """The metrics of the baselines that can be computed, and a sentence for each that can't; none takes over `seconds`."""
    listed = attempt(lambda: baselines_of(task, data, split), seconds)
    figures, problems = {}, [left_out("baselines", listed.problem)] if listed.problem else []
    for name, baseline in (listed.value or {}).items():
        found = attempt(lambda baseline=baseline: figures_of(baseline), seconds)  # type: ignore[misc]
        if found.value is None:
            problems.append(left_out(f"baseline {name}", found.problem))
        else:
            figures[str(name)] = found.value
    return figures, tuple(problems)


def parts_seen(data: Data, split: str) -> list[str]:
    """A sentence for each split that baselines see a part of only."""
    found = (("baselines learned from", "train"), ("baselines are measured on", split))
    sizes = [(what, name, len(data.samples(name))) for what, name in found if name in data.splits()]
    return [f"{what} {SAMPLES:,} of {size:,} samples ({name})" for what, name, size in sizes if size > SAMPLES]


def left_out(what: str, problem: str) -> str:
    """The sentence for the log and the card about something that could not be made."""
    return f"{what} left out: {problem}"
