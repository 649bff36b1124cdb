"""Grids of generated images as PNG, and their animation as WebP."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""(H, W, C) with C of 1 or 3."""

_GAP = 2
_WANTED = 64
"""Pixels that small images are enlarged to, about."""


def png(image: Pixels) -> bytes:
    """One image as it is."""
    buffer = io.BytesIO()
    _pillow(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pixels(png: bytes) -> Pixels:
    """The image of a PNG that `png` made."""
    image = np.asarray(Image.open(io.BytesIO(png)))
    return image if image.ndim == 3 else image[:, :, None]


def grid(images: Sequence[Pixels], *, columns: int = 8) -> bytes:
    """PNG of the images, all of one size, row by row on white; small ones enlarged by whole factors."""
    buffer = io.BytesIO()
    _sheet(images, columns).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def animation(frames: Sequence[bytes], *, milliseconds: int = 400) -> bytes:
    """WebP that shows PNG grids of one size one after the other, the last one longer."""
    images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    buffer = io.BytesIO()
    times = [milliseconds] * (len(images) - 1) + [4 * milliseconds]
    images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], duration=times, loop=0, lossless=True)
    return buffer.getvalue()


def _sheet(images: Sequence[Pixels], columns: int) -> Image.Image:
    height, width = images[0].shape[:2]
    factor = max(1, round(_WANTED / max(height, width)))
    cell = (width * factor + _GAP, height * factor + _GAP)
    columns = min(columns, len(images))
    sheet = Image.new("RGB", (cell[0] * columns + _GAP, cell[1] * math.ceil(len(images) / columns) + _GAP), "white")
    for number, one in enumerate(images):
        image = _pillow(one).convert("RGB").resize((width * factor, height * factor), Image.Resampling.NEAREST)
        sheet.paste(image, (_GAP + number % columns * cell[0], _GAP + number // columns * cell[1]))
    return sheet


def _pillow(image: Pixels) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else np.ascontiguousarray(image))
