"""Generation of points of the plane: the toy on which lost modes can be counted."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core import DataError, UsageError
from zoo_core.contract import At, Batch, Dataset, EvaluationResult, SampleKey, TaskContext
from zoo_gan.configs.tasks import AdversarialConfig, SamplingOptions
from zoo_gan.datasets.points import judge
from zoo_gan.sampling import seed_of, seeded_latents
from zoo_gan.tasks.adversarial import AdversarialTask

Points = np.ndarray[Any, np.dtype[np.float64]]

SCALE = 4.0
"""The coordinates are divided by it, so that networks see values of about 1."""


@dataclass(frozen=True, kw_only=True)
class PointResult(EvaluationResult):
    """Points, two coordinates each."""

    made: list[list[float]]
    real: list[list[float]]


class PointGeneration(AdversarialTask):
    """The task on the 25 Gaussians and on the spiral."""

    monitor = ("high_quality", "max")
    together = 4096

    def __init__(self, config: AdversarialConfig, context: TaskContext) -> None:
        """Raises `UsageError` for augmentation, which is for images."""
        super().__init__(config, context)
        if config.augment:
            raise UsageError("task.augment is for images, not for points", hint="leave it out")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> PlanePoints:
        """The points; in evaluation each comes with the latent of the sample it is compared with."""
        return PlanePoints(samples, self.model.latent_dim)

    def real_samples(self, batch: Batch) -> Tensor:
        """(B, 2), scaled."""
        points: Tensor = batch["points"]
        return points

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> PointResult:
        """As many generated points as there are real ones."""
        made = modules["generator"](batch["latents"], None)
        return PointResult(made=(made * SCALE).tolist(), real=(batch["points"] * SCALE).tolist())

    def summarize(self, result: PointResult) -> dict[str, float]:
        """Share of generated points near the density, and share of its modes that were found."""
        return judge(_shape(_array(result.real)), _array(result.made))

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Real points, the most that can be reached, and points of one Gaussian fitted to the training split."""
        real = np.asarray(test, dtype=np.float64)
        shape = _shape(real)
        seen = np.asarray(train, dtype=np.float64)
        random = np.random.Generator(np.random.Philox(0))
        fitted = random.multivariate_normal(seen.mean(0), np.cov(seen.T), size=len(real))  # (2,), (2, 2) to (N, 2)
        return {"real points": judge(shape, real), "one Gaussian": judge(shape, fitted)}

    def read(self, item: Any, number: int, options: SamplingOptions) -> int:
        """The seed of a point. Raises `DataError` for what is no number."""
        return seed_of(item, options.seed, number)

    def answer(self, inputs: Sequence[int], options: SamplingOptions) -> list[dict[str, Any]]:
        """The point of each number: `x` and `y`."""
        latents = seeded_latents(inputs, self.model.latent_dim).to(self.device)
        return [{"x": x, "y": y} for x, y in (self.model.generator(latents, None) * SCALE).tolist()]

    def artifacts(self, modules: Mapping[str, nn.Module], result: PointResult) -> dict[str, bytes]:
        """`points.png`: generated points over real ones."""
        return {"points.png": scatter(_array(result.real), _array(result.made))}


def _array(points: Sequence[Sequence[float]]) -> Points:
    """(N, 2)."""
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


def _shape(real: Points) -> str:
    """Which density real points come from: only the Gaussians have points near the origin and at its corners."""
    scores = {shape: judge(shape, real)["high_quality"] for shape in ("gaussians", "swiss-roll")}
    return max(scores, key=lambda name: scores[name])


class PlanePoints(Dataset):
    """Scaled points (2,), each with a latent of its own."""

    def __init__(self, samples: Sequence[Any], latent_dim: int) -> None:
        """Raises `DataError` where a sample is no pair of numbers."""
        try:
            self.points = torch.tensor(np.asarray(samples, dtype=np.float32) / SCALE).reshape(-1, 2)
        except (TypeError, ValueError):
            raise DataError("points: expected pairs of numbers") from None
        self.latent_dim = latent_dim

    def __len__(self) -> int:
        return len(self.points)

    def sample(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        """A point (2,) and a latent (Z,), which is a function of `key`."""
        latent = key.generator().standard_normal(self.latent_dim, dtype=np.float32)
        return self.points[key.index], torch.from_numpy(latent)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`points` (B, 2) and `latents` (B, Z)."""
        points, latents = zip(*samples, strict=True)
        return {"points": torch.stack(points), "latents": torch.stack(latents)}


def scatter(real: np.ndarray[Any, Any], made: np.ndarray[Any, Any]) -> bytes:
    """PNG of generated points (N, 2) over real ones (M, 2)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_aspect("equal")
    finite = made[np.isfinite(made).all(1)]
    axes.scatter(real[:, 0], real[:, 1], s=4, c="#c8c8c8", linewidths=0)
    axes.scatter(finite[:, 0], finite[:, 1], s=4, c="#d95f02", linewidths=0)
    edge = 1.15 * float(np.abs(real).max())
    axes.set_xlim(-edge, edge)
    axes.set_ylim(-edge, edge)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
