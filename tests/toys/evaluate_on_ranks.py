"""What every rank runs under torchrun: evaluations of few batches; the main rank prints the figures as JSON, once."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import evaluate as evaluate_by_name
from zoo_core.api import train
from zoo_core.config.recipe import load_recipe
from zoo_core.config.settings import Training
from zoo_core.contract import At
from zoo_core.preflight.setup import prepare
from zoo_core.tasks.evaluate import evaluate
from zoo_core.training.hardware import Hardware, destroy_process_group

BATCHES = (1, 2, 4, 7)
SHAPES = ("single", "adversarial", "sequence")


class Ordered:
    """Stands before a task and adds a list, of which it reports the order."""

    def __init__(self, task: Any) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def evaluate(self, modules: Any, batch: Any, at: At) -> Any:
        """What the task gives, and a number of each sample."""
        numbers = batch["points"][:, 0] if "points" in batch else batch["frames"].sum((1, 2))
        found = self.task.evaluate(modules, batch, At())
        numbered = make_dataclass("Numbered", ["numbers"], bases=(type(found),), frozen=True, kw_only=True)
        return numbered(**vars(found), numbers=numbers.tolist())

    def summarize(self, result: Any) -> dict[str, float]:
        """The task's figures, and one that changes with the order of the list."""
        order = sum(place * number for place, number in enumerate(result.numbers))
        return {**self.task.summarize(result), "order": order}


def figures(root: Path, numbers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Metrics by shape and number of batches."""
    hardware, zoo, found = Hardware(Training(steps=1, device="cpu")), toy_zoo(root), {}
    for shape in SHAPES:
        resolved = load_recipe(recipe(shape, batch_size=24, device="cpu"), [], zoo.host)
        torch.manual_seed(0)
        prepared = prepare(resolved, zoo.host, hardware, None, None)
        assert prepared.evaluation is not None
        for batches in numbers:
            size = -(-len(prepared.evaluation) // batches)
            measured = evaluate(Ordered(prepared.task), prepared.evaluation, hardware=hardware, batch_size=size)
            found[f"{shape} {batches}"] = measured.metrics
    made = recipe("single", batch_size=24, steps=2, evaluate_samples=8, device="cpu")
    result = train(made, folder=root / "run", zoo=zoo)
    hardware.wait()
    metrics = evaluate_by_name(root / "run", "points", zoo=zoo).metrics
    found["of a run"] = result.metrics
    found["by name"] = {metric.name: metric.value for metric in metrics}
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    made = figures(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]] or BATCHES)
    if destroy_process_group():
        print(json.dumps(made))
