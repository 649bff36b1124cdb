"""Classifiers of other libraries whose outputs are several labels at once, or numbers."""

from __future__ import annotations

from zoo_core.tasks import MultiLabelPredictor, RegressionPredictor
from zoo_vision.tasks.common import ImagePredictor

_REMEDY = "zoo finetune with --task image-classification gives it a head for one label"


class ImageMultiLabel(ImagePredictor, MultiLabelPredictor):
    """Every label has a probability of its own."""

    remedy = _REMEDY


class ImageRegression(ImagePredictor, RegressionPredictor):
    """The outputs are the answer."""

    remedy = _REMEDY
