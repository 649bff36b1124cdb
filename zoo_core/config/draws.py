"""Which samples an epoch has, and in what order, where that isn't each of them once as chance says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_core.config.recipe import Component, Recipe
from zoo_core.contract.data import Data, Dataset
from zoo_core.data.sampling import Order, Weighted
from zoo_core.errors import DataError, PluginError, RecipeError, ZooError
from zoo_core.plugins.host import PluginHost


def order_of(recipe: Recipe, host: PluginHost, data: Data, samples: Sequence[Any], dataset: Dataset) -> Order | None:
    """The order that the recipe's sampler says, or the weights of the data's parts; None for each sample once, shuffled.

    Raises `RecipeError` for both, `DataError` where nobody knows which samples are meant, and `PluginError` for a sampler
    that doesn't keep to its contract.
    """
    weighted = any(portion.weight != 1 for portion in data.portions)
    if recipe.sampler is None:
        return _weighted(recipe.data.id, data, samples, dataset) if weighted else None
    if weighted:
        raise RecipeError(
            f"sampler: {recipe.sampler.id} beside parts of {recipe.data.id} with weights", hint="give one of the two"
        )
    order = _sampled(recipe.sampler, host, data, samples, dataset)
    if not np.array_equal(order(recipe.training.seed, 0), order(recipe.training.seed, 0)):
        raise _broken(order.component, _TARGET, "the same indices for the same arguments", "others at the second call")
    return order


def notices_of(dataset: Dataset, order: Order | None) -> tuple[str, ...]:
    """What the user should know of the encoded samples, and how many draws an epoch has of each part that has a weight."""
    if not isinstance(order, Weighted):
        return dataset.notices
    count = len(order.weights)
    drawn, sizes = (np.bincount(numbers, minlength=count) for numbers in (order.portions[order(0, 0)], order.portions))
    told = ", ".join(
        f"{draws:,} of the {size:,} training samples of part {number} (weight {weight:g})"
        for number, (draws, size, weight) in enumerate(zip(drawn, sizes, order.weights, strict=True), start=1)
    )
    return (*dataset.notices, f"an epoch has {drawn.sum():,} draws: {told}")


_TARGET = "the target of its spec"


@dataclass(frozen=True)
class Sampled:
    """The order that a sampler gives, held to its contract in every epoch."""

    component: str
    sample: Callable[..., Any]
    labels: np.ndarray | None
    lengths: np.ndarray
    config: Any

    def __call__(self, seed: int, epoch: int) -> np.ndarray:
        """(N,) places of samples. Raises `PluginError` for anything else."""
        size = len(self.lengths)
        try:
            found = np.asarray(self.sample(self.labels, self.lengths, seed, epoch, self.config))
        except (ZooError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise PluginError(f"{self.component}: {_TARGET} raised {type(error).__name__}: {error}") from error
        if found.shape != (size,) or found.dtype.kind not in "iu":
            raise _broken(self.component, _TARGET, f"{size:,} integers", f"{found.dtype} of shape {found.shape}")
        if found.min() < 0 or found.max() >= size:
            strange = int(found[(found < 0) | (found >= size)][0])
            raise _broken(self.component, _TARGET, f"indices from 0 to {size - 1:,}", f"{strange} in epoch {epoch}")
        return found.astype(np.int64, copy=False)


def _sampled(sampler: Component, host: PluginHost, data: Data, samples: Sequence[Any], dataset: Dataset) -> Sampled:
    labels = _classes(data, samples)
    if labels is not None:
        labels = labels[origins_of(sampler.id, samples, dataset)]
    lengths = np.ones(len(dataset), dtype=np.int64) if dataset.lengths is None else np.array(dataset.lengths)
    for given in (labels, lengths):
        if given is not None:
            given.setflags(write=False)
    sample = host.resolve(sampler.provided.spec.target, sampler.provided)
    return Sampled(sampler.id, sample, labels, lengths, sampler.config)


def _classes(data: Data, samples: Sequence[Any]) -> np.ndarray | None:
    """(N,) the class of each raw sample by its `label`: its number, or one by the order of the names where it has none."""
    names: list[Any] = [getattr(sample, "label", None) for sample in samples]
    known = {name for name in names if isinstance(name, str) and name}
    if len(known) < len(set(names)):
        return None
    numbers = {name: number for number, name in enumerate([*data.labels, *sorted(known - set(data.labels))])}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _weighted(component: str, data: Data, samples: Sequence[Any], dataset: Dataset) -> Weighted:
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
