"""Scores of numbers beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np

REGRESSION_DIRECTIONS: Final[Mapping[str, Literal["min", "max"]]] = {
    "mae": "min",
    "rmse": "min",
    "r2": "max",
    "loss": "min",
}
"""Which of the scores are better when there is less of them, and which when there is more."""


def regression_scores(true: Any, found: Any) -> dict[str, float]:
    """Mean absolute error, root of the mean squared error, and coefficient of determination of numbers (N,) or (N, C).

    Over several columns they are means, as scikit-learn's with `uniform_average`. A column that never varies has an r2 of 1
    where it is met exactly and of 0 elsewhere.
    """
    truth, given = (np.asarray(rows, dtype=np.float64).reshape(len(true), -1) for rows in (true, found))
    squares = np.square(given - truth).sum(0)  # (C,)
    spread = np.square(truth - truth.mean(0)).sum(0)
    varied = spread > 0
    r2 = np.where(varied, 1 - squares / np.where(varied, spread, 1.0), (squares == 0).astype(np.float64))
    return {
        "mae": float(np.abs(given - truth).mean()),
        "rmse": float(np.sqrt(squares / len(truth)).mean()),
        "r2": float(r2.mean()),
    }


def mean_value(train: Sequence[Any], test: Sequence[Any]) -> dict[str, float]:
    """Scores of always giving the mean of the training samples' `values`."""
    known, truth = (np.array([np.ravel(sample.values) for sample in part], np.float64) for part in (train, test))
    return regression_scores(truth, np.broadcast_to(known.mean(0), truth.shape))
