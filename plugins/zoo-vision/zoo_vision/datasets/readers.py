"""Readers of the user's images: what is found is checked, split without leaks and handed over undecoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core import DataError, printable
from zoo_core.data import (
    UNSPLIT,
    DecodeFailure,
    ImageHeader,
    Listed,
    Parts,
    SplitData,
    SplitReader,
    check_file,
    expanded,
    image_header,
    is_pattern,
    read_image,
    tables_by_split,
)
from zoo_vision.configs.data import Images, LabelledImages
from zoo_vision.datasets.catalog import line_of
from zoo_vision.datasets.folders import (
    idx_files,
    images_of,
    labelled_folder,
    labelled_idx,
    listed,
    plain_folder,
    plain_idx,
    tables_in,
)
from zoo_vision.datasets.samples import Image
from zoo_vision.datasets.tables import tabled_images


def read_images(config: Images) -> SplitData:
    """Images of the user's files as `Image`, with a share held out for validation."""
    return PlainImages(config).read()


def read_labelled_images(config: LabelledImages) -> SplitData:
    """Images of the user's files as `LabelledImage`. Raises `DataError`, naming the image, for unknown labels."""
    return LabelledImageFiles(config).read()


class ImageReader(SplitReader):
    """Looks into images: with `bad: error` at every header, with `bad: skip` at all pixels."""

    plural = "images"

    def __init__(self, config: Any, name: str = "") -> None:
        super().__init__(config, name)
        self.headers: list[tuple[str, ImageHeader]] = []

    def ranks(self, keys: Sequence[str]) -> Sequence[bytes]:
        """That sha256 again."""
        return list(map(bytes.fromhex, keys))

    def line(self, sample: Image) -> str:
        """Its content and its label."""
        return line_of(sample)

    def look(self, one: Listed) -> bool:
        """Whether an image is good; what decoding leaves out of it is remembered."""
        source = one.sample.source
        if isinstance(source, np.ndarray):
            return True
        try:
            self.headers.append((one.name, image_header(source)))
            if self.config.bad == "skip":
                read_image(source)
        except DecodeFailure as failure:
            message = failure.message.removeprefix(f"{one.name}: ")
            self.faults.add(one.name, failure.reason if self.config.bad == "skip" else message, failure.hint)
            return False
        return True

    def remarks(self) -> Iterator[str]:
        """What decoding leaves out of images that it reads."""
        for field, told in _CONVERTED.items():
            if names := [name for name, header in self.headers if getattr(header, field)]:
                yield f"{len(names):,} {told} (first: {printable(names[0])})"

    def tabled(self, parts: Mapping[str, Sequence[Path]], names: Sequence[str] = ()) -> Parts:
        """The images of tables by split."""
        return {split: list(tabled_images(tables, self.config, names, self.faults)) for split, tables in parts.items()}

    def kept(self, found: tuple[Parts, Iterable[str]]) -> Parts:
        """What was found, its notices being noted."""
        parts, notices = found
        self.notices += notices
        return parts


_CONVERTED = {
    "animated": "with several frames: the first is read",
    "deep": "of 16-bit grey: 0 to 65,535 become 0 to 255, or 0 to 4,095 where no pixel is brighter",
    "deep_colour": "of 16-bit colour: the upper 8 of each channel are kept",
}
"""Fields of a header, and what they mean for what is read."""


class PlainImages(ImageReader):
    """Reads images without labels."""

    def find(self, path: str) -> Parts:
        """IDX files, a folder, images that are named, or tables."""
        place = expanded(path)
        if idx_files(place):
            return self.kept(plain_idx(place))
        if place.is_dir() and not tables_in(path):
            return self.kept(plain_folder(place))
        if images := images_of(path):
            return {UNSPLIT: [listed(Image(file)) for file in images]}
        return self.tabled({UNSPLIT: _tables(path)})


class LabelledImageFiles(ImageReader):
    """Reads images and their classes."""

    def find(self, path: str) -> Parts:
        """IDX files, folders of classes, or tables."""
        place = expanded(path)
        if idx_files(place):
            return labelled_idx(place, self.config.labels)
        if place.is_dir() and not tables_in(path):
            return self.kept(labelled_folder(place))
        return self.tabled(tables_by_split(_tables(path)), self.config.labels)


def _tables(path: str) -> list[Path]:
    tables = tables_in(path)
    if tables:
        return tables
    place = expanded(path)
    if not is_pattern(path):
        check_file(place)
    raise DataError(f"{path}: neither images nor tables there", hint="tables end in .csv, .tsv, .jsonl or .parquet")
