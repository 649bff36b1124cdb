"""Bootstrap intervals of figures over the samples that they were measured on: Efron and Tibshirani, 1993, section 13.3.

A resample draws as many samples as there are, with replacement; a figure's interval runs from the 2.5th to the 97.5th
percentile of the figures of 1,000 resamples. The draws have a fixed seed, so equal figures have equal intervals. Few
samples make it too narrow, and it knows nothing of what another training run would have reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
"""Resamples of an interval."""
_ENDS = (0.025, 0.975)
_SEED = 0
_BIAS = 0.25
"""Of the resamples' deviation: how far their mean may be off the figure, by the rule of section 10.3."""
_BLOCK = 1 << 22
"""Counts that are drawn at a time, 32 MiB."""

Interval = tuple[float, float]
Floats = NDArray[np.float64]


def resamples(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """`RESAMPLES` rows of counts (B, K) in blocks: samples drawn anew from those that `counts` (K,) has of each kind."""
    generator = np.random.default_rng(_SEED)
    total = int(counts.sum())
    block = max(1, _BLOCK // len(counts))
    for start in range(0, RESAMPLES, block):
        yield generator.multinomial(total, counts / total, size=min(block, RESAMPLES - start))  # (B, K)


def percentiles(figures: Floats, figure: float) -> Interval | None:
    """The interval of a figure from those of all resamples (R,); None where one isn't finite, they don't differ, or are off.

    Samples that are all alike, as where every answer is right, say nothing of how far another sample may be off. Resamples
    are off where many classes have few samples each: they lose classes, and their macro-F1 is lower than the figure.
    """
    if not np.isfinite(figures).all() or abs(figures.mean() - figure) > _BIAS * figures.std():
        return None
    low, high = np.quantile(figures, _ENDS)
    return (float(low), float(high)) if low < high else None


def interval_of_sums(statistics: Floats, figure: Callable[[Floats], Floats]) -> Interval | None:
    """The interval of a figure that follows from sums over samples: `figure` makes (B,) of sums (B, S).

    `statistics` (N, S) has a row for each sample. None for fewer than two samples, and as in `percentiles`.
    """
    if len(statistics) < 2:
        return None
    drawn = resamples(np.ones(len(statistics), dtype=np.int64))
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = float(figure(statistics.sum(0, keepdims=True))[0])
        return percentiles(np.concatenate([figure(counts @ statistics) for counts in drawn]), whole)  # (B, N) @ (N, S)


def interval_of_ratio(above: ArrayLike, below: ArrayLike) -> Interval | None:
    """The interval of sum(above) / sum(below), both (N,), like errors by words; None as in `interval_of_sums`."""
    statistics = np.stack([np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)], axis=1)
    return interval_of_sums(statistics, lambda sums: sums[:, 0] / sums[:, 1])


def interval_of_mean(values: Sequence[float]) -> Interval | None:
    """The interval of the mean of values (N,); None as in `interval_of_sums`."""
    return interval_of_ratio(values, np.ones(len(values)))


def interval_of_share(hits: int, samples: int) -> Interval | None:
    """The interval of hits / samples; None for fewer than two samples, and where all or none are hits."""
    if samples < 2:
        return None
    drawn = resamples(np.array([hits, samples - hits], dtype=np.int64))
    return percentiles(np.concatenate([counts[:, 0] / samples for counts in drawn]), hits / samples)


def known_intervals(intervals: dict[str, Interval | None]) -> dict[str, Interval]:
    """Those of the intervals that could be told."""
    return {name: interval for name, interval in intervals.items() if interval is not None}
