"""Optimizers that keep their state where torch's own don't: in groups, under words, nested, or as other weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import AdamW, Optimizer


@dataclass(frozen=True, kw_only=True, slots=True)
class ToyOptimizerConfig:
    """What every optimizer of the zoo takes."""

    lr: float = 0.01
    weight_decay: float = 0.0


class Grouped(Optimizer):
    """A step size that grows with what it has seen, as in Prodigy: numbers and tensors in groups and under words."""

    def __init__(self, groups: Any, config: Any) -> None:
        super().__init__(groups, {"lr": config.lr, "d": 0.1, "d_max": float("inf"), "betas": (0.9, 0.99)})
        for group in self.param_groups:
            group["seen"] = torch.zeros(2)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Averages of gradients in a list and a tuple, of the type of choice."""
        self.state["steps"] = self.state.get("steps", 0) + 1
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                own = self.state[p]
                if not own:
                    own["history"] = [torch.zeros_like(p, dtype=torch.float64), {"last": torch.zeros_like(p)}]
                    own["pair"] = (0, torch.zeros(()))
                own["history"][0].mul_(group["betas"][0]).add_(p.grad, alpha=1 - group["betas"][0])
                own["history"][1]["last"].copy_(p.grad)
                own["pair"] = (own["pair"][0] + 1, own["pair"][1] + p.grad.abs().mean())
                group["seen"][0] += float(p.grad.norm())
                p.sub_(own["history"][0].to(p.dtype), alpha=group["lr"] * group["d"])
            group["d"] = 0.1 + math.log1p(float(group["seen"][0])) / (1 + self.state["steps"])


class ScheduleFree(Optimizer):
    """SGD that trains at one point and is judged at another (Defazio et al., 2024, arXiv:2405.15682)."""

    def __init__(self, groups: Any, config: Any) -> None:
        super().__init__(groups, {"lr": config.lr, "beta": 0.9, "k": 0, "train_mode": False})

    @torch.no_grad()
    def eval(self) -> None:
        """From y to x."""
        self._move(False, lambda beta: 1 - 1 / beta)

    @torch.no_grad()
    def train(self) -> None:
        """From x to y."""
        self._move(True, lambda beta: 1 - beta)

    def _move(self, training: bool, weight: Callable[[float], float]) -> None:
        for group in self.param_groups:
            if group["train_mode"] != training:
                group["train_mode"] = training
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], weight(group["beta"]))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step of z, and the average moved towards it."""
        for group in self.param_groups:
            assert group["train_mode"], "a step in evaluation mode"
            group["k"] += 1
            for p in group["params"]:
                if p.grad is not None:
                    z = self.state[p].setdefault("z", p.clone())
                    share = 1 / group["k"]
                    p.lerp_(z, share).sub_(p.grad, alpha=group["lr"] * (1 - group["beta"] * (1 - share)))
                    z.sub_(p.grad, alpha=group["lr"])


class Opaque(Grouped):
    """Keeps an object that no checkpoint can hold."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """As its parent."""
        super().step()
        self.state["conditioner"] = object()


class Hidden(Grouped):
    """Keeps a tensor beside its state."""

    def __init__(self, groups: Any, config: Any) -> None:
        super().__init__(groups, config)
        self.momentum = torch.zeros(3)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """As its parent."""
        super().step()
        self.momentum.data.add_(1.0)


class Counting(AdamW):
    """Torch's own, fused, with a private number beside its state."""

    def __init__(self, groups: Any, config: Any) -> None:
        super().__init__(groups, lr=config.lr, fused=True)
        self._updates = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """As its parent."""
        self._updates += 1
        super().step()
