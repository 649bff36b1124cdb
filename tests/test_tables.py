"""Tables and lines: every format round-trips, every bad input is named by file and line."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo_core import tables
from zoo_core.errors import DataError
from zoo_core.tables import Row, read_lines, read_table, suffix_of, tables_by_split

COLUMNS = {"text": "tweet", "label": "mood"}
ROWS = [('it\'s grand, "really"', "good"), ("two\nlines", "7"), ("Zoë 🦓", "bad")]


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def rows_of(path: Path, columns: dict[str, str] = COLUMNS) -> list[Row]:
    return list(read_table(path, columns))


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def as_csv(folder: Path) -> Path:
    lines = ["mood,extra,tweet"] + [f"{quoted(label)},x,{quoted(text)}" for text, label in ROWS]
    return write(folder / "a.csv", "\r\n".join(lines) + "\r\n")


def as_jsonl(folder: Path) -> Path:
    records = [{"extra": [1], "tweet": text, "mood": label} for text, label in ROWS]
    return write(folder / "a.jsonl", "\n\n".join(json.dumps(record) for record in records))


def as_gzip(folder: Path) -> Path:
    return write(folder / "a.csv.gz", gzip.compress(as_csv(folder).read_bytes()))


def as_parquet(folder: Path) -> Path:
    texts, labels = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"mood": labels, "extra": [1, 2, 3], "tweet": texts}), folder / "a.parquet")
    return folder / "a.parquet"


@pytest.mark.parametrize("make", [as_csv, as_jsonl, as_gzip, as_parquet])
def test_every_format_gives_the_same_rows(make, tmp_path: Path) -> None:
    rows = rows_of(make(tmp_path))
    assert [(row.values["text"], row.values["label"]) for row in rows] == ROWS


def test_csv_rows_know_the_line_they_start_on(tmp_path: Path) -> None:
    assert [row.line for row in rows_of(as_csv(tmp_path))] == [2, 3, 5]


def test_tsv_takes_quotes_as_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'tweet\tmood\n"half\tgood\n')
    assert rows_of(path) == [Row(2, {"text": '"half', "label": "good"})]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbftweet,mood\nhi,good\n")
    assert rows_of(path)[0].values == {"text": "hi", "label": "good"}


def test_numbers_stay_as_they_were_written(tmp_path: Path) -> None:
    huge = "9" * 5000
    path = write(tmp_path / "a.jsonl", f'{{"tweet": 1.50, "mood": {huge}}}\n')
    assert rows_of(path)[0].values == {"text": "1.50", "label": huge}
    assert type(rows_of(path)[0].values["text"]) is str


def test_parquet_numbers_become_strings(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tweet": ["a", "b"], "mood": [0, 1]}), tmp_path / "a.parquet")
    assert [row.values["label"] for row in rows_of(tmp_path / "a.parquet")] == ["0", "1"]


def test_two_roles_may_share_a_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tweet": ["a"]}), tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet", {"one": "tweet", "two": "tweet"})[0].values == {"one": "a", "two": "a"}


DEEP = '{"tweet": ' + "[" * 100_000 + "]" * 100_000 + ', "mood": "x"}'

BAD = {
    "empty.csv": (b"", "empty, not even a header"),
    "blank.csv": (b"\n\n", "empty, not even a header"),
    "header_only.csv": (b"tweet,mood\n", "no rows"),
    "no_column.csv": (b"text,mood\nhi,good\n", ":1: no column 'tweet'"),
    "twice.csv": (b"tweet,mood,mood\na,b,c\n", ":1: the header names column 'mood' twice"),
    "few.csv": (b"tweet,mood\na,b\nc\n", ":3: 2 fields expected as in the header, found 1"),
    "many.csv": (b"tweet,mood\na,b,c\n", ":2: 2 fields expected as in the header, found 3"),
    "quote.csv": (b'tweet,mood\n"a,b\nc,d\n', ":2: unexpected end of data"),
    "stray_quote.csv": (b'tweet,mood\n"a"b,c\n', ":2: ',' expected after '\"'"),
    "field.csv": (b"tweet,mood\n" + b"a" * 200_000 + b",b\n", ":2: field larger than field limit"),
    "old_mac.csv": (b"tweet,mood\ra,b\r", ":1: new-line character seen in unquoted field"),
    "latin.csv": (b"tweet,mood\nok,good\nZo\xeb,good\n", ":3: not UTF-8 (byte 0xeb at 3)"),
    "utf16.csv": ("tweet,mood\nhi,good\n".encode("utf-16"), ":1: not UTF-8 (byte 0xff at 1)"),
    "nul.csv": (b"tweet,mood\na\0,b\n", ":2: contains a NUL character"),
    "long.jsonl": (b'{"tweet": "' + b"a" * 1001 + b'"}', ":1: line longer than 1,000 bytes"),
    "empty.jsonl": (b"", "no rows"),
    "broken.jsonl": (b'{"tweet": "a", "mood": "b"}\n{"tweet"\n', ":2: not valid JSON"),
    "list.jsonl": (b'["a", "b"]\n', ":1: an object {...} is due on every line, found a list"),
    "number.jsonl": (b"3\n", ":1: an object {...} is due on every line, found a number"),
    "missing.jsonl": (b'{"tweet": "a"}\n', ":1: no column 'mood'"),
    "null.jsonl": (b'{"tweet": null, "mood": "b"}\n', ":1: column 'tweet' must be a string or a number, found null"),
    "bool.jsonl": (b'{"tweet": "a", "mood": true}\n', ":1: column 'mood' must be a string or a number, found true or"),
    "nested.jsonl": (b'{"tweet": {}, "mood": "b"}\n', ":1: column 'tweet' must be a string or a number, found an obj"),
    "nan.jsonl": (b'{"tweet": NaN, "mood": "b"}\n', ":1: not valid JSON: NaN is not JSON"),
    "surrogate.jsonl": (b'{"tweet": "\\ud83e", "mood": "b"}\n', ":1: column 'tweet' contains half a surrogate pair"),
    "nul.jsonl": (b'{"tweet": "a\\u0000", "mood": "b"}\n', ":1: column 'tweet' contains a NUL character"),
    "latin.jsonl": (b'{"tweet": "Zo\xeb", "mood": "b"}\n', ":1: not UTF-8"),
    "not.parquet": (b"PAR1 but not really", "not readable as Parquet"),
    "empty.parquet": (b"", "not readable as Parquet"),
    "not.csv.gz": (b"tweet,mood\na,b\n", "can't be read after line 0"),
    "cut.csv.gz": (gzip.compress(b"tweet,mood\na,b\n")[:-9], "can't be read after line"),
    "a.xlsx": (b"PK", "not a table that can be read (suffix '.xlsx')"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_by_file_and_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, message = BAD[name]
    if name == "long.jsonl":
        monkeypatch.setattr(tables, "MAX_LINE", 1000)
    path = write(tmp_path / name, data)
    with pytest.raises(DataError) as caught:
        rows_of(path)
    assert caught.value.message.startswith(str(path)) and message in caught.value.message


def test_a_json_depth_bomb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", DEEP)
    with pytest.raises(DataError, match=r"a\.jsonl:1: nested more than 32 deep"):
        rows_of(path)


def test_brackets_inside_strings_are_no_depth(tmp_path: Path) -> None:
    text = "[{" * 100 + '\\"['
    path = write(tmp_path / "a.jsonl", f'{{"tweet": "{text}", "mood": "b"}}')
    assert rows_of(path)[0].values["text"] == text.replace("\\", "")


def test_missing_columns_and_files_name_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "tweets,mood\na,b\n")
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path / "train.csv")
    assert caught.value.hint == "did you mean tweets?"
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path / "trian.csv")
    assert "no such file" in caught.value.message and caught.value.hint == "did you mean train.csv?"


def test_unknown_suffixes_list_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        rows_of(write(tmp_path / "a.xlsx", b""))
    assert caught.value.hint == "valid: .csv, .tsv, .jsonl, .parquet"


def test_parquet_nulls_and_lists_are_refused_with_their_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tweet": ["a", None], "mood": ["x", "y"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="row 2: column 'tweet' must be a string or a number, found null"):
        rows_of(tmp_path / "a.parquet")
    pq.write_table(pa.table({"tweet": [["a"]], "mood": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="row 1: column 'tweet' must be a string or a number, found a list"):
        rows_of(tmp_path / "b.parquet")
    pq.write_table(pa.table({"tweet": ["a"], "mood": [True]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match="row 1: column 'mood' must be a string or a number, found true or false"):
        rows_of(tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: no column 'text'"):
        rows_of(tmp_path / "b.parquet", {"text": "text"})


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    whole = as_parquet(tmp_path).read_bytes()
    with pytest.raises(DataError, match="not readable as Parquet"):
        rows_of(write(tmp_path / "b.parquet", whole[:-20]))


def test_folders_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(DataError, match="a folder, where a file is due"):
        rows_of(tmp_path / "a.csv")
    with pytest.raises(DataError, match="not an ordinary file"):
        rows_of(tmp_path / "b.csv")


def test_a_gzip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FREE_BYTES", 10_000)
    bomb = write(tmp_path / "a.csv.gz", gzip.compress(b"tweet,mood\n" + b"a,b\n" * 500_000))
    with pytest.raises(DataError, match="unfolds to more than 200 times its size"):
        rows_of(bomb)
    rows_of(write(tmp_path / "b.csv.gz", gzip.compress(b"tweet,mood\n" + b"a,b\n" * 1000)))


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_bomb_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dictionary: bool
) -> None:
    """Where rows share a value, the file promises its size once; a column that nobody asked for costs nothing."""
    monkeypatch.setattr(tables, "FREE_BYTES", 1_000_000)
    rows = pa.table({"tweet": ["a" * 400_000] * 5, "mood": ["x"] * 5})
    pq.write_table(rows, tmp_path / "a.parquet", compression="zstd", use_dictionary=dictionary)
    assert [row.values for row in rows_of(tmp_path / "a.parquet", {"mood": "mood"})] == [{"mood": "x"}] * 5
    if not dictionary:
        monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    with pytest.raises(DataError, match=r"a\.parquet: unfolds to more than 200 times its size"):
        rows_of(tmp_path / "a.parquet")


def test_lines_come_without_their_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one\r\n\n  three \nfour")
    assert list(read_lines(path)) == ["one", "", "  three ", "four"]
    assert list(read_lines(write(tmp_path / "a.txt.gz", gzip.compress(b"x\ny\n")))) == ["x", "y"]


def test_bad_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt:2: not UTF-8 \(byte 0xff at 1\)"):
        list(read_lines(write(tmp_path / "a.txt", b"one\n\xff\n")))


def test_suffixes() -> None:
    assert [suffix_of(Path(name)) for name in ("a.CSV", "b.csv.gz", "c.txt", "d")] == [".csv", ".csv", ".txt", ""]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a.csv", "b.csv"), {"": ["a.csv", "b.csv"]}),
        (("my_test.csv",), {"": ["my_test.csv"]}),
        (("latest.csv", "contest.csv"), {"": ["latest.csv", "contest.csv"]}),
        (("test.csv", "train.csv"), {"train": ["train.csv"], "test": ["test.csv"]}),
        (
            ("dev.jsonl.gz", "train-00000-of-00002.parquet", "TRAIN-00001-of-00002.parquet"),
            {"validation": ["dev.jsonl.gz"], "train": ["train-00000-of-00002.parquet", "TRAIN-00001-of-00002.parquet"]},
        ),
    ],
)
def test_names_tell_the_splits_of_tables(names: tuple[str, ...], expected: dict[str, list[str]]) -> None:
    found = tables_by_split([Path("x") / name for name in names])
    assert {split: [table.name for table in tables] for split, tables in found.items()} == expected


@pytest.mark.parametrize("names", [("train.csv", "more.csv"), ("test.csv", "dev.csv")])
def test_tables_whose_use_is_open_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=f"train on and which to test on.*{names[0]}"):
        tables_by_split([Path("x") / name for name in names])
