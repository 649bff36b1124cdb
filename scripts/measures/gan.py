"""What the README claims of zoo-gan."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from measures.common import mean_and_sd

from zoo_core import open_zoo, train

LOSSES: dict[str, dict[str, float]] = {
    "gan-minimax": {},
    "gan-non-saturating": {},
    "gan-least-squares": {},
    "gan-hinge": {},
    "gan-wasserstein": {"gradient_penalty": 1.0},
    "gan-relativistic": {"r1": 0.1, "r2": 0.1},
}
"""Losses with the regularisers that belong to them."""
SHAPES = ("gaussians", "swiss-roll")
SEEDS = (0, 1, 2, 3, 4)
STEPS = 3000


def toys() -> dict[str, Any]:
    """Every loss on 25 Gaussians and on a spiral, 5 seeds each: modes covered and samples of high quality."""
    cases = list(product(LOSSES, SHAPES, SEEDS))
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        found = dict(zip(cases, workers.map(_toy, *zip(*cases, strict=True)), strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for loss, shape in product(LOSSES, SHAPES):
        runs = [found[loss, shape, seed] for seed in SEEDS]
        rows.setdefault(loss, {})[shape] = {
            metric: mean_and_sd([round(run[metric], 4) for run in runs]) for metric in ("covered", "high_quality")
        }
    covered = {loss: [row[shape]["covered"]["mean"] for shape in SHAPES] for loss, row in rows.items()}
    ours = covered["gan-relativistic"]
    return {
        "claim": "stable: modes covered and share of samples near one, after 3,000 steps, mean of 5 seeds",
        "steps": STEPS,
        "samples": 2000,
        "regularisers": LOSSES,
        "losses": rows,
        "holds": all(mine >= theirs for other in covered.values() for mine, theirs in zip(ours, other, strict=True)),
    }


def _toy(loss: str, shape: str, seed: int) -> dict[str, float]:
    """One run in a home of its own, as sixty checkpoints of two-dimensional points are nobody's."""
    recipe = {
        "name": "plane_gan_tiny.toy",
        "model": {"name": "plane_gan_tiny"},
        "task": {"name": "point-generation", **LOSSES[loss]},
        "data": {"name": "plane-points", "shape": shape},
        "loss": {"name": loss},
        "optimizer": {"name": "adam", "lr": 1e-3, "betas": [0.5, 0.9]},
        "schedule": {"name": "constant", "warmup": 0},
        "training": {
            "steps": STEPS, "batch_size": 256, "evaluate_every": STEPS, "log_every": 500, "clip_norm": None,
            "ema_decay": 0.99, "seed": seed, "skip_nonfinite": STEPS,
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        zoo = open_zoo({**os.environ, "ZOO_HOME": f"{folder}/home"})
        metrics: dict[str, float] = train(recipe, folder=Path(folder) / "run", zoo=zoo).metrics
    return metrics


CLAIMS = (toys,)
