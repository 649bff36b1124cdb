"""What the toys offer to the core."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_core import DataSpec, ModelSpec, TaskSpec, hookimpl

zoo_api = (1, 0)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class PointsConfig:
    """Points of the plane in two classes."""

    samples: int = 64
    labels: tuple[str, ...] = ("inner", "outer")
    jitter: float = 0.0
    """Spread of the noise that each draw of a training sample gets."""
    poison: int = -1
    """Number of a training sample that is not finite; none if negative."""


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
            target="zoo_old.parts:build_mlp",
            config=MlpConfig,
            modality="points",
            sizes={"tiny": {}, "wide": {"hidden": 64}},
            tasks=("point-classification",),
            head=("head.",),
            backbone="body.",
            layers=r"blocks\.(\d+)\.",
            adapt="zoo_old.parts:adapt_mlp",
            license="Apache-2.0",
        ),
        ModelSpec(
            name="pair",
            summary="two networks",
            target="zoo_old.parts:build_pair",
            config=PairConfig,
            modality="points",
            sizes={"tiny": {}},
            tasks=("point-generation",),
        ),
        ModelSpec(
            name="recurrent",
            summary="recurrent network",
            target="zoo_old.parts:build_recurrent",
            config=RecurrentConfig,
            modality="frames",
            sizes={"tiny": {}},
            tasks=("frame-transcription",),
        ),
    ]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Two kinds of samples."""
    return [
        DataSpec(name="points", summary="rings", target="zoo_old.parts:Points", config=PointsConfig, kind="points"),
        DataSpec(name="frames", summary="frames", target="zoo_old.parts:Frames", config=FramesConfig, kind="frames"),
    ]


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """A single loss, two networks against each other, and a sequence loss."""
    return [
        TaskSpec(
            name="point-classification",
            summary="tell rings apart",
            target="zoo_old.parts:Classification",
            data=("points",),
            labelled=True,
            loss="cross-entropy",
            loss_inputs=("logits", "labels"),
            outputs=("label", "score"),
        ),
        TaskSpec(
            name="point-generation",
            summary="draw points like the data's",
            target="zoo_old.parts:Generation",
            config=SeparatingConfig,
            data=("points",),
            labelled=False,
            loss="adversarial-critic",
            loss_inputs=("real", "fake"),
        ),
        TaskSpec(
            name="frame-transcription",
            summary="symbols from frames",
            target="zoo_old.parts:Transcription",
            data=("frames",),
            labelled=False,
        ),
    ]
