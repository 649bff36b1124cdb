"""The files that a path, a folder or a pattern stands for; what exists is never a pattern, what is hidden is never meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zoo_core.data.folders import Tally, inside
from zoo_core.data.splits import folders_by_split, split_of_file
from zoo_core.data.tables.lines import suffix_of
from zoo_core.data.tables.rows import TABLE_SUFFIXES
from zoo_core.errors import DataError
from zoo_core.storage.paths import expanded, is_hidden, resolve_path

_SIGNS = "*?["
_DESCRIBING = ("metadata", "manifest")


def is_pattern(path: str) -> bool:
    """Whether a path stands for the files that it matches, as `photos/**/*.jpg`; an existing `d[1].csv` stands for itself."""
    return any(sign in path for sign in _SIGNS) and not resolve_path(path).exists()


def matching_files(path: str) -> list[Path]:
    """The files that a pattern finds, sorted, without what is hidden below the folder that it starts at. May be none."""
    place = expanded(path)
    parts = place.relative_to(place.anchor).parts
    plain = next(number for number, part in enumerate(parts) if any(sign in part for sign in _SIGNS))
    start = Path(place.anchor, *parts[:plain])
    try:
        found = sorted(file for file in start.glob(str(Path(*parts[plain:]))) if not file.is_dir())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a pattern that can be followed: {getattr(error, 'strerror', error)}") from None
    return [file for file in found if not any(map(is_hidden, file.relative_to(start).parts))]


def find_files(path: str, suffixes: Sequence[str]) -> list[Path]:
    """The file itself, the files below a folder or those that a pattern finds, with one of the suffixes, sorted.

    Raises `DataError` for a folder or a pattern without any.
    """
    if is_pattern(path):
        found = matching_files(path)
    else:
        place = resolve_path(path)
        if not place.is_dir():
            return [place]
        found = [file for file in sorted(place.rglob("*")) if not any(map(is_hidden, file.relative_to(place).parts))]
    files = [file for file in found if suffix_of(file) in suffixes and file.is_file()]
    if not files:
        raise DataError(f"{path}: no file ending in {', '.join(suffixes)} there")
    return files


def tables_at(path: str, choose: Callable[[list[Path], list[Path]], list[Path]]) -> list[Path]:
    """The tables that a path speaks of: itself, those of a pattern, or those that `choose` takes of the folders and the files
    in a folder. May be none."""
    if is_pattern(path):
        return [file for file in matching_files(path) if suffix_of(file) in TABLE_SUFFIXES]
    place = resolve_path(path)
    if not place.is_dir():
        return [place] if suffix_of(place) in TABLE_SUFFIXES else []
    return choose(*inside(place, Tally()))


def tables_of_folder(folders: Sequence[Path], files: Sequence[Path]) -> list[Path]:
    """The tables that describe what lies in a folder, from the folders and the files directly in it; may be none.

    Those are `metadata.*` and `manifest.*`; else all, in a folder of nothing but tables; else those that are named as splits,
    unless the folders are splits themselves.
    """
    tables = [file for file in files if suffix_of(file) in TABLE_SUFFIXES and file.is_file()]
    describing = [table for table in tables if table.name.lower().partition(".")[0] in _DESCRIBING]
    if describing:
        return describing
    if not folders and len(tables) == len(files):
        return tables
    named = [table for table in tables if split_of_file(table.name)]
    trained = any(split_of_file(table.name) == "train" for table in named)
    return named if trained and set(folders_by_split(folder.name for folder in folders)) <= {""} else []
