"""Tables that others wrote: rows without values, columns that only some rows have, bombs, and names that tell the split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.configs.data import LabelledRecordings, TranscribedRecordings
from zoo_speech.datasets.manifests import columns_of, read_manifests
from zoo_speech.datasets.readers import read_labelled_recordings, read_transcribed_recordings

from zoo_core import DataError
from zoo_core.data import FREE_BYTES, Faults, SplitData, TableOptions
from zoo_core.data.tables import media

ROLES = {"audio": "", "text": "", "speaker": ""}
WHOLE = {"validation_fraction": 0, "test_fraction": 0}


def sound(number: int) -> bytes:
    """Ten milliseconds that say their number in their first sample."""
    samples = np.zeros(80, np.float32)
    samples[0] = number / 32768
    return wav_bytes(samples, 8000)


def recorded(folder: Path, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of recordings in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number}.wav").write_bytes(sound(number))
    return [{"path": f"{number}.wav", "text": f"number {number}"} for number in numbers]


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def transcribed(path: Path | str, **settings: Any) -> SplitData:
    return read_transcribed_recordings(TranscribedRecordings(path=str(path), **settings))


def texts(data: SplitData) -> dict[str, list[str]]:
    return {split: [sample.text for sample in data.samples(split)] for split in data.splits()}  # type: ignore[attr-defined]


# ---- rows without values


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_row_without_a_value_is_a_bad_row_like_any_other(tmp_path: Path, suffix: str) -> None:
    rows = recorded(tmp_path, range(40))
    rows[3]["text"] = None
    rows[7]["path"] = None
    path = tmp_path / f"t.{suffix}"
    if suffix == "jsonl":
        del rows[7]["path"], rows[9]["text"]
        jsonl(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    where = "t.jsonl:4" if suffix == "jsonl" else "t.parquet: row 4"
    bad = 3 if suffix == "jsonl" else 2
    with pytest.raises(DataError, match=rf"^{bad} of 40 recordings of .* are bad:\n.*{where}: the text has no value"):
        transcribed(path)
    data = transcribed(path, bad="skip", max_bad=0.1, **WHOLE)
    assert len(data.samples("train")) == 40 - bad and f"{bad} of 40" in data.notices[0]


def test_bytes_that_are_not_there_are_a_bad_row(tmp_path: Path) -> None:
    sounds = [{"bytes": sound(number), "path": None} for number in range(20)]
    sounds[4] = {"bytes": None, "path": "x.wav"}
    pq.write_table(pa.table({"audio": sounds, "text": [f"t {n}" for n in range(20)]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"row 5: no bytes of a recording \(1 of 20"):
        transcribed(tmp_path / "t.parquet")
    assert len(transcribed(tmp_path / "t.parquet", bad="skip", **WHOLE).samples("train")) == 19


def test_nothing_in_a_column_that_need_not_be_there_is_nothing(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {**row, "speaker": None, "offset": None, "lang": None} for row in recorded(tmp_path, range(4))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for path in (jsonl(tmp_path / "t.jsonl", rows), tmp_path / "t.parquet"):
        data = transcribed(path, language="en", **WHOLE)
        assert {(sample.speaker, sample.language) for sample in data.samples("train")} == {("", "en")}  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [["a"], {"a": 1}, "a\0b", "\ud800"])
def test_values_that_are_no_text_are_bad_rows(tmp_path: Path, value: Any) -> None:
    rows: list[dict[str, Any]] = recorded(tmp_path, range(30))
    rows[1]["text"] = value
    path = jsonl(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError, match=r"t\.jsonl:2: the text .*\(1 of 30"):
        transcribed(path)
    assert len(transcribed(path, bad="skip", **WHOLE).samples("train")) == 29


def test_a_home_that_there_is_not_is_a_bad_row(tmp_path: Path) -> None:
    rows = recorded(tmp_path, range(30))
    rows[1]["path"] = "~nobodyhere/x.wav"
    path = jsonl(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError, match=r"t\.jsonl:2: ~nobodyhere/x\.wav: "):
        transcribed(path)
    assert len(transcribed(path, bad="skip", **WHOLE).samples("train")) == 29
    with pytest.raises(DataError, match="~nobodyhere: "):
        transcribed(path, root="~nobodyhere")


def test_numbers_may_be_as_long_as_they_like(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "t.jsonl", [{**row, "id": 12345} for row in recorded(tmp_path, range(3))])
    path.write_text(path.read_text().replace("12345", "9" * 5_000))
    assert len(transcribed(path, **WHOLE).samples("train")) == 3


# ---- columns


def test_columns_that_only_later_rows_have_count(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = recorded(tmp_path, range(40))
    for number, row in enumerate(rows[1:]):
        row["speaker"] = f"s{number % 6}"
    data = transcribed(jsonl(tmp_path / "t.jsonl", rows))
    assert data.notices == ("1 of 40 recordings without a speaker: split by recording",)
    rows[5]["offset"] = 91.5
    with pytest.raises(DataError, match=r"t\.jsonl:6.* offset: a part up to second 91\.5"):
        transcribed(jsonl(tmp_path / "t.jsonl", rows))


def test_parts_of_bytes_are_cut_and_refused_where_there_are_none(tmp_path: Path) -> None:
    columns = {"audio": [sound(0), sound(1)], "text": ["a", "b"], "offset": [0.0, 90.5]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"row 2.* offset: a part up to second 90\.5"):
        transcribed(tmp_path / "t.parquet")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    both = pa.Table.from_arrays([pa.array(["0.wav"]), pa.array(["1.wav"]), pa.array(["a"])], ["audio", "audio", "text"])
    pq.write_table(both, tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("audio,text,text\n0.wav,a,b\n")
    for name, column in (("t.parquet", "audio"), ("t.csv", "text")):
        with pytest.raises(DataError, match=f"two columns are called '{column}'"):
            columns_of(tmp_path / name, ROLES, TableOptions())


def test_the_path_beside_bytes_tells_their_format(tmp_path: Path) -> None:
    raw = bytes(range(1, 255)) * 8
    sounds = [{"bytes": raw, "path": "call.G722"}, {"bytes": raw, "path": None}]
    pq.write_table(pa.table({"audio": sounds[:1], "text": ["a"]}), tmp_path / "t.parquet")
    (sample,) = transcribed(tmp_path / "t.parquet", **WHOLE).samples("train")
    assert sample.waveform.rate == 16_000 and sample.name.endswith("row 1: call.G722")
    pq.write_table(pa.table({"audio": sounds[1:], "text": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="row 1: not a recording"):
        transcribed(tmp_path / "t.parquet")


# ---- bombs


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_small_file_with_large_recordings_is_refused_unread(tmp_path: Path, dictionary: bool) -> None:
    """Where rows share a value, the file promises its size once."""
    path = tmp_path / "t.parquet"
    zeros = bytes(FREE_BYTES // 4)
    table = pa.table({"audio": pa.array([zeros] * 5, pa.binary()), "text": ["x"] * 5})
    pq.write_table(table, path, compression="zstd", use_dictionary=dictionary)
    assert path.stat().st_size < 50_000
    with pytest.raises(DataError, match=r"t\.parquet: unfolds to more than 100,000,000 bytes, 200 times its size"):
        list(read_manifests([path], ROLES, "", TableOptions(), Faults()))


def test_all_bytes_of_a_split_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert media.MAX_BYTES > FREE_BYTES
    monkeypatch.setattr(media, "MAX_BYTES", 1_000)
    pq.write_table(pa.table({"audio": [sound(n) for n in range(9)], "text": ["x"] * 9}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"row 5: more than 1,000 bytes of files in tables"):
        list(read_manifests([tmp_path / "t.parquet"], ROLES, "", TableOptions(), Faults()))


# ---- names that tell the split


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "dev.csv", "test.csv"),
        ("train-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("digits_train.jsonl", "digits.VALID.jsonl", "test_manifest.jsonl"),
    ],
)
def test_tables_named_for_splits_are_the_splits(tmp_path: Path, names: Sequence[str]) -> None:
    rows = recorded(tmp_path / "wav", range(12))
    folder = tmp_path / "tables"
    folder.mkdir()
    for number, name in enumerate(names):
        part = pa.Table.from_pylist(rows[number * 4 : number * 4 + 4])
        if name.endswith(".parquet"):
            pq.write_table(part, folder / name)
        elif name.endswith(".csv"):
            lines = ["path,text", *(f"{row['path']},{row['text']}" for row in part.to_pylist())]
            (folder / name).write_text("\n".join(lines) + "\n")
        else:
            jsonl(folder / name, part.to_pylist())
    expected = {
        split: [f"number {place * 4 + number}" for number in range(4)]
        for place, split in enumerate(("train", "validation", "test"))
    }
    for path in (folder, folder / "*"):
        assert texts(transcribed(path, root=str(tmp_path / "wav"))) == expected
    with pytest.raises(DataError, match="it has splits of its own"):
        read_transcribed_recordings(TranscribedRecordings(train=str(folder), root=str(tmp_path / "wav")))


def test_labelled_tables_are_split_by_their_names_too(tmp_path: Path) -> None:
    for name, numbers in (("train", (0, 1)), ("test", (2, 3))):
        rows = [{**row, "label": "ab"[place]} for place, row in enumerate(recorded(tmp_path / "wav", numbers))]
        (tmp_path / "tables").mkdir(exist_ok=True)
        jsonl(tmp_path / "tables" / f"{name}.jsonl", rows)
    config = LabelledRecordings(path=str(tmp_path / "tables"), root=str(tmp_path / "wav"), validation_fraction=0)
    data = read_labelled_recordings(config)
    assert {split: len(data.samples(split)) for split in data.splits()} == {"train": 2, "test": 2}


@pytest.mark.parametrize("names", [("train", "more", "test"), ("validation", "test"), ("more", "test")])
def test_tables_that_leave_their_use_open_are_refused(tmp_path: Path, names: Sequence[str]) -> None:
    for name in names:
        jsonl(tmp_path / f"{name}.jsonl", [{"path": "x.wav", "text": "x"}])
    with pytest.raises(DataError, match=r"which tables are to train on and which to test on\? .*test\.jsonl") as caught:
        transcribed(tmp_path)
    assert "train, validation and test" in caught.value.hint


def test_tables_of_one_split_or_of_none_are_split(tmp_path: Path) -> None:
    rows = recorded(tmp_path / "wav", range(40))
    for names in (("train-0", "train-1"), ("a", "b")):
        folder = tmp_path / names[0]
        folder.mkdir()
        for part, name in enumerate(names):
            jsonl(folder / f"{name}.jsonl", rows[part * 20 : part * 20 + 20])
        found = texts(transcribed(folder, root=str(tmp_path / "wav")))
        assert list(found) == ["train", "validation", "test"] and sum(map(len, found.values())) == 40
