"""Tables and lines: every format round-trips, every bad input is named by file and line."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo_core.data.bad import Faults, listed_twice, settle_faults
from zoo_core.data.options import BadSamples, TableOptions
from zoo_core.data.tables import delimited, lines
from zoo_core.data.tables.rows import (
    Row,
    class_names,
    read_lines,
    read_table,
    scan_table,
    suffix_of,
    table_header,
    tables_by_split,
)
from zoo_core.errors import DataError

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
    "quote.csv": (b'tweet,mood\n"a,b\nc,d\n', ":2: a quote is opened and never closed"),
    "stray_quote.csv": (b'tweet,mood\n"a"b,c\n', ":2: ',' expected after a closing quote, found 'b'"),
    "long.csv": (b'tweet,mood\n"' + b"a\n" * 501 + b'",b\n', ":2: a field longer than 1,000 characters"),
    "old_mac.csv": (b"tweet,mood\ra,b\r", ":1: a line break without a line feed"),
    "latin.csv": (b"tweet,mood\nok,good\nZo\xeb,good\n", ":3: not UTF-8 (byte 0xeb at 3)"),
    "utf16.csv": ("tweet,mood\nhi,good\n".encode("utf-16"), ":1: not UTF-8 (byte 0xff at 1)"),
    "nul.csv": (b"tweet,mood\na\0,b\n", ":2: contains a NUL character"),
    "long.jsonl": (b'{"tweet": "' + b"a" * 1001 + b'"}', ":1: line longer than 1,000 bytes"),
    "empty.jsonl": (b"", "no rows"),
    "broken.jsonl": (b'{"tweet": "a", "mood": "b"}\n{"tweet"\n', ":2: not valid JSON"),
    "list.jsonl": (b'["a", "b"]\n', ":1: an object {...} expected on every line, found a list"),
    "number.jsonl": (b"3\n", ":1: an object {...} expected on every line, found a number"),
    "missing.jsonl": (b'{"tweet": "a"}\n', ":1: no column 'mood'"),
    "null.jsonl": (b'{"tweet": null, "mood": "b"}\n', ":1: column 'tweet' has no value"),
    "key.jsonl": (b'{"tweet": "a", "mood": "b", "tweet": "c"}\n', ":1: not valid JSON: the key 'tweet' occurs twice"),
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
    if name.startswith("long"):
        for module in (lines, delimited):
            monkeypatch.setattr(module, "MAX_LINE", 1000)
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
    with pytest.raises(DataError, match="row 2: column 'tweet' has no value"):
        rows_of(tmp_path / "a.parquet")
    pq.write_table(pa.table({"tweet": [["a"]], "mood": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="row 1: column 'tweet' must be a string or a number, found a list"):
        rows_of(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: no column 'text'"):
        rows_of(tmp_path / "b.parquet", {"text": "text"})


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    whole = as_parquet(tmp_path).read_bytes()
    with pytest.raises(DataError, match="not readable as Parquet"):
        rows_of(write(tmp_path / "b.parquet", whole[:-20]))


def test_folders_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(DataError, match="expected a regular file, found a folder"):
        rows_of(tmp_path / "a.csv")
    with pytest.raises(DataError, match="found a pipe, a socket or a device"):
        rows_of(tmp_path / "b.csv")


def test_a_gzip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_TABLE", "10000")
    bomb = write(tmp_path / "a.csv.gz", gzip.compress(b"tweet,mood\n" + b"a,b\n" * 500_000))
    with pytest.raises(DataError, match="unfolds to more than 200 times its size"):
        rows_of(bomb)
    rows_of(write(tmp_path / "b.csv.gz", gzip.compress(b"tweet,mood\n" + b"a,b\n" * 1000)))


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_bomb_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dictionary: bool
) -> None:
    """Where rows share a value, the file promises its size once; a column that nobody asked for costs nothing."""
    monkeypatch.setenv("ZOO_MAX_TABLE", "1000000")
    rows = pa.table({"tweet": ["a" * 400_000] * 5, "mood": ["x"] * 5})
    pq.write_table(rows, tmp_path / "a.parquet", compression="zstd", use_dictionary=dictionary)
    assert [row.values for row in rows_of(tmp_path / "a.parquet", {"mood": "mood"})] == [{"mood": "x"}] * 5
    with pytest.raises(DataError, match=r"a\.parquet: unfolds to more than 1,000,000 bytes, 200 times its size"):
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


# ---- the forms that tables come in


def scanned(path: Path, **options: Any) -> tuple[list[Row], Faults]:
    faults = Faults()
    return list(scan_table(path, COLUMNS, faults, TableOptions(**options))), faults


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_sign_between_columns_is_found_by_the_header(sign: str, tmp_path: Path) -> None:
    other = ";" if sign == "," else ","
    path = write(
        tmp_path / "a.csv", f'mood{sign}"tweet"{sign}n\ngood{sign}"a{sign}b{other}"{sign}{other}{other}{other}\n'
    )
    assert scanned(path)[0] == [Row(2, {"text": f"a{sign}b{other}", "label": "good"})]
    assert table_header(path) == ["mood", "tweet", "n"]


def test_the_sign_between_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "tweet~mood\na~b\n")
    assert scanned(path, delimiter="~")[0] == [Row(2, {"text": "a", "label": "b"})]
    path = write(tmp_path / "b.tsv", "tweet;mood\na;b\n")
    assert scanned(path, delimiter=";")[0] == [Row(2, {"text": "a", "label": "b"})]
    path = write(tmp_path / "c.csv", "tweet\tmood\na\tb\n")
    assert scanned(path, delimiter="tab")[0] == [Row(2, {"text": "a", "label": "b"})]
    with pytest.raises(DataError, match="no column 'tweet'") as caught:
        rows_of(write(tmp_path / "d.csv", "text;mood\na;b\n"))
    assert caught.value.hint == "did you mean text?"


@pytest.mark.parametrize(
    "options", [{"delimiter": ",,"}, {"delimiter": '"'}, {"encoding": "utf-13"}, {"encoding": "hex"}]
)
def test_delimiters_and_encodings_that_can_not_be_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        TableOptions(**options)


@pytest.mark.parametrize(
    ("encoding", "given", "notice"),
    [
        ("utf-8", "auto", False),
        ("utf-8-sig", "auto", False),
        ("utf-16", "auto", False),
        ("cp1252", "auto", True),
        ("cp1252", "cp1252", False),
        ("cp1251", "cp1251", False),
        ("utf-16-le", "utf-16-le", False),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_tables_may_have_other_encodings(encoding: str, given: str, notice: bool, packed: bool, tmp_path: Path) -> None:
    word = "Привет" if encoding == "cp1251" else "café – gut"
    data = f"tweet;mood\r\n{word};b\r\n".encode(encoding)
    path = write(tmp_path / ("a.csv.gz" if packed else "a.csv"), gzip.compress(data) if packed else data)
    rows, faults = scanned(path, encoding=given)
    assert rows == [Row(2, {"text": word, "label": "b"})] and faults.count == 0
    assert faults.notices == ([f"{path}: not UTF-8, read as cp1252; encoding= names another"] if notice else [])


def test_a_damaged_utf8_file_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    rows, faults = scanned(write(tmp_path / "a.csv", "tweet,mood\ncafé,b\n".encode() + b"caf\xe9,b\nx,y\n"))
    assert [row.line for row in rows] == [2, 4] and not faults.notices
    assert [fault.what for fault in faults.first] == ["not UTF-8 (byte 0xe9 at 4)"]


def test_long_fields_are_read_whole(tmp_path: Path) -> None:
    long = "word " * 27_000
    path = write(tmp_path / "a.csv", f'tweet,mood\n"{long}\n{long}",b\n{long},c\n')
    assert [row.values["text"] for row in rows_of(path)] == [f"{long}\n{long}", long]


def test_true_and_false_are_words_in_every_format(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tweet": ["a", "b"], "mood": [True, False]}), tmp_path / "a.parquet")
    write(tmp_path / "a.jsonl", '{"tweet": "a", "mood": true}\n{"tweet": "b", "mood": false}\n')
    write(tmp_path / "a.csv", "tweet,mood\na,true\nb,false\n")
    for suffix in ("parquet", "jsonl", "csv"):
        assert [row.values["label"] for row in rows_of(tmp_path / f"a.{suffix}")] == ["true", "false"]


def test_no_number_is_no_value(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tweet": ["a", "b"], "mood": [1.0, float("nan")]}), tmp_path / "a.parquet")
    rows, faults = scanned(tmp_path / "a.parquet")
    assert [row.values["label"] for row in rows] == ["1.0"]
    assert [str(fault) for fault in faults.first] == [f"{tmp_path / 'a.parquet'}: row 2: column 'mood' has no value"]


def test_names_of_classes_are_in_a_parquet_file(tmp_path: Path) -> None:
    told = (
        '{"info": {"features": {"mood": {"names": ["bad", "good"], "_type": "ClassLabel"}, "tweet": {"names": [1]}}}}'
    )
    table = pa.table({"tweet": ["a"], "mood": [1]})
    for metadata, names in (({"huggingface": told}, ("bad", "good")), ({"huggingface": "[" * 99}, ()), (None, ())):
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
        assert class_names(tmp_path / "a.parquet", "mood") == names
        assert class_names(tmp_path / "a.parquet", "tweet") == ()
    assert class_names(tmp_path / "a.csv", "mood") == ()


# ---- many bad rows

MESSY = {
    "a.csv": b'tweet,mood\na,b\nc\n"d"e,f\n\xff,g\nh,i\n',
    "a.jsonl": b'{"tweet": "a", "mood": "b"}\n{"tweet"\n{"mood": 1}\n{"tweet": [], "mood": "b"}\n{"tweet": "h", "mood": "i"}\n',
}


@pytest.mark.parametrize("name", MESSY)
def test_every_bad_row_is_a_fault_and_the_others_are_read(name: str, tmp_path: Path) -> None:
    rows, faults = scanned(write(tmp_path / name, MESSY[name]), encoding="utf-8")
    assert [row.values["text"] for row in rows] == ["a", "h"] and faults.count == 3
    begin = 3 if name == "a.csv" else 2
    assert [fault.where for fault in faults.first] == [f"{tmp_path / name}:{begin + number}" for number in range(3)]


def test_bad_rows_are_an_error_that_lists_them_or_are_left_out_with_a_notice() -> None:
    faults = Faults()
    assert settle_faults(faults, 5, BadSamples(), what="rows", where="a.csv") == ()
    faults.add("a.csv:2", "the text is empty", "a hint")
    with pytest.raises(DataError) as caught:
        settle_faults(faults, 99, BadSamples(), what="rows", where="a.csv")
    assert caught.value.message == "a.csv:2: the text is empty (1 of 100 rows of a.csv are bad)"
    for line in range(3, 30):
        faults.add(f"a.csv:{line}", "the text is empty" if line % 2 else "the label is empty")
    with pytest.raises(DataError) as caught:
        settle_faults(faults, 72, BadSamples(), what="rows", where="a.csv")
    told = caught.value.message.splitlines()
    assert told[0] == "28 of 100 rows of a.csv are bad:" and len(told) == 22
    assert told[1] == "  a.csv:2: the text is empty" and told[-1] == "  and 8 more"
    assert caught.value.hint == "a hint\nbad=skip leaves bad ones out, up to the share max_bad"
    with pytest.raises(DataError, match=r"more than the share of 0\.05 that max_bad allows"):
        settle_faults(faults, 72, BadSamples(bad="skip"), what="rows", where="a.csv")
    (notice,) = settle_faults(faults, 72, BadSamples(bad="skip", max_bad=0.5), what="rows", where="a.csv")
    assert notice.startswith("28 of 100 rows of a.csv left out: 15 the text is empty (a.csv:2, a.csv:3, a.csv:5, ")
    assert "13 the label is empty (a.csv:4, a.csv:6, " in notice


def test_samples_that_occur_twice_are_told() -> None:
    found = {"a": [("x:2", "l")], "b": [("x:3", "l"), ("x:4", "l")], "c": [("x:5", "l"), ("x:6", "m")]}
    assert listed_twice(found, together=True) == (
        "samples that occur more than once, and share a split: 2 (first: x:3 and x:4)",
        "samples that occur with different labels: 1 ('l' at x:5, 'm' at x:6)",
    )
    assert listed_twice(found, together=False)[0] == "samples that occur more than once: 2 (first: x:3 and x:4)"
    assert listed_twice({"a": [("x:2", "l")]}, together=True) == ()


class Swapped(type(Path())):  # type: ignore[misc]
    """A file that is another by the time it is opened."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        status: os.stat_result = super().stat(follow_symlinks=follow_symlinks)
        self.unlink()
        if self.suffix == ".folder":
            self.mkdir()
        else:
            os.mkfifo(self)
        return status


@pytest.mark.parametrize(("name", "found"), [("x.folder", "a folder"), ("x.pipe", "a pipe")])
def test_a_file_that_is_swapped_before_it_is_opened_is_refused(name: str, found: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"data")
    with (
        pytest.raises(DataError, match=f"expected a regular file, found {found}"),
        lines.open_file(Swapped(tmp_path / name)),
    ):
        pass
