"""Randomness as a function, not a state: every draw of a step is keyed, so there is no generator to save."""

from __future__ import annotations

import torch

_MASK = (1 << 64) - 1


def key(*words: int) -> int:
    """A 63-bit seed from whole numbers (splitmix64, Steele et al., 2014); different words give unrelated seeds."""
    state = 0x9E3779B97F4A7C15
    for word in words:
        state = (state + (word & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def reseed(seed: int, device: torch.device) -> None:
    """Key torch's global generators of the host and of `device`; a hundred times cheaper than `torch.manual_seed`."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
