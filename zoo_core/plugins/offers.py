"""What a model of any plugin serves because of the interface that it offers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from zoo_core.errors import ZooError

if TYPE_CHECKING:
    from zoo_core.plugins.host import PluginHost, RegisteredComponent


def with_offer(model: RegisteredComponent, host: PluginHost) -> RegisteredComponent:
    """The model with the tasks that need what it offers, by their ids, and with the interface's preprocessor if it has none.

    One whose interface isn't here stays as it is, with a warning.
    """
    try:
        interface = host.interface_of(model)
        needed = [task for task in host.all("task") if task.spec.interface and host.interface_of(task) == interface]
    except ZooError as error:
        host.warnings.append(f"{model.id}: what it offers isn't here: {error.message}")
        return model
    assert interface is not None
    spec = replace(model.spec, tasks=(*model.spec.tasks, *(one.id for one in needed if not host.serves(model, one))))
    if not spec.preprocessor:
        own, settings = interface.spec.preprocessor, interface.spec.preprocessor_config
        spec = replace(spec, preprocessor=own, preprocessor_config=settings)
    return replace(model, spec=spec)
