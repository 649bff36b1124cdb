"""What a user names to be answered: values as they are, files, and folders that stand for the files below them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zoo_core.errors import DataError


def files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes, in any case, in the order of their paths. Raises `DataError` where there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not found:
        raise DataError(f"{folder}: no file in it ends in {', '.join(suffixes)}")
    return found


def expand(items: Iterable[Any], suffixes: tuple[str, ...]) -> Iterator[Any]:
    """The items with every folder replaced by the files below it; nothing is touched where a task takes no files."""
    for item in items:
        if suffixes and isinstance(item, str | Path) and Path(item).is_dir():
            yield from map(str, files_below(Path(item), suffixes))
        else:
            yield item
