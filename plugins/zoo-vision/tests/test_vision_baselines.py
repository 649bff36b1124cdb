"""Baselines and metrics: hand-worked values, pixels that tell, and agreement with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from zoo_vision.datasets.samples import LabelledImage
from zoo_vision.evaluation.baselines import _common_shape, _fitted, _last_fifth, linear_pixels

from zoo_core import DataError
from zoo_core.tasks import Confusion, class_scores


def labelled(*labels: str) -> list[LabelledImage]:
    return [LabelledImage(np.zeros((2, 2, 1), np.uint8), label) for label in labels]


def strokes(count: int, seed: int, *, side: int = 8, channels: int = 1) -> list[LabelledImage]:
    """Noise with a bright line, down or across; the label is wrong for one in ten."""
    draw = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        pixels = draw.integers(0, 120, (side, side, channels), dtype=np.uint8)
        down = bool(draw.integers(2))
        where = slice(side // 4, side // 2)
        pixels[(slice(None), where) if down else (where, slice(None))] = 255
        if channels == 4:
            pixels[:, :, 3] = 255
        label = "down" if down != (draw.random() < 0.1) else "across"
        samples.append(LabelledImage(pixels, label))
    return samples


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (8, 3), (48, 4)])
def test_logistic_regression_finds_the_strokes(side: int, channels: int) -> None:
    train, test = (strokes(count, seed, side=side, channels=channels) for count, seed in ((300, 0), (400, 1)))
    scores = linear_pixels(train, test, ["across", "down"])
    assert 0.84 < scores["accuracy"] < 0.95 and scores["macro_f1"] == pytest.approx(scores["accuracy"], abs=0.02)


def test_logistic_regression_copes_with_few_samples_and_unseen_labels() -> None:
    test = [*strokes(30, 1), *labelled("odd")]
    assert linear_pixels(strokes(40, 0), test, ["odd", "across", "down"])["accuracy"] > 0.5
    two = [next(sample for sample in strokes(40, 0) if sample.label == label) for label in ("across", "down")]
    assert linear_pixels(two, strokes(30, 1), ["across", "down"])["accuracy"] > 0.5
    with pytest.raises(DataError, match="at least two labels"):
        linear_pixels(labelled("a", "a"), labelled("a", "b"), ["a", "b"])


def test_images_are_brought_to_one_shape() -> None:
    grey, wide = np.full((8, 8, 1), 40, np.uint8), np.zeros((10, 90, 4), np.uint8)
    wide[:, :45] = (200, 0, 0, 255)
    assert _common_shape([LabelledImage(grey, "a")]) == (8, 8, 1)
    assert _common_shape([LabelledImage(grey, "a"), LabelledImage(wide, "b")]) == (32, 32, 3)
    assert (_fitted(grey, (32, 32, 3)) == 40).all()
    squashed = _fitted(wide, (32, 32, 3))
    assert (squashed[:, :15] == (200, 0, 0)).all() and (squashed[:, 17:] == 255).all()


def test_the_last_fifth_of_every_class_chooses_the_strength() -> None:
    given = np.array([0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
    assert np.flatnonzero(_last_fifth(given)).tolist() == [10, 11]
    assert not _last_fifth(np.array([0, 1, 0, 1])).any()


def test_classification_agrees_with_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    true, found = draw.integers(0, 4, 500), draw.integers(0, 5, 500)
    confusion = np.zeros((6, 6), np.int64)
    np.add.at(confusion, (true, found), 1)
    expected = f1_score(true, found, average="macro", zero_division=0.0)
    scores = class_scores(Confusion.of_matrix(confusion))
    assert scores == {"accuracy": pytest.approx(accuracy_score(true, found)), "macro_f1": pytest.approx(expected)}
    assert class_scores(Confusion.of_pairs([], 3)) == {"accuracy": 0.0, "macro_f1": 0.0}
