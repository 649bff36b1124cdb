"""What the benchmarks train: two tiny models, so that the loop's own time shows, and drawn data for them and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_core import Data, Dataset, DataSpec, Head, ModelSpec, Phase, SampleKey, StepOutput, Task, TaskSpec, hookimpl
from zoo_core.contract import At, EvaluationResult, SampleType

zoo_api = (2, 0)

_IMAGE = SampleType(name="image", fields=("image",))
_VECTORS = SampleType(name="vectors", fields=("vector", "label"))

FEATURES, CLASSES, LATENT = 32, 4, 16


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """Both models."""

    hidden: int = 64
    """Width of the inner layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorsConfig:
    """Random vectors of random classes."""

    samples: int = 8192
    """Vectors in the training split."""


class Vectors(Data):
    """Numbers of samples; what they stand for is drawn by the data set."""

    labels = tuple(f"class-{number}" for number in range(CLASSES))

    def __init__(self, config: VectorsConfig) -> None:
        self.config = config

    def splits(self) -> tuple[str, ...]:
        """Training only: nothing is evaluated here."""
        return ("train",)

    def samples(self, split: str) -> Sequence[int]:
        """The numbers."""
        return range(self.config.samples)

    def digest(self) -> str:
        """The drawing is fixed by the number of samples."""
        return str(self.config.samples)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesConfig:
    """Grey images of noise."""

    samples: int = 8192
    """Images in the training split."""
    image_size: int = 28
    """Side in pixels."""


class Image(NamedTuple):
    """A sample of tasks on images."""

    image: np.ndarray[Any, Any]
    """uint8 (S, S, 1)."""


class Images(Data):
    """Noise: a step takes as long on it as on anything else."""

    def __init__(self, config: ImagesConfig) -> None:
        self.config = config

    def splits(self) -> tuple[str, ...]:
        """Training only: nothing is evaluated here."""
        return ("train",)

    def samples(self, split: str) -> Sequence[Image]:
        """The same images every time."""
        side = self.config.image_size
        noise = np.random.default_rng(0).integers(0, 256, (self.config.samples, side, side, 1), dtype=np.uint8)
        return [Image(image) for image in noise]

    def digest(self) -> str:
        """The drawing is fixed by number and size."""
        return f"{self.config.samples} of {self.config.image_size}"


class VectorSet(Dataset):
    """Drawn vectors, classes and latent vectors, gathered a batch at a time."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.vectors = torch.randn(count, FEATURES, generator=generator)
        self.targets = torch.randint(0, CLASSES, (count,), generator=generator)
        self.latent = torch.randn(count, LATENT, generator=generator)

    def __len__(self) -> int:
        return len(self.vectors)

    def sample(self, key: SampleKey) -> int:
        """The sample's number: `collate` gathers whole batches, which is the fastest way."""
        return key.index

    def collate(self, samples: list[int]) -> dict[str, Tensor]:
        """`vectors` (B, 32), `labels` (B,) and `latent` (B, 16)."""
        rows = torch.tensor(samples)
        return {"vectors": self.vectors[rows], "labels": self.targets[rows], "latent": self.latent[rows]}


def build_mlp(config: NetworkConfig, head: Head) -> nn.Module:
    """(B, 32) to (B, 4)."""
    return nn.Sequential(nn.Linear(FEATURES, config.hidden), nn.GELU(), nn.Linear(config.hidden, CLASSES))


def build_pair(config: NetworkConfig, head: Head) -> nn.Module:
    """A generator (B, 16) to (B, 32) and a discriminator (B, 32) to (B, 1)."""
    generator = nn.Sequential(nn.Linear(LATENT, config.hidden), nn.GELU(), nn.Linear(config.hidden, FEATURES))
    discriminator = nn.Sequential(nn.Linear(FEATURES, config.hidden), nn.GELU(), nn.Linear(config.hidden, 1))
    return nn.ModuleDict({"generator": generator, "discriminator": discriminator})


class _Unevaluated(Task):
    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        return VectorSet(len(samples))

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any, at: At) -> EvaluationResult:
        raise NotImplementedError

    def summarize(self, result: Any) -> dict[str, float]:
        raise NotImplementedError


class Classification(_Unevaluated):
    """One phase, the core's cross-entropy."""

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Cross-entropy of the vectors' classes."""
        return StepOutput(*self.loss(modules["model"](batch["vectors"]), batch["labels"]))


class Generation(_Unevaluated):
    """Two phases with an optimizer each (Goodfellow et al., 2014, the non-saturating loss)."""

    phases = (
        Phase(name="discriminate", trains=("discriminator",), optimizer="discriminator"),
        Phase(name="generate", trains=("generator",), optimizer="generator"),
    )

    def modules(self) -> dict[str, nn.Module]:
        """Children of the checkpoint's one module."""
        return dict(self.model.named_children())

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """The loss of the network whose turn it is."""
        generator, discriminator, real = modules["generator"], modules["discriminator"], batch["vectors"]
        if phase == "generate":
            return StepOutput(F.softplus(-discriminator(generator(batch["latent"]))).sum(), len(real))
        with torch.no_grad():
            fake = generator(batch["latent"])
        loss = F.softplus(-discriminator(real)).sum() + F.softplus(discriminator(fake)).sum()
        return StepOutput(loss, len(real))


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Two."""
    common: Mapping[str, Any] = {"config": NetworkConfig, "modality": "vectors", "sizes": {"tiny": {}}}
    return [
        ModelSpec(
            name="mlp",
            summary="perceptron",
            target="bench_plugin:build_mlp",
            tasks=("vector-classification",),
            **common,
        ),
        ModelSpec(
            name="pair",
            summary="two networks",
            target="bench_plugin:build_pair",
            tasks=("vector-generation",),
            **common,
        ),
    ]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Two."""
    return [
        DataSpec(
            name="vectors", summary="random", target="bench_plugin:Vectors", config=VectorsConfig, samples=_VECTORS
        ),
        DataSpec(
            name="images",
            summary="noise",
            target="bench_plugin:Images",
            config=ImagesConfig,
            samples=_IMAGE,
        ),
    ]


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """One with one optimizer, one with two."""
    return [
        TaskSpec(
            name="vector-classification",
            summary="classes of vectors",
            target="bench_plugin:Classification",
            reads=(_VECTORS,),
            labelled=True,
            loss="cross-entropy",
            loss_inputs=("logits", "labels"),
        ),
        TaskSpec(
            name="vector-generation",
            summary="vectors like the data's",
            target="bench_plugin:Generation",
            reads=(_VECTORS,),
            labelled=False,
        ),
    ]
