"""What tasks on images need of a model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ImageEncoder(Protocol):
    """forward(images (B, C, S, S), normalised) -> logits (B, labels) with a head, features (B, num_features) without one"""

    num_features: int

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) to (B, labels) or (B, num_features)."""
