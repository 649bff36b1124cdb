"""Settings of the core's own losses, optimizers, schedules, adapters, samplers and exporters."""

from __future__ import annotations

from typing import Literal

from zoo_core.contract.config import Config, NonNegativeFloat, PositiveFloat, PositiveInt, ProperShare, Share


class CrossEntropyConfig(Config):
    """Settings of `cross-entropy`."""

    label_smoothing: ProperShare = 0.0
    """Share of the probability that is spread evenly over all classes."""
    ignore_index: int = -100
    """Integer labels of this value count neither in the sum nor in the weight."""


class PenaltyConfig(Config):
    """Settings of `l1-penalty` and `l2-penalty`."""

    strength: NonNegativeFloat = 1e-4
    """Factor of the norm."""


class OptimizerConfig(Config):
    """What every optimizer has."""

    lr: PositiveFloat = 1e-3
    """Peak learning rate; the schedule scales it."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of tensors with two dimensions or more."""


class SgdConfig(OptimizerConfig):
    """Settings of `sgd`."""

    lr: PositiveFloat = 1e-2
    """Peak learning rate."""
    momentum: ProperShare = 0.9
    """Share of the last update that is kept."""
    nesterov: bool = False
    """Whether to look ahead along the momentum; needs one."""

    def check(self) -> None:
        """Looking ahead needs a momentum."""
        self.require("nesterov", "false without momentum", self.momentum > 0.0 or not self.nesterov)


class AdamConfig(OptimizerConfig):
    """Settings of `adam`, whose weight decay is part of the gradient."""

    betas: tuple[ProperShare, ProperShare] = (0.9, 0.999)
    """How slowly the averages of the gradient and of its square forget."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""


class AdamwConfig(AdamConfig):
    """Settings of `adamw`, whose weight decay acts on the weights themselves."""

    weight_decay: NonNegativeFloat = 1e-2
    """Share of the weights, times the learning rate, that is taken off at each step."""


class RmspropConfig(OptimizerConfig):
    """Settings of `rmsprop`."""

    alpha: ProperShare = 0.99
    """How slowly the average of the squared gradient forgets."""
    momentum: ProperShare = 0.0
    """Share of the last update that is kept."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""


class AdagradConfig(OptimizerConfig):
    """Settings of `adagrad`."""

    lr: PositiveFloat = 1e-2
    """Peak learning rate."""
    eps: PositiveFloat = 1e-10
    """Added to the denominator."""


class AdafactorConfig(OptimizerConfig):
    """Settings of `adafactor`."""

    lr: PositiveFloat = 1e-2
    """Peak learning rate relative to the size of the weights."""


class MuonConfig(OptimizerConfig):
    """Settings of `muon`."""

    lr: PositiveFloat = 0.02
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.1
    """Share of the weights, times the learning rate, that is taken off at each step."""
    momentum: ProperShare = 0.95
    """How slowly the average of the gradient forgets."""
    nesterov: bool = True
    """Whether to look ahead along the momentum."""
    ns_steps: PositiveInt = 5
    """Newton-Schulz steps, which bring the momentum's singular values near 1."""
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = "original"
    """Factor on the rate by a matrix's shape: the root of rows over columns where that is above 1, or what makes updates as
    large as those of AdamW, so that its rate and weight decay serve (Liu et al., 2025, arXiv:2502.16982)."""


class ScheduleConfig(Config):
    """Settings of `constant`, `linear`, `cosine` and `inverse-sqrt`."""

    warmup: NonNegativeFloat = 0.06
    """Warm-up, as a share of the run below 1 and as a number of steps from 1 on."""
    final: Share = 0.0
    """Learning rate at the end, as a share of the base rate."""


class WarmupStableDecayConfig(ScheduleConfig):
    """Settings of `warmup-stable-decay`."""

    decay: NonNegativeFloat = 0.1
    """Steps at the end in which the rate falls, as a share of the run below 1 and as a number of steps from 1 on."""


class OneCycleConfig(ScheduleConfig):
    """Settings of `one-cycle`."""

    warmup: NonNegativeFloat = 0.3
    """Steps in which the rate rises, as a share of the run below 1 and as a number of steps from 1 on."""
    start: Share = 0.04
    """Learning rate of the first step, as a share of the base rate."""
    final: Share = 0.0
    """Learning rate of the last step, as a share of the base rate."""


class LoraConfig(Config):
    """Settings of `lora`."""

    targets: tuple[str, ...] = ("*",)
    """Linear layers to adapt: their own words in the model, like `query`, or shell patterns of their whole names. By default
    all of them outside the head."""
    r: PositiveInt = 8
    """Rank of the difference."""
    alpha: PositiveFloat = 16.0
    """The difference is multiplied by alpha / r."""

    def check(self) -> None:
        """There is something to adapt."""
        self.require("targets", "at least one word", bool(self.targets))


class BalancedConfig(Config):
    """Settings of `balanced`."""

    exponent: Share = 0.0
    """A class of n samples has a share of the draws that goes with n to this power: 0 for equal shares, 0.5 for the square
    root, 1 for the shares that the data has."""


class ProgramConfig(Config):
    """Settings of `torch-program`."""

    tolerance: PositiveFloat = 1e-4
    """How far the program's numbers may be from the model's, as a share of the largest; one that is farther isn't kept."""
