"""Reads pictures and labels from the user's tables: paths in any, encoded bytes in Parquet as Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo_core.data.labels import class_of, label_name
from zoo_core.errors import DataError, nearest
from zoo_core.inputs import expanded
from zoo_core.tables import class_names, parquet_rows, parquet_schema, read_table, suffix_of
from zoo_vision.holders import Encoded, Files, Pictures

MAX_BYTES = 4 << 30
"""Bytes of all the encoded pictures of the tables of one split, which are held in memory."""

MAX_PICTURE = 64 << 20
"""Bytes of one of them; some rows are read at a time."""

_ROWS = 16


def read_pictures(tables: Sequence[Path], image_column: str, label_column: str, names: Sequence[str]) -> Pictures:
    """The pictures of tables, in the order of their rows.

    `image_column` has paths, relative ones from the table's folder, or in .parquet the bytes; by default it is `path`, in
    .parquet `image` where there is one. `label_column` is empty where there are no labels; whole numbers are turned into
    names by the table's own list of classes or by `names`. Raises `DataError`, naming table and row.
    """
    inside = [table for table in tables if _holds_bytes(table, image_column)]
    if not inside:
        return _paths(tables, image_column, label_column, names)
    if len(inside) < len(tables):
        other = next(table for table in tables if table not in inside)
        raise DataError(f"{inside[0]} holds pictures, {other} holds paths", hint="give tables of one kind")
    pictures: list[bytes] = []
    places: list[str] = []
    labels: list[str] = []
    total = 0
    for table in inside:
        for where, picture, label in _rows(table, _column(table, image_column), label_column, names):
            total += len(picture)
            if total > MAX_BYTES:
                raise DataError(f"{where}: more than {MAX_BYTES:,} bytes of pictures", hint="unpack them to a folder")
            pictures.append(picture)
            places.append(where)
            labels.append(label)
    return Pictures(Encoded(pictures, places), labels if label_column else None)


def _paths(tables: Sequence[Path], image_column: str, label_column: str, names: Sequence[str]) -> Pictures:
    paths: list[str] = []
    labels: list[str] = []
    for table in tables:
        classes = class_names(table, label_column)
        columns = {"path": _column(table, image_column)} | ({"label": label_column} if label_column else {})
        for row in read_table(table, columns):
            where = f"{table}:{row.line}"
            if not row.values["path"].strip():
                raise DataError(f"{where}: the path is empty")
            paths.append(str(table.parent / expanded(row.values["path"])))
            if label_column:
                labels.append(_label(where, row.values["label"], classes or names))
    return Pictures(Files(paths), labels if label_column else None)


def _label(where: str, written: str, names: Sequence[str]) -> str:
    """The name of a class: its own, or that of its number."""
    label = label_name(written)
    if not label:
        raise DataError(f"{where}: the label is empty")
    try:
        return class_of(label, names)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _column(table: Path, given: str) -> str:
    if given:
        return given
    return "image" if suffix_of(table) == ".parquet" and "image" in parquet_schema(table).names else "path"


def _holds_bytes(table: Path, image_column: str) -> bool:
    """Whether a table is a .parquet whose pictures are bytes, or structures with bytes."""
    if suffix_of(table) != ".parquet":
        return False
    import pyarrow as pa

    column, schema = _column(table, image_column), parquet_schema(table)
    if column not in schema.names:
        raise DataError(f"{table}: no column {column!r}", hint=nearest(column, schema.names))
    kind = schema.field(column).type
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _rows(table: Path, image_column: str, label_column: str, names: Sequence[str]) -> Iterator[tuple[str, bytes, str]]:
    """Place, bytes and label of every row; a few rows at a time, so that a lying file can't fill the memory."""
    classes = class_names(table, label_column) or tuple(names)
    columns = [image_column, *([label_column] if label_column else [])]
    for number, values in parquet_rows(table, columns, together=_ROWS):
        where = f"{table}: row {number}"
        label = _label(where, _text(where, values[label_column]), classes) if label_column else ""
        yield where, _bytes(where, values[image_column]), label


def _bytes(where: str, value: Any) -> bytes:
    picture = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(picture, bytes):
        raise DataError(f"{where}: no bytes of a picture", hint="for paths, give a column of strings")
    if len(picture) > MAX_PICTURE:
        raise DataError(f"{where}: {len(picture):,} bytes, more than the {MAX_PICTURE:,} of one picture")
    return picture


def _text(where: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: a label is a name or a whole number, found {type(value).__name__}")
    return str(value).strip()
