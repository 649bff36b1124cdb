"""What all families share: construction of Transformers' classes without noise, and activation checkpointing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from torch import nn
from transformers.initialization import no_init_weights
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging as transformers_logging

from zoo_core.errors import UnknownName
from zoo_core.specs import Head

_Model = TypeVar("_Model", bound=PreTrainedModel)


def builder_for(builders: Mapping[str, Callable[[], nn.Module]], head: Head, family: str) -> Callable[[], nn.Module]:
    """The builder of the model with this head. Raises `UnknownName` for a task that the family doesn't serve."""
    if head.task not in builders:
        raise UnknownName("task", head.task, [task for task in builders if task], where=family)
    return builders[head.task]


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


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Recompute the blocks' activations in the backward pass."""
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
