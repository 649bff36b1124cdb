"""Trains a model as a small difference to a checkpoint, and puts such a difference back into the checkpoint's tensors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import CorruptFile, UsageError

Tensors = Mapping[str, Tensor]


class Adapter(ABC):
    """What an `AdapterSpec` stands for. Tensors that a run changes are part of its delta in any case, whatever the adapter."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def wrap(self, model: nn.Module, head: frozenset[str]) -> frozenset[str]:
        """Change the model in place, for training, and return the names of the parameters that are trained.

        The model's own tensors keep their names. `head` has the names of those of its head, of which a new one is trained
        whatever this returns. Parameters are drawn from torch's global generator. Raises `UsageError`.
        """

    @abstractmethod
    def delta(self, model: nn.Module) -> dict[str, Tensor]:
        """What a wrapped model adds to its own tensors, by names that none of them has."""

    @abstractmethod
    def merge(self, base: Tensors, delta: Tensors) -> dict[str, Tensor]:
        """The whole model's tensors, a pure function. `delta` holds what `delta` gave, and tensors that take the place of the
        base's of the same name or that it lacks. Raises `CorruptFile` where the two don't belong together."""


class HeadOnly(Adapter):
    """The head is trained, and nothing else is stored."""

    def wrap(self, model: nn.Module, head: frozenset[str]) -> frozenset[str]:
        """The head's parameters. Raises `UsageError` for a model without one."""
        if not head:
            raise UsageError("adapter head: the model has no head", hint="its family names none in ModelSpec.head")
        return head

    def delta(self, model: nn.Module) -> dict[str, Tensor]:
        """Nothing besides the model's own."""
        return {}

    def merge(self, base: Tensors, delta: Tensors) -> dict[str, Tensor]:
        """The delta's tensors in place of the base's."""
        return {**base, **delta}


class LoraLinear(nn.Linear):
    """A linear layer y = x(W + sBA)ᵀ + b, of which A (r, in) and B (out, r) are trained. `LoraLinear.adapt` makes one."""

    lora_a: nn.Parameter
    lora_b: nn.Parameter
    lora_scale: float

    @staticmethod
    def adapt(layer: nn.Linear, rank: int, scale: float) -> None:
        """Turn a plain layer into one of these, so that whoever holds it holds this one."""
        weight = layer.weight
        a = nn.Parameter(weight.new_empty(rank, layer.in_features))
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        layer.__class__ = LoraLinear
        assert isinstance(layer, LoraLinear)
        layer.lora_a, layer.lora_b = a, nn.Parameter(weight.new_zeros(layer.out_features, rank))
        layer.lora_scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        # The sum of weights and not of outputs: merged weights then compute the same bits.
        with torch.autocast(x.device.type, enabled=False):
            weight = low_rank_sum(self.weight, self.lora_a, self.lora_b, self.lora_scale)
        return nn.functional.linear(x, weight, self.bias)


class Lora(Adapter):
    """Low-rank adaptation (Hu et al., 2021, arXiv:2106.09685, equation 3) of linear layers: W + (alpha / r) B A."""

    def wrap(self, model: nn.Module, head: frozenset[str]) -> frozenset[str]:
        """Adapt the targets' layers outside the head. Raises `UsageError` for a target without any and for tied weights."""
        layers = {
            name: part
            for name, part in model.named_modules()
            if type(part) is nn.Linear and f"{name}.weight" not in head
        }
        chosen = [name for target in self.config.targets for name in _matches(target, layers)]
        uses: dict[int, int] = {}
        for part in model.modules():
            for parameter in part.parameters(recurse=False):
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
        for name in dict.fromkeys(chosen):
            if uses[id(layers[name].weight)] > 1:
                hint = "name layers with weights of their own"
                raise UsageError(f"adapter.targets: the weight of {name} is another layer's, too", hint=hint)
            LoraLinear.adapt(layers[name], self.config.r, self.config.alpha / self.config.r)
        return frozenset(self.delta(model))

    def delta(self, model: nn.Module) -> dict[str, Tensor]:
        """The factors A and B of each adapted layer."""
        return {
            f"{name}.{part}": getattr(layer, part).detach()
            for name, layer in model.named_modules()
            if isinstance(layer, LoraLinear)
            for part in ("lora_a", "lora_b")
        }

    def merge(self, base: Tensors, delta: Tensors) -> dict[str, Tensor]:
        """The base with the product of the factors added, and the delta's other tensors in place of the base's."""
        factors = {name: tensor for name, tensor in delta.items() if name.endswith((".lora_a", ".lora_b"))}
        merged = {**base, **{name: tensor for name, tensor in delta.items() if name not in factors}}
        for layer in sorted({name.rpartition(".")[0] for name in factors}):
            weight, a, b = merged.get(f"{layer}.weight"), factors.get(f"{layer}.lora_a"), factors.get(f"{layer}.lora_b")
            if weight is None or a is None or b is None or weight.shape != (*b.shape[:1], *a.shape[1:]):
                raise CorruptFile(f"{layer}: the adapter's tensors don't fit those of its base")
            merged[f"{layer}.weight"] = low_rank_sum(weight, a, b, self.config.alpha / self.config.r)
        return merged


def low_rank_sum(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """W + sBA of W (out, in), A (r, in) and B (out, r), each the same bits in training and in what is loaded."""
    return weight + scale * (b @ a)


def _matches(target: str, names: Mapping[str, nn.Linear]) -> Sequence[str]:
    """The layers that a target means: by their own word, or by a shell pattern of the whole name."""
    found = [name for name in names if name.rpartition(".")[2] == target or fnmatchcase(name, target)]
    if not found:
        words = sorted({name.rpartition(".")[2] for name in names})
        hint = f"its linear layers are called {', '.join(words[:12])}" if words else "the model has none"
        raise UsageError(f"adapter.targets: {target!r} matches no linear layer", hint=hint)
    return found
