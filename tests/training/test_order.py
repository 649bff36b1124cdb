from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_toys.parts import Transcription
from zoo_toys.plugin import FramesConfig
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.config.recipe import load_recipe
from zoo_core.config.settings import Training
from zoo_core.contract import At
from zoo_core.contract.data import Dataset, SampleKey
from zoo_core.errors import DataError
from zoo_core.tasks.evaluate import micro_batch
from zoo_core.training.order import BatchPlan, Cursor, evaluation_batches, training_batches

START = Cursor(0, 0)


class Numbers(Dataset):
    """Samples that say which draw they are."""

    def __init__(self, size: int, lengths: list[int] | None = None) -> None:
        self.size = size
        self.lengths = None if lengths is None else np.array(lengths)

    def __len__(self) -> int:
        return self.size

    def sample(self, key: SampleKey) -> tuple[int, int, float]:
        return key.epoch, key.index, float(key.generator().random())

    def collate(self, samples: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
        return samples


def plan(size: int = 20, **settings: object) -> BatchPlan:
    return BatchPlan(size, **{"batch_size": 4, "seed": 3, **settings})  # type: ignore[arg-type]


def steps(
    count: int,
    cursor: Cursor = START,
    *,
    size: int = 20,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    **settings: object,
):
    made = plan(size, **settings)
    stream = training_batches(Numbers(size), made, cursor, rank=rank, ranks=ranks, workers=workers, pin=False)
    return [next(stream) for _ in range(count)]


def test_an_epoch_has_every_sample_once_and_epochs_differ() -> None:
    first, second = (np.concatenate([*plan().epoch(epoch)]).tolist() for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first == np.concatenate([*plan().epoch(0)]).tolist()
    assert first != np.concatenate([*plan(seed=4).epoch(0)]).tolist()


def test_the_tail_is_dropped_and_nothing_is_duplicated() -> None:
    seen = np.concatenate([*plan(size=22).epoch(0)]).tolist()
    assert len(seen) == len(set(seen)) == 20


def test_a_data_set_smaller_than_a_batch_is_one_batch() -> None:
    assert [len(batch) for batch in plan(size=3).epoch(0)] == [3]
    assert [len(batch) for batch in plan(size=3, parts=2).epoch(0)] == [2]


def test_a_start_within_an_epoch_makes_the_batches_that_are_left() -> None:
    lengths = np.random.default_rng(2).integers(1, 9, 1003)
    for settings in ({}, {"lengths": lengths}, {"lengths": lengths, "batch_cost": 32}, {"order": twice}):
        whole = list(plan(size=20 if "order" in settings else 1003, **settings).epoch(2))
        made = plan(size=20 if "order" in settings else 1003, **settings)
        for start in (0, 1, 5, 63, 64, 65, 128, 200, len(whole)):
            assert [batch.tolist() for batch in made.epoch(2, start)] == [batch.tolist() for batch in whole[start:]]
        assert made.batches() == len(list(made.epoch(0)))


def test_an_epoch_of_a_huge_data_set_is_begun_without_making_it() -> None:
    tracemalloc.start()
    try:
        made = plan(size=10**12, batch_size=32)
        first, far = next(made.epoch(0)), next(made.epoch(0, 10**12 // 32 - 1))
        assert made.batches() == 10**12 // 32
        assert len({*first.tolist(), *far.tolist()}) == 64 and np.ptp(first) > 10**11
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_resuming_at_any_step_goes_on_with_the_same_samples_and_the_same_draws() -> None:
    whole = steps(12)
    for number in range(1, 12):
        rest = steps(12 - number, whole[number - 1].cursor)
        assert rest == whole[number:]


def test_workers_change_nothing() -> None:
    assert steps(7, workers=2) == steps(7)


def test_the_loader_leaves_the_random_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    steps(3)
    assert torch.equal(torch.rand(3), expected)


def test_micro_batches_and_ranks_share_out_the_same_global_batch() -> None:
    whole = [sorted(s.micro_batches[0]) for s in steps(5)]
    split = [sorted(chain(*s.micro_batches)) for s in steps(5, parts=2)]
    ranks = [steps(5, parts=4, rank=rank, ranks=2) for rank in (0, 1)]
    together = [sorted(chain(*a.micro_batches, *b.micro_batches)) for a, b in zip(*ranks, strict=True)]
    assert whole == split == together
    assert all(len(s.micro_batches) == 2 for s in ranks[0])
    assert {s.samples for s in ranks[0]} == {4}


def test_batches_are_bucketed_by_length_and_still_shuffled() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    bucketed = list(BatchPlan(1000, batch_size=10, seed=0, lengths=lengths).epoch(0))
    plain = list(BatchPlan(1000, batch_size=10, seed=0).epoch(0))

    def waste(batches: list[np.ndarray]) -> float:
        padded = sum(lengths[b].max() * len(b) for b in batches)
        return 1 - sum(lengths[b].sum() for b in batches) / padded

    assert sorted(np.concatenate(bucketed).tolist()) == list(range(1000))
    assert waste(bucketed) < 0.05 < 0.3 < waste(plain)
    means = [lengths[b].mean() for b in bucketed]
    assert means != sorted(means)


def twice(seed: int, epoch: int) -> np.ndarray:
    """An order that has the first four samples twice and then the others once."""
    return np.array([*range(4), *range(4), *range(4 + epoch % 2, 20 + epoch % 2)]) % 20


def test_an_order_of_its_own_is_kept_and_draws_of_one_sample_differ() -> None:
    made = plan(order=twice)
    assert np.concatenate([*made.epoch(1)]).tolist() == twice(3, 1).tolist() and made.batches() == 6
    met = list(chain(*(chain(*step.micro_batches) for step in steps(6, order=twice))))
    values = {index: [value for _, place, value in met if place == index] for index in range(20)}
    assert all(len(set(found)) == len(found) == (2 if index < 4 else 1) for index, found in values.items())
    assert values[0][0] == SampleKey(3, 0, 0).generator().random() != SampleKey(3, 0, 0, 1).generator().random()
    whole = steps(12, order=twice)
    for number in range(1, 12):
        assert steps(12 - number, whole[number - 1].cursor, order=twice) == whole[number:]
    shared = [steps(5, parts=4, rank=rank, ranks=2, order=twice) for rank in (0, 1)]
    together = [sorted(chain(*a.micro_batches, *b.micro_batches)) for a, b in zip(*shared, strict=True)]
    assert together == [sorted(step.micro_batches[0]) for step in whole[:5]]


def test_an_order_of_its_own_is_bucketed_pool_by_pool() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    ascending = BatchPlan(2000, batch_size=10, seed=0, lengths=lengths, order=lambda seed, epoch: np.arange(2000))
    batches = list(ascending.epoch(0))
    assert [sorted(np.concatenate(batches[:64]).tolist())] == [list(range(640))]
    assert all(np.ptp(lengths[batch]) < 20 for batch in batches)


@pytest.mark.parametrize("settings", [{}, {"parts": 4}, {"batch_cost": 1600, "parts": 4}], ids=str)
def test_chance_and_not_length_says_which_samples_an_epoch_leaves_out(settings: dict[str, int]) -> None:
    lengths = np.random.default_rng(3).permutation(103)
    plan = BatchPlan(103, batch_size=16, seed=0, lengths=lengths, **settings)  # type: ignore[arg-type]
    epochs = [np.concatenate([*plan.epoch(number)]) for number in range(60)]
    left = 103 % (4 if "batch_cost" in settings else 16)
    assert {len(set(epoch)) for epoch in epochs} == {len(epoch) for epoch in epochs} == {103 - left}
    visits = np.bincount(np.concatenate(epochs), minlength=103)
    assert visits.min() >= 60 - 4 * left and set(np.flatnonzero(lengths > 100)) <= set(np.concatenate(epochs[:3]))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_cap_on_the_padded_cost_holds_for_every_batch_and_loses_no_sample(parts: int) -> None:
    lengths = np.random.default_rng(1).integers(1, 60, 500)
    batches = list(BatchPlan(500, batch_size=32, seed=0, lengths=lengths, batch_cost=240, parts=parts).epoch(0))
    assert all(lengths[b].max() * len(b) <= 240 and len(b) % parts == 0 and 0 < len(b) <= 32 for b in batches)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    full = sum(lengths[b].max() * (len(b) + parts) > 240 or len(b) == 32 for b in batches)
    assert full > len(batches) / 2, "batches hold what they may"


def test_a_cap_that_the_longest_sample_breaks_is_refused_with_what_it_takes() -> None:
    lengths = np.array([3, 9, 4, 2])
    with pytest.raises(DataError, match="in each of 2 micro-batches costs 18") as refused:
        BatchPlan(4, batch_size=4, seed=0, lengths=lengths, batch_cost=17, parts=2)
    assert "training.batch_cost=18" in (refused.value.hint or "")
    with pytest.raises(DataError, match="batch_cost is 8, but the longest sample costs 9"):
        BatchPlan(4, batch_size=4, seed=0, lengths=lengths, batch_cost=8)
    assert (
        len(np.concatenate([*BatchPlan(4, batch_size=4, seed=0, lengths=lengths, batch_cost=18, parts=2).epoch(0)]))
        == 4
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 0}, "empty"),
        ({"parts": 3}, "batch_size 4"),
        ({"batch_cost": 10}, "lengths"),
        ({"size": 1, "parts": 2}, "1 samples"),
    ],
)
def test_impossible_plans_are_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        plan(**settings)


def test_evaluation_sees_every_sample_once_over_all_ranks() -> None:
    lengths = [5, 1, 4, 2, 3, 9, 7]
    found = [
        [
            key
            for batch in evaluation_batches(Numbers(7, lengths), batch_size=2, rank=r, ranks=2, workers=0)
            for key in batch
        ]
        for r in (0, 1)
    ]
    assert sorted(index for part in found for _, index, _ in part) == list(range(7))
    assert [index for _, index, _ in found[0]][:2] == [1, 3]


def test_evaluation_keeps_to_the_cap_and_hears_what_is_longer_alone() -> None:
    lengths = np.random.default_rng(2).integers(1, 60, 300)
    lengths[7] = 500
    found = [
        [index for _, index, _ in batch]
        for batch in evaluation_batches(
            Numbers(300, lengths.tolist()), batch_size=32, batch_cost=240, rank=0, ranks=1, workers=0
        )
    ]
    assert sorted(chain(*found)) == list(range(300))
    assert all(lengths[batch].max() * len(batch) <= 240 and len(batch) <= 32 for batch in found if batch != [7])
    assert [7] in found


def test_an_evaluation_holds_a_rank_to_the_share_of_its_micro_batches() -> None:
    assert micro_batch(Training(steps=1, batch_size=32, batch_cost=800, accumulation=2), 4) == (4, 100)
    assert micro_batch(Training(steps=1, batch_size=2, accumulation=2), 1) == (1, None)


def test_every_evaluation_of_a_run_keeps_to_the_cap_of_a_micro_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    evaluate = Transcription.evaluate

    def watched(self: Transcription, modules: Any, batch: Mapping[str, Tensor], at: At) -> Any:
        shapes.append(tuple(batch["frames"].shape[:2]))
        return evaluate(self, modules, batch, at)

    monkeypatch.setattr(Transcription, "evaluate", watched)
    zoo = toy_zoo(tmp_path / "home")
    settings = recipe("sequence", steps=2, evaluate_every=1, batch_cost=80, accumulation=2)
    train(load_recipe(settings, [], zoo.host), folder=tmp_path / "run", zoo=zoo)
    assert max(count * width for count, width in shapes) <= 40
    samples, split = sum(count for count, _ in shapes), FramesConfig().samples
    assert samples >= 3 * split and len(shapes) < samples / 2, "the whole split three times, in batches"
