"""The plugin module of the core's own data, losses, optimizers, samplers, adapters and exporters; free of torch like all."""

from __future__ import annotations

from zoo_core.contract.hookspecs import hookimpl
from zoo_core.contract.specs import (
    ANY,
    AdapterSpec,
    DataSpec,
    ExporterSpec,
    LoggerSpec,
    LossSpec,
    OptimizerSpec,
    SamplerSpec,
    ScheduleSpec,
)
from zoo_core.plugins.configs import (
    AdafactorConfig,
    AdagradConfig,
    AdamConfig,
    AdamwConfig,
    BalancedConfig,
    CrossEntropyConfig,
    LoraConfig,
    MuonConfig,
    OneCycleConfig,
    PenaltyConfig,
    ProgramConfig,
    RmspropConfig,
    ScheduleConfig,
    SgdConfig,
    WarmupStableDecayConfig,
)

zoo_api = (2, 0)


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Data sets that consist of others."""
    return [
        DataSpec(
            name="mixture",
            summary="several data sets as one, each met as often as its weight says",
            target="zoo_core.data.mixture:mix",
            config="zoo_core.data.options:MixtureConfig",
            samples=None,
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


@hookimpl
def zoo_exporters() -> list[ExporterSpec]:
    """What `zoo export` writes."""
    return [
        ExporterSpec(
            name="library",
            summary="a folder that the other library of the model's family opens",
            target="zoo_core.registry.convert:LibraryExporter",
        ),
        ExporterSpec(
            name="torch-program",
            summary="a program of torch.export, which torch alone runs, and what was measured of it",
            target="zoo_core.models.programs:ProgramExporter",
            config=ProgramConfig,
        ),
    ]
