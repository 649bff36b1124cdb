"""Recipes over the toys, and a zoo that has nothing else, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from zoo_core.plugins.host import PluginHost
from zoo_core.registry.catalogue import write_registry
from zoo_core.registry.registry import Registry
from zoo_core.registry.store import Store
from zoo_core.registry.zoo import Zoo
from zoo_toys import packages

TRAINING = {"steps": 12, "batch_size": 16, "evaluate_every": 5, "save_every": 3, "log_every": 2, "extras": "off"}


def toy_zoo(root: Path, *others: EntryPoint) -> Zoo:
    """A zoo with the core, the toys and `others`, its store in `root`, its catalogue empty."""
    host = PluginHost([EntryPoint("zoo-toys", "zoo_toys.plugin", "zoo.plugins"), *others])
    store = Store(root)
    catalogue = root / "registry.yaml"
    if not catalogue.exists():
        root.mkdir(parents=True, exist_ok=True)
        write_registry(catalogue, [])
    return Zoo(host, Registry(host, store, catalogue=catalogue, folder=root))


MUON = {
    "groups": [
        {"match": "*.bias|*norm*", "name": "adamw", "lr": 0.01, "weight_decay": 0.0},
        {"match": "head.*", "name": "schedule-free", "lr": 0.01},
        {"match": "*", "name": "muon", "lr": 0.02},
    ]
}
"""Three optimizers in one phase: a fused one, one with modes of its own, one of matrices alone."""

STATEFUL: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("batch-norm", "point-classification", {"name": "sgd"}),
    ("grouped", "point-classification", {"name": "grouped"}),
    ("schedule-free", "point-classification", {"name": "schedule-free"}),
    ("muon", "point-classification", MUON),
    ("teacher", "mean-teacher", {"name": "adamw"}),
    ("remembers", "remembers", {"name": "adamw"}),
    ("sketched", "point-teacher", {"name": "adamw"}),
)
"""Shapes of runs with batch normalisation: their names, tasks and optimizers."""

PACKAGED = tuple(
    (name, "point-classification", {"name": "packaged", "method": name})
    for name in (*packages.PACKAGED, *packages.UNSAVED)
)
"""The same with the optimizers of packages, which need not be installed."""

PACKAGES = EntryPoint("zoo-packages", "zoo_toys.packages", "zoo.plugins")
"""The plugin that has them."""


def recipe(shape: str, **training: Any) -> dict[str, Any]:
    """A recipe as plain data; `shape` is `single`, `scaled`, `adversarial`, `sequence` or one of `STATEFUL` and `PACKAGED`.

    Extras, which take a process, are off.
    """
    parts: Mapping[str, Any] = {
        "single": {"model": {"name": "mlp_tiny"}, "task": {"name": "point-classification"}, "data": {"name": "points"}},
        "scaled": {
            "model": {"name": "scaled_tiny"},
            "task": {"name": "point-classification"},
            "data": {"name": "points"},
        },
        "adversarial": {
            "model": {"name": "pair_tiny"},
            "task": {"name": "point-generation"},
            "data": {"name": "points"},
        },
        "sequence": {
            "model": {"name": "recurrent_tiny"},
            "task": {"name": "frame-transcription"},
            "data": {"name": "frames"},
        },
        **{
            name: {
                "model": {"name": "mlp_tiny", "normalise": True},
                "task": {"name": task},
                "data": {"name": "points"},
                "optimizer": optimizer,
            }
            for name, task, optimizer in (*STATEFUL, *PACKAGED)
        },
    }[shape]
    named = parts.get("optimizer", {})
    defaults = {} if "groups" in named else {"lr": 0.01, "weight_decay": 0.01}
    return {
        "name": f"toy_tiny.{shape}",
        **{key: dict(value) for key, value in parts.items()},
        "optimizer": {**defaults, **named},
        "training": {**TRAINING, **training},
    }
