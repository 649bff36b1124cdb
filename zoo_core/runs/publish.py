"""The end of a run: final figures, the card that states them, the registered checkpoint, and what is added to its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo_core.config.components import DataSource
from zoo_core.config.recipe import Recipe
from zoo_core.contract.data import Data
from zoo_core.contract.schema import to_data
from zoo_core.contract.task import At, Task
from zoo_core.errors import TrainingError
from zoo_core.models import build
from zoo_core.preflight.adapting import as_delta
from zoo_core.preflight.claim import MODEL, PENDING
from zoo_core.preflight.setup import RunComponents
from zoo_core.registry.card import Card
from zoo_core.registry.checkpoint import pack, rewrite_card, write_folder
from zoo_core.registry.records import DataRecord, Metric, PartRecord
from zoo_core.registry.registry import Registry
from zoo_core.storage import fs
from zoo_core.storage.environment import describe_environment
from zoo_core.tasks.baselines import left_out
from zoo_core.tasks.evaluate import evaluate, intervals, micro_batch
from zoo_core.training.hardware import Hardware


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What came of a run."""

    folder: Path
    card: Card | None
    """The registered card; None on ranks other than the main one."""
    metrics: Mapping[str, float]
    """Final figures on the test split."""
    baselines: Mapping[str, Mapping[str, float]]
    """The same figures of trivial methods, by their names."""
    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FinalMetrics:
    """The figures of a finished run."""

    split: str
    """The split that they are of; empty where the data has none to measure on."""
    metrics: dict[str, float]
    samples: int
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of some of the metrics; on the main rank only."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def measure_final(
    recipe: Recipe, prepared: RunComponents, hardware: Hardware, check: Callable[[], None] = lambda: None
) -> FinalMetrics:
    """Measure the model as it stands on the test split, or on the evaluation's where there is none.

    `check` is called after each batch and may raise.
    """
    splits = prepared.data.splits()
    split = next((s for s in (recipe.training.test_split, recipe.training.evaluate_split) if s in splits), "")
    if not split:
        return FinalMetrics(split="", metrics={}, samples=0)
    size, cost = micro_batch(recipe.training, hardware.ranks)
    dataset = prepared.task.dataset(prepared.data.samples(split), train=False)
    found = evaluate(
        prepared.task, dataset, hardware=hardware, batch_size=size, batch_cost=cost, timeout=recipe.training.timeout,
        check=check, at=At(prepared.steps, prepared.steps),
    )  # fmt: skip
    final = FinalMetrics(split=split, metrics=found.metrics, samples=found.samples)
    if not hardware.is_main:
        return final
    known, problem = intervals(prepared.task, found)
    return replace(final, intervals=known or {}, notes=(left_out("intervals", problem),) if problem else ())


def publish(
    recipe: Recipe,
    prepared: RunComponents,
    final: FinalMetrics,
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
    metrics = _metrics(recipe, final, prepared.task)
    card = _card(recipe, prepared, metrics, parent, training, final.notes)
    if prepared.adapted:
        card, tensors = as_delta(prepared.adapted, card, prepared.task.model, tensors, registry)
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise TrainingError(f"not registered: {broken[0]} holds values that are not finite")
    others = prepared.preprocessor.files() if prepared.preprocessor else {}
    filled, files = pack(card, tensors, others)
    card = registry.register(filled, files)
    if not (folder / MODEL).exists():
        fs.write_file(folder / PENDING, b"")
        write_folder(folder, MODEL, card, files)
    return card


def annotate(
    card: Card, baselines: Mapping[str, Mapping[str, float]], notes: Sequence[str], registry: Registry, *, folder: Path
) -> Card:
    """Put on the registered card, and on that of `folder/model`, what was found out after it was registered."""
    metrics = tuple(
        replace(metric, baselines=_of_metric(metric.name, baselines) or metric.baselines) for metric in card.metrics
    )
    new = [note for note in notes if note not in card.notes.splitlines()]
    later = replace(card, metrics=metrics, notes="\n".join(filter(None, (card.notes, *new))))
    if later == card:
        return card
    amended = registry.amend(later)
    rewrite_card(folder / MODEL, amended)
    return amended


def data_record(recipe_data: Any, data: Data, digest: str, sources: Sequence[DataSource] = ()) -> DataRecord:
    """Which data this was; `digest` was taken when it was read, and `sources` are what it opened."""
    spec = recipe_data.provided.spec
    splits = {split: len(data.samples(split)) for split in data.splits()}
    licenses = {name: license for source in sources for name, license in source.spec.licenses.items()}
    licenses |= {source.id: source.spec.license for source in sources if source.spec.license}
    told = (f"{one.id}@sha256:{one.digest}{': ' if one.spec.source else ''}{one.spec.source}" for one in sources)
    return DataRecord(
        name=recipe_data.id,
        digest=digest,
        license=spec.license,
        licenses={**spec.licenses, **licenses},
        source="; ".join(filter(None, [spec.source, *told])),
        splits=splits,
    )


def _metrics(recipe: Recipe, final: FinalMetrics, task: Task) -> tuple[Metric, ...]:
    instruments = task.metric_checkpoints()
    return tuple(
        Metric(
            name=name,
            value=round(value, 6),
            data=recipe.data.id,
            split=final.split,
            seed=recipe.training.seed,
            samples=final.samples,
            measured_with=instruments.get(name, ""),
            interval=final.intervals.get(name),
            better=task.better(name),
        )
        for name, value in final.metrics.items()
    )


def _of_metric(name: str, baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {baseline: round(figures[name], 6) for baseline, figures in baselines.items() if name in figures}


def _card(
    recipe: Recipe,
    prepared: RunComponents,
    metrics: tuple[Metric, ...],
    parent: str,
    training: Mapping[str, Any],
    notes: tuple[str, ...],
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
        parents=prepared.parents,
        uses=tuple(sorted(set(prepared.uses.values()))),
        parts={
            name: PartRecord(model=part.provided.id, config=to_data(part.config))
            for name, part in prepared.model_id.parts.items()
        },
        data=data_record(recipe.data, prepared.data, prepared.data_digest, prepared.sources),
        recipe=recipe.to_data(),
        seed=recipe.training.seed,
        environment=describe_environment(),
        metrics=metrics,
        training=training,
        notes="\n".join((*prepared.notices, *notes)),
    )
