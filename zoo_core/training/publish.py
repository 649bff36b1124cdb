"""The end of a run: final figures beside their rivals', the card that states them, and the registered checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core import build
from zoo_core.card import Card, DataRecord, Metric
from zoo_core.checkpoint import pack, write_folder
from zoo_core.environment import describe_environment
from zoo_core.errors import TrainingError
from zoo_core.recipe import Recipe
from zoo_core.registry import Registry
from zoo_core.schema import to_data
from zoo_core.training.evaluate import evaluate, micro_batch
from zoo_core.training.hardware import Hardware
from zoo_core.training.setup import Prepared
from zoo_core.training.task import Data, Evaluated, Task


@dataclass(frozen=True, kw_only=True)
class Final:
    """The figures of a finished run."""

    split: str
    """The split that they are of; empty where the data has none to measure on."""
    metrics: dict[str, float]
    samples: int
    baselines: dict[str, dict[str, float]]
    artifacts: dict[str, bytes]


def measure_final(recipe: Recipe, prepared: Prepared, hardware: Hardware) -> Final:
    """Measure the model as it stands on the test split, or on the evaluation's where there is none."""
    splits = prepared.data.splits()
    split = next((s for s in (recipe.training.test_split, recipe.training.evaluate_split) if s in splits), "")
    if not split:
        return Final(split="", metrics={}, samples=0, baselines={}, artifacts={})
    size, cost = micro_batch(recipe.training, hardware.ranks)
    found, baselines = measure(prepared.task, prepared.data, split, hardware, batch_size=size, batch_cost=cost)
    return Final(
        split=split, metrics=found.metrics, samples=found.samples, baselines=baselines, artifacts=found.artifacts
    )


def publish(
    recipe: Recipe,
    prepared: Prepared,
    final: Final,
    registry: Registry,
    *,
    folder: Path,
    parent: str,
    training: Mapping[str, Any],
) -> Card:
    """Register the model with its final figures and write its checkpoint to `folder/model`, which ends the run.

    Raises `TrainingError` for weights that are not finite; nothing is registered then.
    """
    trained = build.weights(prepared.task.model)
    tensors = {name: tensor.cpu() for name, tensor in trained.items() if name in prepared.published}
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise TrainingError(f"not registered: {broken[0]} holds values that are not finite")
    others = prepared.preprocessor.files() if prepared.preprocessor else {}
    metrics = _metrics(recipe, final, prepared.task.instruments())
    filled, files = pack(_card(recipe, prepared, metrics, parent, training), tensors, others)
    card = registry.register(filled, files)
    if not (folder / "model").exists():
        write_folder(folder, "model", card, files)
    return card


def measure(
    task: Task, data: Data, split: str, hardware: Hardware, *, batch_size: int, batch_cost: int | None = None
) -> tuple[Evaluated, dict[str, dict[str, float]]]:
    """Metrics of a task on a split, and those of its trivial rivals, which learn from the training split."""
    samples = data.samples(split)
    dataset = task.dataset(samples, train=False)
    found = evaluate(task, dataset, hardware=hardware, batch_size=batch_size, batch_cost=batch_cost)
    return found, rivals(task, data, samples)


def rivals(task: Task, data: Data, samples: Sequence[Any]) -> dict[str, dict[str, float]]:
    """What trivial methods reach on the samples; empty where the data has nothing for them to learn from."""
    return task.baselines(data.samples("train"), samples) if "train" in data.splits() else {}


def data_record(recipe_data: Any, data: Data, digest: str) -> DataRecord:
    """Which data this was; `digest` was taken when it was read."""
    spec = recipe_data.provided.spec
    splits = {split: len(data.samples(split)) for split in data.splits()}
    return DataRecord(name=recipe_data.id, digest=digest, license=spec.license, source=spec.source, splits=splits)


def _metrics(recipe: Recipe, final: Final, instruments: Mapping[str, str]) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            name=name,
            value=round(value, 6),
            data=recipe.data.id,
            split=final.split,
            seed=recipe.training.seed,
            samples=final.samples,
            baselines={rival: round(figures[name], 6) for rival, figures in final.baselines.items() if name in figures},
            measured_with=instruments.get(name, ""),
        )
        for name, value in final.metrics.items()
    )


def _card(
    recipe: Recipe,
    prepared: Prepared,
    metrics: tuple[Metric, ...],
    parent: str,
    training: Mapping[str, Any],
) -> Card:
    spec = prepared.model_id.spec
    return Card(
        name=recipe.name,
        summary=recipe.summary,
        plugin=prepared.model_id.plugin,
        model=prepared.model_id.id,
        size=prepared.size,
        config=to_data(prepared.config),
        task=recipe.task.id,
        modality=spec.modality,
        labels=prepared.labels,
        license=spec.license,
        paper=spec.paper,
        files=(),
        parameters=build.parameter_count(prepared.task.model, prepared.published),
        parent=parent,
        data=data_record(recipe.data, prepared.data, prepared.data_digest),
        recipe=recipe.to_data(),
        seed=recipe.training.seed,
        environment=describe_environment(),
        metrics=metrics,
        training=training,
        notes="\n".join(prepared.notices),
    )
