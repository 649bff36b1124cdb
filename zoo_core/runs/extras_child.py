"""The process that makes the extras of a finished run: `python -m zoo_core.runs.extras_child`, one job as JSON on stdin.

It reads the data and the registered checkpoint again by the recipe in the run's folder, so nothing of the run's own
memory is at stake. It ends when the process that started it does.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch

from zoo_core.config.components import build_task, open_data
from zoo_core.config.loading import CheckpointOpener
from zoo_core.config.recipe import Recipe, load_recipe
from zoo_core.contract.data import Data
from zoo_core.contract.predictor import TaskContext, inference_mode
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.specs import Head
from zoo_core.contract.task import Baseline, Task, as_task
from zoo_core.data.sampling import spread
from zoo_core.models import build
from zoo_core.plugins.discovery import Source
from zoo_core.plugins.host import PluginHost
from zoo_core.registry.checkpoint import family_of, open_folder
from zoo_core.registry.registry import Registry
from zoo_core.registry.store import Store
from zoo_core.runs.extras import BASELINES, LOADING, PLOTS, RETROSPECT, Job, baseline_name
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.record import Record
from zoo_core.tasks.baselines import SAMPLES, baselines_of, figures_of, parts_seen
from zoo_core.tasks.evaluate import evaluate, micro_batch
from zoo_core.training.guard import problem_of
from zoo_core.training.hardware import Hardware, torch_settings


def main() -> None:
    """Make what the job asks for, write down what came of each, and end at once, whatever threads still run."""
    job = Job.read(sys.stdin.readline(1 << 20))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    record = Record(Path(job.record))
    torch.set_num_threads(job.threads)
    record.begin(LOADING)
    try:
        work = Work(job)
    except BaseException as error:  # noqa: BLE001 - the parent has to be told, whatever it is
        record.fail(LOADING, problem_of(error))
        os._exit(0)
    record.end(LOADING, None)
    with torch_settings(work.recipe.training):
        work.run(record)
    os._exit(0)


class Work:
    """The run's parts as its folder gives them."""

    def __init__(self, job: Job) -> None:
        host = PluginHost([Source(name, version, name, module, place) for name, version, module, place in job.plugins])
        self.job = job
        self.files = RunFolder(Path(job.folder))
        self.recipe: Recipe = load_recipe(self.files.recipe, [], host)
        self.hardware = Hardware(self.recipe.training)
        self.data: Data = open_data(self.recipe.data.provided, self.recipe.data.config, host)
        store, catalogue, folder = map(Path, job.places)
        registry = Registry(host, Store(store), catalogue=catalogue, folder=folder)
        self.task = _task(self.recipe, self.files, registry, self.hardware)

    def run(self, record: Record) -> None:
        """Everything that isn't to be skipped, one after the other."""
        skip, split = self.job.skip, self.job.split
        if split:
            _make(record, PLOTS, skip, self.plots)
        _make(record, RETROSPECT, skip, self.run_artifacts)
        if not split or not self.job.baselines or BASELINES in skip:
            return
        found: dict[str, Baseline] = {}

        def listed() -> list[str]:
            found.update(baselines_of(self.task, self.data, split))
            return parts_seen(self.data, split)

        _make(record, BASELINES, (), listed)
        for name, baseline in found.items():
            _make(record, baseline_name(name), skip, lambda baseline=baseline: figures_of(baseline))  # type: ignore[misc]

    def plots(self) -> int:
        """What the task makes of an evaluation of the split, of as many samples as baselines see at most."""
        size, cost = micro_batch(self.recipe.training, 1)
        dataset = self.task.dataset(spread(self.data.samples(self.job.split), SAMPLES), train=False)
        found = evaluate(self.task, dataset, hardware=self.hardware, batch_size=size, batch_cost=cost)
        modules = self.task.modules()
        with inference_mode(*modules.values()):
            made = self.task.artifacts(modules, found.result)
        return len(self.files.keep_artifacts(self.job.best_step, made, self.job.split))

    def run_artifacts(self) -> int:
        """What the task makes of what all evaluations left."""
        kept = self.files.kept_artifacts(self.recipe.training.evaluate_split)
        return len(self.files.keep_artifacts(self.job.step, self.task.run_artifacts(kept)))


def _task(recipe: Recipe, files: RunFolder, registry: Registry, hardware: Hardware) -> Task:
    checkpoint, host = open_folder(files.path / "model", registry), registry.host
    card = checkpoint.card
    provided = family_of(card, host)
    config = typed(provided.config, card.config, where=card.full_name)
    head = Head(task=recipe.task.provided.spec.name, labels=len(card.labels))
    labels = card.labels
    model, _ = build.build_from(
        host, provided, config, head, checkpoint.tensors(), labels=labels, known_labels=labels, adaptable=False
    )
    context = TaskContext(
        model=model.to(hardware.device).eval(),
        preprocessor=checkpoint.preprocessor(host),
        labels=labels,
        fresh=lambda: build.build_fresh(host, provided, config, head),
        open=CheckpointOpener(registry, files.origin().uses),
    )
    return as_task(recipe.task.id, build_task(recipe.task, recipe.loss, host, context))


def _make(record: Record, name: str, skip: Collection[str], call: Callable[[], Any]) -> None:
    if name in skip:
        return
    record.begin(name)
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - the next one is made all the same
        record.fail(name, problem_of(error))
    else:
        record.end(name, result)


def _end_with_parent() -> None:
    while sys.stdin.read(1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
