"""Images to what a model reads: size, channels and normalisation, pixel-equal to timm's evaluation transform."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo_core import CorruptFile, DataError, UsageError
from zoo_core.contract import Preprocessor, from_data, json_file, read_object, to_data
from zoo_core.data import even_places, image_notices, survey_images
from zoo_vision.configs.models import ImagePreprocessorConfig

IMAGE_FILE = "image.json"

Pixels: TypeAlias = NDArray[np.uint8]
"""An image (H, W, C) with C of 1, 3 or 4: grey, RGB, RGBA."""

_LONGEST = 20
"""Images that are longer than this many times their shorter side lose their ends before they are resized."""
_MEASURED = 2000
"""Images that mean and standard deviation are measured on."""
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class ImagePreprocessor(Preprocessor):
    """Size, channels and statistics of a model's input, and how images are brought there."""

    def __init__(self, config: ImagePreprocessorConfig) -> None:
        """`config` must give mean and std. Raises `UsageError` where it doesn't."""
        if not config.mean:
            raise UsageError("mean: missing", hint="give mean and std, or measure them with ImagePreprocessor.fit")
        self.config = config
        self.img_size = config.img_size
        self.in_chans: int = config.in_chans
        self.mean = config.mean
        self.std = config.std
        self.crop_pct = config.crop_pct
        self.crop_mode: str = config.crop_mode
        self.interpolation: str = config.interpolation
        self.background = config.background
        self._resized = math.floor(config.img_size / config.crop_pct)
        self._affine: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @classmethod
    def fit(cls, config: ImagePreprocessorConfig, samples: Iterable[Any]) -> Self:
        """Measure mean and std on the samples' images, at most 2,000 evenly spaced ones, unless `config` gives them.

        Raises `DataError` for samples without an image or none at all, `UsageError` for impossible sizes.
        """
        if config.mean:
            return cls(config)
        plain = (0.0,) * config.in_chans, (1.0,) * config.in_chans
        unmeasured = cls(dataclasses.replace(config, mean=plain[0], std=plain[1]))
        mean, std = _measure(unmeasured.resize_and_crop(image) for image in _evenly_spaced(samples))
        return cls(dataclasses.replace(config, mean=mean, std=std))

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Restore from `image.json`. Raises `CorruptFile`, naming the field, for anything but a complete description."""
        data = read_object(files, IMAGE_FILE)
        # Any other setting that is younger than the file has its default: what was done before there was a choice.
        if missing := [name for name in ("img_size", "in_chans", "mean", "std") if name not in data]:
            raise CorruptFile(f"{IMAGE_FILE}: {missing[0]}: missing")
        try:
            config = from_data(ImagePreprocessorConfig, data, where=IMAGE_FILE, error=CorruptFile)
        except OverflowError:
            raise CorruptFile(f"{IMAGE_FILE}: holds a number too large for anything") from None
        if not config.mean:
            raise CorruptFile(f"{IMAGE_FILE}: mean: missing")
        return cls(config)

    def files(self) -> dict[str, bytes]:
        """The settings, mean and std among them, as `image.json`."""
        return {IMAGE_FILE: json_file(to_data(self.config))}

    def adjusted(self, settings: Mapping[str, Any], samples: Iterable[Any]) -> Self:
        """The same with other settings, like another `img_size`; for other channels mean and std are measured anew.

        Raises `UsageError` for what is no setting, or can't be.
        """
        values = {**to_data(self.config), **settings}
        if values["in_chans"] != self.in_chans and "mean" not in settings:
            values["mean"] = values["std"] = ()
        return self.fit(from_data(ImagePreprocessorConfig, values, where="preprocessor", error=UsageError), samples)

    def model_config(self) -> dict[str, Any]:
        """`img_size` and `in_chans`."""
        return {"img_size": self.img_size, "in_chans": self.in_chans}

    def notices(self, samples: Sequence[Any]) -> tuple[str, ...]:
        """Colours, edges and sizes of images like these that are lost, from a few of them."""
        found = survey_images(samples)
        kept = 1.0
        if found and self.crop_mode != "squash":
            kept = (self.img_size / self._resized) ** 2 * found.square
        return image_notices(found, channels=self.in_chans, side=self.img_size, kept=kept)

    def channels(self, array: Pixels) -> Pixels:
        """The image (H, W, in_chans): alpha laid on the background, grey and RGB by luminance (ITU-R 601).

        Raises `DataError` for anything but a uint8 array (H, W, 1, 3 or 4) with at least one pixel.
        """
        require_image(array)
        if array.shape[2] == self.in_chans:
            return array
        if array.shape[2] == 4:
            array = _opaque(array, self.background)
        if array.shape[2] == 3 and self.in_chans == 1:
            array = np.asarray(Image.fromarray(array).convert("L"))[:, :, None]
        elif array.shape[2] == 1 and self.in_chans == 3:
            array = np.broadcast_to(array, (*array.shape[:2], 3))
        return array

    def resize_and_crop(self, array: Pixels) -> Tensor:
        """The image as uint8 (C, S, S): shorter side (`squash`: both) resized to S / crop_pct, then the centre.

        Equal to timm's evaluation transform to the pixel; only images more than 20 times as long as wide lose their
        ends first, as resizing what the crop throws away could take any amount of memory. Raises as `channels`.
        """
        array = _without_ends(self.channels(array))
        height, width = array.shape[:2]
        shorter = min(height, width)
        if self.crop_mode == "squash":
            if (height, width) != (self._resized, self._resized):
                array = self._resize(array, self._resized, self._resized)
        elif shorter != self._resized:
            # The longer side is cut to whole pixels, as torchvision does.
            sides = (int(self._resized * side / shorter) for side in (height, width))
            array = self._resize(array, *sides)
        return _tensor(_centre(array, self.img_size))

    def resize(self, array: Pixels) -> Tensor:
        """The whole image as uint8 (C, S, S), whatever its proportions were. Raises as `channels`."""
        array = self.channels(array)
        if array.shape[:2] != (self.img_size, self.img_size):
            array = self._resize(array, self.img_size, self.img_size)
        return _tensor(array)

    def normalise(self, batch: Tensor) -> Tensor:
        """uint8 (B, C, S, S) to float32 of mean 0 and deviation 1, on the batch's device and in its memory format."""
        scale, shift = self._scale_and_shift(batch.device)
        return torch.mul(batch, scale).add_(shift)

    def denormalise(self, batch: Tensor) -> Pixels:
        """Float (B, C, S, S) as a model sees it back to uint8 (B, S, S, C) for the eye; what is not finite turns black."""
        scale, shift = self._scale_and_shift(batch.device)
        pixels = (batch.detach().float() - shift) / scale
        pixels = pixels.nan_to_num(0.0, 0.0, 0.0).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())

    def _scale_and_shift(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(1, C, 1, 1) each: `pixels * scale + shift` is `(pixels / 255 - mean) / std`. Kept, as copying them waits."""
        if device not in self._affine:
            with torch.inference_mode(False):
                mean, std = (
                    torch.tensor(values, dtype=torch.float64)[None, :, None, None] for values in (self.mean, self.std)
                )
                scale, shift = 1 / (255 * std), -mean / std
                self._affine[device] = scale.float().to(device), shift.float().to(device)
        return self._affine[device]

    def _resize(self, array: Pixels, height: int, width: int) -> Pixels:
        image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else np.ascontiguousarray(array))
        resized = np.asarray(image.resize((width, height), _RESAMPLING[self.interpolation]))
        return resized.reshape(height, width, array.shape[2])


def require_image(array: Pixels) -> None:
    """Raise `DataError` unless `array` is uint8 (H, W, C), C of 1, 3 or 4, with at least one pixel."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        raise DataError(f"expected an image as uint8 array, found {getattr(array, 'dtype', type(array).__name__)}")
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise DataError(f"expected an image of shape (H, W, 1, 3 or 4), found {array.shape}")


def _evenly_spaced(samples: Iterable[Any]) -> Iterator[Pixels]:
    """Images of at most 2,000 samples from the first to the last, decoded one at a time."""
    sequence = samples if isinstance(samples, Sequence) else list(samples)
    for number in even_places(len(sequence), _MEASURED):
        sample = sequence[number]
        if not hasattr(sample, "image"):
            raise DataError(f"sample {number + 1}: expected an image, found {type(sample).__name__}")
        yield sample.image


def _measure(images: Iterable[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel in [0, 1]; sums of whole numbers, so the same on every machine."""
    count, total, squares = 0, np.zeros(0, np.int64), np.zeros(0, np.int64)
    for image in images:
        flat = image.numpy().reshape(len(image), -1).astype(np.int64)
        count += flat.shape[1]
        total = total + flat.sum(1) if total.size else flat.sum(1)
        squares = squares + (flat * flat).sum(1) if squares.size else (flat * flat).sum(1)
    if not count:
        raise DataError("there are no images to measure mean and standard deviation on")
    mean = tuple(round(int(part) / count / 255, 6) for part in total)
    spread = (count * int(square) - int(part) ** 2 for square, part in zip(squares, total, strict=True))
    # A channel that never changes must not be divided by nothing: one grey level is the least that can be told apart.
    std = tuple(round(max(math.sqrt(part) / count, 1.0) / 255, 6) for part in spread)
    return mean, std


def _opaque(array: Pixels, background: int) -> Pixels:
    """RGB of an RGBA image on an even grey."""
    image = Image.fromarray(array)
    ground = Image.new("RGB", image.size, (background,) * 3)
    ground.paste(image, mask=image)
    return np.asarray(ground)


def _without_ends(array: Pixels) -> Pixels:
    longest = _LONGEST * min(array.shape[:2])
    if max(array.shape[:2]) <= longest:
        return array
    top, left = (max(side - longest, 0) // 2 for side in array.shape[:2])
    return array[top : top + longest, left : left + longest]


def _centre(array: Pixels, size: int) -> Pixels:
    top, left = (round((side - size) / 2) for side in array.shape[:2])
    return array[top : top + size, left : left + size]


def _tensor(array: Pixels) -> Tensor:
    """(C, H, W) in memory of its own: samples may be read-only, or kept by their data set."""
    return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))
