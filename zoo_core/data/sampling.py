"""Chooses samples by their places: some that stand for all of them, and those that an epoch has more often than others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_core.errors import DataError

Order = Callable[[int, int], np.ndarray]
"""`(seed, epoch) -> (M,)` places of samples in the order in which an epoch has them, M being the same in each."""

_PORTIONS = 1 << 192
"""Where the random streams of portions are read, far from that of the order."""
_ROUNDS = 6
"""Double rounds of a permutation: two are pseudorandom for a large size (Luby and Rackoff, 1988), a small one needs more."""
_27, _30, _31, _32, _M1, _M2 = np.array([27, 30, 31, 32, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


class Permutation:
    """A random permutation of `range(size)`, any stretch of which is computed when it is asked for: it takes no memory.

    A place is a pair of Z_a x Z_b with a b >= size, whose halves are in turn shifted by a random function of the other one
    (a generalised Feistel network; Black and Rogaway, 2002, "Ciphers with Arbitrary Finite Domains"). What comes out beyond
    the size is permuted again until it doesn't, which keeps it one-to-one.
    """

    def __init__(self, size: int, random: np.random.Generator) -> None:
        """One of many, drawn from `random`."""
        self.size = size
        left = math.isqrt(max(size - 1, 0)) + 1
        self._halves = np.uint64(left), np.uint64(-(-size // left))  # a and b, the least with a b >= size
        self._keys = random.integers(1 << 64, size=(_ROUNDS, 2), dtype=np.uint64)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, places: slice) -> np.ndarray:
        """Where the permutation takes a stretch of places, (M,) int64."""
        found = self._once(np.arange(*places.indices(self.size), dtype=np.uint64))
        while len(beyond := np.flatnonzero(found >= self.size)):
            found[beyond] = self._once(found[beyond])
        return found.view(np.int64)

    def _once(self, places: np.ndarray) -> np.ndarray:
        a, b = self._halves
        left, right = places // b, places % b
        for of_right, of_left in self._keys:
            left = _shifted(left, right ^ of_right, a)
            right = _shifted(right, left ^ of_left, b)
        return left * b + right


def _shifted(half: np.ndarray, by: np.ndarray, size: np.uint64) -> np.ndarray:
    """`half` + F(`by`) in Z_size, F being the finaliser of splitmix64 (Steele et al., 2014), whose upper half is scaled down."""
    by = (by ^ (by >> _30)) * _M1
    by = (by ^ (by >> _27)) * _M2
    half = half + (((by ^ (by >> _31)) >> _32) * size >> _32)
    # Of two numbers without a sign, the one that didn't fall below nothing.
    shifted: np.ndarray = np.minimum(half, half - size)
    return shifted


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


@dataclass(frozen=True)
class Weighted:
    """The order of an epoch in which portions of the samples are met more or less often than once."""

    portions: np.ndarray
    """(N,) the portion of each sample, by its number."""
    weights: tuple[float, ...]
    """How often an epoch has each sample of a portion."""

    def __call__(self, seed: int, epoch: int) -> np.ndarray:
        """Places of samples, `round(weight * size)` of each portion, at least one, in an order drawn by seed and epoch."""
        chosen = []
        for number, weight in enumerate(self.weights):
            random = np.random.Generator(np.random.Philox(key=[seed, epoch], counter=(number + 1) * _PORTIONS))
            members = np.flatnonzero(self.portions == number)
            chosen.append(repeated(members, max(1, round(weight * len(members))), random))
        drawn = np.concatenate(chosen)
        order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(len(drawn))
        return drawn[order]


def shuffled(labels: np.ndarray | None, lengths: np.ndarray, seed: int, epoch: int, config: Any) -> np.ndarray:
    """Each sample once."""
    return Permutation(len(lengths), np.random.Generator(np.random.Philox(key=[seed, epoch])))[:]


def balanced(labels: np.ndarray | None, lengths: np.ndarray, seed: int, epoch: int, config: Any) -> np.ndarray:
    """As many draws as there are samples, of class j a share p_j = n_j^q / sum_i n_i^q, q being `config.exponent`.

    Kang et al., 2020, eq. (1). Draws of a class go round its samples, each time all of them, and the last time a part.
    """
    if labels is None:
        raise DataError("balanced: samples without labels can't be balanced", hint="leave sampler out")
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    powers = counts.astype(np.float64) ** config.exponent
    exact = len(labels) * powers / powers.sum()
    draws = np.floor(exact).astype(np.int64)
    # What rounding down leaves goes to the classes that lost most by it, the first of them first.
    left = len(labels) - int(draws.sum())
    draws[np.argsort(draws - exact, kind="stable")[:left]] += 1
    random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    chosen = [repeated(np.flatnonzero(classes == j), int(count), random) for j, count in enumerate(draws)]
    return random.permutation(np.concatenate(chosen))


def repeated(members: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of the members: all of them as often as that goes, and a drawn part once more."""
    if not len(members):
        return members
    whole, rest = divmod(count, len(members))
    drawn = random.permutation(len(members))[:rest]
    return np.concatenate([np.tile(members, whole), members[np.sort(drawn)]])
