"""Turns whatever a caller has of an image into the one array that everything reads: files, bytes, PIL images, arrays, tensors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core.data.images import Array, array_of, eight_bits, read_image
from zoo_core.errors import DataError
from zoo_core.storage.paths import expanded

_VALID = "valid: a path, the bytes of an image file, a PIL image, an array (H, W) or (H, W, C), a tensor (C, H, W)"


def pixels_of(item: Any, number: int) -> Array:
    """uint8 (H, W, C) of an input, C being 1, 3 or 4.

    An input is a sample with an `image`, a path (a string is always one), the bytes of an image file, a PIL image, an
    array (H, W) or (H, W, C), or a tensor (C, H, W); the last two as uint8 or as floating-point numbers from 0 to 1. A
    path, its bytes and the PIL image opened from it give the same array. `number` is the input's position, from 0. Raises
    `DataError`, naming the input from 1, for anything else.
    """
    where = f"input {number + 1}"
    if isinstance(item, str | Path):
        return _read(where, expanded(item))
    if isinstance(item, bytes | bytearray | memoryview):
        return read_image(bytes(item), name=where)
    if isinstance(item, np.ndarray):
        return _checked(where, item)
    # Whoever holds a tensor or a PIL image has imported its library.
    torch, pil = sys.modules.get("torch"), sys.modules.get("PIL.Image")
    if torch is not None and isinstance(item, torch.Tensor):
        return _of_tensor(where, item)
    if pil is not None and isinstance(item, pil.Image):
        return _of_pil(where, item)
    if (pixels := getattr(item, "image", None)) is not None:
        return _checked(where, pixels)
    raise DataError(f"{where}: expected an image, found {type(item).__name__}", hint=_VALID)


def _read(where: str, source: Path) -> Array:
    try:
        return read_image(source)
    except DataError as error:
        raise DataError(f"{where}: {error.message}", hint=error.hint) from None


def _of_tensor(where: str, item: Any) -> Array:
    if item.ndim != 3:
        raise DataError(f"{where}: expected a tensor (C, H, W), found {tuple(item.shape)}", hint=_VALID)
    tensor = item.detach().cpu()
    return _checked(where, (tensor.float() if tensor.is_floating_point() else tensor).permute(1, 2, 0).numpy())


def _of_pil(where: str, item: Any) -> Array:
    try:
        return array_of(item)
    except DataError as error:
        raise DataError(f"{where}: the PIL image can't be decoded: {error.message}", hint=error.hint) from None


def _checked(where: str, pixels: Any) -> Array:
    shape = pixels.shape
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        hint = "a (C, H, W) array becomes (H, W, C) by .transpose(1, 2, 0)"
        raise DataError(f"{where}: expected (H, W) or (H, W, C) with 1, 3 or 4 channels, found {shape}", hint=hint)
    if not pixels.size:
        raise DataError(f"{where}: an image without pixels, {shape}")
    if pixels.dtype.kind == "f":
        try:
            return eight_bits(pixels)
        except ValueError as error:
            raise DataError(f"{where}: {error}", hint="divide by their maximum, or give uint8 from 0 to 255") from None
    if pixels.dtype != np.uint8:
        raise DataError(f"{where}: pixels must be uint8 or floating-point, found {pixels.dtype}")
    return np.ascontiguousarray(pixels)
