"""What is measured on pictures: accuracy and F1 from counts, top-5 accuracy from ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def classification(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and macro-F1 of a confusion matrix (true class, predicted class), as scikit-learn computes them.

    A class that never occurs has F1 0.
    """
    right = np.diag(confusion).astype(np.float64)
    due, given = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * right / np.maximum(due + given, 1)
    return {"accuracy": float(right.sum() / max(int(confusion.sum()), 1)), "macro_f1": float(f1.mean())}


def top5_accuracy(ranks: NDArray[np.int64]) -> float:
    """Share of samples whose true class was among the five likeliest.

    `ranks` is (C,): how often the true class was the likeliest, the second likeliest and so on. Worth telling from 10
    classes on.
    """
    return float(ranks[:5].sum() / max(int(ranks.sum()), 1))
