"""Classification of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core.contract import At, Baseline, Batch, File, SampleKey, StepOutput
from zoo_core.tasks import ClassificationTask, ClassResult, label_numbers
from zoo_vision import mixing
from zoo_vision.augment import Augmentation
from zoo_vision.configs.models import ClassificationOptions
from zoo_vision.images import plots
from zoo_vision.tasks.common import EXPLAINED, SHOWN, ImageArray, ImageDataset, ImageTask, as_images


@dataclass(frozen=True, kw_only=True)
class ImageResult(ClassResult):
    """A classifier's result, and some of the images."""

    examples: list[tuple[ImageArray, int, int]]
    """Images to show, each with its true and its predicted class."""


class ImageClassification(ImageTask, ClassificationTask):
    """The classifier's task."""

    def dataset(self, samples: Sequence[Any], *, train: bool) -> LabelledImages:
        """Images and label numbers. Raises `DataError` naming the first sample with an unknown label."""
        augmentation = Augmentation(self.config.augment, self.preprocessor) if train else None
        labels = label_numbers([sample.label for sample in samples], self.labels)
        return LabelledImages(samples=samples, preprocessor=self.preprocessor, augmentation=augmentation, labels=labels)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The chosen loss of a batch of images, mixed where the recipe says so, and how many are right."""
        images, labels = self.preprocessor.normalise(batch["images"]), batch["labels"]
        mixed = mixing.mix(images, mixup=self.config.mixup, cutmix=self.config.cutmix)
        logits = modules["model"](mixed.images)  # (B, C)
        loss, weight = self.loss(logits.float(), labels)
        if mixed.partners is not None:
            other, _ = self.loss(logits.float(), labels[mixed.partners])
            loss = mixed.share * loss + (1 - mixed.share) * other  # λ ℓ(f(x̃), y_i) + (1 - λ) ℓ(f(x̃), y_j)
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == labels).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> ImageResult:
        """Loss, its weight, the pairs of true and predicted class, and both classes of the images to show."""
        found = super().evaluate(modules, batch, at)
        examples = [
            # A pair is one number, true * C + predicted.
            (as_images(batch["images"][place])[0], *divmod(found.confusion[place], len(self.labels)))
            for place in batch["shown"].nonzero().flatten().tolist()
        ]
        return ImageResult(**vars(found), examples=examples)

    def answer(self, inputs: Sequence[Tensor], options: ClassificationOptions) -> list[dict[str, Any]]:
        """The likeliest label of each image and the probabilities of all, or of the likeliest `top_k`.

        With `explain`, also an `explanation`: the image, brighter and redder where the answer comes from.
        """
        found = super().answer(inputs, options)
        if options.explain != "none":
            targets = torch.tensor([self.labels.index(answer["label"]) for answer in found])
            overlays = self._explained(torch.stack(list(inputs)), targets, options.explain)
            for answer, overlay in zip(found, overlays, strict=True):
                answer["explanation"] = File(".png", plots.contact_sheet([overlay]))
        return found

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label, and a linear model on pixels."""
        from zoo_vision.evaluation.baselines import linear_pixels

        return {
            **super().baselines(train, test),
            "linear on pixels": lambda: linear_pixels(train, test, self.labels),
        }

    def artifacts(self, modules: Mapping[str, nn.Module], result: ImageResult) -> dict[str, bytes]:
        """`confusion.png`, `predictions.png` with what was said of some images, `explanations.png` with why."""
        chosen = result.examples[:SHOWN]
        captions = [self._caption(true, predicted) for _, true, predicted in chosen]
        images = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _, _ in chosen[:EXPLAINED]])
        targets = torch.tensor([predicted for _, _, predicted in chosen[:EXPLAINED]])
        overlays = self._explained(images, targets, "gradients")
        return {
            "confusion.png": plots.confusion(self.confusion(result), self.labels),
            "predictions.png": plots.contact_sheet([image for image, _, _ in chosen], captions=captions),
            "explanations.png": plots.contact_sheet(overlays, captions=captions[:EXPLAINED]),
        }

    def _explained(
        self, images: Tensor, targets: Tensor, method: Literal["gradients", "attention"]
    ) -> list[ImageArray]:
        from zoo_vision.evaluation import explain

        images, targets = images.to(self.device), targets.to(self.device)
        return explain.overlay_images(self.model, self.preprocessor, images, targets, method=method)

    def _caption(self, true: int, predicted: int) -> str:
        right = true == predicted
        return self.labels[true] if right else f"{self.labels[true]} → {self.labels[predicted]}"


@dataclass(kw_only=True, eq=False)
class LabelledImages(ImageDataset):
    """Images with the numbers of their labels."""

    labels: NDArray[np.int64]
    """(len(self),)."""

    def sample(self, key: SampleKey) -> tuple[Tensor, int, bool]:
        """An image, uint8 (C, S, S), its label's number, and whether an evaluation shows it."""
        return self.image(key), int(self.labels[key.index]), key.index in self.shown

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8, `labels` (B,) and `shown` (B,)."""
        images, labels, shown = zip(*samples, strict=True)
        return {"images": torch.stack(images), "labels": torch.tensor(labels), "shown": torch.tensor(shown)}
