"""What the README claims of zoo-gan."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from measures.common import evaluations, facts, mean_and_sd, run

from zoo_core import Loaded, load, load_recipe, open_zoo, train
from zoo_core.testing import open_data

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
        return dict(train(recipe, folder=Path(folder) / "run", zoo=zoo).metrics)


JUDGE = "vit_nano.emoji"
"""The zoo's own network in whose features emoji are compared."""
PROJECTED = 16
"""Held-out images whose latents are looked for."""


def generators() -> dict[str, Any]:
    """DCGAN as its paper trains it and the modern baseline, for as many processor seconds."""
    names = {"dcgan": "dcgan_tiny", "r3gan": "r3gan_nano"}
    runs = {family: facts(run(f"{name}_fashion")) for family, name in names.items()}
    seconds = {family: found["training"]["cpu_seconds"] for family, found in runs.items()}
    curves = {family: evaluations(f"{name}.fashion", "fid") for family, name in names.items()}
    budget = min(seconds.values())
    within = {
        family: list(curve.values())[
            sum(int(step) * seconds[family] / runs[family]["training"]["steps"] <= budget for step in curve) - 1
        ]
        for family, curve in curves.items()
    }
    return {
        "claim": "Fashion-MNIST: the modern baseline (R3GAN) beside DCGAN for as many processor seconds",
        "metrics": {family: found["metrics"] for family, found in runs.items()},
        "cpu_seconds": seconds,
        "budget": budget,
        "validation_fid_within_budget": within,
        "evaluations": curves,
        "runs": runs,
        "holds": within["r3gan"] < within["dcgan"],
    }


def classes() -> dict[str, Any]:
    """Generated clothes carry the class that they were asked for, by the zoo's own classifier."""
    result = facts(run("r3gan_nano_fashion_classes"))
    real = result["baselines"]["real images"]["class_accuracy"]
    return {
        "claim": "classes: share of generated clothes that the zoo's classifier takes for what was asked for",
        "run": result,
        "holds": result["metrics"]["class_accuracy"] >= 0.9 * real,
    }


def emoji_generator() -> dict[str, Any]:
    """DCGAN on three thousand emoji, with differentiable augmentation."""
    run("vit_nano_emoji")
    result = facts(run("dcgan_tiny_emoji", [f"task.features={JUDGE}"]))
    untrained = result["baselines"]["untrained generator"]["fid"]
    return {
        "claim": "emoji: a generator of a small set beside an untrained one",
        "run": result,
        "holds": result["metrics"]["fid"] < untrained / 5,
    }


def paired_translation() -> dict[str, Any]:
    """Outlines of held-out emoji to colours, beside giving the outline back."""
    run("vit_nano_emoji")
    result = facts(run("pix2pix_tiny_emoji", [f"task.features={JUDGE}"]))
    copied = result["baselines"]["copying the input"]
    return {
        "claim": "paired translation: outlines of held-out emoji to colours, beside copying the outline",
        "run": result,
        "holds": all(value < copied[metric] for metric, value in result["metrics"].items()),
    }


def projection() -> dict[str, Any]:
    """Latents of held-out clothes in both generators, beside the best of 256 random ones."""
    rows: dict[str, dict[str, Any]] = {}
    for name in ("dcgan_tiny", "r3gan_nano"):
        run(f"{name}_fashion")
        generator = load(f"{name}.fashion")
        answers = generator.predict(_test_images(generator, PROJECTED))
        rows[generator.name] = {
            metric: mean_and_sd([round(answer[metric], 4) for answer in answers])
            for metric in ("difference", "random_difference")
        }
    return {
        "claim": "projection: mean squared difference of held-out clothes and the nearest that a generator makes",
        "images": PROJECTED,
        "generators": rows,
        "holds": all(row["difference"]["mean"] < row["random_difference"]["mean"] for row in rows.values()),
    }


def _test_images(generator: Loaded, count: int) -> list[Any]:
    """The first images of the test split that the generator was measured on."""
    host = open_zoo().host
    chosen = load_recipe(dict(generator.card.recipe or {}), [], host).data
    data = open_data(chosen.provided, chosen.config, host)
    return [data.samples("test")[place].image for place in range(count)]


CLAIMS = (toys, generators, classes, emoji_generator, paired_translation, projection)
