"""What an interval says of a figure beside its baselines, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

Direction = Literal["", "min", "max"]
"""Whether less or more of a metric is better; empty where that isn't known."""

NO_DIFFERENCE = "no difference seen"


def verdict(interval: tuple[float, float], better: Direction, baseline: float) -> str:
    """`better`, `worse`, or `no difference seen` where the interval reaches the baseline; empty where it can't be told.

    The baseline counts as a fixed number: the interval knows nothing of how far off another sample's would be.
    """
    low, high = interval
    if not better or math.isnan(baseline):
        return ""
    if low <= baseline <= high:
        return NO_DIFFERENCE
    return "better" if (low > baseline) == (better == "max") else "worse"


def verdicts(interval: tuple[float, float] | None, better: Direction, baselines: Mapping[str, float]) -> str:
    """The verdicts beside all baselines in one phrase; empty without an interval, which they all rest on."""
    if interval is None:
        return ""
    found: dict[str, list[str]] = {}
    for name, value in baselines.items():
        found.setdefault(verdict(interval, better, value), []).append(name)
    words = {"better": "better than", NO_DIFFERENCE: f"{NO_DIFFERENCE} from", "worse": "worse than"}
    return "; ".join(f"{phrase} {', '.join(found[word])}" for word, phrase in words.items() if word in found)
