"""A baseline without a neural network: logistic regression on pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo_core import DataError
from zoo_core.data import Array, silenced
from zoo_core.tasks import label_numbers, label_scores
from zoo_vision.datasets.samples import LabelledImage

SIDE = 32
"""Pixels of the longer side that logistic regression looks at."""

_STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1.0)

Floats = npt.NDArray[np.float32]


def linear_pixels(
    train: Sequence[LabelledImage],
    test: Sequence[LabelledImage],
    labels: Sequence[str],
    *,
    validation: Sequence[LabelledImage] = (),
) -> dict[str, float]:
    """Accuracy and macro F1 of multinomial logistic regression on standardised pixels.

    Images larger than 32×32, or of several sizes, are squashed to 32×32; transparency is laid on white; they stay grey
    where all are. The inverse C of the L2 regularisation is chosen among 0.0001, 0.001, 0.01, 0.1 and 1 on `validation`, or
    without one on the last fifth of every class's training samples: neighbours are often near-copies, so every fifth
    would choose too large a C. L-BFGS
    with tolerance 0.001 for at most 100 iterations. Raises `DataError` where `train` has one label only.
    """
    given = label_numbers([sample.label for sample in train], labels)
    if len(np.unique(given)) < 2:
        raise DataError("logistic regression needs at least two labels among the training samples")
    shape = _common_shape(train, test)
    features = _features(train, shape)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale < 1e-6] = 1.0  # a pixel that never changes is centred only
    features -= mean
    features /= scale
    if validation:
        held, truth = (
            (_features(validation, shape) - mean) / scale,
            label_numbers([sample.label for sample in validation], labels),
        )
        fits = [_fit(features, given, strength) for strength in _STRENGTHS]
        model = max(fits, key=lambda fit: float(fit.score(held, truth)))
    else:
        tuning = _last_fifth(given)
        strength = max(_STRENGTHS, key=lambda strength: _accuracy_held_out(features, given, tuning, strength))
        model = _fit(features, given, strength)
    found = model.predict((_features(test, shape) - mean) / scale)
    return label_scores([sample.label for sample in test], found, labels)


def _fit(features: Floats, given: npt.NDArray[np.int64], strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with silenced(ConvergenceWarning):  # a hundred iterations are part of this baseline's definition
        return LogisticRegression(C=strength, tol=1e-3, max_iter=100).fit(features, given)


def _accuracy_held_out(
    features: Floats, given: npt.NDArray[np.int64], tuning: npt.NDArray[np.bool_], strength: float
) -> float:
    if not tuning.any() or len(np.unique(given[~tuning])) < 2:
        return 0.0
    return float(_fit(features[~tuning], given[~tuning], strength).score(features[tuning], given[tuning]))


def _last_fifth(given: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(given), dtype=np.bool_)
    for number in np.unique(given):
        places = np.flatnonzero(given == number)
        chosen[places[len(places) - len(places) // 5 :]] = True
    return chosen


def _common_shape(*splits: Sequence[LabelledImage]) -> tuple[int, int, int]:
    """Height, width and channels (1 or 3) that every image is brought to."""
    shapes = {sample.image.shape for samples in splits for sample in samples}
    channels = 1 if all(shape[2] == 1 for shape in shapes) else 3
    sides = {shape[:2] for shape in shapes}
    height, width = sides.pop() if len(sides) == 1 else (SIDE, SIDE)
    return (height, width, channels) if max(height, width) <= SIDE else (SIDE, SIDE, channels)


def _features(samples: Sequence[LabelledImage], shape: tuple[int, int, int]) -> Floats:
    """(N, height · width · channels) pixels from 0 to 1."""
    features = np.empty((len(samples), int(np.prod(shape))), dtype=np.float32)
    for row, sample in zip(features, samples, strict=True):
        row[:] = _fitted(sample.image, shape).ravel()
    features /= 255
    return features


def _fitted(pixels: Array, shape: tuple[int, int, int]) -> Array:
    """The image on white, grey or RGB, squashed to the shape."""
    if pixels.shape == shape:
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("L" if shape[2] == 1 else "RGB")
    if image.size != (shape[1], shape[0]):
        image = image.resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(image).reshape(shape)
