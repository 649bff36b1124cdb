"""What all families share: position tables of another length."""

from __future__ import annotations

from torch import Tensor

_POSITIONS = ("position_embeddings.weight", "wpe.weight")


def fit_positions(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A learned position table (length, width) with another length: cut, or continued by its own rows from the start.

    Repeating the rows keeps what they tell of near neighbours (Beltagy et al., Longformer, 2020, section 5). None for
    any other tensor.
    """
    if not name.endswith(_POSITIONS) or tensor.ndim != 2 or len(shape) != 2 or tensor.shape[1] != shape[1]:
        return None
    repeats = -(-shape[0] // tensor.shape[0])  # rounded up
    return tensor.repeat(repeats, 1)[: shape[0]].clone()
