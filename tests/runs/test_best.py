"""The best evaluation is kept, and patience counts those that were not better."""

from __future__ import annotations

import math

from zoo_core.runs.early_stopping import EarlyStopping


def test_lower_or_higher_is_better_as_the_task_says() -> None:
    low, high = EarlyStopping("min"), EarlyStopping("max")
    assert [low.improved(step, value) for step, value in enumerate((3.0, 2.0, 2.0, 1.0))] == [True, True, False, True]
    assert [high.improved(step, value) for step, value in enumerate((3.0, 2.0, 3.0, 4.0))] == [True, False, False, True]
    assert (low.step, low.value, high.step, high.value) == (3, 1.0, 3, 4.0)


def test_patience_counts_evaluations_since_the_best() -> None:
    best = EarlyStopping("min", patience=2)
    for step, value in enumerate((2.0, 1.0, 1.5)):
        best.improved(step, value)
    assert not best.lost_patience
    best.improved(3, 1.2)
    assert best.lost_patience and best.evals_since_best == 2 and not EarlyStopping("min").lost_patience


def test_what_is_no_number_is_never_the_best_for_long() -> None:
    for direction in ("min", "max"):
        best = EarlyStopping(direction)
        assert best.improved(1, math.nan) and best.improved(2, 5.0) and not best.improved(3, math.nan)
        assert (best.step, best.value) == (2, 5.0)
