"""Where images lie until somebody asks for one: as files, as encoded bytes, or as pixels of one size or of many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from zoo_core import DataError, StoreError
from zoo_core.data import Array, ImageLimits, fs
from zoo_vision.datasets.samples import Image, LabelledImage, Source

Integers = npt.NDArray[np.int64]


class Holder(Protocol):
    """Images by number."""

    def __len__(self) -> int:
        """How many there are."""

    def source(self, number: int) -> Source:
        """What `Image` is made from."""

    def name(self, number: int) -> str:
        """What messages call it."""

    def key(self, number: int) -> str:
        """sha256 in hex of its bytes or its pixels, found without decoding: equal for copies."""


class FileStorage:
    """Image files."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = list(paths)
        self._keys: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def source(self, number: int) -> Path:
        """The file."""
        return Path(self._paths[number])

    def name(self, number: int) -> str:
        """Its path."""
        return self._paths[number]

    def key(self, number: int) -> str:
        """sha256 of the file. Raises `DataError` where it can't be read."""
        if number not in self._keys:
            try:
                path = Path(self._paths[number]).resolve()
                self._keys[number] = fs.digest_file(path, limit=ImageLimits().max_bytes)[0]
            except (StoreError, OSError, RuntimeError) as error:  # a loop of links is one or the other of the last two
                hint = error.hint if isinstance(error, StoreError) else ""
                raise DataError(f"{self._paths[number]}: can't be read: {error}", hint=hint) from None
        return self._keys[number]


class BytesStorage:
    """Bytes of image files, from a table."""

    def __init__(self, images: Sequence[bytes], names: Sequence[str]) -> None:
        self._images = images
        self._names = names

    def __len__(self) -> int:
        return len(self._images)

    def source(self, number: int) -> bytes:
        """The bytes."""
        return self._images[number]

    def name(self, number: int) -> str:
        """Table and row."""
        return self._names[number]

    def key(self, number: int) -> str:
        """sha256 of the bytes."""
        return hashlib.sha256(self._images[number]).hexdigest()


class ArrayStorage:
    """Images of one size: uint8 (N, H, W) or (N, H, W, C)."""

    def __init__(self, pixels: npt.NDArray[np.uint8], where: str) -> None:
        """`where` is for messages."""
        self._pixels = pixels if pixels.ndim == 4 else pixels[:, :, :, None]
        self._where = where

    def __len__(self) -> int:
        return len(self._pixels)

    def source(self, number: int) -> Array:
        """The pixels, not copied."""
        pixels: Array = self._pixels[number]
        return pixels

    def name(self, number: int) -> str:
        """Data set or file, and the number."""
        return f"{self._where}: image {number + 1}"

    def key(self, number: int) -> str:
        """sha256 of the pixels."""
        return hashlib.sha256(self._pixels[number].tobytes()).hexdigest()


class RaggedStorage:
    """Images of many sizes, their pixels one after the other."""

    def __init__(self, pixels: npt.NDArray[np.uint8], shapes: npt.NDArray[Any], where: str) -> None:
        """`pixels` is uint8 (M,), `shapes` (N, 3) with height, width and channels. Raises `DataError` if they disagree."""
        ends = np.cumsum(shapes.astype(np.int64).prod(axis=1))
        if not len(ends) or ends[-1] != len(pixels) or shapes.min() < 1:
            raise DataError(f"{where}: the sizes do not fit the pixels")
        self._pixels = pixels
        self._shapes = shapes
        self._ends = ends
        self._where = where

    def __len__(self) -> int:
        return len(self._shapes)

    def source(self, number: int) -> Array:
        """The pixels, not copied."""
        height, width, channels = (int(side) for side in self._shapes[number])
        end = int(self._ends[number])
        pixels: Array = self._pixels[end - height * width * channels : end].reshape(height, width, channels)
        return pixels

    def name(self, number: int) -> str:
        """Data set and number."""
        return f"{self._where}: image {number + 1}"

    def key(self, number: int) -> str:
        """sha256 of shape and pixels."""
        shape = self._shapes[number].astype(">i4").tobytes()
        return hashlib.sha256(shape + self.source(number).tobytes()).hexdigest()


class ImageSequence(Sequence[Image]):
    """Samples in a fixed order, made when they are asked for: `Image`, or `LabelledImage` where there are labels."""

    def __init__(
        self,
        holder: Holder,
        labels: Sequence[str] | None = None,
        numbers: Integers | Sequence[int] | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:
        """`labels` has one for each image of the holder, and `groups` what it belongs to; `numbers` says which of them to
        have, by default all."""
        for given, what in ((labels, "labels"), (groups, "groups")):
            if given is not None and len(given) != len(holder):
                raise ValueError(f"{len(holder)} images, {len(given)} {what}")
        self._holder = holder
        self._labels = labels
        self._groups = groups
        self._numbers = np.arange(len(holder)) if numbers is None else np.asarray(numbers, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Image: ...
    @overload
    def __getitem__(self, place: slice) -> ImageSequence: ...
    def __getitem__(self, place: int | slice) -> Image | ImageSequence:
        if isinstance(place, slice):
            return ImageSequence(self._holder, self._labels, self._numbers[place], self._groups)
        number = int(self._numbers[place])
        source, name = self._holder.source(number), self._holder.name(number)
        return (
            Image(source, name=name) if self._labels is None else LabelledImage(source, self._labels[number], name=name)
        )

    def take(self, places: Iterable[int]) -> ImageSequence:
        """The samples at these places, in their order."""
        return ImageSequence(
            self._holder, self._labels, self._numbers[np.fromiter(places, dtype=np.int64)], self._groups
        )

    def labels(self) -> list[str]:
        """The label of each sample; empty where they have none."""
        return [] if self._labels is None else [self._labels[number] for number in self._numbers]

    def groups(self) -> list[str]:
        """What each sample must share a split with; empty names where nobody says."""
        return [""] * len(self) if self._groups is None else [self._groups[number] for number in self._numbers]

    def relabelled(self, labels: Sequence[str]) -> ImageSequence:
        """The same images with other labels, one for each."""
        whole = [""] * len(self._holder)
        for number, label in zip(self._numbers, labels, strict=True):
            whole[number] = label
        return ImageSequence(self._holder, whole, self._numbers, self._groups)

    def source(self, place: int) -> Source:
        """What the sample at `place` is made from."""
        return self._holder.source(int(self._numbers[place]))

    def name(self, place: int) -> str:
        """What messages call the sample at `place`."""
        return self._holder.name(int(self._numbers[place]))

    def digests(self) -> list[str]:
        """sha256 in hex of each sample's content. Raises `DataError` for a file that can't be read."""
        return [self._holder.key(int(number)) for number in self._numbers]
