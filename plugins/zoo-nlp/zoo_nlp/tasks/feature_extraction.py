"""Sentence embeddings: the mean of an encoder's last states.

Paper: Reimers, Gurevych, Sentence-BERT, EMNLP 2019, arXiv 1908.10084, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.nn import functional as F

from zoo_core.contract import Predictor, inference_mode
from zoo_nlp.configs.models import EmbeddingOptions
from zoo_nlp.datasets.samples import text_of
from zoo_nlp.tasks.common import SERVED, TextTask, pad, refuse_long


class FeatureExtraction(Predictor, TextTask):
    """Embeds texts; nothing is trained."""

    name = "feature-extraction"
    remedy = "pretrain with fill-mask; its checkpoints serve feature-extraction too"

    def predict(self, inputs: Sequence[Any], options: EmbeddingOptions) -> list[dict[str, Any]]:
        """One vector per input. Raises `DataError` for an input longer than the model reads."""
        tokens = self.preprocessor.encode([text_of(item, number) for number, item in enumerate(inputs)], self.limit)
        refuse_long(tokens, self.limit, options.truncate)
        vectors: list[list[float]] = []
        with inference_mode(self.model):
            for start in range(0, len(inputs), SERVED):
                rows = [tokens.row(index) for index in range(start, min(start + SERVED, len(inputs)))]
                ids, mask = pad(rows, self.preprocessor.special_id("pad"))
                ids, mask = ids.to(self.device), mask.to(self.device)
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()  # (B, T, D)
                real = mask.unsqueeze(-1)
                means = (states * real).sum(1) / real.sum(1)  # (B, D)
                vectors += (F.normalize(means) if options.normalize else means).tolist()
        return [{"embedding": vector} for vector in vectors]
