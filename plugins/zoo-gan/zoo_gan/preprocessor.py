"""Images as a discriminator sees them, and generated ones back for the eye."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo_core import DataError, UsageError
from zoo_core.contract import Preprocessor, changed_settings, json_file, stored_settings, to_data
from zoo_core.data import image_notices, pixels_of, survey_images
from zoo_gan.configs.tasks import ImageReaderConfig

READER_FILE = "picture.json"
"""Name of the preprocessor's file in a checkpoint."""

Pixels = NDArray[np.uint8]
"""An image (H, W, C) with C of 1, 3 or 4: grey, RGB, RGBA."""


class ImageReader(Preprocessor):
    """Size and channels of a model's images; values run from -1 to 1."""

    def __init__(self, config: ImageReaderConfig) -> None:
        self.config = config
        self.image_size = config.image_size
        self.channels: int = config.in_channels

    @classmethod
    def fit(cls, config: ImageReaderConfig, samples: Iterable[Any]) -> Self:
        """Nothing is learned from the samples."""
        return cls(config)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Restore from `picture.json`. Raises `CorruptFile`, naming the field, for anything else."""
        return cls(stored_settings(ImageReaderConfig, files, READER_FILE))

    def files(self) -> dict[str, bytes]:
        """The settings as `picture.json`."""
        return {READER_FILE: json_file(to_data(self.config))}

    def adjusted(self, settings: Mapping[str, Any], samples: Iterable[Any]) -> Self:
        """Other channels or another background, as for fine-tuning a grey generator on colours.

        Raises `RecipeError` for unknown settings, `UsageError` for another size, which is the networks' own.
        """
        config = changed_settings(self.config, settings)
        if config.image_size != self.image_size:
            raise UsageError(
                f"the networks make images of {self.image_size} pixels, not of {config.image_size}",
                hint="leave preprocessor.image_size out: images of any size are fitted",
            )
        return type(self)(config)

    def model_config(self) -> dict[str, Any]:
        """`image_size` and `in_channels`."""
        return {"image_size": self.image_size, "in_channels": self.channels}

    def notices(self, samples: Sequence[Any]) -> tuple[str, ...]:
        """Colours, edges and sizes of images like these that are lost, from a few of them."""
        found = survey_images(samples)
        kept = found.square if found else 1.0
        return image_notices(found, channels=self.channels, side=self.image_size, kept=kept)

    def resize_and_crop(self, array: Pixels) -> Tensor:
        """uint8 (C, S, S): transparency laid on the background, the middle square, resized. Raises `DataError`."""
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3 or not array.size:
            raise DataError(f"expected an image as uint8 (H, W, C), found {getattr(array, 'shape', type(array))}")
        if array.shape == (self.image_size, self.image_size, self.channels):
            # A copy, because the caller's array may be read-only.
            return torch.from_numpy(np.array(array, order="C")).permute(2, 0, 1)
        image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
        if array.shape[2] == 4:
            ground = Image.new("RGB", image.size, (self.config.background,) * 3)
            ground.paste(image, mask=image)
            image = ground
        image = image.convert("L" if self.channels == 1 else "RGB")
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side))
        resized = np.asarray(image.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC))
        return torch.from_numpy(resized.reshape(self.image_size, self.image_size, self.channels).copy()).permute(
            2, 0, 1
        )

    def read(self, item: Any, number: int) -> Tensor:
        """uint8 (C, S, S) of any form of an image that `zoo_core.data.pixels.pixels_of` takes.

        `number` is the input's position, from 0. Raises `DataError`, naming the input from 1, for anything else.
        """
        return self.resize_and_crop(pixels_of(item, number))

    def normalise(self, batch: Tensor) -> Tensor:
        """uint8 (B, C, S, S) to float32 from -1 to 1."""
        return batch.float() / 127.5 - 1.0

    def denormalise(self, batch: Tensor) -> Tensor:
        """Float (B, C, S, S) from -1 to 1 to uint8; what is not finite turns black."""
        pixels = (batch.detach().float() + 1.0) * 127.5
        return pixels.nan_to_num(0.0, 0.0, 0.0).round().clamp(0, 255).to(torch.uint8)
