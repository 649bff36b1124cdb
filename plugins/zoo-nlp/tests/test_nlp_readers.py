"""Tables as people have them: other signs and encodings, bad rows, copies, documents, classes by number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from zoo_nlp.configs.data import LabelledFiles, ParallelFiles, TextFiles
from zoo_nlp.datasets.near_copies import crossing
from zoo_nlp.datasets.readers import read_labelled_text, read_parallel_text, read_text

from zoo_core import DataError
from zoo_core.data import SplitData

PHRASES = ("great value", "fast delivery", "works as it should", "lovely colour")


def messy(folder: Path) -> Path:
    """Semicolons, cp1252, a rare class, and every fault that a table of reviews has."""
    rows = [
        f"{number};{PHRASES[number % 4]}, {PHRASES[number % 3]} ({number});{('good', 'bad')[number % 2]};DE;"
        for number in range(120)
    ]
    rows += [f"{number};could be better ({number});mixed;FR;" for number in range(120, 129)]
    rows[10] = "10;;good;IT;"
    rows[20] = "20; ;bad;IT;"
    rows[30] = "30;would buy again (30);;FR;"
    rows[40] = "40;broke at once (40);N/A;IT;"
    rows[50] = "50;it is all right (50);Good;DE;"
    rows[51] = "51;never arrived (51);bad ;DE;"
    rows[60] = rows[62]
    rows[70] = rows[72].replace("good", "bad")
    rows[80] = '80;"""quoted; semicolon"", line\nbreak";bad;IT;'
    rows[90] = "90;café nächste Woche – gut;mixed;FR;"
    path = folder / "messy.csv"
    path.write_bytes(("id;text;rating;country;note\n" + "\n".join(rows) + "\n").encode("cp1252"))
    return path


def labelled(path: Path, **settings: object) -> SplitData:
    return read_labelled_text(LabelledFiles(path=str(path), **settings))  # type: ignore[arg-type]


def csv(path: Path, rows: list[tuple[str, ...]], header: str = "text,label") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


def test_a_messy_table_lists_every_bad_row_once_with_its_line(tmp_path: Path) -> None:
    path = messy(tmp_path)
    with pytest.raises(DataError) as caught:
        labelled(path, label_column="rating")
    assert caught.value.message.splitlines() == [
        f"4 of 129 rows of {path} are bad:",
        f"  {path}:12: the text is empty",
        f"  {path}:22: the text is empty",
        f"  {path}:32: the label is empty",
        f"  {path}:42: the label is missing (N/A); data.missing=[] takes it as it is",
    ]


def test_notices_count_what_is_trained_on_and_say_of_given_splits_only_what_holds(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("validation", 9)):
        rows = [f"text {number},{'ab'[number % 2]}" for number in range(first, first + 10)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    given = {split: str(tmp_path / f"{split}.csv") for split in ("train", "validation")}
    told = read_labelled_text(LabelledFiles(**given)).notices
    assert told[0] == "samples by class (train/validation): a 5/5, b 5/5"
    assert told[1] == f"samples that occur more than once: 1 (first: {given['train']}:11 and {given['validation']}:2)"
    (few,) = {sample.label for sample in read_labelled_text(LabelledFiles(**given, train_samples=1)).samples("train")}
    told = read_labelled_text(LabelledFiles(**given, train_samples=1)).notices
    assert f"no sample in train of: {'b' if few == 'a' else 'a'}" in told


def test_a_messy_table_is_read_but_for_its_bad_rows(tmp_path: Path) -> None:
    path = messy(tmp_path)
    data = labelled(path, label_column="rating", bad="skip", split_rule="stratified")
    assert data.labels == ("Good", "bad", "good", "mixed")
    told = "\n".join(data.notices)
    assert f"{path}: not UTF-8, read as cp1252; encoding= names another" in told
    assert f"4 of 129 rows of {path} left out: 2 the text is empty ({path}:12, {path}:22), 1 the label is empty" in told
    assert "labels that look alike are different classes: 'Good', 'good'" in told
    assert f"samples that occur more than once, and share a split: 2 (first: {path}:62 and {path}:64)" in told
    assert f"samples that occur with different labels: 1 ('bad' at {path}:72, 'good' at {path}:74)" in told
    samples = [sample for split in data.splits() for sample in data.samples(split)]
    texts = {sample.text: sample.label for sample in samples}
    assert len(samples) == 125 and texts['"quoted; semicolon", line\nbreak'] == "bad"
    assert texts["café nächste Woche – gut"] == "mixed" and texts["never arrived (51)"] == "bad"
    assert {sample.label for sample in data.samples("test")} == {"bad", "good", "mixed"}
    assert "no sample in test of: Good" in told
    with pytest.raises(DataError, match=r"more than the share of 0\.01 that max_bad allows"):
        labelled(path, label_column="rating", bad="skip", max_bad=0.01)


def test_what_stands_for_no_value_can_be_said(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", [("a", "none"), ("b", "N/A"), ("c", "none"), ("d", "N/A")])
    with pytest.raises(DataError, match=r"the label is missing \(N/A\)"):
        labelled(path)
    assert labelled(path, missing=()).labels == ("N/A", "none")


def test_bad_texts_and_pairs_have_the_same_policy(tmp_path: Path) -> None:
    pairs = csv(tmp_path / "pairs.csv", [("a", "x"), ("", "y"), ("c", ""), ("d", "z")], "source,target")
    texts = csv(tmp_path / "texts.csv", [("a",), (" ",), ("b",)], "text")
    with pytest.raises(DataError, match=r"2 of 4 rows of .*:\n.*:3: the source is empty\n.*:4: the target is empty"):
        read_parallel_text(ParallelFiles(path=str(pairs)))
    with pytest.raises(DataError, match=r":3: the text is empty \(1 of 3 texts"):
        read_text(TextFiles(path=str(texts)))
    left = read_parallel_text(ParallelFiles(path=str(pairs), bad="skip", max_bad=0.5, split_rule="none"))
    assert [pair.source for pair in left.samples("all")] == ["a", "d"] and "2 of 4 rows" in left.notices[0]
    kept = read_text(TextFiles(path=str(texts), bad="skip", max_bad=0.5, split_rule="none"))
    assert [text.text for text in kept.samples("all")] == ["a", "b"] and "1 of 3 texts" in kept.notices[0]


def test_a_file_that_is_evaluated_is_not_split_and_may_have_one_class(tmp_path: Path) -> None:
    rows = [(f"text {number}", "positive") for number in range(4)]
    data = labelled(csv(tmp_path / "a.csv", rows), split_rule="none")
    assert data.splits() == ("all",) and len(data.samples("all")) == 4 and data.labels == ("positive",)
    (tmp_path / "d").mkdir()
    csv(tmp_path / "d" / "test.csv", rows)
    assert len(labelled(tmp_path / "d", split_rule="none").samples("all")) == 4
    csv(tmp_path / "d" / "train.csv", rows)
    assert labelled(tmp_path / "d", split_rule="none").splits() == ("test", "train")


def test_documents_stay_in_one_split_and_without_them_near_copies_are_told(tmp_path: Path) -> None:
    rows = [
        (f"w{doc} w{doc} part {part} of the {kind} kind {(doc * 7 + part * part) % 10}", kind[0], f"d{doc}")
        for doc in range(30)
        for part in range(12)
        for kind in [("first", "other")[doc % 2]]
    ]
    path = csv(tmp_path / "grouped.csv", rows, "text,label,document")
    for rule in ("hash", "stratified"):
        data = labelled(path, group_column="document", split_rule=rule)
        homes = [{sample.text.split()[0] for sample in data.samples(split)} for split in data.splits()]
        assert sum(map(len, homes)) == 30 and all(homes) and not any("near-copy" in told for told in data.notices)
    (told,) = [notice for notice in labelled(path, split_rule="stratified").notices if "near-copy" in notice]
    assert told.endswith("group_column= names what belongs together, like a document")


def test_texts_that_share_half_of_their_pairs_of_words_are_near_copies() -> None:
    held = ["the quick brown fox jumps over the lazy dog", "something else entirely, with other words"]
    train = [
        "the quick brown fox jumps over the lazy cat",
        *(f"number {n} has words of its own, {n * n}" for n in range(99)),
    ]
    assert crossing(held, train) == 1
    assert crossing(held[1:], train) == 0 and crossing(["x"], ["x", "y"]) == 1


def test_every_class_is_in_every_split_and_seeds_draw_others(tmp_path: Path) -> None:
    rows = [(f"text {number}", "rare" if number % 14 == 0 else "often") for number in range(140)]
    path = csv(tmp_path / "a.csv", rows)
    data = labelled(path, split_rule="stratified")
    found = {split: Counter(sample.label for sample in data.samples(split)) for split in data.splits()}
    assert found["test"] == found["validation"] == {"often": 13, "rare": 1}
    assert "samples by class (train/validation/test): often 104/13/13, rare 8/1/1" in data.notices
    other = labelled(path, split_rule="stratified", split_seed=1)
    assert set(other.samples("test")) != set(data.samples("test"))


def test_classes_have_the_names_that_their_file_gives_them(tmp_path: Path) -> None:
    told = '{"info": {"features": {"label": {"names": ["negative", "positive"]}}}}'
    table = pa.table({"text": [f"t{n}" for n in range(4)], "label": [0, 1, 1, 0]})
    path = tmp_path / "a.parquet"
    pq.write_table(table.replace_schema_metadata({"huggingface": told}), path)
    assert labelled(path).labels == ("negative", "positive")
    pq.write_table(table, path)
    assert labelled(path).labels == ("0", "1")


def test_a_label_that_is_no_number_is_no_class(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": [1.0, float("nan"), 0.0]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: row 2: column 'label' has no value"):
        labelled(tmp_path / "a.parquet")


def test_an_existing_file_is_not_a_pattern_and_hidden_ones_are_not_meant(tmp_path: Path) -> None:
    path = csv(tmp_path / "d[1].csv", [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")])
    csv(tmp_path / "d1.csv", [("other", "z"), ("file", "w")])
    assert labelled(path).labels == ("x", "y")
    csv(tmp_path / "._d2.csv", [("hidden", "h"), ("file", "h")])
    assert labelled(tmp_path / "d?.csv").labels == ("w", "z") == labelled(tmp_path / "d[0-9].csv").labels
    path.unlink()
    assert labelled(tmp_path).labels == ("w", "z")
