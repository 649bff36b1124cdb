"""A plugin with optimizers as users would register them: of torch, and of packages that need not be installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from zoo_core import OptimizerSpec, hookimpl

zoo_api = (2, 0)

PACKAGED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "nadam": ("torch.optim:NAdam", {}),
    "radam": ("torch.optim:RAdam", {}),
    "rmsprop": ("torch.optim:RMSprop", {"momentum": 0.9, "centered": True}),
    "adagrad": ("torch.optim:Adagrad", {}),
    "adadelta": ("torch.optim:Adadelta", {}),
    "adamax": ("torch.optim:Adamax", {}),
    "asgd": ("torch.optim:ASGD", {"t0": 5}),
    "rprop": ("torch.optim:Rprop", {}),
    "adafactor": ("torch.optim:Adafactor", {}),
    "amsgrad": ("torch.optim:AdamW", {"amsgrad": True, "foreach": True}),
    # A large start, so that `d` moves within a few steps (Mishchenko and Defazio, 2023, arXiv:2306.06101).
    "prodigy": ("prodigyopt:Prodigy", {"lr": 1.0, "d0": 1e-3}),
    # As its page advises for a warm-up, with state of every fourth number of a tensor.
    "prodigy-safe": (
        "prodigyopt:Prodigy",
        {"lr": 1.0, "d0": 1e-3, "safeguard_warmup": True, "use_bias_correction": True, "slice_p": 4},
    ),
    "free-adamw": ("schedulefree:AdamWScheduleFree", {"warmup_steps": 10}),
    "free-sgd": ("schedulefree:SGDScheduleFree", {"warmup_steps": 10}),
    "d-adapt-adam": ("pytorch_optimizer:DAdaptAdam", {"lr": 1.0, "d0": 1e-3}),
    "lion": ("pytorch_optimizer:Lion", {}),
    "came": ("pytorch_optimizer:CAME", {}),
    "ademamix": ("pytorch_optimizer:AdEMAMix", {}),
    "ranger21": ("pytorch_optimizer:Ranger21", {"num_iterations": 60}),
    "shampoo": ("pytorch_optimizer:Shampoo", {"preconditioning_compute_steps": 3}),
    "soap": ("pytorch_optimizer:SOAP", {"precondition_frequency": 3}),
    "kron": ("pytorch_optimizer:Kron", {}),
}
"""Classes and their settings, by the names of their optimizers."""

UNSAVED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "scalable-shampoo": ("pytorch_optimizer:ScalableShampoo", {}),
}
"""Those whose state holds what no checkpoint can: they are refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagedConfig:
    """What they are called, and a rate where their settings have none."""

    method: str = "nadam"
    lr: float = 0.01
    weight_decay: float = 0.0


@hookimpl
def zoo_optimizers() -> list[OptimizerSpec]:
    """All of them by one name, since a recipe says which one."""
    target = "zoo_toys.packages:packaged"
    return [OptimizerSpec(name="packaged", summary="of a package", target=target, config=PackagedConfig)]


def packaged(groups: Any, config: PackagedConfig) -> Any:
    """The optimizer that the config names."""
    place, settings = {**PACKAGED, **UNSAVED}[config.method]
    module, name = place.split(":")
    return getattr(import_module(module), name)(groups, **{"lr": config.lr, **settings})
