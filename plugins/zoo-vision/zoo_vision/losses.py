"""Losses that image tasks bring."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_vision.configs.models import NTXentConfig


def nt_xent(config: NTXentConfig) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Normalised, temperature-scaled cross-entropy between two views of the same samples.

    Chen et al., ICML 2020, equation 1, over both directions: sample i of `first` (B, D) must be told from the other
    2B - 2 views by its cosine with sample i of `second` (B, D). Returns the sum over the 2B views, and 2B. The other
    views are those of the micro-batch, so accumulation makes the task easier; it is the one loss whose sum they enter.
    """

    def loss(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        views = F.normalize(torch.cat((first, second)).float())  # (2B, D)
        cosines = views @ views.T / config.temperature  # (2B, 2B): sim(z_i, z_k) / τ
        # 1[k ≠ i] of the denominator: a view is no candidate for itself.
        cosines = cosines.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), float("-inf"))
        partners = torch.arange(len(views), device=views.device).roll(len(first))  # (2B,): i + B modulo 2B
        # ℓ(i, j) = -log(exp(sim(z_i, z_j) / τ) / Σ_{k≠i} exp(sim(z_i, z_k) / τ)), summed over i.
        total = F.cross_entropy(cosines, partners, reduction="sum")
        return total, torch.full_like(total, len(views))

    return loss
