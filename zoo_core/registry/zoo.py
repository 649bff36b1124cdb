"""The zoo as one object: what is installed and what is registered."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from zoo_core.plugins.host import PluginHost
from zoo_core.registry.registry import Registry
from zoo_core.registry.store import Store
from zoo_core.storage.paths import home


@dataclass(frozen=True)
class Zoo:
    """The installed plugins and everything that is registered."""

    host: PluginHost
    registry: Registry


def open_zoo(environ: Mapping[str, str] | None = None) -> Zoo:
    """The zoo as the environment describes it (`ZOO_HOME`, `ZOO_DISABLE_PLUGINS`)."""
    environ = os.environ if environ is None else environ
    host = PluginHost.discover(environ)
    return Zoo(host, Registry(host, Store(home(environ))))
