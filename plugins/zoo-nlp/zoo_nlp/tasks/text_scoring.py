"""Classifiers of other libraries whose outputs are several labels at once, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_core.contract import Predictor
from zoo_nlp.configs.models import ClassificationOptions, TextRegressionOptions
from zoo_nlp.tasks.common import TextTask, text_logits

_REMEDY = "zoo finetune with --task text-classification gives it a head for one label"


class TextMultiLabel(Predictor, TextTask):
    """Every label has a probability of its own."""

    name = "text-multi-label"
    remedy = _REMEDY

    def predict(self, inputs: Sequence[Any], options: ClassificationOptions) -> list[dict[str, Any]]:
        """The labels above one half, and the probabilities of all, or of the likeliest `top_k`.

        Raises `DataError` for an input longer than the model reads.
        """
        answers = []
        for row in text_logits(self, inputs, truncate=options.truncate):
            scores = dict(zip(self.labels, row.sigmoid().tolist(), strict=True))
            ranked = sorted(scores, key=lambda label: -scores[label])
            chosen = [label for label in ranked if scores[label] > 0.5]
            answers.append(
                {"labels": chosen, "scores": {label: scores[label] for label in ranked[: options.top_k or None]}}
            )
        return answers


class TextRegression(Predictor, TextTask):
    """The outputs are the answer."""

    name = "text-regression"
    remedy = _REMEDY

    def predict(self, inputs: Sequence[Any], options: TextRegressionOptions) -> list[dict[str, Any]]:
        """The value of each label by name, and as `value` where there is one. Raises as the others do."""
        rows = [row.tolist() for row in text_logits(self, inputs, truncate=options.truncate)]
        answers = [{"values": dict(zip(self.labels, row, strict=True))} for row in rows]
        return [
            {"value": row[0], **answer} if len(row) == 1 else answer for row, answer in zip(rows, answers, strict=True)
        ]
