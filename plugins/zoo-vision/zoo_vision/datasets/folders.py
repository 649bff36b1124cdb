"""Finds images in the user's folders: below a folder for each class, in IDX files, or wherever they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo_core import DataError
from zoo_core.data import RASTER_SUFFIXES as SUFFIXES
from zoo_core.data import (
    TABLE_SUFFIXES,
    UNSPLIT,
    Listed,
    Parts,
    WantedFiles,
    class_folders,
    expanded,
    files_below,
    is_pattern,
    kind_of,
    matching_files,
    split_of_file,
    suffix_of,
    tables_at,
    tables_of_folder,
)
from zoo_vision.datasets.idx import read_idx
from zoo_vision.datasets.samples import Image, LabelledImage, of_arrays

_IDX = re.compile(r"(train|t10k)[-.](images|labels)[-.]idx[13][-.]ubyte(\.gz)?")


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

    def chosen(folders: list[Path], files: list[Path]) -> list[Path]:
        tables = [file for file in files if suffix_of(file) in TABLE_SUFFIXES]
        named = [table for table in tables if split_of_file(table.name)]
        return tables_of_folder(folders, named) if folders else tables

    return tables_at(path, chosen)


def idx_files(place: Path) -> dict[str, dict[str, Path]]:
    """The IDX files of a folder by part (`train`, `t10k`) and content (`images`, `labels`), unpacked ones first."""
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(place.iterdir(), reverse=True) if place.is_dir() else []:
        if match := _IDX.fullmatch(file.name):
            found.setdefault(match[1], {})[match[2]] = file
    return {part: files for part, files in found.items() if "images" in files}


def labelled_idx(place: Path, names: Sequence[str]) -> Parts:
    """Labelled images of IDX files; a class has its name from `names`, or its number. Raises `DataError`."""
    splits = {}
    for part, files in sorted(idx_files(place).items(), reverse=True):
        pixels = _idx_pixels(files["images"])
        if "labels" not in files:
            raise DataError(f"{files['images']}: the file with its labels is missing ({part}-labels-idx1-ubyte)")
        numbers = read_idx(files["labels"], dimensions=1)
        if len(numbers) != len(pixels):
            raise DataError(f"{files['labels']}: {len(numbers)} labels for {len(pixels)} images")
        if names and numbers.max() >= len(names):
            raise DataError(
                f"{files['labels']}: label {numbers.max()}, but only {len(names)} names are given in labels"
            )
        words = list(names) or [str(number) for number in range(256)]
        images = of_arrays(pixels, [words[number] for number in numbers], str(files["images"]))
        splits["train" if part == "train" else "test"] = [listed(image) for image in images]
    return splits if "train" in splits else {UNSPLIT: splits["test"]}


def plain_idx(place: Path) -> tuple[Parts, list[str]]:
    """The images of the training part of IDX files, or of the other where it is alone, and what was left out."""
    parts = idx_files(place)
    part = "train" if "train" in parts else "t10k"
    left = [f"{parts[other]['images']} left out: it is the test part" for other in sorted(parts) if other != part]
    file = parts[part]["images"]
    images = [Image(plane[:, :, None], name=f"{file}: image {n}") for n, plane in enumerate(_idx_pixels(file), start=1)]
    return {UNSPLIT: [listed(image) for image in images]}, left


def labelled_folder(place: Path) -> tuple[Parts, list[str]]:
    """Images below a folder for each class, or below such folders in train, val and test, and notices. Raises `DataError`."""
    found = class_folders(place, _IMAGES)
    splits = {
        split: [listed(LabelledImage(Path(file.path), file.label)) for file in files]
        for split, files in found.splits.items()
    }
    return splits, list(found.notices)


def plain_folder(place: Path) -> tuple[Parts, list[str]]:
    """Every image below a folder, and notices. Raises `DataError` where there is none."""
    files, notices = files_below(place, _IMAGES)
    return {UNSPLIT: [listed(Image(Path(file))) for file in files]}, list(notices)


def listed(image: Image) -> Listed:
    """An image as a reader finds it."""
    return Listed(image, image.name, getattr(image, "label", ""))


def _idx_pixels(path: Path) -> npt.NDArray[np.uint8]:
    pixels = read_idx(path, dimensions=3)
    if pixels.dtype != np.uint8 or not pixels.size:
        raise DataError(f"{path}: no images of bytes")
    return pixels
