"""Classifiers of other libraries whose outputs are several labels at once, or numbers."""

from __future__ import annotations

from zoo_core.tasks import MultiLabelPredictor, RegressionPredictor
from zoo_nlp.tasks.common import TextPredictor

_REMEDY = "zoo finetune with --task text-classification gives it a head for one label"


class TextMultiLabel(TextPredictor, MultiLabelPredictor):
    """Every label has a probability of its own."""

    remedy = _REMEDY


class TextRegression(TextPredictor, RegressionPredictor):
    """The outputs are the answer."""

    remedy = _REMEDY
