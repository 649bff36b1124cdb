"""Image data: samples by split, how splits are made without leaks, and the named data sets as they lie prepared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo_core import UnknownName
from zoo_core.contract import Data
from zoo_core.data import (
    SPLITS,
    PreparedFiles,
    SplitOptions,
    empty_split,
    joined_groups,
    make_splits,
    sorted_labels,
    subset_by_hash,
)
from zoo_vision.configs.data import Subset
from zoo_vision.datasets.idx import read_idx
from zoo_vision.datasets.sources import LABELS, spread
from zoo_vision.datasets.storage import ArrayStorage, ImageSequence, RaggedStorage


class ImageData(Data):
    """Images by split; none is decoded before it is asked for."""

    def __init__(
        self,
        name: str,
        splits: Mapping[str, ImageSequence],
        labels: Sequence[str] = (),
        *,
        read: Iterable[ImageSequence] | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        """`name` is for messages; `read` is what the digest runs over, the splits by default."""
        self.name = name
        self.labels = tuple(labels)
        self.notices = tuple(notices)
        """What the user should know before a run: images left out, and why."""
        self._splits = dict(splits)
        self._read = list(self._splits.values() if read is None else read)
        self._digest = ""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits it has."""
        return tuple(self._splits)

    def samples(self, split: str) -> ImageSequence:
        """The samples of a split. Raises `UnknownName` where there is none, `DataError` where it is empty."""
        if split not in self._splits:
            raise UnknownName("split", split, self._splits, where=self.name)
        if not len(self._splits[split]):
            raise empty_split(self.name, split)
        return self._splits[split]

    def digest(self) -> str:
        """sha256 over the sha256 and the label of every image that was read, before any subset was drawn."""
        if not self._digest:
            sha256 = hashlib.sha256()
            for images in self._read:
                keys = images.digests()
                for key, label in zip(keys, images.labels() or [""] * len(keys), strict=True):
                    sha256.update(f"{key} {label}\n".encode())
                sha256.update(b"\n")
            self._digest = sha256.hexdigest()
        return self._digest


def divided(images: ImageSequence, options: SplitOptions, validation: float, test: float) -> dict[str, ImageSequence]:
    """Splits by the rule of `options`, a group and copies never crossing; only those with a share above 0."""
    keys, groups = images.digests(), images.groups()
    grouped = any(groups)
    units = joined_groups(keys, groups) if grouped else keys
    digests = None if grouped else list(map(bytes.fromhex, keys))
    places = make_splits(units, options, validation, test, labels=images.labels(), digests=digests)
    return {split: images.take(numbers) for split, numbers in places.items()}


def subset(images: ImageSequence, count: int | None, seed: int, *, where: str) -> ImageSequence:
    """The first `count` samples in an order that `seed` and their content decide. Raises `DataError` if there are fewer."""
    if count is None:
        return images
    return images.take(subset_by_hash(images.digests(), count, seed, where=where))


def read_prepared(config: Subset, prepared: PreparedFiles, dimensions: int) -> ImageData:
    """Labelled images of IDX files: of one size, (N, H, W) or (N, H, W, C), or one after the other with a file of their sizes."""
    splits = {split: _idx_split(prepared, split, dimensions) for split in SPLITS}
    return _labelled(prepared.name, splits, LABELS[prepared.name], config)


def read_digits(config: Subset) -> ImageData:
    """scikit-learn's 1,797 handwritten digits, 8×8 grey; part of the package, so that nothing is fetched."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    pixels = (raw.images.astype(np.int64) * 255 // 16).astype(np.uint8)
    labels = [str(number) for number in raw.target]
    whole = ImageSequence(ArrayStorage(pixels, "digits"), labels)
    places = spread(whole.digests(), labels, validation=0.1, test=0.2)
    return _labelled("digits", {split: whole.take(places[split]) for split in SPLITS}, sorted_labels(labels), config)


def _idx_split(prepared: PreparedFiles, split: str, dimensions: int) -> ImageSequence:
    def array(part: str, dimensions: int) -> npt.NDArray[Any]:
        return read_idx(prepared.files[f"{prepared.name}/{split}-{part}.idx"], dimensions=dimensions)

    labels = [LABELS[prepared.name][number] for number in array("labels", 1)]
    pixels, where = array("images", dimensions), f"{prepared.name} {split}"
    storage = RaggedStorage(pixels, array("sizes", 2), where) if dimensions == 1 else ArrayStorage(pixels, where)
    return ImageSequence(storage, labels)


def _labelled(name: str, splits: Mapping[str, ImageSequence], labels: Sequence[str], config: Subset) -> ImageData:
    train = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return ImageData(name, {**splits, "train": train}, labels, read=splits.values())
