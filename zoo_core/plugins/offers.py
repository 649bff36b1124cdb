"""What a model of any plugin serves because of the interfaces that it offers, and what a task needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zoo_core.errors import ZooError

if TYPE_CHECKING:
    from zoo_core.plugins.host import PluginHost, RegisteredComponent


def needed(host: PluginHost, task: RegisteredComponent) -> RegisteredComponent | None:
    """The interface that a task needs of a model; None for none. Raises as `PluginHost.find` does."""
    name = task.spec.interface
    return host.find("interface", name, [task.plugin]) if name else None


def offered(host: PluginHost, model: RegisteredComponent) -> list[RegisteredComponent]:
    """The interfaces that a model offers. Raises as `PluginHost.find` does."""
    return [host.find("interface", name, [model.plugin]) for name in _names(model)]


def with_offer(model: RegisteredComponent, host: PluginHost) -> RegisteredComponent:
    """The model with the tasks that need what it offers, by their ids, and with the first interface's preprocessor if it has none.

    One with an interface that isn't here stays as it is, with a warning.
    """
    try:
        interfaces = offered(host, model)
        served = [task for task in host.all("task") if task.spec.interface and needed(host, task) in interfaces]
    except ZooError as error:
        host.warnings.append(f"{model.id}: what it offers isn't here: {error.message}")
        return model
    spec = replace(model.spec, tasks=(*model.spec.tasks, *(one.id for one in served if not host.serves(model, one))))
    if given := next((one.spec for one in interfaces if one.spec.preprocessor), None):
        own, settings = given.preprocessor, given.preprocessor_config
        spec = replace(spec, preprocessor=own, preprocessor_config=settings) if not spec.preprocessor else spec
    return replace(model, spec=spec)


def unserved(host: PluginHost, model: RegisteredComponent, task: RegisteredComponent) -> tuple[str, str]:
    """Why a model can't have a task, and what it serves: a message and a hint."""
    serves = f"it serves: {', '.join(model.spec.tasks) or 'no task'}"
    interface = needed(host, task)
    if interface is None:
        return f"no head for the task {task.id}", serves
    offers = ", ".join(_names(model)) or "no interface"
    return (
        f"no head for the task {task.id}, which needs {interface.spec.name}: {interface.spec.summary}; {model.spec.name} offers "
        f"{offers}",
        serves,
    )


def _names(model: RegisteredComponent) -> tuple[str, ...]:
    names = model.spec.offers
    return (names,) if isinstance(names, str) else tuple(names)
