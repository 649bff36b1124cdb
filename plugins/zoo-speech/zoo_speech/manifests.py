"""Reads recordings, texts, speakers and labels from the user's tables, under the names that other tools give the columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.errors import DataError, nearest
from zoo_core.tables import check_file, read_lines, read_table, suffix_of
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
        inside = _holds_bytes(table, found["audio"])
        for line, values in _bytes_rows(table, found) if inside else _path_rows(table, found):
            where = f"{table}: row {line}" if suffix_of(table) == ".parquet" else f"{table}:{line}"
            told = {role: _plain(where, role, values[role]) if role in found else "" for role in _TOLD}
            row = Row(table, where, text=told["text"], speaker=told["speaker"])
            row = row._replace(language=told["language"], label=told["label"])
            if inside:
                data = _sound(where, values["audio"])
                total += len(data)
                if total > MAX_BYTES:
                    raise DataError(
                        f"{where}: more than {MAX_BYTES:,} bytes of recordings", hint="unpack them to files"
                    )
                rows.append(row._replace(data=data))
                continue
            path = values["audio"].strip()
            if not path:
                problems.append(Problem(where, "the path is empty"))
                continue
            _refuse_segments(where, values.get("offset", ""))
            file = Path(root).expanduser() / Path(path).expanduser() if root else table.parent / Path(path).expanduser()
            rows.append(row._replace(file=file, name=f"{where}: {file}"))
    return rows, problems


def find_columns(table: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """The column of each role that the table has: the one that the user gave, or the first with a usual name.

    NeMo's `offset` comes along. Raises `DataError` for a missing column of those that are needed.
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
    return found | ({"offset": "offset"} if "offset" in names else {})


def header(table: Path) -> list[str]:
    """The names of a table's columns; in .jsonl those of its first row."""
    if suffix_of(table) == ".parquet":
        return list(_schema(table).names)
    next(iter(read_table(table, {})))  # refuses what isn't one
    first = next(line for line in read_lines(table) if line.strip())
    if suffix_of(table) == ".jsonl":
        return list(json.loads(first))
    quoting = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if suffix_of(table) == ".tsv" else {}
    return next(csv.reader([first], **quoting))  # type: ignore[arg-type]


def _path_rows(table: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for row in read_table(table, columns):
        yield row.line, row.values


def _bytes_rows(table: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """A few rows at a time, so that a lying file can't fill the memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(table) as file:
            for batch in file.iter_batches(batch_size=_ROWS, columns=sorted(set(columns.values()))):
                for values in batch.to_pylist():
                    number += 1
                    yield number, {role: values[column] for role, column in columns.items()}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{table}: not readable as Parquet: {_reason(error)}") from None
    if not number:
        raise DataError(f"{table}: no rows")


def _holds_bytes(table: Path, column: str) -> bool:
    if suffix_of(table) != ".parquet":
        return False
    import pyarrow as pa

    kind = _schema(table).field(column).type
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _schema(table: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(table)
    try:
        return pq.read_schema(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{table}: not readable as Parquet: {_reason(error)}") from None


def _sound(where: str, value: Any) -> bytes:
    sound = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(sound, bytes) or not sound:
        raise DataError(f"{where}: no bytes of a recording", hint="for paths, give a column of strings")
    if len(sound) > Limits().max_bytes:
        raise DataError(f"{where}: {len(sound):,} bytes, more than the {Limits().max_bytes:,} of one recording")
    return sound


def _plain(where: str, role: str, value: Any) -> str:
    if value is None or isinstance(value, bool | bytes | list | dict):
        raise DataError(f"{where}: the {role} must be a string or a number, found {type(value).__name__}")
    return " ".join(str(value).split())


def _refuse_segments(where: str, offset: str) -> None:
    try:
        begins = float(offset or 0)
    except ValueError:
        raise DataError(f"{where}: the offset {offset!r} is no number of seconds") from None
    if begins:
        hint = "cut the recordings into files first, or rename a column that means something else"
        raise DataError(f"{where}: a segment from second {offset}, which is not supported", hint=hint)


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
