"""Splits made by a rule: classes have their shares, groups stay whole, seeds differ, and the old rule is what it was."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from zoo_core.contract.schema import from_data, to_data
from zoo_core.data.options import GroupColumn, SplitOptions
from zoo_core.data.splits import class_notices, group_notices, joined_groups, make_splits, split_by_hash
from zoo_core.errors import DataError

UNITS = [f"sample {number}" for number in range(300)]
LABELS = ["common"] * 240 + ["rare"] * 50 + ["few"] * 7 + ["three"] * 3
STRATIFIED = SplitOptions(split_rule="stratified")


def counts(places: dict[str, list[int]]) -> dict[str, Counter[str]]:
    return {split: Counter(LABELS[place] for place in numbers) for split, numbers in places.items()}


def test_every_class_has_its_share_of_every_split() -> None:
    found = counts(make_splits(UNITS, STRATIFIED, 0.1, 0.2, labels=LABELS))
    assert found["validation"] == {"common": 24, "rare": 5, "few": 1, "three": 1}
    assert found["test"] == {"common": 48, "rare": 10, "few": 1, "three": 1}
    assert found["train"] == {"common": 168, "rare": 35, "few": 5, "three": 1}


def test_a_split_is_the_same_in_any_order_and_another_with_another_seed() -> None:
    one = make_splits(UNITS, STRATIFIED, 0.1, 0.2, labels=LABELS)
    back = make_splits(UNITS[::-1], STRATIFIED, 0.1, 0.2, labels=LABELS[::-1])
    assert {split: sorted(299 - place for place in numbers) for split, numbers in back.items()} == one
    for rule in ("hash", "stratified"):
        drawn = [
            make_splits(UNITS, SplitOptions(split_rule=rule, split_seed=seed), 0.1, 0.1, labels=LABELS)["test"]  # type: ignore[arg-type]
            for seed in (0, 1, 2)
        ]
        assert drawn[0] != drawn[1] != drawn[2] and 15 < len(drawn[1]) < 45


def test_the_hash_rule_is_the_one_that_old_recipes_mean() -> None:
    digests = [hashlib.sha256(unit.encode()).digest() for unit in UNITS]
    assert make_splits(UNITS, SplitOptions(), 0.1, 0.2, labels=LABELS) == split_by_hash(digests, 0.1, 0.2)


@pytest.mark.parametrize("rule", ["hash", "stratified"])
def test_a_unit_is_in_one_split_and_no_split_is_empty_where_two_units_are_there(rule: str) -> None:
    options = SplitOptions(split_rule=rule)  # type: ignore[arg-type]
    units = [f"document {number // 12}" for number in range(360)]
    places = make_splits(units, options, 0.1, 0.1, labels=[f"{number % 2}" for number in range(360)])
    homes = [{units[place] for place in numbers} for numbers in places.values()]
    assert sum(map(len, homes)) == 30 == len(set.union(*homes)) and sum(map(len, places.values())) == 360
    assert all(make_splits(["a", "a", "b", "c"], options, 0.1, 0.1).values())
    assert all(make_splits(["a", "b", "c"], options, 0.0, 0.9).values())
    assert make_splits(["a", "a"], options, 0.1, 0.0) == {"train": [0, 1], "validation": []}


def test_large_groups_go_where_there_is_room_for_them() -> None:
    units = ["large"] * 60 + UNITS[:40]
    places = make_splits(units, STRATIFIED, 0.1, 0.1)
    assert {split: len(numbers) for split, numbers in places.items()} == {"train": 80, "validation": 10, "test": 10}
    assert set(range(60)) <= set(places["train"])


def test_no_rule_leaves_all_together() -> None:
    assert make_splits(UNITS[:3], SplitOptions(split_rule="none"), 0.1, 0.1) == {"all": [0, 1, 2]}


def test_groups_that_share_a_sample_are_one() -> None:
    assert joined_groups(["k", "l", "k", "m", "m"], ["a", "a", "b", "c", ""]) == ["a", "a", "a", "c", "c"]
    assert joined_groups(["k", "l", "k"], ["", "", ""]) == ["k", "l", "k"]


def test_classes_are_counted_and_those_that_a_split_lacks_are_named() -> None:
    found = class_notices({"train": ["b", "a", "b\x1b"], "test": ["b"]})
    assert found == (
        "samples by class (train/test): a 1/0, b 1/1, b\\x1b 1/0",
        "no sample in test of: a, b\\x1b",
    )
    many = class_notices({"train": [f"{number:02}" for number in range(20)], "test": []})
    assert many[0].endswith("11 1/0 and 8 more classes") and many[1].endswith("11 and 8 more")
    assert class_notices({}) == ()


def test_groups_are_counted_and_those_that_given_splits_divide_are_told() -> None:
    splits = {"train": ["a", "a", "b", ""], "validation": ["b"], "test": ["c", ""]}
    assert group_notices(splits, "film", samples="rows", where="x.csv") == (
        "split by film: 2 groups of 3 in train, 1 groups of 1 in validation, 1 groups of 1 in test",
        "2 of 7 rows without a group: each is one by itself",
        "groups that are in several of the given splits: 1 (first: b in train and validation)",
    )
    with pytest.raises(DataError, match=r"x\.csv: none of the rows has a group, as column 'film' is empty or no table"):
        group_notices({"train": ["", ""]}, "film", samples="rows", where="x.csv")


def test_a_setting_that_came_later_is_written_only_when_it_is_set() -> None:
    assert to_data(GroupColumn()) == {} and to_data(GroupColumn(group_column="film")) == {"group_column": "film"}
    assert from_data(GroupColumn, {}, where="x") == GroupColumn()
