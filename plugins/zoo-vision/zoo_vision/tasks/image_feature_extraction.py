"""Embeddings of images: what an encoder pools before its head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo_core.tasks import EmbeddingPredictor
from zoo_vision.tasks.common import ImagePredictor


class ImageFeatureExtraction(ImagePredictor, EmbeddingPredictor):
    """Embeds images."""

    remedy = "pretrain with masked-image-modeling or image-contrastive; their checkpoints serve this task too"

    def vectors(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, D)."""
        return self.logits(self.modules(), self.batch_of(inputs)).float()
