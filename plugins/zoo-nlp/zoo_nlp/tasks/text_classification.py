"""Classification of whole texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core import DataError, UsageError
from zoo_core.contract import Baseline, Batch, Dataset, SampleKey, StepOutput, TaskContext
from zoo_core.tasks import (
    CLASS_DIRECTIONS,
    Confusion,
    class_intervals,
    class_scores,
    confusion_pairs,
    label_numbers,
    ranked_answer,
)
from zoo_nlp.configs.models import ClassificationOptions
from zoo_nlp.datasets.samples import LabelledText, text_of
from zoo_nlp.preprocessor import Tokens
from zoo_nlp.tasks.common import TextTask, cut_notices, pad, text_logits

_LABELS = 500
"""Labels of a confusion matrix that are written down at most."""


class TextClassification(TextTask):
    """The classifier's task."""

    monitor = ("accuracy", "max")
    directions = CLASS_DIRECTIONS

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model without labels."""
        super().__init__(config, context)
        if not self.labels:
            raise UsageError("text-classification needs a model with labels")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> LabelledTexts:
        """Texts, cut to the model's length, and labels. Raises `DataError` naming the first sample that doesn't fit."""
        for number, sample in enumerate(samples):
            if not isinstance(sample, LabelledText):
                raise DataError(f"sample {number + 1}: expected a labelled text, found {type(sample).__name__}")
        labels = label_numbers([sample.label for sample in samples], self.labels)
        texts = [text_of(sample, number) for number, sample in enumerate(samples)]
        return LabelledTexts(self.preprocessor.encode(texts, self.limit), labels, self.preprocessor.special_id("pad"))

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """The chosen loss of a batch of texts, and how many are right."""
        logits = _logits(modules["model"], batch)
        loss, weight = self._loss(logits, batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Loss, its weight, and the pairs of true and predicted class."""
        logits = _logits(modules["model"], batch)
        loss, weight = self._loss(logits, batch["labels"])
        confusion = confusion_pairs(batch["labels"], logits.argmax(-1), len(self.labels))
        return {"loss": loss, "weight": torch.as_tensor(weight), "confusion": confusion}

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Accuracy, macro-F1 and mean loss."""
        loss, weight = gathered["loss"], gathered["weight"]
        assert isinstance(loss, Tensor) and isinstance(weight, Tensor)
        return {**class_scores(self._confusion(gathered)), "loss": float(loss) / float(weight)}

    def intervals(self, gathered: Mapping[str, Tensor | list[Any]]) -> Mapping[str, tuple[float, float]]:
        """Those of accuracy and macro-F1."""
        return class_intervals(self._confusion(gathered))

    def predict(self, inputs: Sequence[Any], options: ClassificationOptions) -> list[dict[str, Any]]:
        """The likeliest label of each input, its probability, and the probabilities of all, or of the likeliest `top_k`.

        Raises `DataError` for an input longer than the model reads.
        """
        logits = text_logits(self, inputs, truncate=options.truncate)
        return [ranked_answer(self.labels, row.softmax(-1).tolist(), options.top_k) for row in logits]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label, and logistic regression on TF-IDF."""
        from zoo_nlp.evaluation import baselines

        return {
            "majority": lambda: baselines.majority(train, test, self.labels),
            "tf-idf + logistic regression": lambda: baselines.tfidf_logistic_regression(train, test, self.labels),
        }

    def artifacts(
        self, modules: Mapping[str, nn.Module], gathered: Mapping[str, Tensor | list[Any]]
    ) -> dict[str, bytes]:
        """`confusion.json`: the labels, and the counts by true and predicted label; of many labels the most confused."""
        confusion = self._confusion(gathered)
        shown = confusion.most_confused(_LABELS)
        written = {"labels": [self.labels[place] for place in shown], "counts": confusion.part(shown).tolist()}
        return {"confusion.json": (json.dumps(written) + "\n").encode()}

    def _confusion(self, gathered: Mapping[str, Tensor | list[Any]]) -> Confusion:
        pairs = gathered["confusion"]
        assert isinstance(pairs, list)
        return Confusion.of_pairs(pairs, len(self.labels))

    def _loss(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert self.loss is not None  # the spec names a default
        return self.loss(logits.float(), labels)


class LabelledTexts(Dataset):
    """Encoded texts with the numbers of their labels, padded batch by batch."""

    def __init__(self, tokens: Tokens, labels: np.ndarray[Any, np.dtype[np.int64]], pad_id: int) -> None:
        self.tokens = tokens
        self.labels = labels
        self.pad_id = pad_id
        self.lengths = tokens.lengths()
        self.truncated = len(tokens.cut())
        """Texts that were cut to the model's length."""
        self.notices = cut_notices(self.truncated, len(labels), "texts", int(self.lengths.max(initial=0)))

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, key: SampleKey) -> Any:
        """Ids (T,) and label number."""
        return self.tokens.row(key.index), self.labels[key.index]

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask` (B, T), `labels` (B,)."""
        ids, mask = pad([row for row, _ in samples], self.pad_id)
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([label for _, label in samples])}


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits  # type: ignore[no-any-return]
