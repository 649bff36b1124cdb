"""Finds files in users' folders: those below a folder, and those below a folder for each class, with or without splits above."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zoo_core.data.splits import folders_by_split
from zoo_core.data.tables.labels import label_name
from zoo_core.errors import DataError, printable
from zoo_core.storage.kinds import HEAD
from zoo_core.storage.paths import is_hidden, resolve_path

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class WantedFiles:
    """Which files are samples, and what messages call them."""

    noun: str
    """In the plural: `images`."""
    suffixes: tuple[str, ...]
    """Endings in lower case."""
    content: Callable[[bytes], bool]
    """Whether the first bytes of a file with another ending are those of a sample."""
    no_classes: tuple[str, ...] = ()
    """Folders beside those of classes that are none."""


class Labelled(NamedTuple):
    """A file and its class."""

    path: str
    label: str


class ClassFolders(NamedTuple):
    """Files of classes by split, `""` where there are no splits, and what the user should know."""

    splits: dict[str, list[Labelled]]
    notices: tuple[str, ...]


class Tally:
    """Counts what happens to paths, by reason, with the first path of each."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def add(self, reason: str, paths: Iterable[str | Path]) -> None:
        """Count paths; none are nothing."""
        if found := list(map(str, paths)):
            self._seen.setdefault(reason, []).extend(found)

    def notices(self) -> tuple[str, ...]:
        """A line for each reason, in the order in which they came up."""
        return tuple(f"{len(seen):,} {reason} (first: {printable(seen[0])})" for reason, seen in self._seen.items())


def files_below(folder: Path, wanted: WantedFiles) -> tuple[list[str], tuple[str, ...]]:
    """The wanted files below a folder, in the order of their paths, and a notice for each kind of what was left out.

    Files that are links are read wherever they lead, linked folders while they lie inside `folder`, each once. Raises
    `DataError` where there are no such files, and for a folder that can't be listed.
    """
    tally = Tally()
    found = _below(folder, folder, wanted, tally)
    if not found:
        raise DataError(f"{folder}: no {wanted.noun} there", hint=_endings(wanted))
    return found, tally.notices()


def class_folders(root: Path, wanted: WantedFiles) -> ClassFolders:
    """The wanted files below a folder for each class, or below such folders in folders of splits.

    Folders are splits where their names say so and folders lie in them; of splits of which none is for training, a single
    one is the whole. Names of classes are composed (Unicode NFC), so that two spellings are one class. Whatever is left
    out is counted in a notice. Raises `DataError` where there are no classes or no files in them, for several splits of
    which none is to train on, and for a folder that can't be listed.
    """
    tally = Tally()
    classes = {
        split: _classes(places, root, wanted, tally)
        for split, places in split_folders(root, tally, lambda folder: bool(inside(folder, Tally())[0])).items()
    }
    names = {label for found in classes.values() for label in found}
    if not names:
        raise DataError(
            f"{root}: expected one subfolder for each class, found none", hint="or give a table with labels"
        )
    splits = {
        split: [Labelled(file, label) for label, files in found.items() for file in files]
        for split, found in classes.items()
        if any(found.values())
    }
    if not splits.keys() & {"", "train"}:
        where = " of train" if "train" in classes else ""
        raise DataError(f"{root}: no {wanted.noun} in the folders of classes{where}", hint=_endings(wanted))
    missing = (
        _missing(split, [name for name in sorted(names) if not found.get(name)], len(names), wanted)
        for split, found in classes.items()
    )
    return ClassFolders(splits, (*tally.notices(), *filter(None, missing)))


def split_folders(root: Path, tally: Tally, counts: Callable[[Path], bool]) -> dict[str, list[Path]]:
    """The folders of each split, in the order of their names; the root itself as `""` where it has none.

    `counts` says which folders may be splits. Of splits of which none is for training, a single one is the whole. Raises
    `DataError` for several of them.
    """
    folders, files = inside(root, Tally())
    named = folders_by_split(folder.name for folder in folders if counts(folder))
    named.pop("", None)
    if not named:
        return {"": [root]}
    if "train" not in named and len(named) > 1:
        raise DataError(f"{root}: no folder to train on beside {', '.join(named)}", hint="give one of them as path")
    inside(root, tally)
    read = {name for names in named.values() for name in names}
    tally.add("left out: beside the splits", [*(folder for folder in folders if folder.name not in read), *files])
    for split, names in named.items():
        if len(names) > 1:
            tally.add(f"folders are one split, {split}", [root / name for name in names])
    parts = {split: [root / name for name in names] for split, names in named.items()}
    return parts if "train" in parts else {"": next(iter(parts.values()))}


def _classes(places: Sequence[Path], root: Path, wanted: WantedFiles, tally: Tally) -> dict[str, list[str]]:
    """Files by class, of a class without any an empty list."""
    found: dict[str, list[str]] = {}
    for place in places:
        folders, files = inside(place, tally)
        tables = [file for file in files if file.stem == "metadata"]
        tally.add("left out: a table beside the folders of classes; give it as the data to read its columns", tables)
        tally.add("left out: beside the folders of classes", (file for file in files if file not in tables))
        tally.add("left out: no class", (folder for folder in folders if folder.name in wanted.no_classes))
        for folder in folders:
            if folder.name not in wanted.no_classes:
                label = label_name(resolve_path(str(folder)).name)
                found.setdefault(label, []).extend(_below(folder, root, wanted, tally))
    return found


def _below(folder: Path, root: Path, wanted: WantedFiles, tally: Tally) -> list[str]:
    """The wanted files below a folder; linked folders are entered where they lie inside the root or the folder."""
    roots = tuple(os.path.join(os.path.realpath(place), "") for place in (root, folder))  # noqa: PTH118
    found: list[str] = []
    entered: set[str] = set()
    waiting, linked = [folder], list[Path]()
    while waiting or linked:  # what lies here itself comes first, so that no link takes its place
        place = waiting.pop() if waiting else linked.pop(0)
        real = os.path.realpath(place)
        if real in entered:
            tally.add("left out: a linked folder that is read already", [place])
            continue
        if not f"{real}{os.sep}".startswith(roots):
            tally.add("left out: a linked folder that leads elsewhere", [place])
            continue
        entered.add(real)
        folders, files = inside(place, tally)
        linked += (inner for inner in folders if inner.is_symlink())
        waiting += (inner for inner in reversed(folders) if not inner.is_symlink())
        found += _chosen(files, wanted, tally)
    return sorted(found, key=lambda path: path.split(os.sep))  # noqa: PTH206


def _chosen(files: Iterable[Path], wanted: WantedFiles, tally: Tally) -> Iterator[str]:
    for file in files:
        named = file.name.lower().endswith(wanted.suffixes)
        if not named and not wanted.content(_head(file)):
            tally.add(f"left out: no {wanted.noun} by ending or content", [file])
            continue
        if not named:
            tally.add(f"are {wanted.noun} by content, whatever their ending", [file])
        yield str(file)


def _head(file: Path) -> bytes:
    """The first bytes of an ordinary file; nothing of any other."""
    try:
        if file.is_file():
            with file.open("rb") as opened:
                return opened.read(HEAD)
    except OSError:
        pass
    return b""


def inside(folder: Path, tally: Tally) -> tuple[list[Path], list[Path]]:
    """The folders in a folder, linked ones among them, and what else is there, without what is hidden."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: can't be read: {error.strerror}") from None
    tally.add("left out: hidden, or left by a system", (entry.path for entry in entries if is_hidden(entry.name)))
    visible = [entry for entry in entries if not is_hidden(entry.name)]
    folders = [Path(entry.path) for entry in visible if _is_folder(entry)]
    return folders, [Path(entry.path) for entry in visible if not _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _missing(split: str, labels: Sequence[str], classes: int, wanted: WantedFiles) -> str:
    if not labels:
        return ""
    told = ", ".join(map(printable, labels[:_SHOWN])) + (" ..." if len(labels) > _SHOWN else "")
    where = f" in {split}" if split else ""
    return f"{len(labels):,} of {classes:,} classes without {wanted.noun}{where}: {told}"


def _endings(wanted: WantedFiles) -> str:
    return f"they end in {', '.join(wanted.suffixes)}"
