"""What a user names to be answered or read: values as they are, files, and folders that stand for the files below them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from zoo_core.errors import DataError
from zoo_core.storage.machine import home_folder

RECIPE = "recipe.yaml"
"""The resolved recipe; written last when a run is laid out, so a folder that holds it holds a run."""

_SYSTEM = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("__macosx", "icon\r", "@eadir", "#recycle", "lost+found", "__pycache__"),
}
"""What Windows, macOS, disk stations, Linux and Python leave among users' files, in any case."""


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder. Raises `DataError` if the home directory cannot be determined."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: {error}") from None


def home(environ: Mapping[str, str]) -> Path:
    """The user's folder: `$ZOO_HOME`, else `$XDG_DATA_HOME/zoo`, else `~/.local/share/zoo`."""
    if environ.get("ZOO_HOME"):
        return expanded(environ["ZOO_HOME"]).absolute()
    shared = Path(environ.get("XDG_DATA_HOME", ""))
    if not shared.is_absolute():  # the specification asks to ignore a relative one
        shared = home_folder(environ) / ".local" / "share"
    return shared / "zoo"


def resolve_path(path: str) -> Path:
    """The path expanded, of something or of nothing yet.

    Raises `DataError` for what can't be looked at and for a name that isn't UTF-8, which no recipe could hold.
    """
    place = expanded(path)
    try:
        str(place).encode()
        place.stat()
    except UnicodeEncodeError:
        raise DataError(f"{path}: the name isn't UTF-8", hint="rename it") from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read: {getattr(error, 'strerror', error)}") from None
    return place


def list_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes, in any case, in the order of their paths; hidden files and folders are left out.

    Raises `DataError` where there are none, and for a folder that can't be read.
    """
    found = []
    try:
        for place, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not is_hidden(name)]
            visible = (Path(place, name) for name in names if not is_hidden(name))
            found += [path for path in visible if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as error:
        raise DataError(f"{error.filename}: can't be read: {error.strerror}") from None
    if not found:
        raise DataError(f"{folder}: no file in it ends in {', '.join(suffixes)}")
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that nobody means: macOS leaves `._x.wav` beside `x.wav`, Windows `Thumbs.db`."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def expand(items: Iterable[Any], suffixes: tuple[str, ...]) -> Iterator[Any]:
    """The items with every folder replaced by the files below it; nothing is touched where a task takes no files."""
    for item in items:
        if suffixes and isinstance(item, str | Path) and _is_folder(Path(item)):
            yield from map(str, list_files(Path(item), suffixes))
        else:
            yield item


def _is_folder(path: Path) -> bool:
    with suppress(OSError):  # what can't be looked at is an item, which its task refuses
        return path.is_dir()
    return False


def _raise(error: OSError) -> NoReturn:
    raise error
