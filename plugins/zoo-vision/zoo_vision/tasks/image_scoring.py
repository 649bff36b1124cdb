"""Classifiers of other libraries whose outputs are several labels at once, or numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from zoo_core.contract import NoConfig, Predictor, inference_mode
from zoo_vision.tasks.common import ImageTask

_REMEDY = "zoo finetune with --task image-classification gives it a head for one label"


class ImageMultiLabel(Predictor, ImageTask):
    """Every label has a probability of its own."""

    name = "image-multi-label"
    remedy = _REMEDY

    def predict(self, inputs: Sequence[Any], options: NoConfig) -> list[dict[str, Any]]:
        """The labels above one half, and the probability of each label, likeliest first."""
        answers = []
        for row in _logits(self, inputs):
            scores = dict(zip(self.labels, row.sigmoid().tolist(), strict=True))
            ranked = sorted(scores, key=lambda label: -scores[label])
            chosen = [label for label in ranked if scores[label] > 0.5]
            answers.append({"labels": chosen, "scores": {label: scores[label] for label in ranked}})
        return answers


class ImageRegression(Predictor, ImageTask):
    """The outputs are the answer."""

    name = "image-regression"
    remedy = _REMEDY

    def predict(self, inputs: Sequence[Any], options: NoConfig) -> list[dict[str, Any]]:
        """The value of each label by name, and as `value` where there is one."""
        answers = []
        for row in _logits(self, inputs):
            values = dict(zip(self.labels, row.tolist(), strict=True))
            answers.append(
                {"value": next(iter(values.values())), "values": values} if len(values) == 1 else {"values": values}
            )
        return answers


def _logits(task: ImageTask, inputs: Sequence[Any]) -> Iterator[Tensor]:
    """What a model gives for each label of each raw input, (C,) in single precision."""
    for images in task.batches(inputs):
        with inference_mode(task.model):
            found = task.model(task.preprocessor.normalise(images))
        yield from found.float().cpu()
