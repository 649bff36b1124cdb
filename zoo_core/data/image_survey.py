"""What raster samples are like, from a few of them: for notices of what a model doesn't get to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from zoo_core.data.images import Array
from zoo_core.errors import DataError

LOOKED_AT = 24
"""Samples of a survey, evenly spaced."""
_TINT = 16
"""Levels by which channels differ in a colour that an eye tells from grey."""
_COLOURED = 0.01
"""Share of such pixels from which a sample counts as coloured."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Figures of the samples that could be decoded."""

    looked_at: int
    """How many those are."""
    coloured: int
    """How many of them lose colours as grey."""
    shorter: int
    """Median of the shorter sides, in pixels."""
    longer: int
    """Median of the longer sides, in pixels."""
    square: float
    """Mean share of the area that the middle square has."""


def survey_images(samples: Sequence[Any]) -> Survey | None:
    """Look at some samples with an `image`; None where none can be decoded, which is for others to tell."""
    images = []
    count = min(len(samples), LOOKED_AT)
    for place in range(count):
        try:
            images.append(_Look.at(samples[place * len(samples) // count].image))
        except DataError:
            continue
    if not images:
        return None
    return Survey(
        looked_at=len(images),
        coloured=sum(look.coloured for look in images),
        shorter=int(median(look.shorter for look in images)),
        longer=int(median(look.longer for look in images)),
        square=sum(look.shorter / look.longer for look in images) / len(images),
    )


@dataclass(frozen=True)
class _Look:
    shorter: int
    longer: int
    coloured: bool

    @classmethod
    def at(cls, image: Array) -> _Look:
        shorter, longer = sorted(image.shape[:2])
        step = max(1, shorter // 128)
        few = image[::step, ::step, :3].astype(np.int16)
        tinted = few.max(axis=2) - few.min(axis=2) > _TINT
        if image.shape[2] == 4:
            tinted &= image[::step, ::step, 3] > 0
        return cls(shorter, longer, bool(tinted.mean() > _COLOURED))


def image_notices(found: Survey | None, *, channels: int, side: int, kept: float) -> tuple[str, ...]:
    """What a reader that makes squares of `side` pixels in 1 or 3 channels loses of samples such as these.

    `kept` is the share of a sample's area that is left after cropping.
    """
    if found is None:
        return ()
    told = []
    if channels == 1 and found.coloured:
        told.append(f"colours are read as grey: {found.coloured:,} of {found.looked_at:,} images looked at have some")
    if kept < 0.9:
        told.append(f"{1 - kept:.0%} of an image's area is cut off at its edges, on average")
    if found.shorter >= 4 * side and side < 128:
        told.append(f"images of {found.longer} x {found.shorter} pixels are reduced to {side} x {side}")
    if 2 * found.longer <= side:
        told.append(f"images of {found.longer} x {found.shorter} pixels are enlarged to {side} x {side}")
    return tuple(told)
