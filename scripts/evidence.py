"""What the figures of a record bear out: intervals over samples or seeds, and verdicts beside baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from zoo_core.tasks import interval_of_mean, interval_of_share
from zoo_core.testing import NO_DIFFERENCE, verdict, verdicts

Interval = tuple[float, float]
Better = Literal["min", "max"]

NO_INTERVAL = "one seed, no interval"
LITTLE_RECALL = 0.5
"""Share of another generator's recall, or of real images', below which images count as less varied."""


def share(value: float, samples: int) -> Interval | None:
    """The bootstrap interval over samples of a share of them, as a card's."""
    return interval_of_share(round(value * samples), samples)


def over_seeds(values: Sequence[float]) -> Interval:
    """The 95 % t interval of the mean of three and more seeds."""
    assert len(values) >= 3
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def beside_seeds(ours: Sequence[float], others: Mapping[str, Sequence[float]], better: Better) -> str:
    """Verdicts by Welch's t interval of the difference of two means over seeds."""
    found: dict[str, list[str]] = {}
    for name, theirs in others.items():
        found.setdefault(_beside(ours, theirs, better), []).append(name)
    words = {"better": "better than", NO_DIFFERENCE: f"{NO_DIFFERENCE} from", "worse": "worse than"}
    return "; ".join(f"{phrase} {listed(found[word])}" for word, phrase in words.items() if word in found)


def _beside(ours: Sequence[float], theirs: Sequence[float], better: Better) -> str:
    if len(set(theirs)) == 1:
        return verdict(over_seeds(ours), better, theirs[0])
    ends = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return verdict((float(ends.low), float(ends.high)), better, 0.0)


def beside_share(value: float, samples: int, baselines: Mapping[str, float]) -> str:
    """Verdicts of a share of samples by its interval."""
    words = verdicts(share(value, samples), "max", {plain(name): figure for name, figure in baselines.items()})
    return words or "no interval"


def beside_pairs(ours: Sequence[float], theirs: Sequence[float], better: Better) -> str:
    """The verdict of two figures of the same items, by the interval of their mean difference."""
    interval = interval_of_mean([one - other for one, other in zip(ours, theirs, strict=True)])
    return verdict(interval, better, 0.0) if interval else "no interval"


def order(value: float, baselines: Mapping[str, float]) -> str:
    """Where one figure lies among others, and no more than that: `below word dictionary, above copy`."""
    below = [plain(name) for name, figure in baselines.items() if value < figure]
    above = [plain(name) for name, figure in baselines.items() if value > figure]
    words = [f"{word} {listed(names)}" for word, names in (("below", below), ("above", above)) if names]
    return ", ".join(words)


def among(scores: Mapping[str, float], others: Mapping[str, Mapping[str, float]]) -> str:
    """Than which generators or images these are `closer` by Fréchet distance, `less varied` by recall, and `farther`."""
    words = {
        "closer": [plain(name) for name, theirs in others.items() if scores["fid"] < theirs["fid"]],
        "less varied": [
            plain(name) for name, theirs in others.items() if scores["recall"] < LITTLE_RECALL * theirs["recall"]
        ],
        "farther": [plain(name) for name, theirs in others.items() if scores["fid"] > theirs["fid"]],
    }
    if words["closer"] == words["less varied"] != []:
        return f"closer, less varied than {listed(words['closer'])}"
    return ", ".join(f"{word} than {listed(names)}" for word, names in words.items() if names)


def features(reference: str) -> str:
    """The features that a distance is measured in: `pixels 8×8`, or a checkpoint with the first digits of its digest."""
    name, separator, digest = (reference or "pixels 8×8").partition("@sha256:")
    return f"`{name}@sha256:{digest[:8]}`" if separator else name


def shown(interval: Interval | None, digits: int = 3) -> str:
    """An interval behind its figure."""
    return f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""


def listed(names: Sequence[str]) -> str:
    """Names in a row."""
    return ", ".join(names)


def plain(name: str) -> str:
    """A baseline's name in words."""
    return name.replace("_", " ")


def figures_of(runs: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[float]]:
    """A metric of the baselines of runs, one value a run, of the baselines that all of them have."""
    names = [name for name in runs[0]["baselines"] if all(metric in run["baselines"].get(name, {}) for run in runs)]
    return {plain(name): [run["baselines"][name][metric] for run in runs] for name in names}
