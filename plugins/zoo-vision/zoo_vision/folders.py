"""Finds pictures in the user's folders: below a folder for each class, in IDX files, or wherever they are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo_core.data.kinds import RASTER_SUFFIXES as SUFFIXES
from zoo_core.errors import DataError, printable
from zoo_core.inputs import expanded
from zoo_core.tables import TABLES, suffix_of
from zoo_vision.holders import Files, Pictures, Stacked
from zoo_vision.idx import read_idx

WHOLE = ""
"""The name of what has no splits of its own."""

_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_IDX = re.compile(r"(train|t10k)[-.](images|labels)[-.]idx[13][-.]ubyte(\.gz)?")


class Found(NamedTuple):
    """Pictures by split, `WHOLE` where there are none, and what the user should know."""

    splits: dict[str, Pictures]
    notices: tuple[str, ...] = ()


def find_files(path: str, suffixes: Sequence[str]) -> list[Path]:
    """The files directly in a folder, or those that a pattern finds, with these suffixes, sorted. May be none."""
    place = expanded(path)
    if is_pattern(path):
        anchor = Path(place.anchor)
        found = sorted(anchor.glob(str(place.relative_to(anchor))))
    else:
        found = sorted(place.iterdir())
    return [file for file in found if suffix_of(file) in suffixes and not file.is_dir()]


def is_pattern(path: str) -> bool:
    """Whether a path is one of many."""
    return any(sign in path for sign in "*?[") and not expanded(path).exists()


def tables_in(path: str) -> list[Path]:
    """The tables that a path speaks of: itself, those of a pattern, or those of a folder without folders in it."""
    place = expanded(path)
    if is_pattern(path):
        return find_files(path, TABLES)
    if not place.is_dir():
        return [place] if suffix_of(place) in TABLES else []
    return [] if _folders(place) else find_files(path, TABLES)


def idx_files(place: Path) -> dict[str, dict[str, Path]]:
    """The IDX files of a folder by part (`train`, `t10k`) and content (`images`, `labels`), unpacked ones first."""
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(place.iterdir(), reverse=True) if place.is_dir() else []:
        if match := _IDX.fullmatch(file.name):
            found.setdefault(match[1], {})[match[2]] = file
    return {part: files for part, files in found.items() if "images" in files}


def labelled_idx(place: Path, names: Sequence[str]) -> Found:
    """Labelled pictures of IDX files; a class has its name from `names`, or its number. Raises `DataError`."""
    splits = {}
    for part, files in sorted(idx_files(place).items(), reverse=True):
        pictures = _idx_pictures(files["images"])
        if "labels" not in files:
            raise DataError(f"{files['images']}: the file with its labels is missing ({part}-labels-idx1-ubyte)")
        numbers = read_idx(files["labels"], dimensions=1)
        if len(numbers) != len(pictures):
            raise DataError(f"{files['labels']}: {len(numbers)} labels for {len(pictures)} pictures")
        if names and numbers.max() >= len(names):
            raise DataError(
                f"{files['labels']}: label {numbers.max()}, but only {len(names)} names are given in labels"
            )
        words = list(names) or [str(number) for number in range(256)]
        splits["train" if part == "train" else "test"] = Pictures(pictures, [words[number] for number in numbers])
    return Found(splits if "train" in splits else {WHOLE: splits["test"]})


def plain_idx(place: Path) -> Found:
    """The pictures of the training part of IDX files, or of the other where it is alone."""
    parts = idx_files(place)
    part = "train" if "train" in parts else "t10k"
    left = tuple(f"{parts[other]['images']} left out: it is the test part" for other in sorted(parts) if other != part)
    return Found({WHOLE: Pictures(_idx_pictures(parts[part]["images"]))}, left)


def labelled_folder(place: Path) -> Found:
    """Pictures below a folder for each class, or below such folders in train, val and test. Raises `DataError`."""
    inner = {folder.name: folder for folder in _folders(place)}
    if "train" not in inner:
        pictures, notices = _classes(place)
        return Found({WHOLE: pictures}, notices)
    splits: dict[str, Pictures] = {}
    notices = ()
    for name, folder in inner.items():
        split = _SPLITS.get(name)
        if split is None:
            notices += (f"folder {printable(name)} left out: beside train only val and test are splits",)
            continue
        if split in splits:
            raise DataError(f"{folder}: a second folder of the {split} split", hint="keep one of them")
        splits[split], told = _classes(folder)
        notices += told
    return Found(splits, notices)


def plain_folder(place: Path) -> Found:
    """Every picture below a folder. Raises `DataError` where there is none."""
    files, others = _below(place)
    if not files:
        raise DataError(f"{place}: no pictures there", hint=f"they end in {', '.join(SUFFIXES)}")
    return Found({WHOLE: Pictures(Files(files))}, _left_out(others))


def _idx_pictures(path: Path) -> Stacked:
    pixels = read_idx(path, dimensions=3)
    if pixels.dtype != np.uint8 or not pixels.size:
        raise DataError(f"{path}: no pictures of bytes")
    return Stacked(pixels, str(path))


def _classes(place: Path) -> tuple[Pictures, tuple[str, ...]]:
    folders = _folders(place)
    if not folders:
        raise DataError(f"{place}: a folder for each class is due, found none", hint="or give a table with labels")
    paths: list[str] = []
    labels: list[str] = []
    loose = sorted(str(file) for file in place.iterdir() if not file.name.startswith(".") and not file.is_dir())
    for folder in folders:
        files, others = _below(folder)
        if not files:
            raise DataError(f"{folder}: no pictures of this class", hint="remove the folder, or fill it")
        paths += files
        labels += [folder.name] * len(files)
        loose += others
    return Pictures(Files(paths), labels), _left_out(loose)


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(child for child in place.iterdir() if child.is_dir() and not child.name.startswith((".", "__")))
    except OSError as error:
        raise DataError(f"{place}: can't be listed: {error.strerror}") from None


def _below(place: Path) -> tuple[list[str], list[str]]:
    """Paths of pictures by their endings, and of other files, in a fixed order; links to folders are not followed."""
    pictures: list[str] = []
    others: list[str] = []
    for folder, inner, files in os.walk(place):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                (pictures if name.lower().endswith(SUFFIXES) else others).append(str(Path(folder, name)))
    return pictures, others


def _left_out(files: Sequence[str]) -> tuple[str, ...]:
    if not files:
        return ()
    count = "1 file" if len(files) == 1 else f"{len(files):,} files"
    return (f"{count} left out for not ending like a picture in a class (first: {printable(files[0])})",)
