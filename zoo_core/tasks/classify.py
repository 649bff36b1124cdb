"""What classifiers of every modality share: numbers for labels, scores of answers, answers in order, the majority class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from zoo_core.errors import DataError, nearest
from zoo_core.tasks.bootstrap import Floats, Interval, known_intervals, percentiles, resamples
from zoo_core.tasks.confusion import Confusion

CLASS_DIRECTIONS: Final[Mapping[str, Literal["min", "max"]]] = {"accuracy": "max", "macro_f1": "max", "loss": "min"}
"""Which of a classifier's metrics are better when there is less of them, and which when there is more."""
_BLOCK = 1 << 20
"""Counts by class of the resamples that are scored at a time, 8 MiB."""


def label_numbers(found: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Numbers (N,) of the samples' labels. Raises `DataError` naming the first sample whose label isn't in the set."""
    number_of = {label: number for number, label in enumerate(labels)}
    numbers = np.empty(len(found), dtype=np.int64)
    for place, label in enumerate(found):
        if label not in number_of:
            raise DataError(f"sample {place + 1}: the model has no label {label!r}", hint=nearest(label, labels))
        numbers[place] = number_of[label]
    return numbers


def ranked_answer(labels: Sequence[str], probabilities: Sequence[float], top_k: int = 0) -> dict[str, Any]:
    """`label` and `score` of the likeliest class, and `scores` of the `top_k` likeliest (0: of all), in order."""
    ranked = ranked_scores(labels, probabilities)
    return {"label": ranked[0][0], "score": ranked[0][1], "scores": dict(ranked[: top_k or None])}


def ranked_scores(labels: Sequence[str], probabilities: Sequence[float]) -> list[tuple[str, float]]:
    """Each label with its probability, the likeliest first."""
    return sorted(zip(labels, probabilities, strict=True), key=lambda pair: -pair[1])


def label_scores(truth: Sequence[str], found: NDArray[np.int64], labels: Sequence[str]) -> dict[str, float]:
    """`class_scores` of predicted classes (N,), by number, beside the names of the true ones."""
    return class_scores(Confusion.of_pairs(label_numbers(truth, labels) * len(labels) + found, len(labels)))


def class_scores(confusion: Confusion) -> dict[str, float]:
    """Accuracy and macro-F1 of a confusion matrix, as scikit-learn computes them.

    Macro-F1 is the mean over the classes that occur among the true or the predicted ones, as `f1_score` without `labels`.
    """
    right = confusion.right.astype(np.float64)
    occurrences = confusion.rows + confusion.columns
    present = occurrences > 0
    f1 = 2 * right[present] / occurrences[present]  # 2 TP / (2 TP + FP + FN)
    return {
        "accuracy": float(right.sum() / max(confusion.total, 1)),
        "macro_f1": float(f1.mean()) if len(f1) else 0.0,
    }


def majority(train: Sequence[Any], test: Sequence[Any], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy and macro-F1 of always giving the most frequent training label; of equals the first in `labels`."""
    counts = Counter(sample.label for sample in train)
    favourite = labels.index(max(labels, key=lambda label: counts[label]))
    return label_scores([sample.label for sample in test], np.full(len(test), favourite), labels)


def class_intervals(confusion: Confusion) -> dict[str, Interval]:
    """Bootstrap intervals of what `class_scores` finds, where they can be told.

    Samples in one cell are alike to both scores, so new counts of the cells are a resample of the samples, exactly.
    """
    if confusion.total < 2:
        return {}
    # Classes that don't occur change neither score.
    present, numbers = np.unique(np.concatenate((confusion.true, confusion.predicted)), return_inverse=True)
    true, predicted = np.split(numbers, 2)
    together = max(1, _BLOCK // len(present))
    drawn = [
        _scores(counts[first : first + together], true, predicted, len(present))
        for counts in resamples(confusion.counts)
        for first in range(0, len(counts), together)
    ]
    resampled = dict(zip(("accuracy", "macro_f1"), map(np.concatenate, zip(*drawn, strict=True)), strict=True))
    figures = class_scores(confusion)
    return known_intervals({name: percentiles(values, figures[name]) for name, values in resampled.items()})


def _scores(
    counts: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> tuple[Floats, Floats]:
    """Accuracy and macro-F1 (B,) of counts (B, K) of the cells at `true` and `predicted` (K,)."""
    hits = np.where(true == predicted, counts, 0)  # (B, K)
    right = _by_class(hits, true, classes)  # (B, C)
    occurrences = _by_class(counts, true, classes) + _by_class(counts, predicted, classes)
    present = occurrences > 0
    f1 = np.divide(2 * right, occurrences, out=np.zeros(occurrences.shape), where=present)
    return hits.sum(1) / counts.sum(1), f1.sum(1) / present.sum(1)


def _by_class(counts: NDArray[np.int64], numbers: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (B, K) added up to (B, C) by the class number (K,) of each column."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    sums = np.zeros((len(counts), classes), dtype=np.int64)
    sums[:, found] = np.add.reduceat(counts[:, order], starts, axis=1)  # one sum for each run of equal numbers
    return sums
