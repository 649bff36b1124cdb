"""Data that comes with the plugin."""

from __future__ import annotations

from zoo_core.contract import DataSpec
from zoo_gan.specs.samples import POINT

DATA = [
    DataSpec(
        name="plane-points",
        summary="points of 25 Gaussians or of a spiral, drawn from a seed",
        target="zoo_gan.datasets.points:read_points",
        config="zoo_gan.configs.tasks:PointsConfig",
        modality="points",
        samples=POINT,
        license="CC0-1.0",
        source="drawn by zoo-gan",
    )
]
