"""Writes the intervals of the figures on the catalogue's cards, and the direction in which each is better.

    scripts/intervals NAME [NAME ...]

A checkpoint that is named is evaluated again on its data, which `zoo data fetch` has put on this machine: its figures must be
those of its card, and the intervals of its task are written. Of others the shares of samples get theirs, which follow from
value and number alone; where a card then has none, none is known.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo_core import Card, DataError, Metric, load, open_zoo
from zoo_core.contract import as_task
from zoo_core.tasks import interval_of_share
from zoo_core.testing import (
    Direction,
    Hardware,
    Training,
    evaluate,
    intervals,
    read_registry,
    rows_to_measure,
    write_registry,
)

SHARES = ("accuracy", "class_accuracy")
"""Metrics that are shares of their samples, so that value and number give the interval."""
CATALOGUE = Path(__file__).parent.parent / "registry.yaml"
BATCH = 64
CLOSE = 1e-4
"""How far a figure may be off its card's, by the rounding of another machine."""

Intervals = Mapping[str, tuple[float, float]]


def measured(card: Card) -> Intervals:
    """The intervals of an evaluation. Raises `DataError` for figures that aren't the card's."""
    assert card.data is not None
    loaded = load(card.name)
    split = card.metrics[0].split
    rows = rows_to_measure(
        card, loaded.provided_task, card.data.name, open_zoo().host, split=split, columns={}, settings={}
    )
    task = as_task(card.task, loaded.task)
    dataset = task.dataset(rows.data.samples(split), train=False)
    found = evaluate(task, dataset, hardware=Hardware(Training(steps=1)), batch_size=BATCH)
    for metric in card.metrics:
        value = found.metrics[metric.name]
        if not math.isclose(value, metric.value, abs_tol=CLOSE):
            raise DataError(f"{card.full_name}: {metric.name} {metric.value} on its card, {value} now")
    return {name: (low, high) for name, (low, high) in (intervals(task, found).value or {}).items()}


def with_intervals(metric: Metric, known: Intervals, better: Direction) -> Metric:
    """The figure with its interval, where one is known."""
    found = known.get(metric.name) or metric.interval
    if found is None and metric.name in SHARES:
        found = interval_of_share(round(metric.value * metric.samples), metric.samples)
    return replace(metric, interval=found and (round(found[0], 6), round(found[1], 6)), better=better)


def main() -> int:
    """Evaluate what is named, and write the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cards = list(read_registry(CATALOGUE))
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    if unknown := set(names) - {card.name for card in cards}:
        parser.error(f"not in the catalogue: {', '.join(sorted(unknown))}")
    written = []
    for card in cards:
        known = measured(card) if card.name in names else {}
        task = as_task(card.task, load(card.name).task)
        metrics = tuple(with_intervals(metric, known, task.better(metric.name)) for metric in card.metrics)
        written.append(replace(card, metrics=metrics))
        print(
            f"{card.full_name}: {', '.join(f'{one.name} {one.interval}' for one in metrics if one.interval) or 'none'}"
        )
    write_registry(CATALOGUE, written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
