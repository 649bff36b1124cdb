"""Sentence embeddings: the mean of an encoder's last states.

Paper: Reimers, Gurevych, Sentence-BERT, EMNLP 2019, arXiv 1908.10084, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from zoo_core.contract import Batch
from zoo_core.tasks import EmbeddingPredictor
from zoo_nlp.interfaces import output_of
from zoo_nlp.preprocessor import Ids
from zoo_nlp.tasks.common import TextPredictor


class FeatureExtraction(TextPredictor, EmbeddingPredictor):
    """Embeds texts."""

    remedy = "pretrain with fill-mask; its checkpoints serve feature-extraction too"

    def vectors(self, inputs: Sequence[Ids]) -> Tensor:
        """(B, D), the mean over the real tokens of each text."""
        return self.outputs(self.modules(), self.batch_of(inputs))

    def outputs(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """The same of a batch of ids."""
        given = modules["model"](**batch)
        states = output_of(given, "last_hidden_state", *batch["input_ids"].shape, None).float()  # (B, T, D)
        real = batch["attention_mask"].unsqueeze(-1)  # (B, T, 1)
        means: Tensor = (states * real).sum(1) / real.sum(1)
        return means
