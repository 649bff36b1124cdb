"""Classifiers of other libraries whose outputs are several labels at once, or numbers."""

from __future__ import annotations

from zoo_core.tasks import MultiLabel, Regression
from zoo_vision.tasks.common import ImageTask

_REMEDY = "zoo finetune with --task image-classification gives it a head for one label"


class ImageMultiLabel(ImageTask, MultiLabel):
    """Every label has a probability of its own."""

    name = "image-multi-label"
    remedy = _REMEDY


class ImageRegression(ImageTask, Regression):
    """The outputs are the answer."""

    name = "image-regression"
    remedy = _REMEDY
