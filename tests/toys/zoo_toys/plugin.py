"""What the toys offer to the core."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_core import AdapterSpec, DataSpec, LossSpec, ModelSpec, OptimizerSpec, SampleType, TaskSpec, hookimpl
from zoo_core.data import BadSamples

zoo_api = (2, 0)

POINT = SampleType(name="point", fields=("place", "label"))
FRAMES = SampleType(name="frames", fields=("frames", "symbols"))

STATEFUL = {
    "mean-teacher": "MeanTeacher",
    "distilled": "Distilled",
    "remembers": "Remembers",
    "undeclared": "Undeclared",
    "queue": "Queue",
    "late": "Late",
    "closed": "Closed",
    "drawn": "Drawn",
    "counting": "Counting",
    "busy": "Busy",
    "iterating": "Iterating",
    "lower": "Lower",
    "sometimes": "Sometimes",
    "infinite": "Infinite",
}
"""Tasks that keep state, or misbehave, by name."""

SKETCHES = {
    "point-kinds": "PointKinds",
    "point-teacher": "PointTeacher",
    "point-radius": "PointRadius",
    "pairs": "Pairs",
    "point-walk": "PointWalk",
    "mirrored": "Mirrored",
}
"""Tasks as an author writes them, by name."""

SKETCH_LOSSES = {"point-radius": ("squared", ("found", "true")), "mirrored": ("info-nce", ("first", "second"))}
"""The losses, and what they take, of those that are no classifiers."""

OPTIMIZERS = {
    "grouped": "Grouped",
    "schedule-free": "ScheduleFree",
    "opaque": "Opaque",
    "hidden": "Hidden",
    "counting": "Counting",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MlpConfig:
    """A multi-layer perceptron."""

    inputs: int = 2
    hidden: int = 16
    dropout: float = 0.0
    normalise: bool = False
    """Batch normalisation after the first layer: running statistics are buffers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairConfig:
    """Two networks in one checkpoint."""

    latent: int = 4
    hidden: int = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrentConfig:
    """A recurrent network over frames."""

    features: int = 3
    hidden: int = 12
    symbols: int = 4


class PointsConfig(BadSamples):
    """Points of the plane in two classes."""

    samples: int = 64
    labels: tuple[str, ...] = ("inner", "outer")
    jitter: float = 0.0
    """Spread of the noise that each draw of a training sample gets."""
    poison: int = -1
    """Number of a training sample that is not finite; none if negative."""
    spoiled: tuple[int, ...] = ()
    """Numbers of training samples that turn out to be bad when they are drawn."""
    file: str = ""
    """A file that belongs to the data and whose bytes are part of its digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleConfig:
    """How the scale of points is learned."""

    margin: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FramesConfig:
    """Frames of varying number, each sequence with a shorter sequence of symbols."""

    samples: int = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparatingConfig:
    """Two networks against each other."""

    penalty: float = 1.0
    every: int = 4


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Three families."""
    return [
        ModelSpec(
            name="mlp",
            summary="perceptron",
            target="zoo_toys.parts:build_mlp",
            config=MlpConfig,
            modality="points",
            sizes={"tiny": {}, "wide": {"hidden": 64}},
            tasks=("point-classification", "careless", *STATEFUL, *SKETCHES),
            head=("head.",),
            backbone="body.",
            layers=r"blocks\.(\d+)\.",
            adapt="zoo_toys.parts:adapt_mlp",
            license="Apache-2.0",
        ),
        ModelSpec(
            name="scaled",
            summary="perceptron on scaled points",
            target="zoo_toys.parts:build_mlp",
            config=MlpConfig,
            preprocessor="zoo_toys.parts:Scale",
            preprocessor_config=ScaleConfig,
            modality="points",
            sizes={"tiny": {}},
            tasks=("point-classification", *STATEFUL),
            head=("head.",),
            backbone="body.",
        ),
        ModelSpec(
            name="pair",
            summary="two networks",
            target="zoo_toys.parts:build_pair",
            config=PairConfig,
            modality="points",
            sizes={"tiny": {}},
            tasks=("point-generation",),
        ),
        ModelSpec(
            name="recurrent",
            summary="recurrent network",
            target="zoo_toys.parts:build_recurrent",
            config=RecurrentConfig,
            modality="frames",
            sizes={"tiny": {}},
            tasks=("frame-transcription",),
        ),
    ]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Two types of samples."""
    return [
        DataSpec(name="points", summary="rings", target="zoo_toys.parts:Points", config=PointsConfig, samples=POINT),
        DataSpec(name="frames", summary="frames", target="zoo_toys.parts:Frames", config=FramesConfig, samples=FRAMES),
    ]


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """A single loss, two networks against each other, and a sequence loss."""
    return [
        TaskSpec(
            name="point-classification",
            summary="tell rings apart",
            target="zoo_toys.parts:Classification",
            reads=(POINT,),
            labelled=True,
            loss="cross-entropy",
            loss_inputs=("logits", "labels"),
            outputs=("label", "score"),
        ),
        TaskSpec(
            name="point-generation",
            summary="draw points like the data's",
            target="zoo_toys.parts:Generation",
            config=SeparatingConfig,
            reads=(POINT,),
            labelled=False,
            loss="adversarial-critic",
            loss_inputs=("real", "fake"),
        ),
        TaskSpec(
            name="frame-transcription",
            summary="symbols from frames",
            target="zoo_toys.parts:Transcription",
            reads=(FRAMES,),
            labelled=False,
        ),
        *(
            TaskSpec(
                name=name,
                summary="points, with state",
                target=f"zoo_toys.stateful:{cls}",
                reads=(POINT,),
                labelled=True,
                loss="cross-entropy",
                loss_inputs=("logits", "labels"),
            )
            for name, cls in STATEFUL.items()
        ),
        *(
            TaskSpec(
                name=name,
                summary="an author's task",
                target=f"zoo_toys.sketches:{cls}",
                reads=(POINT,),
                labelled=True,
                loss=SKETCH_LOSSES.get(name, ("cross-entropy", ""))[0],
                loss_inputs=SKETCH_LOSSES.get(name, ("", ("logits", "labels")))[1],
            )
            for name, cls in SKETCHES.items()
        ),
    ]


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """Of numbers, and of pairs."""
    return [
        LossSpec(name="info-nce", summary="pairs", target="zoo_toys.sketches:info_nce", inputs=("first", "second")),
        LossSpec(name="squared", summary="squared error", target="zoo_toys.parts:squared", inputs=("found", "true")),
    ]


@hookimpl
def zoo_optimizers() -> list[OptimizerSpec]:
    """Optimizers that keep state in other places than torch's."""
    return [
        OptimizerSpec(
            name=name,
            summary="a toy",
            target=f"zoo_toys.optimizers:{cls}",
            config="zoo_toys.optimizers:ToyOptimizerConfig",
        )
        for name, cls in OPTIMIZERS.items()
    ]


@hookimpl
def zoo_adapters() -> list[AdapterSpec]:
    """One that trains biases, and one that breaks its promise."""
    return [
        AdapterSpec(name="biases", summary="biases alone", target="zoo_toys.adapters:Biases"),
        AdapterSpec(name="forgetful", summary="merges nothing", target="zoo_toys.adapters:Forgetful"),
    ]
