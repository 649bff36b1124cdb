"""Finds recordings in the user's folders: beside their texts, in LibriSpeech's chapters, below a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zoo_core.errors import DataError
from zoo_core.inputs import files_below
from zoo_core.tables import TABLES, read_lines, suffix_of
from zoo_speech.containers import SUFFIXES
from zoo_speech.data import Row


class Problem(NamedTuple):
    """Why something is no sample."""

    name: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


_PARTS = re.compile(r"(train|dev|val|valid|validation|test)([-_].*)?")
_SPLITS = {"train": "train", "test": "test"}
_METADATA = ("metadata", "manifest")
_COMMAND = re.compile(r"([0-9a-f]{8})_nohash_\d+")
"""Names of Speech Commands' files, which begin with the speaker."""


def is_pattern(path: str) -> bool:
    """Whether a path is one of many."""
    return any(sign in path for sign in "*?[") and not Path(path).expanduser().exists()


def tables_of(path: str) -> list[Path]:
    """The tables that a path speaks of: itself, those of a pattern, a folder's `metadata.*` or `manifest.*`, or those of a
    folder that has nothing else."""
    place = Path(path).expanduser()
    if is_pattern(path):
        return [file for file in _matches(place) if suffix_of(file) in TABLES]
    if not place.is_dir():
        return [place] if suffix_of(place) in TABLES else []
    inside = sorted(child for child in place.iterdir() if not child.name.startswith("."))
    tables = [child for child in inside if suffix_of(child) in TABLES and child.is_file()]
    named = [table for table in tables if table.name.lower().partition(".")[0] in _METADATA]
    return named or (tables if tables == inside else [])


def recordings_of(path: str) -> list[Path]:
    """The recordings that a path names by itself or by a pattern; none for a folder. Raises `DataError` for a pattern
    that finds neither recordings nor tables."""
    place = Path(path).expanduser()
    if not is_pattern(path):
        return [] if place.is_dir() or not place.name.lower().endswith(SUFFIXES) else [place]
    files = [file for file in _matches(place) if file.name.lower().endswith(SUFFIXES)]
    if not files:
        raise DataError(f"{path}: neither recordings nor tables there")
    return files


def plain_folder(folder: Path) -> list[Path]:
    """Every recording below a folder, hidden ones left out. Raises `DataError` where there is none."""
    return [file for file in files_below(folder, SUFFIXES) if not _hidden(file.relative_to(folder))]


def parts_of(folder: Path) -> dict[str, list[Path]]:
    """The folders of each split: those called train, dev, val and test, as `train-clean-100`; else the folder itself."""
    parts: dict[str, list[Path]] = {}
    for child in sorted(folder.iterdir()):
        match = _PARTS.fullmatch(child.name.lower())
        if match and child.is_dir():
            parts.setdefault(_SPLITS.get(match[1], "validation"), []).append(child)
    return parts if "train" in parts else {"": [folder]}


def transcripts(folders: Sequence[Path]) -> tuple[list[Row], list[Problem], tuple[str, ...]]:
    """Recordings below folders with their texts, from `x.txt` beside `x.flac` or from LibriSpeech's `.trans.txt` files.

    What has no counterpart is a problem: a recording without a text, or a line without a recording.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    for folder in folders:
        files = plain_folder(folder)
        chapters = sorted(folder.rglob("*.trans.txt"))
        (_chapters if chapters else _beside)(files, chapters, rows, problems)
    return rows, problems, ()


def class_folders(folders: Sequence[Path]) -> tuple[list[Row], list[Problem], tuple[str, ...]]:
    """Recordings below a folder for each class; folders that begin with `_` are left out. Raises `DataError`."""
    rows: list[Row] = []
    notices: tuple[str, ...] = ()
    for folder in folders:
        classes = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
        notices += tuple(
            f"folder {child} left out: its name begins with _" for child in classes if child.name[0] == "_"
        )
        kept = [child for child in classes if child.name[0] != "_"]
        if not kept:
            raise DataError(f"{folder}: a folder for each class is due, found none", hint="or give a table with labels")
        for child in kept:
            for file in plain_folder(child):
                command = _COMMAND.fullmatch(file.stem)
                rows.append(Row(file, str(file), speaker=command[1] if command else "", label=child.name))
    return rows, [], notices


def _beside(files: Sequence[Path], chapters: Sequence[Path], rows: list[Row], problems: list[Problem]) -> None:
    for file in files:
        text = file.with_suffix(".txt")
        if text.is_file():
            rows.append(Row(file, str(file), text=" ".join(" ".join(read_lines(text)).split())))
        else:
            problems.append(Problem(str(file), f"no text, {text.name} is missing", _HINT))


def _chapters(files: Sequence[Path], chapters: Sequence[Path], rows: list[Row], problems: list[Problem]) -> None:
    """LibriSpeech: `1272-128104.trans.txt` has a line `1272-128104-0000 TEXT` for each recording beside it.

    The first of the three numbers is the speaker.
    """
    recordings = {(file.parent, file.stem): file for file in files}
    for chapter in chapters:
        for line, content in enumerate(read_lines(chapter), start=1):
            name, _, text = content.strip().partition(" ")
            if not name:
                continue
            file = recordings.pop((chapter.parent, name), None)
            if file is None:
                problems.append(Problem(f"{chapter}:{line}", f"no recording {name!r} beside it"))
            else:
                rows.append(Row(file, str(file), text=" ".join(text.split()), speaker=name.split("-")[0]))
    problems += [Problem(str(file), "no text in a .trans.txt beside it", _HINT) for file in recordings.values()]


_HINT = "give texts beside the recordings, or a table with paths and texts"


def _matches(place: Path) -> list[Path]:
    anchor = Path(place.anchor)
    return sorted(file for file in anchor.glob(str(place.relative_to(anchor))) if not file.is_dir())


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
