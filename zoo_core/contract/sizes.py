"""Bounds on the numbers of a model's configuration, checked before anything is built from them."""

from __future__ import annotations

from typing import Any

from zoo_core.contract.schema import FieldError
from zoo_core.storage.budgets import LAYERS, SIZE


def require_layers(config: Any, *names: str) -> None:
    """Raise `FieldError` for more blocks than `ZOO_MAX_LAYERS` allows; those of several stages count together."""
    for name in names:
        value = getattr(config, name)
        if (sum(value) if isinstance(value, tuple) else value) > LAYERS.limit():
            raise FieldError(name, f"expected {LAYERS.expected()}, found {value!r:.80}")


def require_sizes(config: Any, *names: str) -> None:
    """Raise `FieldError` for a width, a length or a vocabulary beyond `ZOO_MAX_SIZE`, and for too many of them."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, tuple) and len(value) > LAYERS.limit():
            raise FieldError(name, f"expected {LAYERS.expected()} values, found {len(value):,}")
        if (max(value, default=0) if isinstance(value, tuple) else value) > SIZE.limit():
            raise FieldError(name, f"expected {SIZE.expected()}, found {value!r:.80}")
