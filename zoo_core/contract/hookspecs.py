"""The whole contract between the core and a plugin, on one page.

A plugin is a distribution with one entry point and one module that imports neither torch nor anything heavy:

    [project.entry-points."zoo.plugins"]
    zoo-example = "zoo_example.plugin"

    # zoo_example/plugin.py
    from zoo_core import LossSpec, hookimpl

    zoo_api = (2, 0)

    @hookimpl
    def zoo_losses() -> list[LossSpec]:
        return [LossSpec(name="l1", summary="mean absolute error", target="zoo_example.losses:l1", inputs=("predicted", "target"))]

Provider hooks take no arguments and return lists. Observer hooks are called in the main process only and on log steps
only; an observer that raises is switched off with a warning and the run goes on. An implementation may leave out
arguments it doesn't need; an argument with a default is refused, because pluggy would never pass it.
"""

from __future__ import annotations

from typing import Any

import pluggy

from zoo_core.contract.events import CheckpointSaved, RunEnded, RunStarted, StepLogged
from zoo_core.contract.specs import (
    AdapterSpec,
    DataSpec,
    ExporterSpec,
    InterfaceSpec,
    LoggerSpec,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    SamplerSpec,
    ScheduleSpec,
    TaskSpec,
)

PROJECT = "zoo"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Providers:
    """What a plugin brings."""

    @hookspec
    def zoo_models(self) -> list[ModelSpec]:  # type: ignore[empty-body]
        """Model families, for instance `[ModelSpec(name="bert", target="zoo_nlp.models.bert:build", ...)]`."""

    @hookspec
    def zoo_data(self) -> list[DataSpec]:  # type: ignore[empty-body]
        """Data sets and readers of users' files, for instance `[DataSpec(name="labelled-text", ...)]`."""

    @hookspec
    def zoo_losses(self) -> list[LossSpec]:  # type: ignore[empty-body]
        """Losses, for instance `[LossSpec(name="cross-entropy", inputs=("logits", "labels"), ...)]`."""

    @hookspec
    def zoo_tasks(self) -> list[TaskSpec]:  # type: ignore[empty-body]
        """Tasks, for instance `[TaskSpec(name="text-classification", reads=(...), ...)]`."""

    @hookspec
    def zoo_interfaces(self) -> list[InterfaceSpec]:  # type: ignore[empty-body]
        """What tasks need of any model, for instance `[InterfaceSpec(name="image-encoder", ...)]`."""

    @hookspec
    def zoo_optimizers(self) -> list[OptimizerSpec]:  # type: ignore[empty-body]
        """Optimizers beyond the core's own, for instance `[OptimizerSpec(name="lion", ...)]`."""

    @hookspec
    def zoo_schedules(self) -> list[ScheduleSpec]:  # type: ignore[empty-body]
        """How the learning rate may move, for instance `[ScheduleSpec(name="steps", ...)]`."""

    @hookspec
    def zoo_adapters(self) -> list[AdapterSpec]:  # type: ignore[empty-body]
        """Ways to train a small difference to a checkpoint, for instance `[AdapterSpec(name="ia3", ...)]`."""

    @hookspec
    def zoo_loggers(self) -> list[LoggerSpec]:  # type: ignore[empty-body]
        """Watchers that a recipe may name, for instance `[LoggerSpec(name="csv", ...)]`."""

    @hookspec
    def zoo_samplers(self) -> list[SamplerSpec]:  # type: ignore[empty-body]
        """Orders of an epoch's samples, for instance `[SamplerSpec(name="balanced", ...)]`."""

    @hookspec
    def zoo_exporters(self) -> list[ExporterSpec]:  # type: ignore[empty-body]
        """Formats that checkpoints are exported in, for instance `[ExporterSpec(name="onnx", ...)]`."""


class Observers:
    """What a plugin may watch. No collectives, no changes to the run."""

    @hookspec
    def zoo_run_started(self, event: RunStarted) -> None:
        """Called once before the first step, also when a run is resumed."""

    @hookspec
    def zoo_step_logged(self, event: StepLogged) -> None:
        """Called on log steps, after evaluations, and for the figures of the end."""

    @hookspec
    def zoo_checkpoint_saved(self, event: CheckpointSaved) -> None:
        """Called when a training checkpoint is complete on disk."""

    @hookspec
    def zoo_run_ended(self, event: RunEnded) -> None:
        """Called once at the end, whatever the end was."""

    @hookspec
    def zoo_observer_state(self) -> Any:
        """What the plugin's `zoo_run_started` is given as `event.state` when the run is resumed: JSON-able and small. Asked
        before each training checkpoint."""
