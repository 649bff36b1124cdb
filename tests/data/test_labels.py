"""Labels are one where only their encoding differs, and those that look alike are told."""

from __future__ import annotations

import unicodedata

import pytest

from zoo_core.data.tables.labels import class_of, label_name, lookalikes


def test_a_label_is_composed_and_bare() -> None:
    for form in ("NFC", "NFD"):
        assert label_name(f" {unicodedata.normalize(form, 'café')}\n") == unicodedata.normalize("NFC", "café")
    assert label_name("Ⅳ good") == "Ⅳ good"  # what looks otherwise stays so


def test_labels_that_look_alike_are_told() -> None:
    assert lookalikes(["good", "Good", "bad", "ｂａｄ", "fine", "good"]) == (
        "labels that look alike are different classes: 'Good', 'good'",
        "labels that look alike are different classes: 'bad', 'ｂａｄ'",
    )
    assert lookalikes(["a", "b", "a b", "ab"]) == ()
    many = [f"{case}{number}" for number in range(8) for case in "aA"]
    assert len(lookalikes(many)) == 6 and lookalikes(many)[-1] == "3 more groups of labels look alike"


def test_a_number_may_stand_for_a_name() -> None:
    names = ("bad", "7", "good")
    assert [class_of(label, names) for label in ("2", "7", "good", "fair")] == ["good", "7", "good", "fair"]
    assert class_of("2", ()) == "2" and class_of("-1", ()) == "-1"
    for label in ("3", "-1"):
        with pytest.raises(ValueError, match=f"label {label}, "):
            class_of(label, names)
