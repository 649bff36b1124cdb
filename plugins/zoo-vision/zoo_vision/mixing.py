"""Mixup and CutMix: batches in which pairs of pictures, and their labels, are blended."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """A batch after mixing."""

    images: Tensor
    partners: Tensor | None
    """(B,) which picture each was mixed with; None where nothing was mixed."""
    share: float | Tensor
    """Share of a picture's own label; the rest is its partner's."""


def mix(images: Tensor, *, mixup: float, cutmix: float) -> Mixed:
    """Blend (B, C, S, S) with a permutation of itself, drawn from torch's global generator.

    Mixup: Zhang et al., ICLR 2018, arXiv 1710.09412, equation 1. CutMix: Yun et al., ICCV 2019, arXiv 1905.04899,
    equations 1 and 2. With both, a coin decides for the batch.
    """
    if not (mixup or cutmix):
        return Mixed(images, None, 1.0)
    cuts = bool(cutmix) and (not mixup or bool(torch.rand(()) < 0.5))
    alpha = cutmix if cuts else mixup
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    partners = torch.randperm(len(images)).to(images.device)
    others = images[partners]
    if not cuts:
        return Mixed(torch.lerp(others, images, share), partners, share)
    side = images.shape[-1]
    edge = round(side * (1 - share) ** 0.5)
    top, left = (int(torch.randint(1 - edge, side, ())) for _ in range(2))
    rows, columns = (slice(max(start, 0), min(start + edge, side)) for start in (top, left))
    cut = images.clone()
    cut[..., rows, columns] = others[..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(cut, partners, 1 - area / side**2)
