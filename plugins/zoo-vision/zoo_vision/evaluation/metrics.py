"""What is measured on images beside what classifiers share: top-5 accuracy from ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top5_accuracy(ranks: NDArray[np.int64]) -> float:
    """Share of samples whose true class was among the five likeliest.

    `ranks` is (C,): how often the true class was the likeliest, the second likeliest and so on. Worth telling from 10
    classes on.
    """
    return float(ranks[:5].sum() / max(int(ranks.sum()), 1))
