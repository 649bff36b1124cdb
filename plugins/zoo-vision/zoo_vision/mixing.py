"""Mixup and CutMix: batches in which pairs of images, and their labels, are blended."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """A batch after mixing."""

    images: Tensor
    partners: Tensor | None
    """(B,) which image each was mixed with; None where nothing was mixed."""
    share: float | Tensor
    """Share of an image's own label; the rest is its partner's."""


def mix(images: Tensor, *, mixup: float, cutmix: float) -> Mixed:
    """Blend (B, C, S, S) with a permutation of itself, drawn from torch's global generator.

    Mixup: Zhang et al., ICLR 2018, arXiv 1710.09412, equation 1. CutMix: Yun et al., ICCV 2019, arXiv 1905.04899,
    equations 1 and 2. With both, a coin decides for the batch.
    """
    if not (mixup or cutmix):
        return Mixed(images, None, 1.0)
    cuts = bool(cutmix) and (not mixup or bool(torch.rand(()) < 0.5))
    alpha = cutmix if cuts else mixup
    share = float(torch.distributions.Beta(alpha, alpha).sample())  # λ ~ Beta(α, α)
    partners = torch.randperm(len(images)).to(images.device)  # (B,); drawn on the CPU, so alike on every device
    others = images[partners]
    if not cuts:
        return Mixed(torch.lerp(others, images, share), partners, share)  # x̃ = λ x_i + (1 - λ) x_j
    side = images.shape[-1]
    rows, columns = cut_box(side, share)
    cut = images.clone()
    cut[..., rows, columns] = others[..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(cut, partners, 1 - area / side**2)  # λ anew, from the box as the border cuts it


def cut_box(side: int, share: float) -> tuple[slice, slice]:
    """Rows and columns of CutMix's box in an image of `side` pixels: its centre is uniform over the image, its edge is
    `side * sqrt(1 - share)`, and what lies outside the image is cut off (Yun et al., equation 2)."""
    half = int(0.5 * side * (1 - share) ** 0.5)  # r_w = r_h = S √(1 - λ), half of it
    centres = [int(torch.randint(side, ())) for _ in range(2)]
    rows, columns = (slice(max(centre - half, 0), min(centre + half, side)) for centre in centres)
    return rows, columns
