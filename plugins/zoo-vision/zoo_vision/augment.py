"""Random changes of training images; all of them a function of one sample's own random stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms.v2 import functional as F  # type: ignore[import-untyped]

from zoo_vision.configs.models import AugmentConfig
from zoo_vision.policies import rand_augment, trivial_augment
from zoo_vision.preprocessor import ImagePreprocessor, Pixels, require_image

_Crop = Callable[[Pixels, Generator], Tensor]
_Change = Callable[[Tensor, Generator], Tensor]

_CROP_RATIOS = (3 / 4, 4 / 3)
"""Width to height of what `crop: resized` keeps (Szegedy et al., 2015)."""
_ERASED_SHARES = (0.02, 0.33)
"""Share of the area that is erased (Zhong et al., 2020)."""
_ERASED_RATIOS = (1 / 3.3, 1 / 0.3)
"""Width to height of what is erased."""
_TRIES = 10
"""Boxes drawn before one gives up for an image in which none fits."""
_BLURRED = (0.1, 2.0)
"""Deviation of the blur in pixels (Chen et al., 2020, appendix A)."""
_SIMCLR_COLOUR = (0.8, 0.8, 0.8, 0.2)
"""Brightness, contrast, saturation and hue at strength 1 (Chen et al., 2020, appendix A)."""
_SIMCLR_CHANCE = 0.8
"""How often SimCLR changes the colours at all."""


class Augmentation:
    """Crop, flip, policy, colour, grey, blur and erasing, in this order, and the image as the model's size.

    The same generator state gives the same pixels, in any process and thread, and nothing else is drawn from.
    """

    def __init__(self, config: AugmentConfig, preprocessor: ImagePreprocessor) -> None:
        self.config = config
        self.preprocessor = preprocessor
        self._crop: _Crop = {"none": self._whole, "pad": self._shifted, "resized": self._part}[config.crop]
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
        for (chance, change), draw in zip(self._changes, draws, strict=True):
            if draw < chance:
                image = change(image, generator)
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
        top, left, height, width = crop_box(len(array), array.shape[1], self.config.scale, generator)
        return self.preprocessor.resize(array[top : top + height, left : left + width])


class Box(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int


def crop_box(height: int, width: int, shares: tuple[float, float], generator: Generator) -> Box:
    """A part of so much of an image's area, 3:4 to 4:3 (Szegedy et al., 2015); where none fits, the largest one in the
    centre that is nearly so proportioned."""
    for box in _boxes(height, width, shares, _CROP_RATIOS, generator):
        if 0 < box.height <= height and 0 < box.width <= width:
            return box
    narrowest, widest = _CROP_RATIOS
    tall, wide = min(height, round(width / narrowest)), min(width, round(height * widest))
    return Box((height - tall) // 2, (width - wide) // 2, tall, wide)


def erased_box(height: int, width: int, generator: Generator) -> Box | None:
    """What is erased of an image, None where nothing that fits was drawn."""
    boxes = _boxes(height, width, _ERASED_SHARES, _ERASED_RATIOS, generator)
    return next((box for box in boxes if box.height < height and box.width < width), None)


def _boxes(
    height: int, width: int, shares: tuple[float, float], ratios: tuple[float, float], generator: Generator
) -> Iterator[Box]:
    """Ten boxes, which may be larger than the image: area uniform, width to height log-uniform, place uniform."""
    least, most = (math.log(ratio) for ratio in ratios)
    for _ in range(_TRIES):
        size, shape, down, right = generator.random(4).tolist()
        area = height * width * (shares[0] + size * (shares[1] - shares[0]))
        ratio = math.exp(least + shape * (most - least))
        tall, wide = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        yield Box(int(down * (height - tall + 1)), int(right * (width - wide + 1)), tall, wide)


def _changes(config: AugmentConfig, preprocessor: ImagePreprocessor) -> list[tuple[float, _Change]]:
    """How probable each change is, and the change; the others are left out."""
    # What is not part of the image gets the mean: nothing, to the model.
    nothing = [round(255 * value) for value in preprocessor.mean]
    side = preprocessor.img_size
    blurred = max(3, side // 10 | 1)  # a tenth of the side (Chen et al., 2020, appendix A), made odd
    every: tuple[tuple[float, Callable[[], _Change]], ...] = (
        (float(config.policy == "randaugment"), lambda: rand_augment(config.magnitude, side, nothing)),
        (float(config.policy == "trivialaugment"), lambda: trivial_augment(nothing)),
        (_SIMCLR_CHANCE if config.colour else 0.0, lambda: ColourJitter(config.colour, preprocessor.in_chans)),
        (config.grey if preprocessor.in_chans == 3 else 0.0, lambda: _grey),
        (config.blur, lambda: partial(_blur, blurred)),
        (config.erase, lambda: partial(_erase, torch.tensor(nothing, dtype=torch.uint8)[:, None, None])),
    )
    return [(chance, build()) for chance, build in every if chance > 0]


class ColourJitter:
    """Brightness, contrast, saturation and hue of SimCLR (Chen et al., 2020, appendix A), in an order that is drawn."""

    def __init__(self, strength: float, channels: int) -> None:
        *parts, hue = (strength * part for part in _SIMCLR_COLOUR)
        kernels = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
        every = [(kernel, max(0.0, 1.0 - part), 1.0 + part) for kernel, part in zip(kernels, parts, strict=True)]
        # Half a turn of the colour circle is all there is.
        every.append((F.adjust_hue, -min(hue, 0.5), min(hue, 0.5)))
        self.changes: Sequence[tuple[Callable[[Tensor, float], Tensor], float, float]]
        # Grey has neither saturation nor hue.
        self.changes = every if channels == 3 else every[:2]
        """Each kernel, and the least and the most of what it may be given."""

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        """uint8 (C, S, S), changed."""
        draws = generator.random(len(self.changes)).tolist()
        for place in generator.permutation(len(self.changes)).tolist():
            kernel, least, most = self.changes[place]
            image = kernel(image, least + draws[place] * (most - least))
        return image


def _grey(image: Tensor, generator: Generator) -> Tensor:
    return cast(Tensor, F.rgb_to_grayscale(image, num_output_channels=3))


def _blur(size: int, image: Tensor, generator: Generator) -> Tensor:
    deviation = generator.uniform(*_BLURRED)
    return cast(Tensor, F.gaussian_blur(image, [size, size], [deviation, deviation]))


def _erase(nothing: Tensor, image: Tensor, generator: Generator) -> Tensor:
    height, width = image.shape[1:]
    box = erased_box(height, width, generator)
    if box is None:
        return image
    return cast(Tensor, F.erase(image, *box, nothing))
