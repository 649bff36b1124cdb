"""Chooses some of many samples so that they stand for all of them, in whatever order these are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def spread_places(size: int, count: int) -> list[int]:
    """`count` places among `size`, ascending: one in each of `count` stretches of equal length, drawn within it.

    An ordered split (all of one class, then all of the next) is thus met evenly, and one whose classes take turns isn't
    met at the same turn each time. The same places for the same numbers, everywhere.
    """
    if count >= size:
        return list(range(size))
    edges = np.arange(count + 1, dtype=np.int64) * size // count
    random = np.random.Generator(np.random.Philox(key=[size, count]))
    drawn: list[int] = random.integers(edges[:-1], edges[1:]).tolist()
    return drawn


def even_places(size: int, count: int) -> list[int]:
    """At most `count` places among `size`, ascending and evenly spaced from the first on: what is shown of many."""
    count = min(size, count)
    return [place * size // count for place in range(count)]


def spread(samples: Sequence[Any], count: int | None) -> Sequence[Any]:
    """At most `count` of the samples, spread over all of them; all where `count` is None."""
    if count is None or len(samples) <= count:
        return samples
    places = spread_places(len(samples), count)
    return [samples[place] for place in places] if isinstance(samples, list) else Chosen(samples, places)


class Chosen(Sequence[Any]):
    """Some samples of a sequence, read when they are asked for."""

    def __init__(self, samples: Sequence[Any], places: Sequence[int]) -> None:
        self.samples = samples
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Chosen(self.samples, self.places[index])
        return self.samples[self.places[index]]
