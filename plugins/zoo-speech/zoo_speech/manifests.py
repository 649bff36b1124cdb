"""Reads recordings, texts, speakers and labels from the user's tables, under the names that other tools give the columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.errors import DataError, nearest
from zoo_core.inputs import expanded
from zoo_core.tables import parquet_rows, parquet_schema, read_lines, read_table, suffix_of
from zoo_speech.audio import Limits
from zoo_speech.data import Row
from zoo_speech.folders import Problem

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
_OFFSET = "offset"


def read_manifests(tables: Sequence[Path], columns: Mapping[str, str], root: str) -> tuple[list[Row], list[Problem]]:
    """The rows of tables, in their order, and what can't be a row.

    `columns` has the roles that are asked for and the columns that the user gave, or nothing. Paths are relative to `root`
    or to the table; .parquet may have the bytes of sound files, as Hugging Face writes them. Raises `DataError`, naming
    table and row, for what can't be read, and for segments of recordings.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    total = 0
    for table in tables:
        found = find_columns(table, columns)
        make = _of_bytes if _holds_bytes(table, found["audio"]) else _of_path
        place = expanded(root) if root else table.parent
        for line, values in _values(table, found):
            where = f"{table}: row {line}" if suffix_of(table) == ".parquet" else f"{table}:{line}"
            _refuse_segments(where, values.get(_OFFSET))
            try:
                row = _told(make(table, where, values["audio"], place), values)
            except DataError as error:
                problems.append(Problem(where, error.message, error.hint))
                continue
            rows.append(row)
            total += len(row.data)
            if total > MAX_BYTES:
                raise DataError(f"{where}: more than {MAX_BYTES:,} bytes of recordings", hint="unpack them to files")
    return rows, problems


def find_columns(table: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """The column of each role that the table has: the one that the user gave, or the first with a usual name.

    NeMo's `offset` comes along. Raises `DataError` for a missing column of those that are needed, and for two of one name.
    """
    names = header(table)
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
    if _OFFSET in names:
        found[_OFFSET] = _OFFSET
    if twice := next((column for column in found.values() if names.count(column) > 1), ""):
        raise DataError(f"{table}: two columns are called {twice!r}", hint="rename one of them")
    return found


def header(table: Path) -> list[str]:
    """The names of a table's columns; in .jsonl those of all its rows, any of which may lack some."""
    if suffix_of(table) == ".parquet":
        return list(parquet_schema(table).names)
    if suffix_of(table) == ".jsonl":
        return list(dict.fromkeys(name for _, record in _records(table) for name in record))
    next(iter(read_table(table, {})))  # refuses what isn't one
    first = next(line for line in read_lines(table) if line.strip())
    quoting = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if suffix_of(table) == ".tsv" else {}
    return next(csv.reader([first], **quoting))  # type: ignore[arg-type]


def _values(table: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The number and the values by role of each row; None where it has none."""
    if suffix_of(table) not in (".jsonl", ".parquet"):
        yield from read_table(table, columns)
        return
    wanted = sorted(set(columns.values()))
    rows = _records(table) if suffix_of(table) == ".jsonl" else parquet_rows(table, wanted, together=_ROWS)
    for number, values in rows:
        yield number, {role: values.get(column) for role, column in columns.items()}


def _records(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a .jsonl with their lines, numbers as they were written."""
    lines = (line for line in read_lines(table) if line.strip())
    for row, content in zip(read_table(table, {}), lines, strict=False):  # the former refuses what isn't an object
        yield row.line, json.loads(content, parse_int=str, parse_float=str)


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


def _told(row: Row, values: Mapping[str, Any]) -> Row:
    told = {role: " ".join(_string(role, values.get(role, "")).split()) for role in _TOLD}
    row = row._replace(text=told["text"], speaker=told["speaker"])
    return row._replace(language=told["language"], label=told["label"])


def _string(role: str, value: Any) -> str:
    if value is None and role not in NEEDED:
        return ""
    if value is None or isinstance(value, bool | bytes | list | dict):
        kind = "nothing" if value is None else type(value).__name__
        raise DataError(f"the {role} must be a string or a number, found {kind}")
    text = str(value)
    if "\0" in text:
        raise DataError(f"the {role} contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"the {role} contains half a surrogate pair at {error.start}") from None
    return text


def _refuse_segments(where: str, offset: Any) -> None:
    try:
        begins = float(offset or 0)
    except (TypeError, ValueError):
        raise DataError(f"{where}: the offset {offset!r} is no number of seconds") from None
    if begins:
        hint = "cut the recordings into files first, or rename a column that means something else"
        raise DataError(f"{where}: a segment from second {offset}, which is not supported", hint=hint)
