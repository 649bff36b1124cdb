"""Embeddings of pictures: what an encoder pools before its head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.errors import UsageError
from zoo_core.training.task import Batch, Dataset, StepOutput, serving
from zoo_vision.configs import EmbeddingOptions
from zoo_vision.tasks.common import ImageTask


class ImageFeatureExtraction(ImageTask):
    """Embeds pictures; there is nothing to train."""

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """Raises `UsageError`."""
        raise _untrainable()

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """Raises `UsageError`."""
        raise _untrainable()

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Raises `UsageError`."""
        raise _untrainable()

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Raises `UsageError`."""
        raise _untrainable()

    def predict(self, inputs: Sequence[Any], options: EmbeddingOptions) -> list[dict[str, Any]]:
        """One vector for each picture."""
        return embed(self, self.model, inputs, normalize=options.normalize)


def embed(task: ImageTask, encoder: nn.Module, inputs: Sequence[Any], *, normalize: bool) -> list[dict[str, Any]]:
    """`embedding` of each raw input by an encoder that gives (B, D)."""
    vectors: list[list[float]] = []
    for images in task.batches(inputs):
        with serving(encoder):
            found = encoder(task.preprocessor.normalise(images)).float()
        vectors += (F.normalize(found) if normalize else found).tolist()
    return [{"embedding": vector} for vector in vectors]


def _untrainable() -> UsageError:
    return UsageError(
        "image-feature-extraction has nothing to train or to evaluate",
        hint="pretrain with masked-image-modeling or image-contrastive; their checkpoints serve this task too",
    )
