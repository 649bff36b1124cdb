"""Rows of the user's tables and lines of plain files, streamed, checked, and named by file and line when they are bad."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core.data.bad import Faults, FirstFault
from zoo_core.data.options import TableOptions
from zoo_core.data.splits import split_of_file
from zoo_core.data.tables.delimited import Record, detect_delimiter, plain_records, quoted_records
from zoo_core.data.tables.jsontext import Number, parse_json
from zoo_core.data.tables.lines import FREE_BYTES as FREE_BYTES
from zoo_core.data.tables.lines import MAX_LINE as MAX_LINE
from zoo_core.data.tables.lines import MAX_RATIO as MAX_RATIO
from zoo_core.data.tables.lines import check_file as check_file
from zoo_core.data.tables.lines import numbered_lines
from zoo_core.data.tables.lines import suffix_of as suffix_of
from zoo_core.data.tables.parquet import parquet_rows as parquet_rows
from zoo_core.data.tables.parquet import parquet_schema as parquet_schema
from zoo_core.errors import DataError, nearest

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Suffixes that `read_table` reads; all but .parquet also with .gz behind them."""

_STRICT = TableOptions(encoding="utf-8")


class Row(NamedTuple):
    """One row of a table: the line it starts on (the row's number in .parquet) and its values by role."""

    line: int
    values: dict[str, str]


def read_table(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Stream the rows of a .csv, .tsv, .jsonl or .parquet file, with the values of `columns` (role to column name).

    Values come as strings; numbers are turned into strings as they were written, true and false into these words. A .csv is
    quoted as RFC 4180 has it, a .tsv not at all. Raises `DataError`, naming file and line, for whatever is missing,
    malformed, too long or empty.
    """
    return scan_table(path, columns, FirstFault(), _STRICT)


def row_name(path: Path, line: int) -> str:
    """What messages call a row: its file and line, or its number in .parquet."""
    return f"{path}: row {line}" if suffix_of(path) == ".parquet" else f"{path}:{line}"


def scan_table(path: Path, columns: Mapping[str, str], faults: Faults, options: TableOptions) -> Iterator[Row]:
    """The rows of a table as `read_table` has them, but for those that are bad, which go to `faults`.

    Raises `DataError` for what is wrong with the whole file.
    """
    suffix = suffix_of(path)
    if suffix not in TABLE_SUFFIXES:
        valid = ", ".join(TABLE_SUFFIXES)
        raise DataError(f"{path}: not a table that can be read (suffix {suffix!r})", hint=f"valid: {valid}")
    readers = {".csv": _read_delimited, ".tsv": _read_delimited, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    rows, before = 0, faults.count
    for row in readers[suffix](path, columns, faults, options):
        rows += 1
        yield row
    if not rows and faults.count == before:
        raise DataError(f"{path}: no rows")


def read_lines(path: Path) -> Iterator[str]:
    """Stream the lines of a UTF-8 file (or its .gz) without their ends. Raises `DataError`, naming file and line."""
    return scan_lines(path, FirstFault(), _STRICT.encoding)


def scan_lines(path: Path, faults: Faults, encoding: str) -> Iterator[str]:
    """The lines of a file without their ends; those that can't be decoded go to `faults`."""
    for _, line in numbered_lines(path, encoding, faults):
        yield line.rstrip("\r\n")


def table_header(path: Path, options: TableOptions = _STRICT) -> list[str]:
    """The names of a table's columns; in .jsonl those of all its rows, any of which may lack some. Raises `DataError`."""
    if suffix_of(path) == ".parquet":
        return list(parquet_schema(path).names)
    if suffix_of(path) == ".jsonl":
        faults = Faults()
        names = list(
            dict.fromkeys(name for _, record in table_records(path, faults, options.encoding) for name in record)
        )
        if faults.first and not names:
            raise DataError(str(faults.first[0]), hint=faults.first[0].hint)
        if not names:
            raise DataError(f"{path}: no rows")
        return names
    return next(_delimited_records(path, (), Faults(), options), (0, []))[1]


def table_records(path: Path, faults: Faults, encoding: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a .jsonl with their lines, numbers as they were written; a line that holds no object is a fault."""
    for line, content in numbered_lines(path, encoding, faults):
        if not content.strip():
            continue
        try:
            record = parse_json(content)
        except ValueError as error:
            faults.add(f"{path}:{line}", str(error))
            continue
        if isinstance(record, dict):
            yield line, record
        else:
            faults.add(f"{path}:{line}", f"an object {{...}} expected on every line, found {_kind(record)}")


def tables_by_split(tables: Sequence[Path]) -> dict[str, list[Path]]:
    """The tables of each split, as their names tell it: `test.csv`, `train-00000-of-00002.parquet`; all as "" if no two
    splits are told apart so. Raises `DataError` where that leaves open what some are for, or leaves nothing to train on."""
    parts: dict[str, list[Path]] = {}
    for table in tables:
        parts.setdefault(split_of_file(table.name), []).append(table)
    if len(parts) < 2:
        return {"": list(tables)}
    if "" in parts or "train" not in parts:
        told = ", ".join(table.name for table in tables[:6])
        hint = "give the tables as train, validation and test, or name them so"
        raise DataError(f"{tables[0].parent}: which tables are to train on and which to test on? {told}", hint=hint)
    return parts


def class_names(path: Path, column: str) -> tuple[str, ...]:
    """Names of the classes that a Parquet file's metadata give a column of numbers, as Hugging Face writes them; may be none."""
    if suffix_of(path) != ".parquet":
        return ()
    try:
        features = parse_json((parquet_schema(path).metadata or {}).get(b"huggingface", b"{}").decode())
        names = features["info"]["features"][column]["names"]
    except (ValueError, LookupError, TypeError):
        return ()
    return tuple(names) if isinstance(names, list) and all(type(name) is str for name in names) else ()


def _read_delimited(path: Path, columns: Mapping[str, str], faults: Faults, options: TableOptions) -> Iterator[Row]:
    fields = _delimited_records(path, columns.values(), faults, options)
    line, header = next(fields, (0, []))
    if not header:
        raise DataError(f"{path}: empty, not even a header")
    for column in columns.values():
        _require(path, line, column, header)
        if header.count(column) > 1:
            raise DataError(f"{path}:{line}: the header names column {column!r} twice")
    places = {role: header.index(column) for role, column in columns.items()}
    for line, values in fields:
        if len(values) != len(header):
            faults.add(f"{path}:{line}", f"{len(header)} fields expected as in the header, found {len(values)}")
        else:
            yield Row(line, {role: values[place] for role, place in places.items()})


def _delimited_records(path: Path, wanted: Iterable[str], faults: Faults, options: TableOptions) -> Iterator[Record]:
    """Fields of the header and of every row."""
    lines = numbered_lines(path, options.encoding, faults)
    sign = "\t" if options.delimiter == "tab" else options.delimiter
    if suffix_of(path) == ".tsv":
        yield from plain_records(path, lines, sign or "\t")
        return
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first:
        delimiter = sign or detect_delimiter(first[1], wanted)
        yield from quoted_records(path, itertools.chain([first], lines), delimiter, faults)


def _read_jsonl(path: Path, columns: Mapping[str, str], faults: Faults, options: TableOptions) -> Iterator[Row]:
    first = True
    for line, record in table_records(path, faults, options.encoding):
        where = f"{path}:{line}"
        lacking = next((column for column in columns.values() if column not in record), "")
        if lacking and first:
            _require(path, line, lacking, record)
        first = False
        if lacking:
            faults.add(where, f"no column {lacking!r}")
        elif (cells := _cells(where, record, columns, faults)) is not None:
            yield Row(line, cells)


def _read_parquet(path: Path, columns: Mapping[str, str], faults: Faults, options: TableOptions) -> Iterator[Row]:
    for number, values in parquet_rows(path, sorted(set(columns.values())), together=4096):
        if (cells := _cells(f"{path}: row {number}", values, columns, faults)) is not None:
            yield Row(number, cells)


def _cells(where: str, values: Mapping[str, Any], columns: Mapping[str, str], faults: Faults) -> dict[str, str] | None:
    """The values by role as strings, or None where one of them is a fault."""
    cells = {}
    for role, column in columns.items():
        try:
            cells[role] = string_of(values[column])
        except ValueError as error:
            faults.add(where, f"column {column!r} {error}")
            return None
    return cells


def string_of(value: Any) -> str:
    """A value of a table as a string. Raises ValueError with what is wrong: nothing, a list, characters that can't be."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ValueError("has no value")
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError(f"must be a string or a number, found {_kind(value)}")
    text = str(value)
    if "\0" in text:
        raise ValueError("contains a NUL character")
    if len(text) > MAX_LINE:
        raise ValueError(f"is longer than {MAX_LINE:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"contains half a surrogate pair at {error.start}") from None
    return text


def _require(path: Path, line: int, column: str, present: Iterable[str]) -> None:
    names = list(present)
    if column not in names:
        place = f"{path}:{line}" if line else str(path)
        raise DataError(f"{place}: no column {column!r}", hint=nearest(column, names))


def _kind(value: object) -> str:
    kinds = {type(None): "null", bool: "true or false", list: "a list", dict: "an object", bytes: "bytes"}
    if isinstance(value, Number):
        return "a number"
    return kinds.get(type(value), "a string" if isinstance(value, str) else type(value).__name__)
