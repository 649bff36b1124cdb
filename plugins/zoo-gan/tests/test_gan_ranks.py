"""Scores are computed by the main rank alone, which waits for no other."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from zoo_gan.evaluation.scores import distances


def test_scores_ask_nothing_of_other_ranks() -> None:
    draws = torch.Generator().manual_seed(0)
    real, made = (torch.randn(24, 6, generator=draws) for _ in range(2))
    alone = distances(real, made)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)  # its ranks give nothing
    try:
        assert distances(real, made) == alone
    finally:
        dist.destroy_process_group()
