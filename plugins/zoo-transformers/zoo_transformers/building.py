"""Transformers' classes built without noise, and activation checkpointing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.initialization import no_init_weights
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging as transformers_logging

_Model = TypeVar("_Model", bound=PreTrainedModel)
_Architecture = TypeVar("_Architecture", bound=PreTrainedConfig)


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


def describe(
    library: Callable[..., _Architecture], fields: Mapping[str, str], config: Any, others: Mapping[str, Any]
) -> _Architecture:
    """A configuration of ours in Transformers' words: by the table of `fields`, and `others` beside them."""
    values = ((theirs, getattr(config, ours)) for ours, several in fields.items() for theirs in several.split())
    same = {theirs: list(value) if isinstance(value, tuple) else value for theirs, value in values}
    return library(**same, **others, attn_implementation="sdpa")


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers' advisory logging off, and back to what it was afterwards."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Recompute the blocks' activations in the backward pass."""
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def cache_argument(model: nn.Module) -> str:
    """What the model calls the keys and values that it remembers: `cache` since Transformers 5.24."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
