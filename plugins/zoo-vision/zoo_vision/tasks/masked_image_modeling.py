"""Masked autoencoding: hide most patches of an image and reconstruct them.

Paper: He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, arXiv 2111.06377.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.contract import At, Batch, File, SampleKey, StepOutput
from zoo_core.tasks import LossResult
from zoo_vision.augment import Augmentation
from zoo_vision.configs.models import MaskedOptions
from zoo_vision.images import plots
from zoo_vision.models.vit import MaskedAutoencoder
from zoo_vision.preprocessor import ImagePreprocessor
from zoo_vision.tasks.common import EXPLAINED, ImageArray, ImageDataset, ImageTask, as_images

_HIDDEN = 128
"""Grey level of a hidden patch in an image."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionResult(LossResult):
    """The loss of hidden patches, and images to show."""

    examples: list[list[ImageArray]]
    """Each as it is, as it was seen, and as it was reconstructed."""


class MaskedImageModeling(ImageTask):
    """The masked autoencoder's task."""

    monitor = ("loss", "min")
    model: MaskedAutoencoder
    model_type = MaskedAutoencoder
    preprocessor_type = ImagePreprocessor
    needs = "start from a masked autoencoder, such as a vit made for this task"

    @property
    def patches(self) -> int:
        """How many patches an image has."""
        count: int = self.model.encoder.patch_embed.num_patches
        return count

    def dataset(self, samples: Sequence[Any], *, train: bool) -> MaskedImages:
        """Images, each with the order in which its patches are dealt to the encoder; labels are not looked at."""
        augmentation = Augmentation(self.config.augment, self.preprocessor) if train else None
        return MaskedImages(
            samples=samples, preprocessor=self.preprocessor, augmentation=augmentation, patches=self.patches
        )

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The chosen loss over the values of the hidden patches."""
        loss, weight, _ = self._reconstruct(modules["model"], batch)
        return StepOutput(loss, weight)

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> ReconstructionResult:
        """Loss, its weight, and the images to show: as they are, as they were seen, and reconstructed."""
        loss, weight, predicted = self._reconstruct(modules["model"], batch)
        visible = self._visible(self.config.mask_ratio)
        shown = batch["shown"]
        examples = self._images(batch["images"][shown], batch["order"][shown], predicted[shown], visible)
        return ReconstructionResult(loss=loss, weight=torch.as_tensor(weight), examples=examples)

    def summarize(self, result: ReconstructionResult) -> dict[str, float]:
        """Mean loss over the values of hidden patches."""
        return {"loss": result.mean_loss}

    def read(self, item: Any, number: int, options: MaskedOptions) -> tuple[Tensor, Tensor]:
        """An image, uint8 (C, S, S), and the order of its patches (N,)."""
        return super().read(item, number, options), _order(SampleKey(options.seed, 0, number), self.patches)

    def answer(self, inputs: Sequence[tuple[Tensor, Tensor]], options: MaskedOptions) -> list[dict[str, Any]]:
        """A `reconstruction` for each image: as it is, as the encoder saw it, and as the decoder made it."""
        images, order = (torch.stack(part).to(self.device) for part in zip(*inputs, strict=True))
        visible = self._visible(options.mask_ratio)
        predicted = self.model(self.preprocessor.normalise(images), order, visible)
        rows = self._images(images, order, predicted, visible)
        return [{"reconstruction": File(".png", _sheet([row]))} for row in rows]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Predicting zero: with normalised pixels every patch's own mean, without them the mean of all images."""
        dataset = self.dataset(test, train=False)
        total, weight = 0.0, 0.0
        for start in range(0, len(dataset), self.together):
            places = range(start, min(start + self.together, len(dataset)))
            batch = dataset.collate([dataset.sample(SampleKey(0, 0, place)) for place in places])
            target, hidden = self._target(self.preprocessor.normalise(batch["images"]), batch["order"])
            values = target.gather(1, hidden)  # (B, M, P)
            found, counted = self.loss(torch.zeros_like(values), values)
            total, weight = total + float(found), weight + float(counted)
        return {"each patch's mean" if self.config.normalize_pixels else "mean": {"loss": total / weight}}

    def artifacts(self, modules: Mapping[str, nn.Module], result: ReconstructionResult) -> dict[str, bytes]:
        """`reconstructions.png`: images as they are, as they were seen, and reconstructed."""
        return {"reconstructions.png": _sheet(result.examples[:EXPLAINED])}

    def _visible(self, mask_ratio: float) -> int:
        return max(1, min(self.patches - 1, round(self.patches * (1 - mask_ratio))))

    def _reconstruct(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Loss sum and weight over hidden values, and all patches (B, N, P) as predicted."""
        images = self.preprocessor.normalise(batch["images"])
        predicted = model(images, batch["order"], self._visible(self.config.mask_ratio)).float()  # (B, N, P)
        target, hidden = self._target(images, batch["order"])
        loss, weight = self.loss(predicted.gather(1, hidden), target.gather(1, hidden))  # (B, M, P) both
        return loss, weight, predicted

    def _target(self, images: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """What to predict (B, N, P), and which rows of it are hidden, (B, M, P) for `gather`."""
        target = self.model.patchify(images)  # (B, N, P)
        if self.config.normalize_pixels:
            target = (target - target.mean(-1, keepdim=True)) / _deviation(target)
        hidden = order[:, self._visible(self.config.mask_ratio) :].unsqueeze(-1).expand(-1, -1, target.shape[-1])
        return target, hidden

    def _images(self, images: Tensor, order: Tensor, predicted: Tensor, visible: int) -> list[list[ImageArray]]:
        """Rows of three images: original, seen, reconstructed (seen patches as they are)."""
        if not len(images):
            return []
        normalised = self.preprocessor.normalise(images)
        patches = self.model.patchify(normalised)
        made = predicted.float()
        if self.config.normalize_pixels:
            # The model predicts a patch less its mean and deviation, so these are given back from the original.
            made = made * _deviation(patches) + patches.mean(-1, keepdim=True)
        hidden = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
        hidden.scatter_(1, order[:, visible:], True)  # (B, N)
        whole = torch.where(hidden.unsqueeze(-1), made, patches)  # (B, N, P)
        restored = self.preprocessor.denormalise(self.model.unpatchify(whole, images.shape[1]))
        cover = self.model.unpatchify(hidden.unsqueeze(-1).expand_as(patches), images.shape[1])  # (B, C, S, S)
        rows = []
        for image, covered, made_up in zip(images, cover, restored, strict=True):
            original = as_images(image)[0]
            seen = np.where(as_images(covered)[0], np.uint8(_HIDDEN), original)
            rows.append([original, seen, made_up])
        return rows


@dataclass(kw_only=True, eq=False)
class MaskedImages(ImageDataset):
    """Images with the order of their patches, which is a function of the sample's key."""

    patches: int
    """N, patches of an image."""

    def sample(self, key: SampleKey) -> tuple[Tensor, Tensor, bool]:
        """An image, uint8 (C, S, S), the order of its patches (N,), and whether an evaluation shows it."""
        return self.image(key), _order(key, self.patches), key.index in self.shown

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8, `order` (B, N), int64, and `shown` (B,)."""
        images, orders, shown = zip(*samples, strict=True)
        return {"images": torch.stack(images), "order": torch.stack(orders), "shown": torch.tensor(shown)}


def _order(key: SampleKey, patches: int) -> Tensor:
    # A stream of its own, so that the order doesn't depend on how many numbers the augmentation draws.
    return torch.from_numpy(key._replace(seed=key.seed ^ 0x5EED).generator().permutation(patches))


def _deviation(patches: Tensor) -> Tensor:
    return (patches.var(-1, keepdim=True) + 1e-6).sqrt()  # ε inside the root, as in the authors' code


def _sheet(rows: Sequence[Sequence[ImageArray]]) -> bytes:
    return plots.grid(rows, headings=("original", "seen", "reconstructed"))
