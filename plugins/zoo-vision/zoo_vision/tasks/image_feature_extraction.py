"""Embeddings of images: what an encoder pools before its head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from zoo_core.contract import Batch
from zoo_core.tasks import EmbeddingPredictor
from zoo_vision.tasks.common import ImagePredictor


class ImageFeatureExtraction(ImagePredictor, EmbeddingPredictor):
    """Embeds images."""

    remedy = "pretrain with masked-image-modeling or image-contrastive; their checkpoints serve this task too"

    def vectors(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, D)."""
        return self.outputs(self.modules(), self.batch_of(inputs))

    def outputs(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """The same of a batch of images."""
        return self.logits(modules, batch).float()
