"""Contrastive pretraining: recognise an image in another view of it.

Paper: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, arXiv 2002.05709.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.contract import Batch, SampleKey
from zoo_core.tasks import EmbeddingTask
from zoo_vision.augment import Augmentation
from zoo_vision.models.common import Contrastive
from zoo_vision.tasks.common import ImageDataset, ImageTask


class ImageContrastive(ImageTask, EmbeddingTask):
    """SimCLR's task."""

    model: Contrastive
    model_type = Contrastive
    needs = "start from an encoder with a projection, made for this task"

    def dataset(self, samples: Sequence[Any], *, train: bool) -> TwoViews:
        """Two views of each image, in evaluation too; labels are not looked at."""
        augmentation = Augmentation(self.config.augment, self.preprocessor)
        return TwoViews(samples=samples, preprocessor=self.preprocessor, augmentation=augmentation)

    def vectors(self, modules: Mapping[str, nn.Module], batch: Batch) -> tuple[Tensor, Tensor]:
        """Both views of each image, projected, (B, D) each."""
        views = batch["images"]  # (B, 2, C, S, S)
        # (2B, D), the views of an image side by side, as what is drawn for a sample's rows asks for
        projected = modules["model"](self.preprocessor.normalise(views.flatten(0, 1)))
        first, second = projected.unflatten(0, (-1, 2)).unbind(1)
        return first, second

    def answer(self, inputs: Sequence[Tensor], options: Any) -> list[dict[str, Any]]:
        """The encoder's embedding of each image, as `image-feature-extraction` gives it."""
        vectors = nn.functional.normalize(self.logits({"model": self.model.encoder}, self.batch_of(inputs)).float())
        return [{"embedding": vector} for vector in vectors.tolist()]


@dataclass(kw_only=True, eq=False)
class TwoViews(ImageDataset):
    """Each image twice, each time augmented anew; a sample is uint8 (2, C, S, S)."""

    augmentation: Augmentation

    def sample(self, key: SampleKey) -> Tensor:
        """uint8 (2, C, S, S), a function of `key`."""
        views = self.augmentation.two_views(self.samples[key.index].image, key.generator())
        return torch.stack(tuple(views))
