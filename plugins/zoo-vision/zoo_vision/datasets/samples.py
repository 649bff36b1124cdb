"""What raw image samples look like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo_core import DataError
from zoo_core.data import Array, ImageLimits, file_key, read_image

Source = Path | bytes | Array
"""An image file, the bytes of one, or its pixels as uint8 (H, W, C)."""


class Image:
    """An image, decoded each time it is asked for."""

    __slots__ = ("_key", "_source", "name")

    def __init__(self, source: Source, *, name: str = "", key: str = "") -> None:
        """`name` is for messages; a path names itself. `key` is given where it isn't the sha256 of the source alone."""
        self._source = str(source) if isinstance(source, Path) else source  # a tenth of a path's memory
        self._key = key
        self.name = name or (self._source if isinstance(self._source, str) else "")

    @property
    def source(self) -> Source:
        """What it is made from."""
        return Path(self._source) if isinstance(self._source, str) else self._source

    @property
    def image(self) -> Array:
        """uint8 (H, W, C), C being 1 for grey, 3 for RGB, 4 for RGBA. Raises `DataError`, naming a file that is bad."""
        source = self.source
        return source if isinstance(source, np.ndarray) else read_image(source, name=self.name)

    @property
    def key(self) -> str:
        """sha256 in hex of its bytes or its pixels, found without decoding: equal for copies. Raises `DataError`."""
        self._key = self._key or self._digest()
        return self._key

    def _digest(self) -> str:
        source = self.source
        if isinstance(source, Path):
            return file_key(source, ImageLimits().max_bytes, self.name)
        return hashlib.sha256(source if isinstance(source, bytes) else source.tobytes()).hexdigest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class LabelledImage(Image):
    """An image and the name of its class, which can be read without decoding."""

    __slots__ = ("label",)

    def __init__(self, source: Source, label: str, *, name: str = "", key: str = "") -> None:
        """`name` and `key` are as an `Image` has them."""
        super().__init__(source, name=name, key=key)
        self.label = label


def of_arrays(pixels: npt.NDArray[np.uint8], labels: Sequence[str], where: str) -> list[LabelledImage]:
    """Images of one size from uint8 (N, H, W) or (N, H, W, C), not copied; `where` is for messages."""
    planes = pixels if pixels.ndim == 4 else pixels[:, :, :, None]
    return [
        LabelledImage(image, label, name=f"{where}: image {number}")
        for number, (image, label) in enumerate(zip(planes, labels, strict=True), start=1)
    ]


def of_ragged(
    pixels: npt.NDArray[np.uint8], shapes: npt.NDArray[np.int32], labels: Sequence[str], where: str
) -> list[LabelledImage]:
    """Images of many sizes from their pixels (M,), one after the other, and their shapes (N, 3).

    Raises `DataError` if they disagree.
    """
    ends = np.cumsum(shapes.astype(np.int64).prod(axis=1))
    if not len(ends) or ends[-1] != len(pixels) or shapes.min() < 1:
        raise DataError(f"{where}: the sizes do not fit the pixels")
    planes = np.split(pixels, ends[:-1])
    heads = shapes.astype(">i4")
    return [
        LabelledImage(
            plane.reshape(shape),
            label,
            name=f"{where}: image {number}",
            key=hashlib.sha256(head.tobytes() + plane.tobytes()).hexdigest(),
        )
        for number, (plane, shape, head, label) in enumerate(zip(planes, shapes, heads, labels, strict=True), start=1)
    ]
