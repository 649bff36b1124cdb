"""What tasks on images need of a model."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ImageEncoder(Protocol):
    """forward(images (B, C, S, S), normalised) -> logits (B, labels) with a head, features (B, num_features) without one"""

    num_features: int

    def forward(self, images: Tensor, /) -> Tensor:
        """(B, C, S, S) to (B, labels) or (B, num_features)."""


@runtime_checkable
class PixelPreprocessor(Protocol):
    """img_size, in_chans, mean, resize and resize_and_crop(pixels) -> (C, S, S), normalise(images) -> images"""

    img_size: int
    in_chans: int
    mean: Any

    def resize(self, image: Any, /) -> Any:
        """uint8 (H, W, C) as a tensor (C, S, S)."""

    def resize_and_crop(self, image: Any, /) -> Tensor:
        """uint8 (H, W, C) as (C, S, S), its middle alone."""

    def normalise(self, images: Tensor, /) -> Tensor:
        """uint8 (B, C, S, S) as what the model reads."""
