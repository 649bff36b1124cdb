"""Exponentially averaged weights, beside the ones that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """A copy of a model's trained parameters that follows them: copy = decay * copy + (1 - decay) * parameter."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.decay = decay
        self.names = [name for name, _ in named]
        self.parameters = [p for _, p in named]
        self.copies = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the parameters after optimizer step `step`; early on the average is short, so that it forgets the start."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))  # as in TensorFlow's ExponentialMovingAverage
        torch._foreach_lerp_(self.copies, [p.detach() for p in self.parameters], 1.0 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """The averaged parameters by name."""
        return dict(zip(self.names, self.copies, strict=True))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put averaged parameters back."""
        for name, copy in zip(self.names, self.copies, strict=True):
            copy.copy_(tensors[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with its averaged weights, for evaluation."""
        kept = [p.detach().clone() for p in self.parameters]
        try:
            with torch.no_grad():
                torch._foreach_copy_([p.detach() for p in self.parameters], self.copies)
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_([p.detach() for p in self.parameters], kept)
