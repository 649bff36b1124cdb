"""What raw picture samples look like, and how whatever a caller has is turned into pixels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core.errors import DataError
from zoo_core.inputs import expanded
from zoo_vision.decode import Array, array_of, eight_bits, read_image

Source = Path | bytes | Array
"""A picture file, the bytes of one, or its pixels as uint8 (H, W, C)."""

_VALID = "valid: a path, the bytes of a picture file, a PIL image, an array (H, W) or (H, W, C), a tensor (C, H, W)"


class Image:
    """A picture, decoded each time it is asked for."""

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
    """A picture and the name of its class, which can be read without decoding."""

    __slots__ = ("label",)

    def __init__(self, source: Source, label: str, *, name: str = "") -> None:
        """`name` is for messages; a path names itself."""
        super().__init__(source, name=name)
        self.label = label


def image_of(item: Any, number: int) -> Array:
    """uint8 (H, W, C) of an input, C being 1, 3 or 4.

    An input is an `Image`, a path (a string is always one), the bytes of a picture file, a PIL image, an array (H, W) or
    (H, W, C), or a tensor (C, H, W); the last two as uint8 or as floating-point numbers from 0 to 1. `number` is its
    position, from 0. Raises `DataError`, naming the input from 1, for anything else.
    """
    where = f"input {number + 1}"
    if isinstance(item, Image):
        return item.image
    if isinstance(item, str | Path):
        return _read(where, expanded(item))
    if isinstance(item, bytes | bytearray | memoryview):
        return _read(where, bytes(item))
    if isinstance(item, np.ndarray):
        return _checked(where, item)
    # Whoever holds a tensor or a PIL image has imported its library.
    torch, pil = sys.modules.get("torch"), sys.modules.get("PIL.Image")
    if torch is not None and isinstance(item, torch.Tensor):
        if item.ndim != 3:
            raise DataError(f"{where}: a tensor (C, H, W) is due, found {tuple(item.shape)}", hint=_VALID)
        tensor = item.detach().cpu()
        return _checked(where, (tensor.float() if tensor.is_floating_point() else tensor).permute(1, 2, 0).numpy())
    if pil is not None and isinstance(item, pil.Image):
        return _of_pil(where, item)
    raise DataError(f"{where}: expected a picture, found {type(item).__name__}", hint=_VALID)


def _read(where: str, source: Path | bytes) -> Array:
    if isinstance(source, bytes):
        return read_image(source, name=where)
    try:
        return read_image(source)
    except DataError as error:
        raise DataError(f"{where}: {error.message}", hint=error.hint) from None


def _of_pil(where: str, item: Any) -> Array:
    try:
        pixels = array_of(item)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{where}: the PIL image can't be decoded: {error}") from None
    return _checked(where, pixels)


def _checked(where: str, pixels: Any) -> Array:
    shape = pixels.shape
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        hint = "a (C, H, W) array becomes (H, W, C) by .transpose(1, 2, 0)"
        raise DataError(f"{where}: (H, W) or (H, W, C) with 1, 3 or 4 channels is due, found {shape}", hint=hint)
    if not pixels.size:
        raise DataError(f"{where}: a picture without pixels, {shape}")
    if pixels.dtype.kind == "f":
        try:
            return eight_bits(pixels)
        except ValueError as error:
            raise DataError(f"{where}: {error}", hint="divide by their maximum, or give uint8 from 0 to 255") from None
    if pixels.dtype != np.uint8:
        raise DataError(f"{where}: pixels must be uint8 or floating-point, found {pixels.dtype}")
    return np.ascontiguousarray(pixels)
