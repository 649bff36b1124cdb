"""Embeddings of images: what an encoder pools before its head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.nn import functional as F

from zoo_core.contract import Predictor, inference_mode
from zoo_vision.configs.models import EmbeddingOptions
from zoo_vision.tasks.common import ImageTask


class ImageFeatureExtraction(Predictor, ImageTask):
    """Embeds images; nothing is trained."""

    name = "image-feature-extraction"
    remedy = "pretrain with masked-image-modeling or image-contrastive; their checkpoints serve this task too"

    def predict(self, inputs: Sequence[Any], options: EmbeddingOptions) -> list[dict[str, Any]]:
        """One vector for each image."""
        return embed(self, self.model, inputs, normalize=options.normalize)


def embed(task: ImageTask, encoder: nn.Module, inputs: Sequence[Any], *, normalize: bool) -> list[dict[str, Any]]:
    """`embedding` of each raw input by an encoder that gives (B, D)."""
    vectors: list[list[float]] = []
    for images in task.batches(inputs):
        with inference_mode(encoder):
            found = encoder(task.preprocessor.normalise(images)).float()
        vectors += (F.normalize(found) if normalize else found).tolist()
    return [{"embedding": vector} for vector in vectors]
