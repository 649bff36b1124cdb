"""Changes that the discriminator sees real and generated images through; gradients flow back to the images.

Draws come from torch's global generator of the images' device, in float32 whatever the images' type, so that real and
generated images under one seed are changed alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core import UsageError


def augment(images: Tensor, policy: str) -> Tensor:
    """Differentiable augmentation: Zhao et al., NeurIPS 2020, arXiv 2006.10738.

    images: (B, C, S, S) in [-1, 1], where what comes out may exceed that range; C may be 1. policy: names out of
    `colour`, `translation` and `cutout`, with commas, applied in that order; empty for the images as they are.
    Raises `UsageError` for an unknown name.
    """
    for name in policy_names(policy):
        for change in _POLICIES[name]:
            images = change(images)
    return images


def policy_names(policy: str) -> tuple[str, ...]:
    """The names in a policy, so that a task can refuse it before training. Raises `UsageError` for an unknown one."""
    names = tuple(name.strip() for name in policy.split(",")) if policy else ()
    for name in names:
        if name not in _POLICIES:
            hint = f"give some of {', '.join(_POLICIES)} with commas between, or nothing"
            raise UsageError(f"unknown augmentation {name!r} in policy {policy!r}", hint=hint)
    return names


def add_noise(images: Tensor, deviation: float) -> Tensor:
    """Instance noise, normal and of this deviation: Sønderby et al., ICLR 2017, arXiv 1610.04490.

    images: (B, ...); a deviation of 0 leaves them as they are and draws nothing.
    """
    if not deviation:
        return images
    return images + (deviation * torch.randn(images.shape, device=images.device)).to(images.dtype)


def brightness(images: Tensor) -> Tensor:
    """Add a number in [-0.5, 0.5) to each sample (B, C, S, S)."""
    return images + _uniform(images, -0.5, 0.5)


def saturation(images: Tensor) -> Tensor:
    """Scale the distance of each pixel (B, C, S, S) from its mean over channels by a number in [0, 2)."""
    means = images.mean(dim=1, keepdim=True)  # (B, 1, S, S)
    return (images - means) * _uniform(images, 0.0, 2.0) + means


def contrast(images: Tensor) -> Tensor:
    """Scale the distance of each sample (B, C, S, S) from its mean by a number in [0.5, 1.5)."""
    means = images.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    return (images - means) * _uniform(images, 0.5, 1.5) + means


def translation(images: Tensor) -> Tensor:
    """Move each sample (B, C, S, S) by up to an eighth of its side both ways; zeros come in at the edge."""
    return _moved(_moved(images, 2), 3)


def cutout(images: Tensor) -> Tensor:
    """Zero a square of half the side in each sample (B, C, S, S), less what of it lies outside."""
    return images.masked_fill(_span(images, 2) & _span(images, 3), 0.0)  # (B, 1, S, 1) & (B, 1, 1, S)


_POLICIES = {"colour": (brightness, saturation, contrast), "translation": (translation,), "cutout": (cutout,)}
"""The authors' three, with their ranges."""


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    drawn = torch.rand(len(images), 1, 1, 1, device=images.device)
    return (low + (high - low) * drawn).to(images.dtype)


def _moved(images: Tensor, dim: int) -> Tensor:
    side = images.shape[dim]
    furthest = side // 8
    steps = torch.randint(-furthest, furthest + 1, (len(images), 1), device=images.device)
    sources = torch.arange(side, device=images.device) - steps  # (B, S)
    # Wrapped round rather than clamped, each pixel is read once, and the gradient is the same bits in any order.
    found = images.take_along_dim(_along(sources % side, dim), dim)  # (B, C, S, S)
    return found.masked_fill(_along((sources < 0) | (sources >= side), dim), 0.0)


def _span(images: Tensor, dim: int) -> Tensor:
    """Which places along `dim` lie in half a side's length around a random centre, true or false to broadcast."""
    side = images.shape[dim]
    length = side // 2
    # An even length has its centre between two pixels, so there is one centre more.
    starts = torch.randint(0, side + 1 - length % 2, (len(images), 1), device=images.device) - length // 2
    places = torch.arange(side, device=images.device)
    return _along((places >= starts) & (places < starts + length), dim)


def _along(values: Tensor, dim: int) -> Tensor:
    """(B, S) as (B, 1, S, 1) or (B, 1, 1, S)."""
    return values[:, None, :, None] if dim == 2 else values[:, None, None, :]
