"""Random changes of training images; all of them a function of one sample's own random stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]

from zoo_vision.configs.models import AugmentConfig
from zoo_vision.preprocessor import ImagePreprocessor, Pixels, require_image

_Crop = Callable[[Pixels, Generator], Tensor]
_Change = Callable[[Tensor], Tensor]

_SIMCLR_COLOUR = (0.8, 0.8, 0.8, 0.2)
"""Brightness, contrast, saturation and hue at strength 1 (Chen et al., 2020, appendix A)."""
_SIMCLR_CHANCE = 0.8
"""How often SimCLR changes the colours at all."""


class Augmentation:
    """Crop, flip, policy, colour, grey, blur and erasing, in this order, and the image as the model's size.

    The same generator state gives the same pixels, in any process and whatever was drawn before.
    """

    def __init__(self, config: AugmentConfig, preprocessor: ImagePreprocessor) -> None:
        self.config = config
        self.preprocessor = preprocessor
        self._crop: _Crop = {"none": self._whole, "pad": self._shifted, "resized": self._part}[config.crop]
        self._box: Any = v2.RandomResizedCrop(preprocessor.img_size, scale=config.scale)
        self._changes = _changes(config, preprocessor)
        self._places = np.arange(preprocessor.img_size)

    def __call__(self, array: Pixels, generator: Generator) -> Tensor:
        """One augmented image, uint8 (C, S, S), of an array (H, W, C). Raises `DataError` for what is no image."""
        image = self._crop(array, generator)
        if self.config.flip and generator.random() < self.config.flip:
            image = image.flip(2)  # (C, S, S), left to right
        if not self._changes:
            return image
        draws = generator.random(len(self._changes))
        chosen = [change for (chance, change), draw in zip(self._changes, draws, strict=True) if draw < chance]
        if chosen:
            with _keyed(generator):
                for change in chosen:
                    image = change(image)
        return image

    def two_views(self, array: Pixels, generator: Generator) -> tuple[Tensor, Tensor]:
        """Two augmentations of one image, as contrastive learning compares them."""
        return self(array, generator), self(array, generator)

    def _whole(self, array: Pixels, generator: Generator) -> Tensor:
        return self.preprocessor.resize_and_crop(array)

    def _shifted(self, array: Pixels, generator: Generator) -> Tensor:
        image = self.preprocessor.resize_and_crop(array).numpy()
        down, right = generator.integers(-self.config.padding, self.config.padding, size=2, endpoint=True)
        # Clipped places repeat the border, which suits dark, light and photographed grounds alike.
        image = image.take(self._places + down, axis=1, mode="clip")
        return torch.from_numpy(image.take(self._places + right, axis=2, mode="clip"))

    def _part(self, array: Pixels, generator: Generator) -> Tensor:
        require_image(array)
        # A tensor without memory tells the size, which is all that the draw depends on.
        size = torch.empty((1, *array.shape[:2]), dtype=torch.uint8, device="meta")  # (1, H, W)
        with _keyed(generator):
            box = self._box.make_params([size])
        top, left = box["top"], box["left"]
        return self.preprocessor.resize(array[top : top + box["height"], left : left + box["width"]])


def _changes(config: AugmentConfig, preprocessor: ImagePreprocessor) -> list[tuple[float, _Change]]:
    """How probable each change is, and the change; the others are left out."""
    # What is not part of the image gets the mean: nothing, to the model.
    nothing = [round(255 * value) for value in preprocessor.mean]
    blur = max(3, preprocessor.img_size // 10 | 1)  # a tenth of the side (Chen et al., 2020, appendix A), made odd
    every: tuple[tuple[float, Callable[[], _Change]], ...] = (
        (float(config.policy == "randaugment"), lambda: v2.RandAugment(magnitude=config.magnitude, fill=nothing)),
        (float(config.policy == "trivialaugment"), lambda: v2.TrivialAugmentWide(fill=nothing)),
        (_SIMCLR_CHANCE if config.colour else 0.0, lambda: _jitter(config.colour, preprocessor.in_chans)),
        # p=1: whether it happens is drawn from the sample's own stream.
        (config.grey if preprocessor.in_chans == 3 else 0.0, lambda: v2.RandomGrayscale(p=1.0)),
        (config.blur, lambda: v2.GaussianBlur(blur, sigma=(0.1, 2.0))),
        (config.erase, lambda: v2.RandomErasing(p=1.0, value=nothing)),
    )
    return [(chance, build()) for chance, build in every if chance > 0]


def _jitter(strength: float, channels: int) -> _Change:
    brightness, contrast, saturation, hue = (strength * part for part in _SIMCLR_COLOUR)
    # Grey has neither saturation nor hue, and half a turn of the colour circle is all there is.
    of_colour = (saturation, min(hue, 0.5)) if channels == 3 else ()
    jitter: _Change = v2.ColorJitter(brightness, contrast, *of_colour)
    return jitter


@contextmanager
def _keyed(generator: Generator) -> Iterator[None]:
    """Let torch's CPU generator continue from the sample's, and give it back as it was.

    `torch.manual_seed` and `fork_rng` would reach for the accelerators' generators too.
    """
    shared = torch.default_generator
    state = shared.get_state()
    shared.manual_seed(int(generator.integers(2**63)))
    try:
        yield
    finally:
        shared.set_state(state)
