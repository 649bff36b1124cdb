"""Contrastive pretraining: recognise an image in another view of it.

Paper: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, arXiv 2002.05709.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.contract import At, Batch, Phase, SampleKey, StepOutput
from zoo_core.tasks import LossResult
from zoo_vision.augment import Augmentation
from zoo_vision.models.common import Contrastive
from zoo_vision.tasks.common import ImageDataset, ImageTask


@dataclass(frozen=True, kw_only=True)
class PairResult(LossResult):
    """The loss of views, and how many found their partner."""

    found: Tensor
    """0-d."""


class ImageContrastive(ImageTask):
    """SimCLR's task."""

    phases = (Phase(name="train", batch_wide=True),)
    monitor = ("loss", "min")
    model: Contrastive
    model_type = Contrastive
    needs = "start from an encoder with a projection, made for this task"

    def dataset(self, samples: Sequence[Any], *, train: bool) -> TwoViews:
        """Two views of each image, in evaluation too; labels are not looked at."""
        augmentation = Augmentation(self.config.augment, self.preprocessor)
        return TwoViews(samples=samples, preprocessor=self.preprocessor, augmentation=augmentation)

    def embed(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> dict[str, Tensor]:
        """The `first` and the `second` view of each image, projected, (B, D)."""
        views = batch["images"]  # (B, 2, C, S, S)
        # (2B, D): all first views, then all second ones
        projected = modules["model"](self.preprocessor.normalise(views.transpose(0, 1).flatten(0, 1)))
        return dict(zip(("first", "second"), projected.chunk(2), strict=True))

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The chosen loss of pairs among all of the batch, and how many views find their partner first."""
        loss, weight = self.loss(batch["first"], batch["second"])
        found = _partners_found(torch.cat((batch["first"], batch["second"])).detach())
        return StepOutput(loss, weight, {"accuracy": found})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> PairResult:
        """Sums of the loss, of its weight and of the views that find their partner among the batch's."""
        loss, weight, found = self.step("train", modules, self.embed("train", modules, batch, at), at)
        return PairResult(loss=loss, weight=torch.as_tensor(weight), found=found["accuracy"])

    def summarize(self, result: PairResult) -> dict[str, float]:
        """Mean loss, and the share of views that find their partner."""
        return {"loss": result.mean_loss, "accuracy": float(result.found) / float(result.weight)}

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


def _partners_found(projected: Tensor) -> Tensor:
    """How many of 2B projections have their partner, B places on, as the nearest of the others."""
    unit = nn.functional.normalize(projected.float())
    cosines = (unit @ unit.T).fill_diagonal_(-2.0)  # (2B, 2B); below any cosine: no view is its own nearest
    partners = torch.arange(len(unit), device=unit.device).roll(len(unit) // 2)
    return (cosines.argmax(1) == partners).sum()
