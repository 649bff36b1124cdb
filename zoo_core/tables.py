"""Rows of the user's tables and lines of plain files, streamed, checked, and named by file and line when they are bad."""

from __future__ import annotations

import csv
import gzip
import json
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from zoo_core.errors import DataError, nearest
from zoo_core.splits import split_of_file

MAX_LINE = 10_000_000
"""Bytes of one line, and characters of one value: a longer one is not a row but a mistake or an attack."""

MAX_DEPTH = 32
"""Nesting of one JSON line."""

MAX_RATIO = 200
"""A compressed file may unfold to this many times its own size ..."""

FREE_BYTES = 100_000_000
"""... once it has unfolded to more than this."""

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Suffixes that `read_table` reads; all but .parquet also with .gz behind them."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?')


class Row(NamedTuple):
    """One row of a table: the line it starts on (the row's number in .parquet) and its values by role."""

    line: int
    values: dict[str, str]


def read_table(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Stream the rows of a .csv, .tsv, .jsonl or .parquet file, with the values of `columns` (role to column name).

    Values come as strings; numbers are turned into strings as they were written. A .csv is quoted as RFC 4180 has it, a
    .tsv not at all. Raises `DataError`, naming file and line, for whatever is missing, malformed, too long or empty.
    """
    suffix = suffix_of(path)
    if suffix not in TABLES:
        valid = ", ".join(TABLES)
        raise DataError(f"{path}: not a table that can be read (suffix {suffix!r})", hint=f"valid: {valid}")
    readers = {".csv": _read_csv, ".tsv": _read_tsv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    rows = 0
    for row in readers[suffix](path, columns):
        rows += 1
        yield row
    if not rows:
        raise DataError(f"{path}: no rows")


def read_lines(path: Path) -> Iterator[str]:
    """Stream the lines of a UTF-8 file (or its .gz) without their ends. Raises `DataError`, naming file and line."""
    for _, line in _lines(path):
        yield line.rstrip("\r\n")


def parquet_schema(path: Path) -> Any:
    """Names and types of a Parquet file's columns, as pyarrow has them. Raises `DataError` for what isn't one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(path)
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as Parquet: {_reason(error)}") from None


def parquet_rows(path: Path, columns: Sequence[str], *, together: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number, from 1, and values of every row, `together` of them read at once.

    Raises `DataError`, naming the file, for columns that there are not, for fewer rows than are promised or none, and before
    it costs memory for what unfolds to far more than the file's size.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    most = max(FREE_BYTES, MAX_RATIO * check_file(path))
    bomb = DataError(f"{path}: unfolds to more than {MAX_RATIO} times its size")
    number = size = 0
    try:
        with pq.ParquetFile(path) as file:
            for column in columns:
                _require(path, 0, column, file.schema_arrow.names)
            if _promised(file.metadata, columns) > most:
                raise bomb
            for batch in file.iter_batches(batch_size=together, columns=list(columns)):
                size += batch.nbytes  # beyond what was promised where rows share a value
                if size > most:
                    raise bomb
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
            if number != file.metadata.num_rows:
                raise DataError(f"{path}: {file.metadata.num_rows} rows promised, {number} found")
            if not number:
                raise DataError(f"{path}: no rows")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as Parquet: {_reason(error)}") from None


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


def suffix_of(path: Path) -> str:
    """The suffix that tells the format: `.csv` for both `a.csv` and `a.csv.gz`, in lower case."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def check_file(path: Path) -> int:
    """The size in bytes of an ordinary file. Raises `DataError` for a missing one, a folder, a pipe and the like."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no such file", hint=_neighbours(path)) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read: {_reason(error)}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
        raise DataError(f"{path}: {kind}, where a file is due")
    return status.st_size


def _read_csv(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    lines = (line for _, line in _lines(path))
    return _delimited(path, columns, csv.reader(lines, strict=True))


def _read_tsv(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    lines = (line for _, line in _lines(path))
    return _delimited(path, columns, csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


def _delimited(path: Path, columns: Mapping[str, str], reader: Any) -> Iterator[Row]:
    fields = _fields(path, reader)
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
            expected = f"{len(header)} fields expected as in the header, found {len(values)}"
            raise DataError(f"{path}:{line}: {expected}")
        yield Row(line, {role: values[place] for role, place in places.items()})


def _fields(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Lines that start a record, with its fields; blank lines are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}:{line}: {error}", hint="check the quotes, or use .jsonl") from None
        if values:
            yield line, values


def _read_jsonl(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    for line, content in _lines(path):
        if not content.strip():
            continue
        where = f"{path}:{line}"
        record = _parse(where, content)
        for column in columns.values():
            _require(path, line, column, record)
        yield Row(line, {role: _string(where, column, record[column]) for role, column in columns.items()})


def _parse(where: str, content: str) -> dict[str, Any]:
    _check_depth(where, content)
    try:
        record = json.loads(content, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: an object {{...}} is due on every line, found {_kind(record)}")
    return record


def _check_depth(where: str, content: str) -> None:
    if content.count("[") + content.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for sign in re.findall(r"[\[\]{}]", _STRING.sub("", content)):
        depth += 1 if sign in "[{" else -1
        if depth > MAX_DEPTH:
            raise DataError(f"{where}: nested more than {MAX_DEPTH} deep")


class _Number(str):
    """A number of a JSON file as it was written."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _string(where: str, column: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: column {column!r} must be a string or a number, found {_kind(value)}")
    if "\0" in value:
        raise DataError(f"{where}: column {column!r} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: column {column!r} contains half a surrogate pair at {error.start}") from None
    return str(value)


def _read_parquet(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    for number, values in parquet_rows(path, sorted(set(columns.values())), together=4096):
        yield Row(number, _cells(f"{path}: row {number}", values, columns))


def _promised(metadata: Any, columns: Sequence[str]) -> int:
    """Bytes that the columns unfold to, as the file says."""
    parts = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    chunks = (part.column(place) for part in parts for place in range(part.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)


def _cells(where: str, values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    cells = {}
    for role, column in columns.items():
        value = values[column]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        cells[role] = _string(where, column, str(value) if number else value)
        if len(cells[role]) > MAX_LINE:
            raise DataError(f"{where}: column {column!r} is longer than {MAX_LINE:,} characters")
    return cells


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines, ends included, decoded from UTF-8 (a byte-order mark is dropped)."""
    size = check_file(path)
    compressed = path.name.lower().endswith(".gz")
    total = number = 0
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                total += len(line)
                if len(line) > MAX_LINE:
                    raise DataError(f"{path}:{number}: line longer than {MAX_LINE:,} bytes")
                if compressed and total > max(FREE_BYTES, MAX_RATIO * size):
                    raise DataError(f"{path}:{number}: unfolds to more than {MAX_RATIO} times its size")
                yield number, _decode(f"{path}:{number}", line, first=number == 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read after line {number}: {_reason(error)}") from None


def _decode(where: str, line: bytes, *, first: bool) -> str:
    if first:
        line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        content = line.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at {error.start + 1}"
        raise DataError(f"{where}: not UTF-8 ({found})", hint="save the file as UTF-8") from None
    if "\0" in content:
        raise DataError(f"{where}: contains a NUL character", hint="save the file as UTF-8")
    return content


def _require(path: Path, line: int, column: str, present: Iterable[str]) -> None:
    names = list(present)
    if column not in names:
        place = f"{path}:{line}" if line else str(path)
        raise DataError(f"{place}: no column {column!r}", hint=nearest(column, names))


def _neighbours(path: Path) -> str:
    try:
        names: Sequence[str] = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent}"
    return nearest(path.name, names)


def _kind(value: object) -> str:
    kinds = {type(None): "null", bool: "true or false", list: "a list", dict: "an object", bytes: "bytes"}
    if isinstance(value, _Number):
        return "a number"
    return kinds.get(type(value), "a string" if isinstance(value, str) else type(value).__name__)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
