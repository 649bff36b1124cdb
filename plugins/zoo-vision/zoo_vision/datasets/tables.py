"""Reads images and labels from the user's tables: paths in any, encoded bytes in Parquet as Hugging Face writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo_core import DataError, nearest
from zoo_core.data import (
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
)
from zoo_vision.datasets.storage import BytesStorage, FileStorage, Holder, ImageSequence

MAX_BYTES = 4 << 30
"""Bytes of all the encoded images of the tables of one split, which are held in memory."""

MAX_IMAGE = 64 << 20
"""Bytes of one of them; some rows are read at a time."""

_ROWS = 16


class Columns(NamedTuple):
    """Which columns to read; empty where there is none, or for the usual one of the images."""

    image: str
    label: str = ""
    group: str = ""


class _Read:
    """What rows gave so far."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.groups: list[str] = []

    def images(self, holder: Holder, columns: Columns) -> ImageSequence:
        """All of them."""
        labels, groups = self.labels if columns.label else None, self.groups if columns.group else None
        return ImageSequence(holder, labels, groups=groups)


def read_tabled_images(
    tables: Sequence[Path], columns: Columns, names: Sequence[str], options: TableOptions, faults: Faults
) -> ImageSequence:
    """The images of tables, in the order of their rows; rows that can't be samples go to `faults`.

    The column of images has paths, relative ones from the table's folder, or in .parquet the bytes; by default it is
    `path`, in .parquet `image` where there is one. Whole numbers as labels are turned into names by the table's own list of
    classes or by `names`. Raises `DataError`, naming table and row, for what is wrong with a table.
    """
    inside = [table for table in tables if _holds_bytes(table, columns.image)]
    if not inside:
        return _paths(tables, columns, names, options, faults)
    if len(inside) < len(tables):
        other = next(table for table in tables if table not in inside)
        raise DataError(f"{inside[0]} holds images, {other} holds paths", hint="give tables of one kind")
    images: list[bytes] = []
    places: list[str] = []
    read = _Read()
    total = 0
    for table in inside:
        for where, image in _encoded(table, columns, names, options, faults, read):
            total += len(image)
            if total > MAX_BYTES:
                raise DataError(f"{where}: more than {MAX_BYTES:,} bytes of images", hint="unpack them to a folder")
            images.append(image)
            places.append(where)
    return read.images(BytesStorage(images, places), columns)


def _paths(
    tables: Sequence[Path], columns: Columns, names: Sequence[str], options: TableOptions, faults: Faults
) -> ImageSequence:
    paths: list[str] = []
    read = _Read()
    for table in tables:
        classes = class_names(table, columns.label) or names
        wanted = {"path": _column(table, columns.image), "label": columns.label, "group": columns.group}
        for row in scan_table(table, {role: column for role, column in wanted.items() if column}, faults, options):
            try:
                if not row.values["path"].strip():
                    raise ValueError("the path is empty")
                path = str(table.parent / expanded(row.values["path"]))
                label = _label(row.values["label"], classes, options.missing) if columns.label else ""
            except (ValueError, DataError) as error:
                faults.add(row_name(table, row.line), str(error))
                continue
            paths.append(path)
            read.labels.append(label)
            read.groups.append(row.values.get("group", ""))
    return read.images(FileStorage(paths), columns)


def _label(written: str, names: Sequence[str], missing: Sequence[str]) -> str:
    """The name of a class: its own, or that of its number. Raises ValueError."""
    return class_of(label_name(stated("label", written, missing)), names)


def _column(table: Path, given: str) -> str:
    if given:
        return given
    return "image" if suffix_of(table) == ".parquet" and "image" in parquet_schema(table).names else "path"


def _holds_bytes(table: Path, image_column: str) -> bool:
    """Whether a table is a .parquet whose images are bytes, or structures with bytes."""
    if suffix_of(table) != ".parquet":
        return False
    import pyarrow as pa

    column, schema = _column(table, image_column), parquet_schema(table)
    if column not in schema.names:
        raise DataError(f"{table}: no column {column!r}", hint=nearest(column, schema.names))
    kind = schema.field(column).type
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _encoded(
    table: Path, columns: Columns, names: Sequence[str], options: TableOptions, faults: Faults, read: _Read
) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of every row; a few rows at a time, so that a lying file can't fill the memory."""
    classes = class_names(table, columns.label) or names
    image = _column(table, columns.image)
    wanted = [image, *filter(None, (columns.label, columns.group))]
    for number, values in parquet_rows(table, list(dict.fromkeys(wanted)), together=_ROWS):
        where = row_name(table, number)
        try:
            data = _bytes(values[image])
            label = _label(_named(values[columns.label]), classes, options.missing) if columns.label else ""
            group = _word("group", values[columns.group]) if columns.group else ""
        except ValueError as error:
            faults.add(where, str(error))
            continue
        read.labels.append(label)
        read.groups.append(group)
        yield where, data


def _bytes(value: Any) -> bytes:
    image = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(image, bytes):
        raise ValueError("no bytes of an image; for paths, give a column of strings")
    if len(image) > MAX_IMAGE:
        raise ValueError(f"{len(image):,} bytes, more than the {MAX_IMAGE:,} of one image")
    return image


def _named(value: Any) -> str:
    if isinstance(value, float) and not math.isnan(value):
        raise ValueError("a label is a name or a whole number, found float")
    return _word("label", value)


def _word(what: str, value: Any) -> str:
    try:
        return string_of(value)
    except ValueError as error:
        raise ValueError(f"the {what} {error}") from None
