"""Reads recordings, texts, speakers and labels from the user's tables, under the names that other tools give the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core import DataError, nearest
from zoo_core.data import (
    AllFaults,
    Fault,
    Faults,
    TableOptions,
    class_names,
    class_of,
    expanded,
    label_name,
    parquet_rows,
    parquet_schema,
    row_name,
    scan_table,
    stated,
    string_of,
    suffix_of,
    table_header,
    table_records,
)
from zoo_speech.audio.audio import Limits
from zoo_speech.datasets.catalog import Row
from zoo_speech.datasets.excerpts import COLUMNS, excerpt_of

NAMES: Mapping[str, tuple[str, ...]] = {
    "audio": ("path", "audio", "audio_filepath", "audio_path", "audio_file", "file_name", "filename", "file", "wav"),
    "text": ("text", "sentence", "transcription", "transcript", "normalized_text"),
    "label": ("label", "class", "category"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "language": ("language", "lang", "locale"),
}
"""What columns are called, by role: here, in NeMo's manifests, in Hugging Face's data sets and in Common Voice."""

NEEDED = ("audio", "text", "label")
"""Roles that a table must have a column for, where they are asked for."""

MAX_BYTES = 4 << 30
"""Bytes of all the encoded recordings of the tables of one split, which are held in memory."""

_ROWS = 16
_TOLD = ("text", "speaker", "language", "label")


def read_manifests(
    tables: Sequence[Path], columns: Mapping[str, str], root: str, options: TableOptions
) -> tuple[list[Row], list[Fault], tuple[str, ...]]:
    """The rows of tables, in their order, what can't be a row, and what there is to tell.

    `columns` has the roles that are asked for and the columns that the user gave, or nothing. Paths are relative to `root`
    or to the table; .parquet may have the bytes of sound files, as Hugging Face writes them. Columns that name a part of a
    recording are read with it. Raises `DataError`, naming table and row, for what can't be read.
    """
    rows: list[Row] = []
    problems = AllFaults()
    total = 0
    for table in tables:
        found = find_columns(table, columns, options)
        make = _of_bytes if _holds_bytes(table, found["audio"]) else _of_path
        names = class_names(table, found["label"]) if "label" in found else ()
        place = expanded(root) if root else table.parent
        for line, values in _values(table, found, problems, options):
            where = row_name(table, line)
            try:
                row = _told(make(table, where, values["audio"], place), values, names, options.missing)
                row = row._replace(part=excerpt_of(values))
            except DataError as error:
                problems.add(where, error.message, error.hint)
                continue
            rows.append(row)
            total += len(row.data)
            if total > MAX_BYTES:
                raise DataError(f"{where}: more than {MAX_BYTES:,} bytes of recordings", hint="unpack them to files")
    return rows, problems.all, tuple(problems.notices)


def find_columns(table: Path, columns: Mapping[str, str], options: TableOptions) -> dict[str, str]:
    """The column of each role that the table has: the one that the user gave, or the first with a usual name.

    Columns that name a part of a recording come along, as NeMo's `offset` and `duration`. Raises `DataError` for a missing
    column of those that are needed, and for two of one name.
    """
    names = table_header(table, options)
    found = {}
    for role, given in columns.items():
        column = given or next((name for name in NAMES[role] if name in names), "")
        if given and given not in names:
            raise DataError(f"{table}: no column {given!r}", hint=nearest(given, names))
        if not column and role in NEEDED:
            usual = f"{role}_column: give its name; usual ones are {', '.join(NAMES[role])}"
            raise DataError(f"{table}: no column with the {role} among {', '.join(names) or 'none'}", hint=usual)
        if column:
            found[role] = column
    found |= {name: name for name in COLUMNS if name in names and name not in found.values()}
    if twice := next((column for column in found.values() if names.count(column) > 1), ""):
        raise DataError(f"{table}: two columns are called {twice!r}", hint="rename one of them")
    return found


def _values(
    table: Path, columns: Mapping[str, str], faults: Faults, options: TableOptions
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The number and the values by role of each row; None where it has none."""
    if suffix_of(table) not in (".jsonl", ".parquet"):
        yield from scan_table(table, columns, faults, options)
        return
    wanted = sorted(set(columns.values()))
    parquet = suffix_of(table) == ".parquet"
    rows = parquet_rows(table, wanted, together=_ROWS) if parquet else table_records(table, faults, options.encoding)
    for number, values in rows:
        yield number, {role: values.get(column) for role, column in columns.items()}


def _holds_bytes(table: Path, column: str) -> bool:
    if suffix_of(table) != ".parquet":
        return False
    import pyarrow as pa

    kind = parquet_schema(table).field(column).type
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


# What a value is; their errors say nothing of where, which the reader of the table knows.


def _of_bytes(table: Path, where: str, audio: Any, place: Path) -> Row:
    """A recording in the table itself; the path beside its bytes is none, but its ending tells the format."""
    sound, path = (audio.get("bytes"), audio.get("path")) if isinstance(audio, dict) else (audio, None)
    if not isinstance(sound, bytes) or not sound:
        raise DataError("no bytes of a recording", hint="for paths, give a column of strings")
    if len(sound) > Limits().max_bytes:
        raise DataError(f"{len(sound):,} bytes, more than the {Limits().max_bytes:,} of one recording")
    return Row(table, f"{where}: {path}" if isinstance(path, str) and path else where, data=sound)


def _of_path(table: Path, where: str, audio: Any, place: Path) -> Row:
    path = _string("audio", audio).strip()
    if not path:
        raise DataError("the path is empty")
    file = place / expanded(path)
    return Row(file, f"{where}: {file}")


def _told(row: Row, values: Mapping[str, Any], names: Sequence[str], missing: Sequence[str]) -> Row:
    told = {role: " ".join(_string(role, values.get(role, "")).split()) for role in _TOLD}
    try:
        # Without a label a recording is none of a classifier's samples, which others refuse.
        label = class_of(label_name(stated("label", told["label"], missing)), names) if told["label"] else ""
    except ValueError as error:
        raise DataError(str(error)) from None
    row = row._replace(text=told["text"], speaker=told["speaker"])
    return row._replace(language=told["language"], label=label)


def _string(role: str, value: Any) -> str:
    if value is None and role not in NEEDED:
        return ""
    try:
        return string_of(value)
    except ValueError as error:
        raise DataError(f"the {role} {error}") from None
