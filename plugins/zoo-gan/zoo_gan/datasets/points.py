"""Points of the plane whose density is known, and what share of other points could have come from it.

Sources: the grid of 25 Gaussians and the spiral of Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017,
section 5.1 and figure 1; modes and high-quality samples are counted as in Dieng et al., Prescribed GANs, 2019, section 5.1:
a sample is of high quality within three deviations of the nearest mode, a mode is covered if such a sample is nearest to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_core.data import SplitData
from zoo_gan.configs.tasks import PointsConfig

DEVIATION = 0.05
"""Of each Gaussian, and of the spiral's noise."""
_HIGH_QUALITY = 3.0
"""Deviations from the nearest mode, or from the spiral."""

Floats = NDArray[np.float64]


class Point(NamedTuple):
    """A point of the plane."""

    x: float
    y: float


def read_points(config: PointsConfig) -> SplitData:
    """Points for training, and a tenth as many for validation and for the test."""
    random = np.random.Generator(np.random.Philox(config.seed))
    draw = {"gaussians": draw_gaussians, "swiss-roll": draw_spiral}[config.shape]
    counts = {"train": config.samples, "validation": config.samples // 10, "test": config.samples // 10}
    splits = {split: [Point(*pair) for pair in draw(random, count).tolist()] for split, count in counts.items()}
    return SplitData("points", splits, lambda: (np.asarray(part, dtype="<f8").tobytes() for part in splits.values()))


def modes() -> Floats:
    """Centres (25, 2) of the Gaussians: a grid from -4 to 4."""
    steps = np.arange(-2, 3) * 2.0
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)


def draw_gaussians(random: np.random.Generator, count: int) -> Floats:
    """(count, 2) points, each Gaussian being as likely as any other."""
    centres = modes()
    return centres[random.integers(len(centres), size=count)] + DEVIATION * random.standard_normal((count, 2))


def draw_spiral(random: np.random.Generator, count: int) -> Floats:
    """(count, 2) points on one and a half turns, evenly in angle, with noise."""
    angles = np.pi * 1.5 * (1 + 2 * random.random(count))
    return spiral(angles) + DEVIATION * random.standard_normal((count, 2))


def spiral(angles: Floats) -> Floats:
    """The points (N, 2) of the noiseless spiral at angles from 1.5 π to 4.5 π."""
    return np.stack((angles * np.cos(angles), angles * np.sin(angles)), -1) / 4.0


def judge(shape: str, points: Floats) -> dict[str, float]:
    """What the points (N, 2) show: `high_quality`, their share near the density, and `covered`, the share of modes found.

    The spiral counts as 100 pieces of equal angle. Points that are not finite are of no quality.
    """
    centres = modes() if shape == "gaussians" else spiral(np.linspace(1.5 * np.pi, 4.5 * np.pi, 1000))
    pieces = len(centres) if shape == "gaussians" else 100
    finite = np.isfinite(points).all(1)
    kept = points[finite]
    if not len(kept):
        return {"high_quality": 0.0, "covered": 0.0}
    distance = np.sqrt(((kept[:, None, :] - centres[None]) ** 2).sum(-1))  # (N, M)
    nearest = distance.argmin(1)
    good = distance.min(1) <= _HIGH_QUALITY * DEVIATION
    found = np.unique(nearest[good] * pieces // len(centres))
    return {"high_quality": float(good.sum() / len(points)), "covered": len(found) / pieces}
