"""Small images that say their number, so that a test sees which of them a reader gives out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow


def png(number: int) -> bytes:
    """A 4×3 image that says its number in its first pixel."""
    pixels = np.full((3, 4, 3), 128, np.uint8)
    pixels[0, 0] = (number // 256, number % 256, 7)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def number_of(sample: Any) -> int:
    return int(sample.image[0, 0, 0]) * 256 + int(sample.image[0, 0, 1])


def fill(folder: Path, numbers: Sequence[int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:04}.png").write_bytes(png(number))
    return folder
