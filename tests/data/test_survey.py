"""What models don't get to see of images is told from a few of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from zoo_core.data.image_survey import LOOKED_AT, image_notices, survey_images
from zoo_core.data.images import Array
from zoo_core.errors import DataError


class Sample(NamedTuple):
    image: Array


class Broken:
    @property
    def image(self) -> Array:
        raise DataError("x.png: the image is cut off")


PHOTO = Sample(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
GREY = Sample(np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8))
SAME = Sample(np.repeat(GREY.image, 3, axis=2))
CLEAR = Sample(np.dstack([PHOTO.image, np.zeros((480, 640), np.uint8)]))


def test_a_survey_looks_at_few_samples_from_the_first_to_the_last() -> None:
    found = survey_images([*[PHOTO] * 500, *[GREY] * 500])
    assert found is not None and (found.looked_at, found.coloured) == (LOOKED_AT, LOOKED_AT // 2)
    assert survey_images([Broken(), PHOTO]) == survey_images([PHOTO])  # whoever decodes them all tells of it
    assert (
        survey_images([]) is None
        and survey_images([Broken()]) is None
        and image_notices(None, channels=1, side=8, kept=0.1) == ()
    )


def test_colours_edges_and_sizes_that_are_lost_are_told() -> None:
    assert image_notices(survey_images([PHOTO] * 30), channels=1, side=28, kept=0.574) == (
        "colours are read as grey: 24 of 24 images looked at have some",
        "43% of an image's area is cut off at its edges, on average",
        "images of 640 x 480 pixels are reduced to 28 x 28",
    )
    assert image_notices(survey_images([GREY]), channels=3, side=224, kept=1.0) == (
        "images of 28 x 28 pixels are enlarged to 224 x 224",
    )


@pytest.mark.parametrize("sample", [GREY, SAME, CLEAR])
def test_nothing_is_told_where_nothing_is_lost(sample: Sample) -> None:
    side = min(sample.image.shape[:2])
    assert (
        survey_images([sample]) is not None
        and image_notices(survey_images([sample]), channels=1, side=side, kept=1.0) == ()
    )
    assert image_notices(survey_images([PHOTO]), channels=3, side=224, kept=0.95) == ()
