"""Classification of whole texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core import DataError
from zoo_core.contract import Baseline, Dataset, SampleKey
from zoo_core.tasks import ClassificationTask, ClassResult, label_numbers
from zoo_nlp.preprocessor import Tokens
from zoo_nlp.tasks.common import TextTask, cut_notices, pad, texts_of

_LABELS = 500
"""Labels of a confusion matrix that are written down at most."""


class TextClassification(TextTask, ClassificationTask):
    """The classifier's task."""

    def dataset(self, samples: Sequence[Any], *, train: bool) -> LabelledTexts:
        """Texts, cut to the model's length, and labels. Raises `DataError` naming the first sample that doesn't fit."""
        for number, sample in enumerate(samples):
            if not isinstance(getattr(sample, "label", None), str):
                raise DataError(f"sample {number + 1}: expected a labelled text, found {type(sample).__name__}")
        labels = label_numbers([sample.label for sample in samples], self.labels)
        return LabelledTexts(self.tokenize(texts_of(samples)), labels, self.preprocessor.special_id("pad"))

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label, and logistic regression on TF-IDF."""
        from zoo_nlp.evaluation.baselines import tfidf_logistic_regression

        linear = {"tf-idf + logistic regression": lambda: tfidf_logistic_regression(train, test, self.labels)}
        return {**super().baselines(train, test), **linear}

    def artifacts(self, modules: Mapping[str, nn.Module], result: ClassResult) -> dict[str, bytes]:
        """`confusion.json`: the labels, and the counts by true and predicted label; of many labels the most confused."""
        confusion = self.confusion(result)
        shown = confusion.most_confused(_LABELS)
        written = {"labels": [self.labels[place] for place in shown], "counts": confusion.part(shown).tolist()}
        return {"confusion.json": (json.dumps(written) + "\n").encode()}


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
