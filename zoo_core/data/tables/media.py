"""Files that the rows of tables name by their paths, or hold as bytes in Parquet as Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core.data.bad import Faults
from zoo_core.data.options import TableOptions
from zoo_core.data.tables.parquet import parquet_rows, parquet_schema
from zoo_core.data.tables.rows import (
    class_names,
    row_name,
    scan_table,
    string_of,
    suffix_of,
    table_header,
    table_records,
)
from zoo_core.errors import DataError, nearest
from zoo_core.storage.paths import expanded

MAX_BYTES = 4 << 30
"""Bytes of all the files that the tables of one split hold, which stay in memory."""

_TOGETHER = 16


def find_columns(
    table: Path, asked: Mapping[str, str], usual: Mapping[str, Sequence[str]], needed: str, options: TableOptions
) -> dict[str, str]:
    """The column of each role that is asked for and that the table has: the given one, or the first with a usual name.

    `asked` has the name that the user gives each role, or nothing. Raises `DataError` for a given or `needed` column that is
    missing, and for two of one name.
    """
    names = table_header(table, options)
    found: dict[str, str] = {}
    for role, given in asked.items():
        known = [name for name in usual.get(role, ()) if name in names and name not in found.values()]
        if given and given not in names:
            raise DataError(f"{table}: no column {given!r}", hint=nearest(given, names))
        if not given and not known and role in needed.split():
            hint = f"{role}_column: give its name; usual ones are {', '.join(usual[role])}"
            raise DataError(f"{table}: no column with the {role} among {', '.join(names) or 'none'}", hint=hint)
        if given or known:
            found[role] = given or known[0]
    if twice := next((column for column in found.values() if names.count(column) > 1), ""):
        raise DataError(f"{table}: two columns are called {twice!r}", hint="rename one of them")
    return found


class MediaRow(NamedTuple):
    """A row with a file."""

    where: str
    """What messages call it."""
    source: Path | bytes
    beside: str
    """The path that stands beside bytes; it leads nowhere, but its ending may tell their format."""
    values: Mapping[str, Any]
    """What other columns hold, by role."""
    classes: tuple[str, ...]
    """Names that the table itself gives to numbers of classes."""


def media_rows(
    tables: Iterable[Path],
    columns_of: Callable[[Path], Mapping[str, str]],
    file: str,
    options: TableOptions,
    faults: Faults,
    *,
    root: str = "",
    largest: int,
    noun: str,
) -> Iterator[MediaRow]:
    """The rows of tables; those without a file go to `faults`.

    `columns_of` gives a table's columns by role; `file` is the role of the one with paths, relative ones from `root` or from
    the table's folder, or with bytes, at most `largest` each. `noun` is what messages call one. Raises `DataError` for more
    bytes than can stay in memory.
    """
    total = 0
    for table in tables:
        columns = columns_of(table)
        inside, classes = _holds_bytes(table, columns[file]), class_names(table, columns.get("label", ""))
        place = expanded(root) if root else table.parent
        for line, values in _rows(table, columns, faults, options):
            where, value = row_name(table, line), values[file]
            try:
                source, beside = _embedded(value, largest, noun) if inside else (_named(file, value, place), "")
            except DataError as error:
                faults.add(where, error.message, error.hint)
                continue
            total += len(source) if isinstance(source, bytes) else 0
            if total > MAX_BYTES:
                raise DataError(
                    f"{where}: more than {MAX_BYTES:,} bytes of files in tables", hint="unpack them to a folder"
                )
            yield MediaRow(where, source, beside, values, classes)


def cell(role: str, value: Any) -> str:
    """A value as a string. Raises ValueError, naming the role, for what can't be one."""
    try:
        return string_of(value)
    except ValueError as error:
        raise ValueError(f"the {role} {error}") from None


def _rows(
    table: Path, columns: Mapping[str, str], faults: Faults, options: TableOptions
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The number and the values by role of each row; None where it has none."""
    if suffix_of(table) not in (".jsonl", ".parquet"):
        yield from scan_table(table, columns, faults, options)
        return
    parquet = suffix_of(table) == ".parquet"
    wanted = sorted(set(columns.values()))
    rows = (
        parquet_rows(table, wanted, together=_TOGETHER) if parquet else table_records(table, faults, options.encoding)
    )
    for number, values in rows:
        yield number, {role: values.get(column) for role, column in columns.items()}


def _holds_bytes(table: Path, column: str) -> bool:
    if suffix_of(table) != ".parquet":
        return False
    kind = str(parquet_schema(table).field(column).type)
    return kind.startswith(("struct<", "binary", "large_binary", "fixed_size_binary"))


def _embedded(value: Any, largest: int, noun: str) -> tuple[Path | bytes, str]:
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if not isinstance(data, bytes) or not data:
        raise DataError(f"no bytes of {noun}", hint="for paths, give a column of strings")
    if len(data) > largest:
        raise DataError(f"{len(data):,} bytes, more than the {largest:,} of {noun}")
    return data, path if isinstance(path, str) else ""


def _named(role: str, value: Any, place: Path) -> Path:
    try:
        path = cell(role, value).strip()
    except ValueError as error:
        raise DataError(str(error)) from None
    if not path:
        raise DataError("the path is empty")
    return place / expanded(path)
