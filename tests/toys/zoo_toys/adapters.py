"""Adapters of the toys."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from zoo_core import Adapter


class Biases(Adapter):
    """Bias terms alone, wherever they are (Zaken et al., 2022)."""

    def wrap(self, model: nn.Module, head: frozenset[str]) -> frozenset[str]:
        """The parameters called bias."""
        return frozenset(name for name, _ in model.named_parameters() if name.endswith("bias"))

    def delta(self, model: nn.Module) -> dict[str, Tensor]:
        """Nothing of its own."""
        return {}

    def merge(self, base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The changed tensors in place of the others."""
        return {**base, **delta}


class Forgetful(Biases):
    """Breaks what it owes."""

    def merge(self, base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The delta alone."""
        return dict(delta)
