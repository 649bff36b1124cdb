"""A plugin with the optimizers of two packages as users would register them: what the toys imitate, where it is installed."""

from __future__ import annotations

from typing import Any

from zoo_core import OptimizerSpec, hookimpl

zoo_api = (2, 0)

PACKAGED = {"prodigy": "prodigy", "prodigy-safe": "prodigy_safe", "free-adamw": "free_adamw", "free-sgd": "free_sgd"}
"""Functions below, by the names of their optimizers."""


@hookimpl
def zoo_optimizers() -> list[OptimizerSpec]:
    """Prodigy and schedule-free methods."""
    return [
        OptimizerSpec(
            name=name,
            summary="from a package",
            target=f"zoo_toys.packages:{function}",
            config="zoo_toys.optimizers:ToyOptimizerConfig",
        )
        for name, function in PACKAGED.items()
    ]


def prodigy(groups: Any, config: Any) -> Any:
    """Prodigy (Mishchenko and Defazio, 2023, arXiv:2306.06101); a large start, so that `d` moves within a few steps."""
    from prodigyopt import Prodigy

    return Prodigy(groups, lr=1.0, d0=1e-3)


def prodigy_safe(groups: Any, config: Any) -> Any:
    """The same as its page advises for a warm-up, with state of every fourth number of a tensor."""
    from prodigyopt import Prodigy

    return Prodigy(groups, lr=1.0, d0=1e-3, safeguard_warmup=True, use_bias_correction=True, slice_p=4)


def free_adamw(groups: Any, config: Any) -> Any:
    """Schedule-free AdamW (Defazio et al., 2024, arXiv:2405.15682)."""
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(groups, lr=config.lr, warmup_steps=10)


def free_sgd(groups: Any, config: Any) -> Any:
    """Schedule-free SGD."""
    from schedulefree import SGDScheduleFree

    return SGDScheduleFree(groups, lr=config.lr, warmup_steps=10)
