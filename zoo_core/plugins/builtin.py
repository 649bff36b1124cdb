"""The plugin module of the core's own data, losses, optimizers, samplers and adapters; free of torch like everybody's."""

from __future__ import annotations

from typing import Literal

from zoo_core.contract.config import Config, NonNegativeFloat, PositiveFloat, PositiveInt, ProperShare, Share
from zoo_core.contract.hookspecs import hookimpl
from zoo_core.contract.specs import (
    ANY,
    AdapterSpec,
    DataSpec,
    LoggerSpec,
    LossSpec,
    OptimizerSpec,
    SamplerSpec,
    ScheduleSpec,
)

zoo_api = (2, 0)


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


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Data sets that consist of others."""
    return [
        DataSpec(
            name="mixture",
            summary="several data sets as one, each met as often as its weight says",
            target="zoo_core.data.mixture:mix",
            config="zoo_core.data.options:MixtureConfig",
            kind="",
            opens=(ANY,),
        )
    ]


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
        OptimizerSpec(
            name="muon",
            summary="momentum made orthogonal, for the matrices of hidden layers",
            target="zoo_core.training.optim:build_muon",
            config=MuonConfig,
            dimensions=(2,),
            paper="Jordan et al., 2024, Muon: an optimizer for hidden layers in neural networks",
        ),
    ]


@hookimpl
def zoo_schedules() -> list[ScheduleSpec]:
    """How the learning rate moves over a run."""
    return [
        ScheduleSpec(
            name="constant",
            summary="the base rate after a warm-up",
            target="zoo_core.config.schedules:constant",
            config=ScheduleConfig,
        ),
        ScheduleSpec(
            name="linear",
            summary="down to the end in a line",
            target="zoo_core.config.schedules:linear",
            config=ScheduleConfig,
        ),
        ScheduleSpec(
            name="cosine",
            summary="down to the end by half a cosine",
            target="zoo_core.config.schedules:cosine",
            config=ScheduleConfig,
            paper="Loshchilov and Hutter, SGDR, 2017, eq. (5), one cycle, arXiv:1608.03983",
        ),
        ScheduleSpec(
            name="inverse-sqrt",
            summary="over the root of the step, whatever the end",
            target="zoo_core.config.schedules:inverse_sqrt",
            config=ScheduleConfig,
            paper="Vaswani et al., 2017, eq. (3), scaled to 1 at the end of warm-up, arXiv:1706.03762",
        ),
        ScheduleSpec(
            name="warmup-stable-decay",
            summary="the base rate for most of the run, then down in a line",
            target="zoo_core.config.schedules:warmup_stable_decay",
            config=WarmupStableDecayConfig,
            paper="Hu et al., MiniCPM, 2024, section 4.2, arXiv:2404.06395",
        ),
        ScheduleSpec(
            name="one-cycle",
            summary="up to the base rate and down far below where it began",
            target="zoo_core.config.schedules:one_cycle",
            config=OneCycleConfig,
            paper="Smith and Topin, Super-Convergence, 2018, arXiv:1708.07120",
        ),
    ]


@hookimpl
def zoo_adapters() -> list[AdapterSpec]:
    """Ways to store a fine-tuned model as a small difference."""
    return [
        AdapterSpec(
            name="head",
            summary="a head on a backbone that stays as it is",
            target="zoo_core.models.adapters:HeadOnly",
        ),
        AdapterSpec(
            name="lora",
            summary="a product of two thin matrices added to the weights of linear layers",
            target="zoo_core.models.adapters:Lora",
            config=LoraConfig,
            paper="Hu et al., 2021, eq. (3), arXiv:2106.09685",
        ),
    ]


@hookimpl
def zoo_samplers() -> list[SamplerSpec]:
    """Each sample once, which is what a recipe without a sampler has, and classes by shares of their own."""
    return [
        SamplerSpec(
            name="shuffled",
            summary="each sample once, in an order that seed and epoch draw; what a recipe has that names none",
            target="zoo_core.data.sampling:shuffled",
        ),
        SamplerSpec(
            name="balanced",
            summary="classes with equal shares, or nearer to them than in the data, however many samples each has",
            target="zoo_core.data.sampling:balanced",
            config=BalancedConfig,
            paper="Kang et al., 2020, eq. (1), arXiv:1910.09217",
        ),
    ]


@hookimpl
def zoo_loggers() -> list[LoggerSpec]:
    """A table."""
    return [
        LoggerSpec(
            name="csv",
            summary="figures as a table, a row for each",
            target="zoo_core.plugins.csv_logger:CsvLogger",
            config="zoo_core.plugins.csv_logger:CsvConfig",
        )
    ]
