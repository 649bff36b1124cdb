"""Everything that the zoo's own plugins bring, with tasks whose extras fail as `FAULTY` says: `EXTRA FAILURE`.

Before registration those of the run fail, and after it those of the process that makes the rest.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoo_core import DataSpec, InterfaceSpec, LossSpec, ModelSpec, TaskSpec, hookimpl
from zoo_core.contract import StepLogged
from zoo_toys.careless import fail

zoo_api = (2, 0)

SWITCH = "FAULTY"
BEFORE = ("observer", "preview", "evaluation")
AFTER = ("plots", "retrospect", "baselines", "baseline")
"""`baselines` is the list of them, and `baseline` the first on it."""

_PLUGINS = ("zoo_nlp.plugin", "zoo_vision.plugin", "zoo_speech.plugin", "zoo_gan.plugin")


def _all(hook: str) -> list[Any]:
    modules = [importlib.import_module(name) for name in _PLUGINS]
    return [spec for module in modules if hasattr(module, hook) for spec in getattr(module, hook)()]


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """As they are."""
    return _all("zoo_models")


@hookimpl
def zoo_data() -> list[DataSpec]:
    """As they are."""
    return _all("zoo_data")


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """As they are."""
    return _all("zoo_losses")


@hookimpl
def zoo_interfaces() -> list[InterfaceSpec]:
    """As they are."""
    return _all("zoo_interfaces")


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """Each with a target that leads here."""
    return [replace(spec, target=f"{__name__}:{_word(spec)}") for spec in _all("zoo_tasks")]


@hookimpl
def zoo_step_logged(event: StepLogged) -> None:
    """An observer that watches a run."""
    _meet("observer")


def _word(spec: TaskSpec) -> str:
    return spec.name.replace("-", "_")


def __getattr__(word: str) -> Any:
    """The task of that name, with extras that fail."""
    targets = {_word(spec): spec.target for spec in _all("zoo_tasks")}
    if word not in targets:
        raise AttributeError(word)
    place, _, name = targets[word].partition(":")
    return type(name, (Faulty, getattr(importlib.import_module(place), name)), {})


class Faulty:
    """What each extra of a task does first."""

    def input_artifacts(self, dataset: Any) -> dict[str, bytes]:
        """And a file of its own, as the others that are plots, so that there is one whatever the task."""
        _meet("preview")
        return {**super().input_artifacts(dataset), "first.txt": b"made"}  # type: ignore[misc]

    def artifacts(self, modules: Mapping[str, Any], gathered: Mapping[str, Any]) -> dict[str, bytes]:
        """Those of evaluations, and of the final one."""
        _meet("plots" if _after() else "evaluation")
        return {**super().artifacts(modules, gathered), "shown.txt": b"made"}  # type: ignore[misc]

    def run_artifacts(self, kept: Mapping[str, Sequence[bytes]]) -> dict[str, bytes]:
        """Of all evaluations."""
        _meet("retrospect")
        return {**super().run_artifacts(kept), "last.txt": b"made"}  # type: ignore[misc]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Any]:
        """A first one that may fail, and the task's own."""
        _meet("baselines")
        return {"first": _first, **super().baselines(train, test)}  # type: ignore[misc]


def _first() -> dict[str, float]:
    _meet("baseline")
    return {"nothing": 0.0}


def _meet(extra: str) -> None:
    """Fail, if this is what is to fail in this process."""
    chosen, _, way = os.environ.get(SWITCH, "").partition(" ")
    if chosen == extra and _after() == (extra in AFTER):
        fail(way)


def _after() -> bool:
    """Whether this is the process that makes what follows the registration."""
    spec = sys.modules["__main__"].__spec__
    return spec is not None and spec.name == "zoo_core.runs.extras_child"
