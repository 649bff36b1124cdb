"""Tasks whose model gives a number for each label: one label, several of them, or the numbers themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_core.contract.data import Batch, Dataset, SampleKey
from zoo_core.contract.predictor import Predictor, TaskContext
from zoo_core.contract.task import At, Baseline, StepOutput, Task, move
from zoo_core.errors import PluginError, UsageError
from zoo_core.tasks.classify import (
    CLASS_DIRECTIONS,
    class_intervals,
    class_scores,
    majority,
    ranked_answer,
    ranked_scores,
)
from zoo_core.tasks.confusion import Confusion, confusion_pairs
from zoo_core.tasks.encoded import EncodedDataset, collated
from zoo_core.tasks.regress import REGRESSION_DIRECTIONS, mean_value, regression_scores
from zoo_core.tasks.results import ClassResult, ValueResult


class HeadPredictor(Predictor):
    """Answers from a head of as many numbers as there are labels. A modality says how its inputs become a batch."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model without labels."""
        super().__init__(config, context)
        if not self.labels:
            raise UsageError(f"{type(self).__name__} needs a model with labels")

    def encode(self, sample: Any, key: SampleKey | None) -> Mapping[str, Any]:
        """One raw sample, or one input that was read, as tensors, arrays and numbers by name.

        `key` names the draw while training, and its generator is the sample's randomness; otherwise it is None.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither encode nor batch_of and dataset")

    def batch_of(self, inputs: Sequence[Any]) -> Batch:
        """Inputs that were read, as one batch on the model's device."""
        return move(collated([_without_truth(self.encode(item, None)) for item in inputs]), self.device)

    @abstractmethod
    def logits(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """(B, C) of a batch."""

    def numbers(self, modules: Mapping[str, nn.Module], batch: Batch, rows: int) -> Tensor:
        """`logits` of a batch of so many rows. Raises `PluginError` for other shapes, which a loss may well take."""
        found = self.logits(modules, batch)
        if found.shape != (rows, len(self.labels)):
            model = type(self.model).__name__
            raise PluginError(
                f"{type(self).__name__}: expected logits {(rows, len(self.labels))} of {model}, found {tuple(found.shape)}",
                hint="a model with a head gives a number for each label: Head.labels",
            )
        return found

    def outputs(self, modules: Mapping[str, nn.Module], batch: Batch) -> Any:
        """The numbers of `logits`."""
        return self.logits(modules, batch)


class ClassificationTask(HeadPredictor, Task):
    """One label for each sample; a batch holds the true ones as `labels` (B,) where they are known.

    A subclass defines `encode` and `logits`. The label is the sample's `label`, or what `encode` gives under that name.
    """

    monitor = ("accuracy", "max")
    directions = CLASS_DIRECTIONS

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """The samples as `encode` gives them. Raises `DataError`, naming the sample, for a label outside the set."""
        return EncodedDataset(samples, self.encode, train=train, labels=self.labels)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The chosen loss of a batch, and how many samples are right."""
        logits = self.numbers(modules, batch, len(batch["labels"]))
        loss, weight = self.loss(logits.float(), batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> ClassResult:
        """Loss, its weight, and the pairs of true and predicted class."""
        logits = self.numbers(modules, batch, len(batch["labels"]))
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
        probabilities = self.logits(self.modules(), self.batch_of(inputs)).float().softmax(-1)
        most = getattr(options, "top_k", 0)
        return [ranked_answer(self.labels, row, most) for row in probabilities.tolist()]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label."""
        return {"majority": lambda: majority(train, test, self.labels)}


class MultiLabelPredictor(HeadPredictor):
    """Every label has a probability of its own; checkpoints of other libraries answer."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """The labels above one half, and the probabilities of all, likeliest first, or of the likeliest `top_k`."""
        rows = self.logits(self.modules(), self.batch_of(inputs)).float().sigmoid().tolist()
        ranked = [ranked_scores(self.labels, row) for row in rows]
        most = getattr(options, "top_k", 0) or None
        return [{"labels": [name for name, score in one if score > 0.5], "scores": dict(one[:most])} for one in ranked]


class RegressionPredictor(HeadPredictor):
    """The numbers are the answer."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """The value of each label by name, and as `value` where there is one."""
        rows = self.logits(self.modules(), self.batch_of(inputs)).float().tolist()
        return [
            {**({"value": row[0]} if len(row) == 1 else {}), "values": dict(zip(self.labels, row, strict=True))}
            for row in rows
        ]


class RegressionTask(RegressionPredictor, Task):
    """Numbers for each sample, one for each label, which names it; a batch holds the true ones as `values` (B, C).

    A subclass defines `encode` and `logits`. The numbers are the sample's `values`, or what `encode` gives under that name:
    one number, or as many as there are labels. The loss is given both, (B, C).
    """

    directions = REGRESSION_DIRECTIONS

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """The samples as `encode` gives them. Raises `DataError`, naming the sample, for other numbers than were expected."""
        return EncodedDataset(samples, self.encode, train=train, values=len(self.labels))

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The chosen loss of a batch, and the absolute errors, each sample's mean over its numbers."""
        found = self.numbers(modules, batch, len(batch["values"])).float()
        errors = (found.detach() - batch["values"]).abs().mean(1)
        return StepOutput(*self.loss(found, batch["values"]), {"mae": errors.sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> ValueResult:
        """The loss, and both numbers of each sample."""
        found = self.numbers(modules, batch, len(batch["values"])).float()
        loss, weight = self.loss(found, batch["values"])
        return ValueResult(
            loss=loss,
            weight=torch.as_tensor(weight),
            found=found.tolist(),
            true=cast("Tensor", batch["values"]).tolist(),
        )

    def summarize(self, result: ValueResult) -> dict[str, float]:
        """Mean absolute error, root of the mean squared error, coefficient of determination, and mean loss."""
        return {**regression_scores(result.true, result.found), "loss": result.mean_loss}

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The mean of the training split."""
        return {"mean": lambda: mean_value(train, test)}


def _without_truth(encoded: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in encoded.items() if name not in ("label", "values")}
