"""Trials of a verifier of voices: which pairs of recordings it judges, and how well its scores tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_core import DataError

TARGET = 0.05
"""How likely a trial is taken to be of one voice in `min_dcf`; a miss and a false alarm cost 1 each."""

_KEY = 0
"""Draws the pairs where there are more than asked for: the same ones for every model."""

_AT_ONCE = 4096
"""Trials that are scored together: each needs both its embeddings."""


class Trials(NamedTuple):
    """Pairs of recordings by their numbers."""

    first: NDArray[np.int64]
    """(P,)"""
    second: NDArray[np.int64]
    """(P,)"""
    same: NDArray[np.bool_]
    """(P,): whether one voice speaks in both."""


class VerificationMetrics(NamedTuple):
    """How well scores tell trials of one voice from those of two, and the scores to decide at."""

    eer: float
    """Error rate where as many trials of one voice are refused as trials of two are accepted, by share of each kind."""
    min_dcf: float
    """Least cost of decisions at one score (NIST's detection cost), as a share of that of always saying the likelier."""
    auc: float
    """Probability that a trial of one voice has the higher score."""
    eer_score: float
    dcf_score: float

    def rates(self) -> dict[str, float]:
        """The metrics, without the scores to decide at."""
        return {"eer": self.eer, "min_dcf": self.min_dcf, "auc": self.auc}


def draw_trials(voices: Sequence[str], groups: Sequence[str], most: int) -> Trials:
    """Every pair of recordings of one group; `most` of them, drawn evenly and always alike, where there are more.

    Raises `DataError` unless there are pairs of one voice and pairs of two.
    """
    members = [np.flatnonzero(np.array(groups) == group) for group in sorted(set(groups))]
    starts = np.cumsum([0, *(len(places) * (len(places) - 1) // 2 for places in members)])
    numbers = np.arange(min(int(starts[-1]), most))
    if starts[-1] > most:
        numbers = np.sort(np.random.Generator(np.random.Philox(key=_KEY)).choice(starts[-1], most, replace=False))
    pairs = [
        places[_pair(numbers[(numbers >= start) & (numbers < end)] - start)]
        for places, start, end in zip(members, starts[:-1], starts[1:], strict=True)
    ]
    first, second = np.concatenate(pairs, axis=1)
    spoken = np.unique(np.array(voices), return_inverse=True)[1]
    same = spoken[first] == spoken[second]
    if same.all() or not same.any():
        found = "two recordings of one voice" if not same.any() else "two voices"
        raise DataError(
            f"{len(voices)} recordings without {found} to compare",
            hint="give every voice several recordings, and every language several voices; evaluate on whole splits",
        )
    return Trials(first, second, same)


def cosine_scores(embeddings: NDArray[Any], trials: Trials) -> NDArray[np.float64]:
    """Cosines (P,) of the trials' embeddings, of (N, E)."""
    exact = embeddings.astype(np.float64)
    directions = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    cosines = np.empty(len(trials.same))
    for start in range(0, len(cosines), _AT_ONCE):
        now = slice(start, start + _AT_ONCE)
        np.einsum("pe,pe->p", directions[trials.first[now]], directions[trials.second[now]], out=cosines[now])
    return cosines


def verification_metrics(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> VerificationMetrics:
    """Figures of scores (P,), the higher the likelier one voice; NaN where a score is, which has no place among others."""
    from sklearn.metrics import auc, roc_curve

    if np.isnan(scores).any():
        return VerificationMetrics(*[math.nan] * len(VerificationMetrics._fields))
    alarms, hits, at = roc_curve(same, scores)
    misses = 1.0 - hits
    # C(t) = P_target P_miss(t) + (1 - P_target) P_fa(t), over the cheaper of refusing all and accepting all.
    costs = (TARGET * misses + (1.0 - TARGET) * alarms) / min(TARGET, 1.0 - TARGET)
    at[0] = np.nextafter(scores.max(), np.inf)  # refusing all, which scikit-learn puts at infinity: above every score
    cheapest = int(costs.argmin())
    # Along the curve misses fall and false alarms rise, so that their difference crosses 0 once.
    apart = misses - alarms
    after = int(np.argmax(apart <= 0))
    share = apart[after - 1] / (apart[after - 1] - apart[after])  # where the line between the two points crosses 0
    return VerificationMetrics(
        eer=float(alarms[after - 1] + share * (alarms[after] - alarms[after - 1])),
        min_dcf=float(costs[cheapest]),
        auc=float(auc(alarms, hits)),
        eer_score=float(at[after]),
        dcf_score=float(at[cheapest]),
    )


def _pair(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """(2, P): the pairs i < j in order of j, then i, by their numbers."""
    # The largest j with j (j - 1) / 2 <= n; the root may be off by one in large numbers.
    later = ((1.0 + np.sqrt(1.0 + 8.0 * numbers)) / 2.0).astype(np.int64)
    later -= later * (later - 1) // 2 > numbers
    later += later * (later + 1) // 2 <= numbers
    return np.stack([numbers - later * (later - 1) // 2, later])
