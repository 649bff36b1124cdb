"""Tasks whose model gives a number for each label: one label, several of them, or the numbers themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.contract.data import Batch
from zoo_core.contract.task import Baseline, Predictor, StepOutput, Task, TaskContext
from zoo_core.errors import UsageError
from zoo_core.tasks.classify import (
    CLASS_DIRECTIONS,
    class_intervals,
    class_scores,
    majority,
    ranked_answer,
    ranked_scores,
)
from zoo_core.tasks.confusion import Confusion, confusion_pairs
from zoo_core.tasks.results import ClassResult


class HeadTask(Task):
    """A task with a head of as many numbers as there are labels. A modality says how its inputs become a batch."""

    @abstractmethod
    def batch_of(self, inputs: Sequence[Any]) -> Batch:
        """Inputs that were read, as one batch on the model's device."""

    @abstractmethod
    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, C) of a batch."""


class Classification(HeadTask):
    """One label for each sample; a batch holds the true ones as `labels` (B,) where they are known."""

    monitor = ("accuracy", "max")
    directions = CLASS_DIRECTIONS

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model without labels."""
        super().__init__(config, context)
        if not self.labels:
            raise UsageError(f"{type(self).__name__} needs a model with labels")

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """The chosen loss of a batch, and how many samples are right."""
        logits = self.logits(modules["model"], batch)
        loss, weight = self.loss(logits.float(), batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> ClassResult:
        """Loss, its weight, and the pairs of true and predicted class."""
        logits = self.logits(modules["model"], batch)
        loss, weight = self.loss(logits.float(), batch["labels"])
        pairs = confusion_pairs(batch["labels"], logits.argmax(-1), len(self.labels))
        return ClassResult(loss=loss, weight=torch.as_tensor(weight), confusion=pairs)

    def summarize(self, result: ClassResult) -> dict[str, float]:
        """Accuracy, macro-F1 and mean loss in nats."""
        return {**class_scores(self.confusion(result)), "loss": result.mean_loss}

    def intervals(self, result: ClassResult) -> Mapping[str, tuple[float, float]]:
        """Those of accuracy and macro-F1."""
        return class_intervals(self.confusion(result))

    def confusion(self, result: ClassResult) -> Confusion:
        """What was taken for what."""
        return Confusion.of_pairs(result.confusion, len(self.labels))

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """The likeliest label of each input, its probability, and the probabilities of all, or of the likeliest `top_k`."""
        probabilities = self.logits(self.model, self.batch_of(inputs)).float().softmax(-1)
        return [ranked_answer(self.labels, row, options.top_k) for row in probabilities.tolist()]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label."""
        return {"majority": lambda: majority(train, test, self.labels)}


class MultiLabel(Predictor, HeadTask):
    """Every label has a probability of its own; checkpoints of other libraries answer, nothing is trained."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """The labels above one half, and the probabilities of all, likeliest first, or of the likeliest `top_k`."""
        rows = self.logits(self.model, self.batch_of(inputs)).float().sigmoid().tolist()
        ranked = [ranked_scores(self.labels, row) for row in rows]
        most = getattr(options, "top_k", 0) or None
        return [{"labels": [name for name, score in one if score > 0.5], "scores": dict(one[:most])} for one in ranked]


class Regression(Predictor, HeadTask):
    """The numbers are the answer; checkpoints of other libraries give it, nothing is trained."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """The value of each label by name, and as `value` where there is one."""
        rows = self.logits(self.model, self.batch_of(inputs)).float().tolist()
        return [
            {**({"value": row[0]} if len(row) == 1 else {}), "values": dict(zip(self.labels, row, strict=True))}
            for row in rows
        ]
