"""From a recipe to everything a run needs: data, preprocessor, model, task, encoded splits and optimizers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor, nn

from zoo_core.config.components import DataSource, build_task, open_with_sources
from zoo_core.config.draws import notices_of, order_of
from zoo_core.config.finetune import changed_settings
from zoo_core.config.loading import CheckpointOpener
from zoo_core.config.recipe import Recipe
from zoo_core.contract.config import present_names
from zoo_core.contract.data import Data, Dataset
from zoo_core.contract.predictor import TaskContext, no_checkpoints
from zoo_core.contract.preprocessor import CompositePreprocessor, Preprocessor
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.schema import to_data
from zoo_core.contract.specs import Head
from zoo_core.contract.task import Task, modules_outside
from zoo_core.data.bad import skips
from zoo_core.data.sampling import Order, spread
from zoo_core.errors import DataError, RecipeError, UsageError
from zoo_core.models import build as building
from zoo_core.models.build import Adaptation
from zoo_core.models.freezing import freeze, freeze_all_but
from zoo_core.plugins.host import Part, PluginHost, RegisteredComponent, check_name
from zoo_core.plugins.offers import needed, offered, unserved
from zoo_core.preflight import contracts
from zoo_core.preflight.adapting import Adapted, adapt, demand_base
from zoo_core.preflight.contracts import calling
from zoo_core.preflight.identity import Identity, as_first_named, files_digest, new_run
from zoo_core.preflight.updates import build_schedule, build_updates
from zoo_core.registry.card import Card, looks_like_path
from zoo_core.registry.checkpoint import Checkpoint, family_of, open_checkpoint
from zoo_core.registry.registry import Registry
from zoo_core.storage.environment import describe_computation
from zoo_core.storage.tensors import widened
from zoo_core.training.hardware import Hardware
from zoo_core.training.optim import Schedule, Update
from zoo_core.training.order import TRIES, BatchPlan
from zoo_core.training.randomness import key, reseed

_INITIALISATION = -1
"""Word that keys the draw of initial weights apart from every step's."""


@dataclass(frozen=True, kw_only=True)
class InitCheckpoint:
    """The checkpoint that a run starts from."""

    reference: str
    """`name@sha256:...`, for the card's lineage."""
    card: Card
    tensors: Mapping[str, Tensor]
    preprocessor: Preprocessor | None


NO_PARTS: Mapping[str, InitCheckpoint] = {}
"""Of a model of one piece."""


@dataclass(kw_only=True)
class RunComponents:
    """Everything a run needs."""

    model_id: RegisteredComponent
    size: str
    config: Any
    head: Head
    labels: tuple[str, ...]
    data: Data
    data_digest: str
    """Which data this is, taken once: the files may change while the run goes on."""
    sources: tuple[DataSource, ...]
    """The data sets that it opened."""
    task: Task
    preprocessor: Preprocessor | None
    adaptation: Adaptation | None
    train: Dataset
    evaluation: Dataset | None
    plan: BatchPlan
    steps: int
    schedule: Schedule
    updates: dict[str, Update]
    adapted: Adapted | None
    """How the model differs from the checkpoint that it is a delta on; None for a run that registers a whole model."""
    frozen: frozenset[str]
    """Names of the tensors that stay as they are."""
    published: frozenset[str]
    """Names of the architecture's tensors; a buffer that the task adds to the model for its training isn't among them,
    so it is part of the run and not of the checkpoint that the run registers."""
    parents: Mapping[str, str]
    """`name@sha256:...` of the checkpoint that each part of the model comes from; none for a model of one piece."""
    uses: Mapping[str, str]
    """`name@sha256:...` of what the task opens by name, as far as it has by now."""
    notices: tuple[str, ...]
    """What the user should know of the data, and of what the preprocessor leaves of it."""


def open_start(recipe: Recipe, host: PluginHost, registry: Registry, kept: str | None) -> InitCheckpoint | None:
    """The checkpoint that a run starts from; `kept` is the reference to it that a run which is resumed began with."""
    if not recipe.init:
        return None
    # A newer version of the name, registered since, is another checkpoint.
    checkpoint = open_checkpoint((not looks_like_path(recipe.init) and kept) or recipe.init, registry)
    if recipe.adapter:
        demand_base(checkpoint, registry)
    return _opened(checkpoint, host)


def open_parts(recipe: Recipe, host: PluginHost, registry: Registry, kept: str | None) -> dict[str, InitCheckpoint]:
    """The checkpoints that a model is put together from, by part; `kept` is what `pinned` said of them when a run began that
    is resumed. Raises `RecipeError` for one that is put together from others itself."""
    known = dict(text.partition("=")[::2] for text in (kept or "").split()) if recipe.parts else {}
    opened = {}
    for name, part in recipe.parts.items():
        checkpoint = open_checkpoint((not looks_like_path(part.init) and known.get(name)) or part.init, registry)
        if checkpoint.card.parts:
            hint = f"use one of what it is made from: {', '.join(checkpoint.card.parents.values())}"
            raise RecipeError(f"init.{name}: {part.init} is put together from parts itself", hint=hint)
        opened[name] = _opened(checkpoint, host)
    return opened


def pinned(parts: Mapping[str, InitCheckpoint]) -> str:
    """The references of a model's parts in one text, as a run's identity keeps them; empty for none."""
    return " ".join(f"{name}={part.reference}" for name, part in parts.items())


def _opened(checkpoint: Checkpoint, host: PluginHost) -> InitCheckpoint:
    return InitCheckpoint(
        reference=checkpoint.reference,
        card=checkpoint.card,
        tensors=widened(checkpoint.tensors()),
        preprocessor=checkpoint.preprocessor(host),
    )


def prepare(
    recipe: Recipe,
    host: PluginHost,
    hardware: Hardware,
    start: InitCheckpoint | None,
    kept: Mapping[str, bytes] | None,
    parts: Mapping[str, InitCheckpoint] = NO_PARTS,
    opener: CheckpointOpener | None = None,
) -> RunComponents:
    """Build a run's parts: `start` or the `parts` are what the model is made from; `kept` are the preprocessor's files when a
    run is resumed."""
    (data, sources), task_id = open_with_sources(recipe.data.provided, recipe.data.config, host), recipe.task.id
    train = _training_samples(recipe.data.provided, data)
    with calling(recipe.data.id, "Data.digest"):
        digest = data.digest()
    provided, size, config = _architecture(recipe, host, start, parts)
    preprocessor = _preprocessor(recipe, host, provided, start, parts, kept, train)
    if preprocessor and (start is None or recipe.preprocessor):
        config = _as_preprocessed(recipe, config, preprocessor.model_config())
    contracts.check_labels(recipe.data.id, data.labels)
    labels = data.labels if recipe.task.provided.spec.labelled else ()
    head = Head(task=recipe.task.provided.spec.name, labels=len(labels))
    reseed(key(recipe.training.seed, _INITIALISATION), hardware.device)
    given, trained = (None, NO_PARTS) if recipe.fresh else (start, parts)
    model, adaptation = _initial(host, provided, config, head, given, trained, labels)
    contracts.check_model(provided.id, model)
    _check_interface(recipe, host, provided, model, preprocessor)
    published = frozenset(building.weights(model))
    adapted = adapt(recipe.adapter, host, model, adaptation, start, provided.spec) if start and adaptation else None
    model.to(hardware.device)
    hardware.broadcast(model)
    if recipe.training.gradient_checkpointing:
        _recompute(host, provided, model)
    still = tuple(f"{name}.*" for name, part in recipe.parts.items() if part.settings.freeze)
    frozen = freeze(model, (*recipe.training.freeze, *still), provided.spec.head)
    if adapted:
        frozen |= freeze_all_but(model, adapted.trained - frozen)
    context = TaskContext(
        model=model, preprocessor=preprocessor, labels=labels,
        fresh=lambda: building.build_fresh(host, provided, config, head), open=opener or no_checkpoints,
    )  # fmt: skip
    with calling(task_id, "Task.__init__"):
        built = build_task(recipe.task, recipe.loss, host, context)
    task = contracts.checked_task(task_id, built)
    for module in modules_outside(task).values():
        hardware.broadcast(module.to(hardware.device))
    with calling(task_id, "Task.dataset"):
        dataset, evaluation = task.dataset(train, train=True), _evaluation(recipe, data, task)
    plan = _plan(recipe, dataset, hardware, order_of(recipe, host, data, train, dataset))
    return RunComponents(
        model_id=provided,
        size=size,
        config=config,
        head=head,
        labels=labels,
        data=data,
        data_digest=digest,
        sources=sources,
        task=task,
        preprocessor=preprocessor,
        adaptation=adaptation,
        train=dataset,
        evaluation=evaluation,
        plan=plan,
        steps=recipe.training.steps or max(1, math.ceil(recipe.training.epochs * plan.batches())),  # type: ignore[operator]
        schedule=build_schedule(recipe.schedule, host),
        updates=build_updates(recipe, host, task, provided),
        adapted=adapted,
        frozen=frozen,
        published=published,
        uses=opener.uses if opener else {},
        parents={} if recipe.fresh else {name: part.reference for name, part in parts.items()},
        notices=(
            *data.notices,
            *(preprocessor.notices(train) if preprocessor else ()),
            *notices_of(dataset, plan.order),
            *(changed_settings(start.card, recipe, host) if start else ()),
        ),
    )


def _check_interface(
    recipe: Recipe, host: PluginHost, family: RegisteredComponent, model: nn.Module, preprocessor: Preprocessor | None
) -> None:
    """A model keeps what its task needs. A task may know families of its own plugin by more than an interface."""
    task = recipe.task.provided
    interface = needed(host, task)
    if interface is None or (family.plugin == task.plugin and interface not in offered(host, family)):
        return
    spec, where = interface.spec, f"{task.id} needs {interface.spec.name}"
    contracts.check_protocol(f"{where}: {family.id}", model, host.resolve(spec.target, interface))
    if spec.preprocessor_protocol:
        protocol = host.resolve(spec.preprocessor_protocol, interface)
        contracts.check_protocol(f"{where}: the preprocessor of {family.id}", preprocessor, protocol)


def identity_of(
    recipe: Recipe, prepared: RunComponents, hardware: Hardware, kept: Identity | None, init: str
) -> Identity:
    """What a run is; `kept` is what the run says that it resumes, and `init` the checkpoint that it starts from."""
    read = [recipe.data.provided.plugin, *(part.provided.plugin for part in recipe.data.parts)]
    plugins = {prepared.model_id.plugin, recipe.task.provided.plugin, *read}
    plugins |= {part.provided.plugin for part in prepared.model_id.parts.values()}
    plugins |= {recipe.adapter.provided.plugin} if recipe.adapter else set()
    files = prepared.preprocessor.files() if prepared.preprocessor else {}
    earlier = files_digest(as_first_named(files, prepared.model_id.preprocessor_config))
    return Identity(
        run=kept.run if kept else new_run(),
        recipe=recipe.to_data(),
        data=prepared.data_digest,
        preprocessor=earlier if kept and kept.preprocessor == earlier else files_digest(files),
        init=init,
        environment=describe_computation(hardware.describe(), plugins),
        uses={**(kept.uses if kept else {}), **prepared.uses},
    )


def _training_samples(provided: RegisteredComponent, data: Data) -> Sequence[Any]:
    with calling(provided.id, "Data.samples"):
        splits = data.splits()
        if "train" not in splits:
            raise DataError(f"{provided.id}: no split train, found {', '.join(splits) or 'none'}")
        samples = data.samples("train")
        contracts.check_samples(provided.id, provided.spec.samples, samples)
        return samples


def _recompute(host: PluginHost, provided: RegisteredComponent, model: nn.Module) -> None:
    """Turn on recomputation of activations. Raises `UsageError` for a family that has none."""
    if not provided.spec.gradient_checkpointing:
        hint = "set training.gradient_checkpointing=false"
        raise UsageError(f"{provided.id} has no gradient checkpointing", hint=hint)
    host.resolve(provided.spec.gradient_checkpointing, provided)(model)


def _initial(
    host: PluginHost,
    provided: RegisteredComponent,
    config: Any,
    head: Head,
    start: InitCheckpoint | None,
    parts: Mapping[str, InitCheckpoint],
    labels: tuple[str, ...],
) -> tuple[nn.Module, Adaptation | None]:
    """The model as it is before the first step, and what became of the tensors of `start`; None without one."""
    if start:
        known = start.card.labels
        return building.build_from(host, provided, config, head, start.tensors, labels=labels, known_labels=known)
    return _built(host, provided, config, head, parts), None


def _built(
    host: PluginHost,
    provided: RegisteredComponent,
    config: Any,
    head: Head,
    parts: Mapping[str, InitCheckpoint],
) -> nn.Module:
    """A model around the bare backbones of checkpoints; all fresh where there are none."""
    if not parts:
        with calling(provided.id, "the target of its spec"):
            return building.build_fresh(host, provided, config, head)
    built = {}
    for name, (family, values) in provided.parts.items():
        with calling(family.id, f"the target of its spec, for the part {name},"):
            built[name], _ = building.build_from(host, family, values, Head(), parts[name].tensors)
    with calling(provided.id, "the target of its spec"):
        return building.put_together(host, provided, config, head, built)


def _architecture(
    recipe: Recipe, host: PluginHost, start: InitCheckpoint | None, parts: Mapping[str, InitCheckpoint]
) -> tuple[RegisteredComponent, str, Any]:
    if start is None:
        assert recipe.model is not None
        families = {name: family_of(part.card, host) for name, part in parts.items()}
        made = {
            name: Part(one, typed(one.config, present_names(one.config, parts[name].card.config), where=f"init.{name}"))
            for name, one in families.items()
        }
        return replace(recipe.model.provided, parts=made), recipe.model.size, recipe.model.config()
    provided = family_of(start.card, host)
    check_name(recipe.name, provided, start.card.size, host)
    values = {
        **present_names(provided.config, start.card.config),
        **present_names(provided.config, recipe.init_overrides),
    }
    if not host.serves(provided, recipe.task.provided):
        lacking, hint = unserved(host, provided, recipe.task.provided)
        raise RecipeError(f"{provided.id} ({recipe.init}) has {lacking}", hint=hint)
    return provided, start.card.size, typed(provided.config, values, where=f"model of {recipe.init}")


def _as_preprocessed(recipe: Recipe, config: Any, implied: Mapping[str, Any]) -> Any:
    """The configuration with what follows from the preprocessor. Raises `RecipeError` where the recipe says otherwise."""
    said = present_names(type(config), recipe.model.overrides if recipe.model else recipe.init_overrides)
    known = {item.name for item in fields(config)}
    # A network that is convolved all over an image, say, has no word for the image's size.
    implied = {name: value for name, value in present_names(type(config), implied).items() if name in known}
    for name, value in implied.items():
        if name in said and said[name] != value:
            raise RecipeError(
                f"model.{name} is {said[name]!r}, but the preprocessor makes it {value!r}",
                hint="leave it out of model, and set the preprocessor's fields",
            )
    return typed(type(config), {**to_data(config), **implied}, where="model")


def _preprocessor(
    recipe: Recipe,
    host: PluginHost,
    provided: RegisteredComponent,
    start: InitCheckpoint | None,
    parts: Mapping[str, InitCheckpoint],
    kept: Mapping[str, bytes] | None,
    samples: Sequence[Any],
) -> Preprocessor | None:
    if parts:
        own = {name: part.preprocessor for name, part in parts.items() if part.preprocessor}
        return CompositePreprocessor(own) if own else None
    if start is not None:
        if not (start.preprocessor and recipe.preprocessor):
            return start.preprocessor
        return start.preprocessor.adjusted(recipe.preprocessor, samples)
    if not provided.spec.preprocessor:
        return None
    cls: type[Preprocessor] = host.resolve(provided.spec.preprocessor, provided)
    if kept:
        return cls.from_files(kept)
    values = typed(provided.preprocessor_config, recipe.preprocessor, where="recipe: preprocessor")
    return cls.fit(values, samples)


def _plan(recipe: Recipe, dataset: Dataset, hardware: Hardware, order: Order | None) -> BatchPlan:
    training = recipe.training
    parts = training.accumulation * hardware.ranks
    if training.batch_size % parts:
        raise RecipeError(f"training.batch_size {training.batch_size} is no multiple of accumulation x ranks = {parts}")
    return BatchPlan(
        len(dataset),
        batch_size=training.batch_size,
        batch_cost=training.batch_cost,
        lengths=dataset.lengths,
        seed=training.seed,
        parts=parts,
        tries=TRIES if skips(recipe.data.config) else 0,
        order=order,
    )


def _evaluation(recipe: Recipe, data: Data, task: Task) -> Dataset | None:
    split = recipe.training.evaluate_split
    if split not in data.splits():
        return None
    samples = data.samples(split)
    return task.dataset(spread(samples, recipe.training.evaluate_samples), train=False)
