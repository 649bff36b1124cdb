"""Makes what the components of a recipe or a command stand for: its data, its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from zoo_core.config.recipe import Component
from zoo_core.contract.data import Data, DataContext
from zoo_core.contract.predictor import Predictor, TaskContext
from zoo_core.contract.schema import from_data
from zoo_core.contract.specs import ANY, DataSpec
from zoo_core.errors import PluginError
from zoo_core.plugins.fetched import prepared_files
from zoo_core.plugins.host import PluginHost, RegisteredComponent


class DataSource(NamedTuple):
    """A data set that another one opened."""

    id: str
    spec: DataSpec
    digest: str


class OpenedData(NamedTuple):
    """A data set, and what it opened."""

    data: Data
    sources: tuple[DataSource, ...]


def open_data(provided: RegisteredComponent, config: Any, host: PluginHost) -> Data:
    """The data of a recipe or a command. Raises `DataError` where it is yet to be fetched or is damaged."""
    return open_with_sources(provided, config, host).data


def open_with_sources(provided: RegisteredComponent, config: Any, host: PluginHost) -> OpenedData:
    """The data of a recipe, and the data sets that it opened, by its configuration or by itself; raises as `open_data` does."""
    spec, reader = provided.spec, host.resolve(provided.spec.target, provided)
    context = _Context(provided, host)
    given = [*prepared_files(provided, host), *([context] if spec.opens else [])]
    return OpenedData(reader(config, *given, **spec.arguments), tuple(context.sources))


class _Context(DataContext):
    """Opens what a data set may open, and notes it."""

    def __init__(self, own: RegisteredComponent, host: PluginHost) -> None:
        self.own, self.host = own, host
        self.sources: list[DataSource] = []

    def open(self, name: str, settings: Mapping[str, Any]) -> Data:
        """The data set."""
        found = self.host.find("data", name, [self.own.plugin])
        allowed = {self._id(listed) for listed in self.own.spec.opens if listed != ANY}
        if found.id not in allowed and ANY not in self.own.spec.opens:
            listed = ", ".join(sorted(allowed)) or "none"
            raise PluginError(f"{self.own.id}: opens {found.id}, which its spec doesn't list", hint=f"opens: {listed}")
        opened = open_with_sources(found, from_data(found.config, dict(settings), where=f"data {found.id}"), self.host)
        self.sources += [DataSource(found.id, found.spec, opened.data.digest()), *opened.sources]
        return opened.data

    def _id(self, name: str) -> str:
        return self.host.find("data", name, [self.own.plugin]).id


def build_task(component: Component, loss: Component | None, host: PluginHost, context: TaskContext) -> Predictor:
    """The task of a recipe around a model, or what only answers."""
    if loss:
        context.loss = host.resolve(loss.provided.spec.target, loss.provided)(loss.config)
    return host.resolve(component.provided.spec.target, component.provided)(component.config, context)  # type: ignore[no-any-return]
