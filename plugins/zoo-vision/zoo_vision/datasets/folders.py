"""Finds images in the user's folders: below a folder for each class, in IDX files, or wherever they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo_core import DataError
from zoo_core.data import RASTER_SUFFIXES as SUFFIXES
from zoo_core.data import (
    TABLE_SUFFIXES,
    Fault,
    WantedFiles,
    class_folders,
    expanded,
    files_below,
    is_hidden,
    is_pattern,
    kind_of,
    matching_files,
    split_of_file,
    suffix_of,
    tables_of_folder,
)
from zoo_vision.datasets.idx import read_idx
from zoo_vision.datasets.storage import ArrayStorage, FileStorage, ImageSequence

WHOLE = ""
"""The name of what has no splits of its own."""

_IDX = re.compile(r"(train|t10k)[-.](images|labels)[-.]idx[13][-.]ubyte(\.gz)?")


class Found(NamedTuple):
    """Images by split, `WHOLE` where there are none, and what the user should know."""

    splits: dict[str, ImageSequence]
    notices: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    """Rows of tables that can't be samples."""


def is_raster(head: bytes) -> bool:
    """Whether a file that begins so can be decoded."""
    kind = kind_of(head)
    return kind is not None and kind.raster


_IMAGES = WantedFiles(noun="images", suffixes=SUFFIXES, content=is_raster)


def images_of(path: str) -> list[Path]:
    """The images that a path names by itself or by a pattern; none for a folder or a table."""
    named = matching_files(path) if is_pattern(path) else [expanded(path)]
    return [file for file in named if file.name.lower().endswith(SUFFIXES) and not file.is_dir()]


def tables_in(path: str) -> list[Path]:
    """The tables that a path speaks of: itself, those of a pattern, all of a folder without folders in it, or those that
    are named as splits beside folders that aren't."""
    if is_pattern(path):
        return [file for file in matching_files(path) if suffix_of(file) in TABLE_SUFFIXES]
    place = expanded(path)
    if not place.is_dir():
        return [place] if suffix_of(place) in TABLE_SUFFIXES else []
    inside = sorted(child for child in place.iterdir() if not is_hidden(child.name))
    folders = [child for child in inside if child.is_dir()]
    tables = [child for child in inside if suffix_of(child) in TABLE_SUFFIXES and not child.is_dir()]
    named = [table for table in tables if split_of_file(table.name)]
    return tables_of_folder(folders, named, TABLE_SUFFIXES) if folders else tables


def idx_files(place: Path) -> dict[str, dict[str, Path]]:
    """The IDX files of a folder by part (`train`, `t10k`) and content (`images`, `labels`), unpacked ones first."""
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(place.iterdir(), reverse=True) if place.is_dir() else []:
        if match := _IDX.fullmatch(file.name):
            found.setdefault(match[1], {})[match[2]] = file
    return {part: files for part, files in found.items() if "images" in files}


def labelled_idx(place: Path, names: Sequence[str]) -> Found:
    """Labelled images of IDX files; a class has its name from `names`, or its number. Raises `DataError`."""
    splits = {}
    for part, files in sorted(idx_files(place).items(), reverse=True):
        images = _idx_images(files["images"])
        if "labels" not in files:
            raise DataError(f"{files['images']}: the file with its labels is missing ({part}-labels-idx1-ubyte)")
        numbers = read_idx(files["labels"], dimensions=1)
        if len(numbers) != len(images):
            raise DataError(f"{files['labels']}: {len(numbers)} labels for {len(images)} images")
        if names and numbers.max() >= len(names):
            raise DataError(
                f"{files['labels']}: label {numbers.max()}, but only {len(names)} names are given in labels"
            )
        words = list(names) or [str(number) for number in range(256)]
        splits["train" if part == "train" else "test"] = ImageSequence(images, [words[number] for number in numbers])
    return Found(splits if "train" in splits else {WHOLE: splits["test"]})


def plain_idx(place: Path) -> Found:
    """The images of the training part of IDX files, or of the other where it is alone."""
    parts = idx_files(place)
    part = "train" if "train" in parts else "t10k"
    left = tuple(f"{parts[other]['images']} left out: it is the test part" for other in sorted(parts) if other != part)
    return Found({WHOLE: ImageSequence(_idx_images(parts[part]["images"]))}, left)


def labelled_folder(place: Path) -> Found:
    """Images below a folder for each class, or below such folders in train, val and test. Raises `DataError`."""
    found = class_folders(place, _IMAGES)
    splits = {}
    for split, files in found.splits.items():
        splits[split] = ImageSequence(FileStorage(file.path for file in files), [file.label for file in files])
    return Found(splits, found.notices)


def plain_folder(place: Path) -> Found:
    """Every image below a folder. Raises `DataError` where there is none."""
    files, notices = files_below(place, _IMAGES)
    return Found({WHOLE: ImageSequence(FileStorage(files))}, notices)


def _idx_images(path: Path) -> ArrayStorage:
    pixels = read_idx(path, dimensions=3)
    if pixels.dtype != np.uint8 or not pixels.size:
        raise DataError(f"{path}: no images of bytes")
    return ArrayStorage(pixels, str(path))
