"""Runs recipes and says of each what a record needs: data, split, seed, figures and baselines."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from zoo_core import Card, Data, UnknownName, fetch_data, load_recipe, open_zoo, train
from zoo_core.cli import PlainReporter, output_for
from zoo_core.data import Fetcher, data_root
from zoo_core.testing import RegisteredComponent, newest_run, open_data

RUNS = Path("runs")


def run(recipe: Any, overrides: list[str] | None = None) -> Card | None:
    """A recipe, watched on stderr; its data is fetched where it isn't on this machine."""
    zoo = open_zoo()
    resolved = recipe if not isinstance(recipe, str | dict) else load_recipe(recipe, overrides or [], zoo.host)
    fetch(resolved.data.provided)
    reporter = PlainReporter(output_for(sys.stderr, {}))
    return registered(resolved.name) or train(resolved, reporter=reporter).card


def fetch(data: RegisteredComponent) -> None:
    """Download what a data set is made of, where anything is missing."""
    fetch_data(data, open_zoo().host, Fetcher(data_root(os.environ), print))


def named(name: str) -> Data:
    """A data set as it is without settings."""
    host = open_zoo().host
    data = host.find("data", name)
    return open_data(data, data.config(), host)


def facts(card: Card | None) -> dict[str, Any]:
    """What a record says of one run, as its card has it."""
    assert card is not None and card.data is not None
    baselines: dict[str, dict[str, float]] = {}
    for metric in card.metrics:
        for baseline, value in metric.baselines.items():
            baselines.setdefault(baseline, {})[metric.name] = round(value, 4)
    instruments = {metric.name: metric.measured_with for metric in card.metrics if metric.measured_with}
    return {
        "checkpoint": card.full_name,
        "sha256": card.weights.sha256,
        "parameters": card.parameters,
        "data": card.data.name,
        "data_digest": card.data.digest,
        "splits": dict(card.data.splits),
        "seed": card.seed,
        "training": dict(card.training),
        "metrics": {metric.name: round(metric.value, 4) for metric in card.metrics},
        "baselines": baselines,
        **({"measured_with": instruments} if instruments else {}),
    }


def registered(name: str) -> Card | None:
    """The card of a checkpoint that an earlier measurement registered, where `--reuse` allows it."""
    try:
        return open_zoo().registry.find(name).card if "--reuse" in sys.argv else None
    except UnknownName:
        return None


def data_wait(name: str) -> float:
    """Median share of the step that the newest run of that name spent waiting for data."""
    lines = (newest_run(name, RUNS) / "metrics.jsonl").read_text().splitlines()
    trained = [row["train"] for row in map(json.loads, lines) if "train" in row]
    return float(statistics.median(figures["data_wait"] for figures in trained))


def evaluations(name: str, metric: str) -> dict[str, float]:
    """A figure by the step of each evaluation of the newest run of that name."""
    lines = (newest_run(name, RUNS) / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "evaluation" in row]
    return {str(row["step"]): row["evaluation"][metric] for row in rows}


def mean_and_sd(values: list[float]) -> dict[str, Any]:
    """Mean and sample deviation over seeds, with the values."""
    return {"mean": round(statistics.mean(values), 4), "sd": round(statistics.stdev(values), 4), "seeds": values}
