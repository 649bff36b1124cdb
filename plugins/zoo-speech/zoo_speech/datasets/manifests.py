"""Reads recordings, texts, speakers and labels from the user's tables, under the names that other tools give the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core import DataError
from zoo_core.data import (
    Faults,
    Listed,
    TableOptions,
    cell,
    find_columns,
    media_rows,
    stated_class,
)
from zoo_speech.audio.audio import Limits
from zoo_speech.datasets.excerpts import COLUMNS, excerpt_of
from zoo_speech.datasets.samples import Recording

NAMES: Mapping[str, tuple[str, ...]] = {
    "audio": ("path", "audio", "audio_filepath", "audio_path", "audio_file", "file_name", "filename", "file", "wav"),
    "text": ("text", "sentence", "transcription", "transcript", "normalized_text"),
    "label": ("label", "class", "category"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "language": ("language", "lang", "locale"),
}
"""What columns are called, by role: here, in NeMo's manifests, in Hugging Face's data sets and in Common Voice."""

NEEDED = "audio text label"
"""Roles that a table must have a column for, where they are asked for."""

_PARTS = dict.fromkeys(COLUMNS, "")


def read_manifests(
    tables: Sequence[Path],
    columns: Mapping[str, str],
    root: str,
    options: TableOptions,
    faults: Faults,
) -> Iterator[Listed]:
    """The rows of tables, in their order; what can't be one goes to `faults`.

    `columns` has the roles that are asked for and the columns that the user gave, or nothing. Paths are relative to `root`
    or to the table; .parquet may have the bytes of sound files, as Hugging Face writes them. Columns that name a part of a
    recording are read with it. Raises `DataError`, naming table and row, for what can't be read.
    """
    rows = media_rows(
        tables,
        lambda table: columns_of(table, columns, options),
        "audio",
        options,
        faults,
        root=root,
        largest=Limits().max_bytes,
        noun="a recording",
    )
    for row in rows:
        beside = str(row.source) if isinstance(row.source, Path) else row.beside
        name = f"{row.where}: {beside}" if beside else row.where
        try:
            one = Recording(row.source, name=name, part=excerpt_of(row.values))
            _tell(one, row.values, row.classes, options.missing)
            group = cell("group", row.values["group"]) if "group" in row.values else ""
        except (ValueError, DataError) as error:
            faults.add(row.where, getattr(error, "message", str(error)), getattr(error, "hint", ""))
        else:
            yield Listed(one, name, one.label, group)


def columns_of(table: Path, columns: Mapping[str, str], options: TableOptions) -> dict[str, str]:
    """The column of each role that the table has, those that name a part of a recording, as NeMo's `offset`, among them."""
    usual = {**NAMES, **{name: (name,) for name in COLUMNS}}
    return find_columns(table, {**columns, **_PARTS}, usual, NEEDED, options)


def _tell(one: Recording, values: Mapping[str, Any], names: Sequence[str], missing: Sequence[str]) -> None:
    """Text, speaker, language and label of a row. Raises ValueError with what is wrong."""
    for role in ("text", "speaker", "language", "label"):
        value = values.get(role, "")
        optional = value is None and role not in NEEDED.split()
        setattr(one, role, "" if optional else " ".join(cell(role, value).split()))
    if one.label:  # without one a recording is none of a classifier's samples, which others refuse
        one.label = stated_class(one.label, names, missing)
