"""The plugin module of the core's own losses and optimizers; free of torch like everybody's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo_core.contract.hookspecs import hookimpl
from zoo_core.contract.specs import LossSpec, OptimizerSpec

zoo_api = (2, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropyConfig:
    """Settings of `cross-entropy`."""

    label_smoothing: float = 0.0
    """Share of the probability, in [0, 1), that is spread evenly over all classes."""
    ignore_index: int = -100
    """Integer labels of this value count neither in the sum nor in the weight."""

    def __post_init__(self) -> None:
        """Raise ValueError for a share outside [0, 1)."""
        _require(0.0 <= self.label_smoothing < 1.0, "label_smoothing", "in [0, 1)", self.label_smoothing)


@dataclass(frozen=True, kw_only=True, slots=True)
class PenaltyConfig:
    """Settings of `l1-penalty` and `l2-penalty`."""

    strength: float = 1e-4
    """Factor of the norm, >= 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for a strength that is negative or not finite."""
        _require(math.isfinite(self.strength) and self.strength >= 0.0, "strength", "finite and >= 0", self.strength)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """What every optimizer has."""

    lr: float = 1e-3
    """Peak learning rate, > 0; the schedule scales it."""
    weight_decay: float = 0.0
    """Weight decay of tensors with two dimensions or more, >= 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for a rate or a decay that can't be meant."""
        _require(math.isfinite(self.lr) and self.lr > 0.0, "lr", "finite and > 0", self.lr)
        decay = self.weight_decay
        _require(math.isfinite(decay) and decay >= 0.0, "weight_decay", "finite and >= 0", decay)


@dataclass(frozen=True, kw_only=True, slots=True)
class SgdConfig(OptimizerConfig):
    """Settings of `sgd`."""

    lr: float = 1e-2
    """Peak learning rate, > 0."""
    momentum: float = 0.9
    """Share of the last update that is kept, in [0, 1)."""
    nesterov: bool = False
    """Whether to look ahead along the momentum; needs one."""

    def __post_init__(self) -> None:
        """Raise ValueError for settings that can't be meant."""
        OptimizerConfig.__post_init__(self)
        _require(0.0 <= self.momentum < 1.0, "momentum", "in [0, 1)", self.momentum)
        _require(self.momentum > 0.0 or not self.nesterov, "nesterov", "false without momentum", self.nesterov)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamConfig(OptimizerConfig):
    """Settings of `adam`, whose weight decay is part of the gradient."""

    betas: tuple[float, float] = (0.9, 0.999)
    """How slowly the averages of the gradient and of its square forget, each in [0, 1)."""
    eps: float = 1e-8
    """Added to the denominator, > 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for settings that can't be meant."""
        OptimizerConfig.__post_init__(self)
        _require(len(self.betas) == 2, "betas", "two numbers", self.betas)
        _require(all(0.0 <= beta < 1.0 for beta in self.betas), "betas", "in [0, 1)", self.betas)
        _require_positive("eps", self.eps)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamwConfig(AdamConfig):
    """Settings of `adamw`, whose weight decay acts on the weights themselves."""

    weight_decay: float = 1e-2
    """Share of the weights, times the learning rate, that is taken off at each step, >= 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RmspropConfig(OptimizerConfig):
    """Settings of `rmsprop`."""

    alpha: float = 0.99
    """How slowly the average of the squared gradient forgets, in [0, 1)."""
    momentum: float = 0.0
    """Share of the last update that is kept, in [0, 1)."""
    eps: float = 1e-8
    """Added to the denominator, > 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for settings that can't be meant."""
        OptimizerConfig.__post_init__(self)
        _require(0.0 <= self.alpha < 1.0, "alpha", "in [0, 1)", self.alpha)
        _require(0.0 <= self.momentum < 1.0, "momentum", "in [0, 1)", self.momentum)
        _require_positive("eps", self.eps)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdagradConfig(OptimizerConfig):
    """Settings of `adagrad`."""

    lr: float = 1e-2
    """Peak learning rate, > 0."""
    eps: float = 1e-10
    """Added to the denominator, > 0."""

    def __post_init__(self) -> None:
        """Raise ValueError for settings that can't be meant."""
        OptimizerConfig.__post_init__(self)
        _require_positive("eps", self.eps)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdafactorConfig(OptimizerConfig):
    """Settings of `adafactor`."""

    lr: float = 1e-2
    """Peak learning rate relative to the size of the weights, > 0."""


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """Losses that know nothing of what they are computed from, and penalties on the weights."""
    return [
        LossSpec(
            name="cross-entropy",
            summary="negative log-likelihood of classes, with label smoothing",
            target="zoo_core.tasks.losses:cross_entropy",
            config=CrossEntropyConfig,
            inputs=("logits", "labels"),
            paper="label smoothing: Szegedy et al., 2016, section 7, arXiv:1512.00567",
        ),
        LossSpec(
            name="adversarial-critic",
            summary="critic's scores of real samples less those of generated ones, D(x) - D(G(z))",
            target="zoo_core.tasks.losses:adversarial_critic",
            inputs=("real", "fake"),
            paper="Arjovsky et al., 2017, eq. (2), arXiv:1701.07875",
        ),
        LossSpec(
            name="mean-squared-error",
            summary="squared difference",
            target="zoo_core.tasks.losses:mean_squared_error",
            inputs=("predicted", "target"),
        ),
        LossSpec(
            name="l1",
            summary="absolute difference",
            target="zoo_core.tasks.losses:l1",
            inputs=("predicted", "target"),
        ),
        LossSpec(
            name="l1-penalty",
            summary="absolute values of the parameters, a regularisation term",
            target="zoo_core.tasks.losses:l1_penalty",
            config=PenaltyConfig,
            inputs=("parameters",),
            paper="Tibshirani, 1996, eq. (1)",
        ),
        LossSpec(
            name="l2-penalty",
            summary="squares of the parameters, a regularisation term",
            target="zoo_core.tasks.losses:l2_penalty",
            config=PenaltyConfig,
            inputs=("parameters",),
            paper="Hoerl and Kennard, 1970",
        ),
    ]


@hookimpl
def zoo_optimizers() -> list[OptimizerSpec]:
    """Optimizers that torch has; a plugin may bring others."""
    return [
        OptimizerSpec(
            name="sgd",
            summary="stochastic gradient descent with momentum",
            target="zoo_core.training.optim:build_sgd",
            config=SgdConfig,
            paper="Sutskever et al., 2013",
        ),
        OptimizerSpec(
            name="adam",
            summary="adaptive moments, weight decay in the gradient",
            target="zoo_core.training.optim:build_adam",
            config=AdamConfig,
            paper="Kingma and Ba, 2015, algorithm 1, arXiv:1412.6980",
        ),
        OptimizerSpec(
            name="adamw",
            summary="adaptive moments, weight decay on the weights",
            target="zoo_core.training.optim:build_adamw",
            config=AdamwConfig,
            paper="Loshchilov and Hutter, 2019, algorithm 2, arXiv:1711.05101",
        ),
        OptimizerSpec(
            name="rmsprop",
            summary="gradient over a moving average of its size",
            target="zoo_core.training.optim:build_rmsprop",
            config=RmspropConfig,
            paper="Tieleman and Hinton, 2012, lecture 6.5",
        ),
        OptimizerSpec(
            name="adagrad",
            summary="gradient over the root of the sum of its squares",
            target="zoo_core.training.optim:build_adagrad",
            config=AdagradConfig,
            paper="Duchi et al., 2011",
        ),
        OptimizerSpec(
            name="adafactor",
            summary="adaptive rates from row and column sums, small state",
            target="zoo_core.training.optim:build_adafactor",
            config=AdafactorConfig,
            paper="Shazeer and Stern, 2018, arXiv:1804.04235",
        ),
    ]


def _require(holds: bool, name: str, wanted: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {wanted}, found {found}")


def _require_positive(name: str, value: float) -> None:
    _require(math.isfinite(value) and value > 0.0, name, "finite and > 0", value)
