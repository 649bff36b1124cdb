"""Exercises everything that a run will need before its first step, so that nothing which is wrong is found after the last.

One batch goes through each phase and backward, one through evaluation, one sample through prediction; the checkpoint is
rebuilt from its tensors as loading would; the store is written to, and the disk is asked for space. Nothing of the run is
changed by it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_core.config.recipe import Recipe
from zoo_core.contract.predictor import inference_mode
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.task import At, EvaluationResult, Task, move, output_of
from zoo_core.errors import DataError, DiskError, PluginError, StoreError, UsageError
from zoo_core.models import build
from zoo_core.models.freezing import train_mode
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight import contracts
from zoo_core.preflight.contracts import broken, calling
from zoo_core.preflight.setup import RunComponents
from zoo_core.preflight.undisturbed import undisturbed
from zoo_core.preflight.updates import check_schedule, check_updates
from zoo_core.registry.registry import Registry
from zoo_core.storage import fs
from zoo_core.tasks.evaluate import gathered, micro_batch
from zoo_core.training.guard import TimeUp, time_limit
from zoo_core.training.hardware import Hardware
from zoo_core.training.order import Cursor, evaluation_batches, training_batches
from zoo_core.training.randomness import RowDraws, key, reseed
from zoo_core.training.signals import Stop
from zoo_core.training.workers import demand_workers

_LOOKED_AT = 32
"""Samples that are evaluated at most."""
_PREDICTION = 2.0
"""Seconds that a prediction is waited for at least; one that takes longer isn't judged."""


def preflight(
    recipe: Recipe,
    prepared: RunComponents,
    hardware: Hardware,
    host: PluginHost,
    registry: Registry,
    folder: Path,
    *,
    stop: Stop | None = None,
) -> None:
    """Raise what would end the run later: `PluginError` for a broken promise of a component, `DataError`, `StoreError`.

    Where a rank finds something wrong, all of them end. A rank that is asked to stop looks no further; the run then stops
    as it does after any step.
    """
    failure: BaseException | None = None
    try:
        _check(recipe, prepared, hardware, host, registry, folder, stop or Stop())
    except Exception as error:  # noqa: BLE001 - raised below, when the other ranks know
        failure = error
    if hardware.agree(failure is not None):
        raise failure or PluginError("another rank can't run this recipe", hint="its own message says why")


def _check(
    recipe: Recipe,
    prepared: RunComponents,
    hardware: Hardware,
    host: PluginHost,
    registry: Registry,
    folder: Path,
    stop: Stop,
) -> None:
    demand_workers(recipe.training.workers)
    task, name = prepared.task, recipe.task.id
    with calling(recipe.data.id, "Data.digest"):
        contracts.check_digest(recipe.data.id, prepared.data_digest, prepared.data.digest())
    _check_splits(recipe, prepared)
    check_updates(recipe, task, prepared.updates)
    check_schedule(recipe.schedule, prepared.schedule, prepared.steps)
    with undisturbed(name, {"task": task, **task.modules()}, hardware.device):
        _rebuild(prepared, host)
        seconds = _step(recipe, prepared, hardware)
        if prepared.evaluation is not None:
            _evaluate(recipe, prepared, hardware, stop)
        if stop.signal is None:
            _predict(recipe, name, task, prepared, max(_PREDICTION, seconds))
    if hardware.is_main:
        _check_space(recipe, prepared, folder)
        _check_store(registry)


def _check_splits(recipe: Recipe, prepared: RunComponents) -> None:
    training, task = recipe.training, prepared.task
    for split in dict.fromkeys((training.evaluate_split, training.test_split)):
        if split not in prepared.data.splits():
            continue
        count = len(prepared.data.samples(split))
        if split == training.evaluate_split:
            count = min(count, training.evaluate_samples or count)
        least = max(1, task.least_samples)
        if count < least:
            raise DataError(
                f"{recipe.task.id} needs at least {least} samples to measure on, the split {split} has {count}",
                hint="give it more, or name other splits with training.evaluate_split and training.test_split",
            )


def _rebuild(prepared: RunComponents, host: PluginHost) -> None:
    """Build the model as loading would, around the tensors that there are."""
    component, tensors = prepared.model_id.id, build.weights(prepared.task.model)
    own = {name: tensor for name, tensor in tensors.items() if name in prepared.published}
    labels = prepared.labels
    with calling(component, "the target of its spec, built again to be loaded,"):
        try:
            model, adaptation = build.build_from(
                host, prepared.model_id, prepared.config, prepared.head, own,
                labels=labels, known_labels=labels, adaptable=False,
            )  # fmt: skip
        except StoreError as error:
            raise PluginError(f"{component}: its checkpoint could not be loaded: {error.message}") from error
    found = {name: tensor.dtype for name, tensor in build.weights(model).items()}
    other = [name for name, tensor in own.items() if found.get(name) != tensor.dtype]
    if other or not adaptation.exact:
        raise broken(
            component, "a model that is loaded", "the tensors of the one that is trained", f"another {other[:1]}"
        )


def _step(recipe: Recipe, prepared: RunComponents, hardware: Hardware) -> float:
    """One micro-batch through every phase and backward; the seconds it took."""
    task, name = prepared.task, recipe.task.id
    stream = training_batches(
        prepared.train, prepared.plan, Cursor(0, 0), rank=hardware.rank, ranks=hardware.ranks, workers=0, pin=False,
        timeout=recipe.training.timeout,
    )  # fmt: skip
    with calling(name, "Dataset.sample and Dataset.collate"):
        first = next(stream)
    batch, parts = move(first.micro_batches[0], hardware.device), prepared.plan.parts
    mode = RowDraws(first.samples // parts, hardware.rank, parts)
    by_row = parts > 1 and not recipe.training.compile
    modules = task.modules()
    trainable = {n: [p for p in module.parameters() if p.requires_grad] for n, module in modules.items()}
    known = {id(p) for module in modules.values() for p in module.parameters()}
    train_mode(task, prepared.frozen)
    began, at = time.perf_counter(), At(0, prepared.steps)
    idle = prepared.adapted.own(task.model) if prepared.adapted else {}
    for number, phase in enumerate(task.phases):
        for module, parameters in trainable.items():
            for parameter in parameters:
                parameter.requires_grad_(module in phase.trains)
                parameter.grad = None
        reseed(key(recipe.training.seed, 0, number, 0, hardware.rank), hardware.device)
        method = "embed and step" if phase.batch_wide else "step"
        with (
            calling(name, f"Task.{method} in phase {phase.name}"), _checked_loss(recipe, task), hardware.autocast(),
            mode if by_row else nullcontext(),
        ):  # fmt: skip
            output = output_of(task, phase, modules, batch, at)
        contracts.check_step(name, phase.name, output)
        with calling(name, f"the backward pass of phase {phase.name}"):
            output.loss_sum.backward()  # type: ignore[no-untyped-call]
        if all(p.grad is None for module in phase.trains for p in trainable[module]):
            raise broken(name, f"Task.step in phase {phase.name}", "a loss of what it trains", "no gradient there")
        idle = {word: parameter for word, parameter in idle.items() if parameter.grad is None}
        with calling(name, f"Task.before_update in phase {phase.name}"):
            task.before_update(phase.name, modules, at)
        with calling(name, f"Task.after_update in phase {phase.name}"), torch.no_grad():
            task.after_update(
                phase.name, modules, at._replace(finite=torch.ones((), dtype=torch.bool, device=hardware.device))
            )
    if idle:
        hint = "the model never calls that layer; name others in adapter.targets"
        raise UsageError(f"adapter: {min(idle)} gets no gradient, so that it would train nothing", hint=hint)
    if {id(p) for module in modules.values() for p in module.parameters()} - known:
        raise broken(prepared.model_id.id, "forward", "the parameters that it was built with", "new ones")
    prepared.notices += _of_parts(task, mode, first.samples, parts, recipe.training.compile)
    return time.perf_counter() - began


def _of_parts(task: Task, mode: RowDraws, samples: int, parts: int, compiled: bool) -> tuple[str, ...]:
    """What of a step depends on how a batch is dealt to micro-batches and ranks, where it is dealt."""
    if parts == 1:
        return ()
    dealt = f"{parts} micro-batches of {samples // parts}"
    drawn = "all draws, as the model is compiled" if compiled else ", ".join(sorted(mode.others))
    norms = any(isinstance(m, _BatchNorm) and m.training for part in task.modules().values() for m in part.modules())
    return (
        *((f"draws that depend on the batch being dealt to {dealt}: {drawn}",) if drawn else ()),
        *(
            (f"draws taken for rows of one sample side by side: {', '.join(sorted(mode.several))}",)
            if mode.several
            else ()
        ),
        *((f"batch normalisation: its statistics are of {dealt}, not of the batch of {samples}",) if norms else ()),
    )


@contextmanager
def _checked_loss(recipe: Recipe, task: Task) -> Iterator[None]:
    """The task's loss gives what it owes, for the time of the body."""
    loss = task.loss
    task.loss = _Checked(loss, recipe.loss.id if recipe.loss else recipe.task.id)
    try:
        yield
    finally:
        task.loss = loss


class _Checked:
    """A loss whose results are looked at; everything else is its own."""

    def __init__(self, loss: Any, component: str) -> None:
        self._loss, self._component = loss, component

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        result = self._loss(*inputs, **named)
        contracts.check_loss(self._component, result)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loss, name)


def _evaluate(recipe: Recipe, prepared: RunComponents, hardware: Hardware, stop: Stop) -> None:
    """Some batches through evaluation, and the metrics of what they gave."""
    task, name, modules = prepared.task, recipe.task.id, prepared.task.modules()
    assert prepared.evaluation is not None
    size, cost = micro_batch(recipe.training, hardware.ranks)
    results: list[EvaluationResult] = []
    seen, least = 0, min(len(prepared.evaluation), max(_LOOKED_AT, task.least_samples))
    with calling(name, "Dataset.sample and Dataset.collate"):
        batches = evaluation_batches(
            prepared.evaluation, batch_size=size, batch_cost=cost, rank=0, ranks=1, workers=0,
            timeout=recipe.training.timeout,
        )  # fmt: skip
    with inference_mode(*modules.values()):
        for number, batch in enumerate(batches):
            if stop.signal is not None:
                return
            reseed(key(0, number, 0), hardware.device)
            with calling(name, "Task.evaluate"), hardware.autocast():
                found = task.evaluate(modules, move(batch, hardware.device), At(0, prepared.steps, micro=number))
            contracts.check_evaluated(name, found)
            results.append(found)
            seen += size
            if seen >= least:
                break
        try:
            with calling(name, "Task.summarize"):
                metrics = task.summarize(gathered(results))
        except (DataError, UsageError):
            return  # a part of a split may be too little for metrics, as one with a single voice; that is no fault
    contracts.check_metrics(name, metrics, task.monitor)


def _predict(recipe: Recipe, name: str, task: Task, prepared: RunComponents, seconds: float) -> None:
    """One training sample as an input; what it gives is checked where the task takes it for one."""
    options = typed(recipe.task.provided.predict, {}, where=f"options of {name}")
    sample = prepared.data.samples("train")[0]
    try:
        with inference_mode(*task.modules().values()), time_limit(seconds):
            answers = task.predict([sample], options)
    except (Exception, TimeUp):  # noqa: BLE001 - a sample need not be an input, and answers may take their time
        return
    except SystemExit:
        raise broken(name, "Task.predict", "an answer or an exception", "sys.exit") from None
    contracts.check_answers(name, answers, 1)


def _check_space(recipe: Recipe, prepared: RunComponents, folder: Path) -> None:
    """Room for the checkpoints that are kept, one that is being written, and the model twice."""
    model = sum(t.numel() * t.element_size() for t in build.weights(prepared.task.model).values())
    # Weights, two moments of each, and averages where there are some.
    checkpoint = model * (4 if recipe.training.ema_decay else 3)
    needed = checkpoint * (recipe.training.keep + 2) + model
    free = fs.free_space(folder)
    if free < needed:
        raise DiskError(
            f"{folder}: the run needs about {needed:,} bytes for its checkpoints, {free:,} are free",
            hint="free some, name another folder with --folder, or keep fewer checkpoints with training.keep",
        )


def _check_store(registry: Registry) -> None:
    try:
        registry.probe()
    except StoreError as error:
        raise DiskError(
            f"the checkpoint could not be registered: {error.message}",
            hint="set ZOO_HOME to a folder that can be written, then start again",
        ) from error
