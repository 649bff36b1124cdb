"""Which samples an epoch has, and in what order, where that isn't each of them once as chance says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo_core.contract.data import Data, Dataset
from zoo_core.data.sampling import Order, Weighted
from zoo_core.errors import DataError, PluginError


def order_of(component: str, data: Data, samples: Sequence[Any], dataset: Dataset) -> Order | None:
    """The order that the parts of the data ask for by their weights; None for each sample once. Raises `DataError`."""
    if all(portion.weight == 1 for portion in data.portions):
        return None
    sizes, weights = zip(*data.portions, strict=True)
    if sum(sizes) != len(samples):
        raise _broken(component, "Data.portions", f"{len(samples):,} samples of train together", f"{sum(sizes):,}")
    return Weighted(np.repeat(np.arange(len(sizes)), sizes)[origins_of(component, samples, dataset)], weights)


def origins_of(component: str, samples: Sequence[Any], dataset: Dataset) -> np.ndarray:
    """The place of the raw sample that each encoded one comes from. Raises `DataError` where nobody knows."""
    count = len(dataset)
    if dataset.origins is None and count != len(samples):
        raise DataError(
            f"{component}: the task makes {count:,} samples of {len(samples):,} and doesn't say which of which, so that "
            "none can be drawn more often than others",
            hint="leave out the weights and the sampler, or have Task.dataset set Dataset.origins",
        )
    found = np.arange(count) if dataset.origins is None else np.asarray(dataset.origins)
    if found.shape != (count,) or found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= len(samples):
        raise _broken(
            component,
            "Dataset.origins",
            f"{count:,} places below {len(samples):,}",
            f"{found.dtype}{list(found.shape)}",
        )
    return found


def _broken(component: str, what: str, expected: str, found: str) -> PluginError:
    return PluginError(f"{component}: {what}: expected {expected}, found {found}", hint="see docs/data.md")
