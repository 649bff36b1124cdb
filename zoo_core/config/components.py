"""Makes what the components of a recipe or a command stand for: its data, its task."""

from __future__ import annotations

from typing import Any

from zoo_core.config.recipe import Component
from zoo_core.contract.data import Data
from zoo_core.contract.task import Task, TaskContext
from zoo_core.plugins.fetched import prepared_files
from zoo_core.plugins.host import PluginHost, RegisteredComponent


def open_data(provided: RegisteredComponent, config: Any, host: PluginHost) -> Data:
    """The data of a recipe or a command. Raises `DataError` where it is yet to be fetched or is damaged."""
    spec, reader = provided.spec, host.resolve(provided.spec.target, provided)
    return reader(config, *prepared_files(provided, host), **spec.arguments)  # type: ignore[no-any-return]


def build_task(component: Component, loss: Component | None, host: PluginHost, context: TaskContext) -> Task:
    """The task of a recipe around a model."""
    if loss:
        context.loss = host.resolve(loss.provided.spec.target, loss.provided)(loss.config)
    return host.resolve(component.provided.spec.target, component.provided)(component.config, context)  # type: ignore[no-any-return]
