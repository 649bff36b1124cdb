"""What raw image samples look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo_core.data import Array, read_image

Source = Path | bytes | Array
"""An image file, the bytes of one, or its pixels as uint8 (H, W, C)."""


class Image:
    """An image, decoded each time it is asked for."""

    __slots__ = ("_source", "name")

    def __init__(self, source: Source, *, name: str = "") -> None:
        """`name` is for messages; a path names itself."""
        self._source = source
        self.name = name or (str(source) if isinstance(source, Path) else "")

    @property
    def image(self) -> Array:
        """uint8 (H, W, C), C being 1 for grey, 3 for RGB, 4 for RGBA. Raises `DataError`, naming a file that is bad."""
        if isinstance(self._source, np.ndarray):
            return self._source
        return read_image(self._source, name=self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class LabelledImage(Image):
    """An image and the name of its class, which can be read without decoding."""

    __slots__ = ("label",)

    def __init__(self, source: Source, label: str, *, name: str = "") -> None:
        """`name` is for messages; a path names itself."""
        super().__init__(source, name=name)
        self.label = label
