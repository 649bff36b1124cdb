"""Image data: samples by split, how splits are made without leaks, and the named data sets as they lie prepared."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo_core import DataError, DigestMismatch, UnknownName
from zoo_core.contract import Data
from zoo_core.data import (
    SPLITS,
    SplitOptions,
    data_root,
    empty_split,
    fs,
    joined_groups,
    make_splits,
    sorted_labels,
    subset_by_hash,
)
from zoo_vision.configs.data import Subset
from zoo_vision.datasets.idx import parse_idx
from zoo_vision.datasets.sources import LABELS, PREPARED, spread
from zoo_vision.datasets.storage import ArrayStorage, ImageSequence, RaggedStorage


class ImageData(Data):
    """Pictures by split; none is decoded before it is asked for."""

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
        """What the user should know before a run: pictures left out, and why."""
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
        """sha256 over the sha256 and the label of every picture that was read, before any subset was drawn."""
        if not self._digest:
            sha256 = hashlib.sha256()
            for pictures in self._read:
                keys = pictures.digests()
                for key, label in zip(keys, pictures.labels() or [""] * len(keys), strict=True):
                    sha256.update(f"{key} {label}\n".encode())
                sha256.update(b"\n")
            self._digest = sha256.hexdigest()
        return self._digest


def divided(pictures: ImageSequence, options: SplitOptions, validation: float, test: float) -> dict[str, ImageSequence]:
    """Splits by the rule of `options`, a group and copies never crossing; only those with a share above 0."""
    keys, groups = pictures.digests(), pictures.groups()
    grouped = any(groups)
    units = joined_groups(keys, groups) if grouped else keys
    digests = None if grouped else list(map(bytes.fromhex, keys))
    places = make_splits(units, options, validation, test, labels=pictures.labels(), digests=digests)
    return {split: pictures.take(numbers) for split, numbers in places.items()}


def subset(pictures: ImageSequence, count: int | None, seed: int, *, where: str) -> ImageSequence:
    """The first `count` samples in an order that `seed` and their content decide. Raises `DataError` if there are fewer."""
    if count is None:
        return pictures
    return pictures.take(subset_by_hash(pictures.digests(), count, seed, where=where))


def fashion_mnist(config: Subset) -> ImageData:
    """Fashion-MNIST: 28×28 grey pictures of ten kinds of clothing; 500 of each in the validation split."""
    return _prepared("fashion-mnist", config)


def emoji(config: Subset) -> ImageData:
    """Google's emoji, 64×64 with transparency, labelled by category; variants of one emoji share a split."""
    return _prepared("emoji", config)


def stamps(config: Subset) -> ImageData:
    """Tux Paint's stamps, cut-outs of many sizes with transparency, labelled by the folder they come in."""
    return _prepared("stamps", config)


def digits(config: Subset) -> ImageData:
    """scikit-learn's 1,797 handwritten digits, 8×8 grey; part of the package, so that nothing is fetched."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    pixels = (raw.images.astype(np.int64) * 255 // 16).astype(np.uint8)
    labels = [str(number) for number in raw.target]
    whole = ImageSequence(ArrayStorage(pixels, "digits"), labels)
    places = spread(whole.digests(), labels, validation=0.1, test=0.2)
    return _labelled("digits", {split: whole.take(places[split]) for split in SPLITS}, sorted_labels(labels), config)


class PreparedFiles(NamedTuple):
    """The prepared files of a named data set, each checked against its registered sha256."""

    name: str
    files: Mapping[str, bytearray]

    @classmethod
    def find(cls, name: str) -> PreparedFiles:
        """Raises `DataError` if it isn't on this machine, `DigestMismatch` if a file isn't the one registered."""
        folder = data_root(os.environ) / name
        fetch = f"zoo data fetch {name}"
        files = {}
        for file, sha256 in PREPARED[name].items():
            path = folder / file
            if not path.is_file():
                raise DataError(f"data set {name!r} is not on this machine ({path} is missing)", hint=fetch)
            files[file] = fs.read_into(path.resolve())
            if fs.digest_of(files[file]) != sha256:
                raise DigestMismatch(f"{path}: not the file that data set {name!r} was registered with", hint=fetch)
        return cls(name, files)

    def split(self, split: str) -> ImageSequence:
        """The labelled pictures of a split."""
        numbers = self._array(f"{split}-labels.idx", 1)
        labels = [LABELS[self.name][number] for number in numbers]
        where = f"{self.name} {split}"
        images = f"{split}-images.idx"
        if f"{split}-sizes.idx" in self.files:
            shapes = self._array(f"{split}-sizes.idx", 2)
            return ImageSequence(RaggedStorage(self._array(images, 1), shapes, where), labels)
        return ImageSequence(ArrayStorage(self._array(images, self.files[images][3]), where), labels)

    def _array(self, file: str, dimensions: int) -> npt.NDArray[Any]:
        return parse_idx(self.files[file], dimensions=dimensions, where=f"{self.name}/{file}")


def _prepared(name: str, config: Subset) -> ImageData:
    prepared = PreparedFiles.find(name)
    return _labelled(name, {split: prepared.split(split) for split in SPLITS}, LABELS[name], config)


def _labelled(name: str, splits: Mapping[str, ImageSequence], labels: Sequence[str], config: Subset) -> ImageData:
    train = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return ImageData(name, {**splits, "train": train}, labels, read=splits.values())
