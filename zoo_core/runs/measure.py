"""Measures a model on rows that a user named: metrics beside baselines, pictures, and what had to be left out."""

from __future__ import annotations

from typing import NamedTuple

from zoo_core.card import Metric
from zoo_core.runs.baselines import left_out, measured_baselines, parts_seen
from zoo_core.runs.rows import Rows
from zoo_core.training.evaluate import artifacts, evaluate, intervals
from zoo_core.training.hardware import Hardware
from zoo_core.training.task import Task

_PATIENCE = 180.0
"""Seconds that a baseline or the pictures of an evaluation may take."""


class Evaluation(NamedTuple):
    """What an evaluation found."""

    metrics: list[Metric]
    """Each with its baselines."""
    artifacts: dict[str, bytes]
    """Files that show what was found, by name."""
    notes: tuple[str, ...]
    """Which rows were measured, and what was left out and why: a baseline that needs more than there is, a picture."""


def measure(task: Task, rows: Rows, hardware: Hardware, *, batch_size: int) -> Evaluation:
    """Metrics of a task on rows; a baseline or a picture that can't be made is left out with a note."""
    dataset = task.dataset(rows.data.samples(rows.split), train=False)
    found = evaluate(task, dataset, hardware=hardware, batch_size=batch_size)
    made = artifacts(task, found, seconds=_PATIENCE)
    baselines, problems = measured_baselines(task, rows.data, rows.split, seconds=_PATIENCE)
    if made.problem:
        problems = (*problems, left_out("pictures", made.problem))
    known = intervals(task, found)
    if known.problem:
        problems = (*problems, left_out("intervals", known.problem))
    instruments, ends = task.instruments(), known.value or {}
    metrics = [
        Metric(
            name=metric,
            value=value,
            data=rows.id,
            split=rows.split,
            samples=found.samples,
            baselines={name: figures[metric] for name, figures in baselines.items() if metric in figures},
            measured_with=instruments.get(metric, ""),
            interval=ends.get(metric),
            better=task.better(metric),
        )
        for metric, value in found.metrics.items()
    ]
    seen = parts_seen(rows.data, rows.split) if baselines else ()
    return Evaluation(metrics, made.value or {}, (*rows.notes, *dataset.notices, *seen, *problems))
