"""What image tasks share: encoded images, batches of them on the model's side, images of what a model is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core.contract import Batch, Dataset, Predictor, SampleKey, Task
from zoo_core.data import even_places, pixels_of
from zoo_vision.augment import Augmentation
from zoo_vision.images import plots
from zoo_vision.interfaces import PixelPreprocessor
from zoo_vision.preprocessor import ImagePreprocessor

SHOWN = 32
"""Images on a contact sheet."""

EXPLAINED = 8
"""Images whose answers are explained, or that are reconstructed, beside an evaluation."""


ImageArray = NDArray[np.uint8]


class ImagePredictor(Predictor):
    """Answers with a model that reads images."""

    preprocessor: ImagePreprocessor  # where a task names no more than the protocol, no more of it is used
    preprocessor_type: ClassVar[type] = PixelPreprocessor

    def read(self, item: Any, number: int, options: Any) -> Any:
        """An image as the model reads it, uint8 (C, S, S). Raises `DataError` naming a bad input."""
        return self.preprocessor.resize_and_crop(pixels_of(item, number))

    def batch_of(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8."""
        return {"images": torch.stack(list(inputs)).to(self.device)}

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """`images` (rows, C, S, S), uint8, of stripes."""
        shape = (rows, self.preprocessor.in_chans, self.preprocessor.img_size, self.preprocessor.img_size)
        return {"images": (torch.arange(math.prod(shape), device=self.device) % 251).to(torch.uint8).view(shape)}

    def logits(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """What a model makes of a batch of images: a number for each label, or an embedding, (B, C)."""
        return modules["model"](self.preprocessor.normalise(batch["images"]))  # type: ignore[no-any-return]


class ImageTask(ImagePredictor, Task):
    """A task whose model reads images."""

    def input_artifacts(self, dataset: Dataset) -> dict[str, bytes]:
        """`inputs.png`: what the model is given in the first epoch, after augmentation."""
        drawn = [dataset.sample(SampleKey(0, 0, index)) for index in even_places(len(dataset), SHOWN)]
        views = [view for sample in drawn for view in as_images(first_of(sample))]
        return {"inputs.png": plots.contact_sheet(views[:SHOWN])}


@dataclass(kw_only=True, eq=False)
class ImageDataset(Dataset):
    """Images as the model reads them, augmented while training; a sample is uint8 (C, S, S)."""

    samples: Sequence[Any]
    preprocessor: ImagePreprocessor
    augmentation: Augmentation | None

    @cached_property
    def shown(self) -> frozenset[int]:
        """Places of the samples that an evaluation shows, the same in every one."""
        return frozenset(even_places(len(self.samples), SHOWN))

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> Any:
        """An image; what happens to it at random is a function of `key`."""
        return self.image(key)

    def image(self, key: SampleKey) -> Tensor:
        """uint8 (C, S, S)."""
        image = self.samples[key.index].image
        if self.augmentation is None:
            return self.preprocessor.resize_and_crop(image)
        return self.augmentation(image, key.generator())

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8."""
        return {"images": torch.stack(samples)}


def first_of(sample: Any) -> Tensor:
    """The image of an encoded sample that may hold more."""
    found: Tensor = sample[0] if isinstance(sample, tuple) else sample
    return found


def as_images(tensor: Tensor) -> list[ImageArray]:
    """uint8 (C, S, S), or several views (V, C, S, S), as arrays (S, S, C)."""
    views = tensor if tensor.ndim == 4 else tensor.unsqueeze(0)  # (V, C, S, S)
    return [view.permute(1, 2, 0).contiguous().cpu().numpy() for view in views]
