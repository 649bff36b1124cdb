"""Makes what the components of a recipe or a command stand for: its data, its task."""

from __future__ import annotations

from zoo_core.config.recipe import Component
from zoo_core.contract.data import Data
from zoo_core.contract.task import Task, TaskContext
from zoo_core.plugins.host import PluginHost


def open_data(component: Component, host: PluginHost) -> Data:
    """The data of a recipe or a command."""
    return host.resolve(component.provided.spec.target, component.provided)(component.config)  # type: ignore[no-any-return]


def build_task(component: Component, loss: Component | None, host: PluginHost, context: TaskContext) -> Task:
    """The task of a recipe around a model."""
    if loss:
        context.loss = host.resolve(loss.provided.spec.target, loss.provided)(loss.config)
    return host.resolve(component.provided.spec.target, component.provided)(component.config, context)  # type: ignore[no-any-return]
