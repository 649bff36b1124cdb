"""Classification of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core import UsageError
from zoo_core.contract import Baseline, Batch, File, SampleKey, StepOutput, TaskContext, inference_mode
from zoo_core.tasks import (
    CLASS_DIRECTIONS,
    Confusion,
    class_intervals,
    class_scores,
    confusion_pairs,
    label_numbers,
    ranked_answer,
)
from zoo_vision import mixing
from zoo_vision.augment import Augmentation
from zoo_vision.configs.models import ClassificationOptions
from zoo_vision.images import plots
from zoo_vision.preprocessor import ImagePreprocessor
from zoo_vision.tasks.common import EXPLAINED, SHOWN, ImageArray, ImageDataset, ImageTask, as_images


class ImageClassification(ImageTask):
    """The classifier's task."""

    monitor = ("accuracy", "max")
    directions = CLASS_DIRECTIONS

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model without labels."""
        super().__init__(config, context)
        if not self.labels:
            raise UsageError("image-classification needs a model with labels")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> LabelledImages:
        """Images and label numbers. Raises `DataError` naming the first sample with an unknown label."""
        augmentation = Augmentation(self.config.augment, self.preprocessor) if train else None
        labels = label_numbers([sample.label for sample in samples], self.labels)
        return LabelledImages(samples, labels, self.preprocessor, augmentation)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """The chosen loss of a batch of images, mixed where the recipe says so, and how many are right."""
        images, labels = self.preprocessor.normalise(batch["images"]), batch["labels"]
        mixed = mixing.mix(images, mixup=self.config.mixup, cutmix=self.config.cutmix)
        logits = modules["model"](mixed.images)
        loss, weight = self._loss(logits, labels)
        if mixed.partners is not None:
            other, _ = self._loss(logits, labels[mixed.partners])
            loss = mixed.share * loss + (1 - mixed.share) * other
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == labels).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Loss, its weight, the pairs of true and predicted class, and both classes of the images to show."""
        logits = modules["model"](self.preprocessor.normalise(batch["images"]))
        loss, weight = self._loss(logits, batch["labels"])
        predicted = logits.argmax(-1)
        confusion = confusion_pairs(batch["labels"], predicted, len(self.labels))
        examples = [
            (as_images(batch["images"][place])[0], int(batch["labels"][place]), int(predicted[place]))
            for place in batch["shown"].nonzero().flatten().tolist()
        ]
        return {"loss": loss, "weight": torch.as_tensor(weight), "confusion": confusion, "examples": examples}

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Accuracy, macro-F1 and mean loss."""
        loss, weight = gathered["loss"], gathered["weight"]
        assert isinstance(loss, Tensor) and isinstance(weight, Tensor)
        return {**class_scores(self._confusion(gathered)), "loss": float(loss) / float(weight)}

    def intervals(self, gathered: Mapping[str, Tensor | list[Any]]) -> Mapping[str, tuple[float, float]]:
        """Those of accuracy and macro-F1."""
        return class_intervals(self._confusion(gathered))

    def predict(self, inputs: Sequence[Any], options: ClassificationOptions) -> list[dict[str, Any]]:
        """The likeliest label of each image and the probabilities of all, or of the likeliest `top_k`.

        With `explain`, also an `explanation`: the image, brighter and redder where the answer comes from.
        """
        answers = []
        for images in self.batches(inputs):
            with inference_mode(self.model):
                probabilities = self.model(self.preprocessor.normalise(images)).float().softmax(-1)
            found = [ranked_answer(self.labels, row, options.top_k) for row in probabilities.tolist()]
            if options.explain != "none":
                overlays = self._explained(images, probabilities.argmax(-1), options.explain)
                for answer, overlay in zip(found, overlays, strict=True):
                    answer["explanation"] = File(".png", plots.contact_sheet([overlay]))
            answers += found
        return answers

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label, and a linear model on pixels."""
        from zoo_vision.evaluation import baselines

        return {
            "majority": lambda: baselines.majority(train, test, self.labels),
            "linear on pixels": lambda: baselines.linear_pixels(train, test, self.labels),
        }

    def artifacts(
        self, modules: Mapping[str, nn.Module], gathered: Mapping[str, Tensor | list[Any]]
    ) -> dict[str, bytes]:
        """`confusion.png`, `predictions.png` with what was said of some images, `explanations.png` with why."""
        examples = gathered["examples"]
        assert isinstance(examples, list)
        chosen: list[tuple[ImageArray, int, int]] = examples[:SHOWN]
        captions = [self._caption(true, predicted) for _, true, predicted in chosen]
        images = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _, _ in chosen[:EXPLAINED]])
        targets = torch.tensor([predicted for _, _, predicted in chosen[:EXPLAINED]])
        overlays = self._explained(images.to(self.device), targets.to(self.device), "gradients")
        return {
            "confusion.png": plots.confusion(self._confusion(gathered), self.labels),
            "predictions.png": plots.contact_sheet([image for image, _, _ in chosen], captions=captions),
            "explanations.png": plots.contact_sheet(overlays, captions=captions[:EXPLAINED]),
        }

    def _explained(
        self, images: Tensor, targets: Tensor, method: Literal["gradients", "attention"]
    ) -> list[ImageArray]:
        from zoo_vision.evaluation import explain

        return explain.overlay_images(self.model, self.preprocessor, images, targets, method=method)

    def _caption(self, true: int, predicted: int) -> str:
        right = true == predicted
        return self.labels[true] if right else f"{self.labels[true]} → {self.labels[predicted]}"

    def _confusion(self, gathered: Mapping[str, Tensor | list[Any]]) -> Confusion:
        pairs = gathered["confusion"]
        assert isinstance(pairs, list)
        return Confusion.of_pairs(pairs, len(self.labels))

    def _loss(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert self.loss is not None  # the spec names a default
        return self.loss(logits.float(), labels)


class LabelledImages(ImageDataset):
    """Images with the numbers of their labels."""

    def __init__(
        self,
        samples: Sequence[Any],
        labels: NDArray[np.int64],
        preprocessor: ImagePreprocessor,
        augmentation: Augmentation | None,
    ) -> None:
        super().__init__(samples, preprocessor, augmentation)
        self.labels = labels

    def sample(self, key: SampleKey) -> tuple[Tensor, int, bool]:
        """An image, uint8 (C, S, S), its label's number, and whether an evaluation shows it."""
        return self.image(key), int(self.labels[key.index]), key.index in self.shown

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8, `labels` (B,) and `shown` (B,)."""
        images, labels, shown = zip(*samples, strict=True)
        return {"images": torch.stack(images), "labels": torch.tensor(labels), "shown": torch.tensor(shown)}
