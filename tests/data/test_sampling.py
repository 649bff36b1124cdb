from __future__ import annotations

import math
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest

from zoo_core.data.sampling import Permutation, spread, spread_places


def drawn(size: int, *key: int) -> Permutation:
    return Permutation(size, np.random.Generator(np.random.Philox(key=key)))


def badness(counts: np.ndarray) -> float:
    """Chi-square over its degrees of freedom against equal counts: about 1 for chance."""
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum() / (counts.size - 1))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 100, 1023, 1024, 1025, 65537])
def test_a_permutation_has_each_place_once_however_it_is_read(size: int) -> None:
    made = drawn(size, 3, 1)
    whole = made[:]
    assert len(made) == size and whole.dtype == np.int64 and sorted(whole.tolist()) == list(range(size))
    parts = [made[start : start + 37] for start in range(0, size, 37)]
    assert np.array_equal(np.concatenate([*parts, whole[:0]]), whole)
    assert np.array_equal(drawn(size, 3, 1)[:], whole)
    assert size < 7 or not np.array_equal(drawn(size, 3, 2)[:], whole)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_of_few_places_every_permutation_is_as_likely(size: int) -> None:
    met = Counter(tuple(drawn(size, 5, number)[:].tolist()) for number in range(6000))
    assert len(met) == math.factorial(size)
    assert badness(np.array([*met.values()])) < 1.5 + 5 / len(met)


@pytest.mark.parametrize("size", [10, 37])
def test_each_place_goes_everywhere_and_neighbours_part(size: int) -> None:
    orders = np.array([drawn(size, 5, number)[:] for number in range(3000)])
    places = np.array([np.bincount(column, minlength=size) for column in orders.T])
    steps = np.bincount(((orders[:, 1:] - orders[:, :-1]) % size).ravel(), minlength=size)
    assert badness(places) < 1.4 and steps[0] == 0 and badness(steps[1:]) < 2.5


def test_a_stretch_of_a_huge_one_is_as_spread_as_chance_would_have_it() -> None:
    size = 10**12
    found = drawn(size, 0, 0)[5 * 10**11 : 5 * 10**11 + 20_000]
    assert len(set(found.tolist())) == 20_000
    assert badness(np.bincount(found // (size // 100), minlength=100)) < 1.6
    assert abs(float(np.corrcoef(found[1:], found[:-1])[0, 1])) < 0.03


@pytest.mark.parametrize(("size", "count"), [(10, 10), (10, 20), (64, 8), (1_000_000, 512), (7, 1)])
def test_places_are_spread_over_the_whole(size: int, count: int) -> None:
    places = spread_places(size, count)
    assert places == spread_places(size, count) == sorted(set(places))
    assert len(places) == min(size, count) and places[0] >= 0 and places[-1] < size
    if count < size:
        edges = [number * size // count for number in range(count + 1)]
        assert all(start <= place < end for start, place, end in zip(edges, places, edges[1:], strict=False))


def test_classes_in_blocks_and_classes_in_turn_are_both_met() -> None:
    blocks, turns = ["cat"] * 32 + ["dog"] * 32, ["cat", "dog"] * 32
    for labels in (blocks, turns):
        assert set(spread(labels, 8)) == {"cat", "dog"}
    assert spread(blocks, None) is blocks and spread(blocks, 64) is blocks


def test_chosen_samples_are_read_when_they_are_asked_for() -> None:
    class Lazy:
        read: ClassVar[list[int]] = []

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, place: int) -> int:
            self.read.append(place)
            return place

    chosen = spread(Lazy(), 10)  # type: ignore[arg-type]
    assert len(chosen) == 10 and Lazy.read == []
    assert list(chosen) == spread_places(1000, 10) and list(chosen[2:4]) == spread_places(1000, 10)[2:4]
