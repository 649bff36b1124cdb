"""Classifiers of other libraries whose outputs are several labels at once, or numbers."""

from __future__ import annotations

from zoo_core.tasks import MultiLabel, Regression
from zoo_nlp.tasks.common import TextTask

_REMEDY = "zoo finetune with --task text-classification gives it a head for one label"


class TextMultiLabel(TextTask, MultiLabel):
    """Every label has a probability of its own."""

    name = "text-multi-label"
    remedy = _REMEDY


class TextRegression(TextTask, Regression):
    """The outputs are the answer."""

    name = "text-regression"
    remedy = _REMEDY
