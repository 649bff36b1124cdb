"""A checkpoint as its difference to another one: what of a trained model is stored, and how a base is laid out for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = Mapping[str, Tensor]


def renaming(base: Iterable[str], names: Collection[str], prefix: str) -> dict[str, str]:
    """What makes the names of the base's tensors those of a model: nothing, or the family's prefix put on or taken off.

    A bare backbone's tensors lack the `prefix` that they have below a head.
    """
    if not prefix:
        return {}
    ways: list[dict[str, str]] = [{}, {"": prefix}, {prefix: ""}]
    known = list(base)
    return max(ways, key=lambda way: sum(_renamed(name, way) in names for name in known))


def laid_out(base: Tensors, renamed: Mapping[str, str], dropped: Collection[str]) -> dict[str, Tensor]:
    """The base's tensors under the model's names, less those that it has no place for."""
    named = {_renamed(name, renamed): tensor for name, tensor in base.items()}
    return {name: tensor for name, tensor in named.items() if name not in dropped}


def difference(base: Tensors, own: Tensors) -> dict[str, Tensor]:
    """The tensors that the base lacks or has with other values, to the bit."""
    return {name: tensor for name, tensor in own.items() if name not in base or not _same(base[name], tensor)}


def _renamed(name: str, renamed: Mapping[str, str]) -> str:
    for old, new in renamed.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _same(one: Tensor, other: Tensor) -> bool:
    import torch

    one, other = one.detach().cpu().contiguous(), other.detach().cpu().contiguous()
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return not one.numel() or one.view(-1).view(torch.uint8).equal(other.view(-1).view(torch.uint8))
