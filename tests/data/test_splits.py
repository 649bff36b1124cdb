"""Splits follow content: order plays no part, equal samples stay together, a larger subset holds the smaller."""

from __future__ import annotations

import hashlib
import random

import pytest

from zoo_core.data.options import SplitShares, Subset
from zoo_core.data.splits import (
    folders_by_split,
    sorted_labels,
    split_by_hash,
    split_of_file,
    split_of_folder,
    subset_by_hash,
)
from zoo_core.errors import DataError

KEYS = [f"sample {number}" for number in range(2000)]


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def test_a_split_is_decided_by_the_sample_alone() -> None:
    places = split_by_hash(map(digest, KEYS), 0.1, 0.2)
    found = {KEYS[place]: split for split, numbers in places.items() for place in numbers}
    assert len(found) == 2000 and 150 < len(places["validation"]) < 250 < 350 < len(places["test"]) < 450
    shuffled = random.Random(0).sample(KEYS, 1000)
    for split, numbers in split_by_hash(map(digest, shuffled), 0.1, 0.2).items():
        assert all(found[shuffled[place]] == split for place in numbers)


def test_bounds_belong_to_the_next_split_and_splits_without_a_share_are_left_out() -> None:
    half, last = (1 << 63).to_bytes(8, "big"), b"\xff" * 8
    assert split_by_hash([bytes(8), half, last], 0.5, 0.25) == {"train": [2], "validation": [0], "test": [1]}
    assert split_by_hash([bytes(8), half], 0.5, 0.0) == {"train": [1], "validation": [0]}
    assert split_by_hash([bytes(8)], 0.0, 0.0) == {"train": [0]}


def test_a_larger_subset_holds_a_smaller_one_and_seeds_differ() -> None:
    small, large = (subset_by_hash(KEYS, count, 0, where="x") for count in (50, 200))
    assert large[:50] == small and subset_by_hash(KEYS, 50, 1, where="x") != small
    mixed = KEYS[::-1]
    assert [mixed[place] for place in subset_by_hash(mixed, 50, 0, where="x")] == [KEYS[place] for place in small]
    with pytest.raises(DataError, match="x: train_samples is 2001, the training split has 2000"):
        subset_by_hash(KEYS, 2001, 0, where="x")


def test_shares_that_leave_nothing_are_refused() -> None:
    for validation, test, message in (
        (-0.1, 0.1, "validation_fraction"),
        (0.1, 0.95, "test_fraction"),
        (0.5, 0.5, "together"),
    ):
        with pytest.raises(ValueError, match=message):
            SplitShares(validation_fraction=validation, test_fraction=test)
    with pytest.raises(ValueError, match="train_samples"):
        Subset(train_samples=0)
    assert Subset().train_samples is None


def test_labels_are_in_the_order_of_numbers_or_of_letters() -> None:
    assert sorted_labels(["10", "9", "10", "2"]) == ("2", "9", "10")
    assert sorted_labels(["10", "9", "a"]) == ("10", "9", "a")
    assert sorted_labels(["1234567890", "2"]) == ("1234567890", "2")  # too long to be the number of a class
    assert sorted_labels([]) == ()


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train", ("train", "Training", "TRAIN")),
        ("validation", ("dev", "Val", "valid", "VALIDATION")),
        ("test", ("test", "Testing", "eval")),
    ],
)
def test_a_split_has_the_same_words_for_files_and_folders_in_any_case(split: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert split_of_folder(word) == split_of_folder(f"{word}-clean-100") == split
        assert split_of_file(f"{word}.csv") == split_of_file(f"my {word}2.jsonl.gz") == split


def test_a_word_inside_another_is_no_split_and_a_folder_must_begin_with_it() -> None:
    for name in ("latest.csv", "contest.csv", "retrained.csv", "evaluate.csv", ""):
        assert split_of_file(name) == "" == split_of_folder(name)
    assert split_of_folder("crash-test") == ""


def test_folders_are_splits_where_one_is_for_training_or_all_say_a_split() -> None:
    assert folders_by_split(["Testing", "Training"]) == {"test": ["Testing"], "train": ["Training"]}
    assert folders_by_split(["train", "notes", "train-other"]) == {"": ["notes"], "train": ["train", "train-other"]}
    assert folders_by_split(["test"]) == {"test": ["test"]}
    assert folders_by_split(["test", "beaker"]) == {"": ["beaker", "test"]}
    assert folders_by_split([]) == {}
