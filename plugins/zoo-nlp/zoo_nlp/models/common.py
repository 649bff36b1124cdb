"""What all families share: construction without noise, position tables of another length, activation checkpointing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor, nn
from transformers.initialization import no_init_weights
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging as transformers_logging

_Model = TypeVar("_Model", bound=PreTrainedModel)

_POSITIONS = ("position_embeddings.weight", "wpe.weight")


def construct(build: Callable[[], _Model]) -> _Model:
    """What a Transformers constructor builds, without its advice.

    Parameters on the meta device are about to be assigned, so their initialisation is left out.
    """
    with quiet():
        if not nn.LayerNorm(1).weight.is_meta:
            return build()
        with no_init_weights():
            model = build()
        model.tie_weights()
        return model


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers' advisory logging off, and back to what it was afterwards."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def fit_positions(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A learned position table (length, width) with another length: cut, or continued by its own rows from the start.

    Repeating the rows keeps what they tell of near neighbours (Beltagy et al., Longformer, 2020, section 5). None for
    any other tensor.
    """
    if not name.endswith(_POSITIONS) or tensor.ndim != 2 or len(shape) != 2 or tensor.shape[1] != shape[1]:
        return None
    repeats = -(-shape[0] // tensor.shape[0])
    return tensor.repeat(repeats, 1)[: shape[0]].clone()


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Recompute the blocks' activations in the backward pass."""
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
