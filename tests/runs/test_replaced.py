"""Samples that turn out to be bad when they are drawn: they end training, or others take their places and they are counted."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.contract.data import Dataset, SampleKey
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import DataError
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training import state
from zoo_core.training.order import BatchPlan, Cursor, GlobalBatch, evaluation_batches, training_batches
from zoo_core.training.signals import Interrupted

SIZE = 24


class Numbers(Dataset):
    """Samples that say which draw they are, and some that are bad."""

    def __init__(self, bad: set[int], lengths: np.ndarray | None = None) -> None:
        self.bad, self.lengths = bad, lengths

    def __len__(self) -> int:
        return SIZE

    def sample(self, key: SampleKey) -> tuple[int, int, float]:
        if key.index in self.bad:
            raise DataError(f"{key.index}.jpg: it is cut off", hint="leave it out")
        return key.epoch, key.index, float(key.generator().random())

    def collate(self, samples: list[Any]) -> list[Any]:
        return samples


def steps(
    bad: set[int],
    *,
    tries: int = 8,
    count: int = 12,
    cursor: Cursor = Cursor(0, 0),  # noqa: B008 - a tuple
    lengths: np.ndarray | None = None,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
) -> list[GlobalBatch]:
    made = BatchPlan(SIZE, batch_size=4, seed=3, lengths=lengths, parts=ranks, tries=tries)
    stream = training_batches(Numbers(bad, lengths), made, cursor, rank=rank, ranks=ranks, workers=workers, pin=False)
    return [next(stream) for _ in range(count)]


def drawn(found: list[GlobalBatch]) -> list[Any]:
    return [sample for step in found for batch in step.micro_batches for sample in batch]


def test_without_a_policy_a_bad_sample_ends_training_in_the_same_words_with_and_without_workers() -> None:
    said = set()
    for workers in (0, 1):
        with pytest.raises(DataError) as caught:
            steps({5}, tries=0, workers=workers)
        said.add((caught.value.message, caught.value.hint))
    assert said == {("5.jpg: it is cut off", "leave it out")}


def test_another_sample_of_the_epoch_takes_a_bad_ones_place_and_all_else_stays() -> None:
    plain, mended = drawn(steps(set())), drawn(steps({5, 7}))
    places = [place for place, sample in enumerate(plain) if sample[1] in (5, 7)]
    assert [place for place, (a, b) in enumerate(zip(plain, mended, strict=True)) if a != b] == places
    assert all(mended[place][0] == plain[place][0] and mended[place][1] not in (5, 7) for place in places)
    assert len({mended[place][1] for place in places}) > 1, "the places of one sample go to different ones"


def test_workers_ranks_and_a_later_start_change_no_sample_and_no_count() -> None:
    whole = steps({5, 7})
    assert [(step.micro_batches, step.bad) for step in steps({5, 7}, workers=2)] == [
        (step.micro_batches, step.bad) for step in whole
    ]
    later = steps({5, 7}, cursor=whole[3].cursor, count=8)
    assert drawn(later) == drawn(whole[4:])
    shares = [steps({5, 7}, rank=rank, ranks=2) for rank in range(2)]
    for number, step in enumerate(whole):
        assert sorted(drawn([step])) == sorted(drawn([share[number] for share in shares]))
        assert sorted(step.bad) == sorted(bad for share in shares for bad in share[number].bad)
    assert {(bad.index, bad.what, bad.hint) for step in whole for bad in step.bad} == {
        (number, f"{number}.jpg: it is cut off", "leave it out") for number in (5, 7)
    }


def test_what_takes_a_place_is_no_longer_where_lengths_are_known() -> None:
    lengths = np.arange(SIZE)[::-1] + 1
    plan = BatchPlan(SIZE, batch_size=4, seed=3, lengths=lengths, tries=8)
    for index in range(SIZE):
        others = [key.index for key in plan.others(SampleKey(3, 0, index))]
        assert len(set(others)) == 8 and index not in others
        assert max(lengths[others]) <= max(lengths[index], 9)


def test_when_nothing_sound_is_found_the_error_says_so() -> None:
    with pytest.raises(
        DataError, match=r"\d+\.jpg: it is cut off \(and the 8 samples tried in its place are bad as well\)"
    ):
        steps(set(range(SIZE)))


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_takes_a_place_in_an_evaluation(workers: int) -> None:
    with pytest.raises(DataError, match=r"^5\.jpg: it is cut off\nleave it out$"):
        list(evaluation_batches(Numbers({5}), batch_size=4, rank=0, ranks=1, workers=workers))


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


def spoiled(*numbers: int, **settings: Any) -> dict[str, Any]:
    """A recipe of 12 steps of 16 samples, four of them an epoch."""
    made = recipe("single", workers=settings.pop("workers", 0))
    return {**made, "data": {**made["data"], "spoiled": numbers, **settings}}


NOTICE = "3 of 64 training samples of zoo-toys/points left out: "


class StopAt(SilentReporter):
    """Asks for a stop at the first log line from a step on."""

    def __init__(self, step: int) -> None:
        self.step = step

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_tells_what_was_left_out_and_resumes_exactly(zoo: Zoo, tmp_path: Path) -> None:
    skipping = spoiled(3, 30, 50, bad="skip")
    result = train(skipping, folder=tmp_path / "whole", zoo=zoo)
    assert result.card is not None and NOTICE in result.card.notes
    assert "points/30: it can't be decoded (training sample 31)" in result.card.notes
    log = (tmp_path / "whole" / "log.txt").read_text()
    assert NOTICE in log and "; others took their places" in log
    train({**skipping, "training": {**skipping["training"], "workers": 1}}, folder=tmp_path / "worker", zoo=zoo)
    stopped = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(skipping, folder=stopped, zoo=zoo, reporter=StopAt(8))
    assert len(state.newest(stopped / "checkpoints")[0].bad) == 3
    again = train(skipping, folder=stopped, zoo=zoo, resume=True)
    assert again.card is not None and NOTICE in again.card.notes
    assert final_digest(stopped) == final_digest(tmp_path / "whole") == final_digest(tmp_path / "worker")


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_end_the_run_with_their_names(workers: int, zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"of 64 training samples of zoo-toys/points are bad, more than the share of 0\.03"
    ) as caught:
        train(spoiled(3, 30, 50, bad="skip", max_bad=0.03, workers=workers), folder=tmp_path / "run", zoo=zoo)
    assert "training sample 31: points/30: it can't be decoded" in caught.value.message
    hint = f"max_bad allows a larger share: zoo resume {tmp_path / 'run'} max_bad=0.0"
    assert re.fullmatch(f"{re.escape(hint)}[45]", caught.value.hint)


def test_a_run_with_too_many_goes_on_once_more_are_allowed_and_ends_with_the_same_bits(
    zoo: Zoo, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        train(spoiled(3, 30, 50, bad="skip", max_bad=0.03), folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run" / "model").exists()
    advised = caught.value.hint.rsplit(" ", 1)[1]
    while True:  # as often as more are found
        try:
            result = resume(tmp_path / "run", overrides=[advised], zoo=zoo)
            break
        except DataError as error:
            assert error.hint.rsplit(" ", 1)[1] != advised
            advised = error.hint.rsplit(" ", 1)[1]
    train(spoiled(3, 30, 50, bad="skip", max_bad=0.5), folder=tmp_path / "whole", zoo=zoo)
    assert final_digest(tmp_path / "run") == final_digest(tmp_path / "whole")
    assert result.card is not None and NOTICE in result.card.notes


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_without_the_policy_ends_at_the_bad_sample(workers: int, zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^points/30: it can't be decoded$"):
        train(spoiled(30, workers=workers), folder=tmp_path / "run", zoo=zoo)
