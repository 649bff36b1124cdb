"""What tasks on texts need of a model and of what reads for it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from zoo_core import PluginError
from zoo_nlp.preprocessor import Tokens


@runtime_checkable
class TextEncoder(Protocol):
    """forward(input_ids (B, T), attention_mask (B, T)) -> logits (B, labels) with a head, states (B, T, D) without one

    Either is a tensor, or an attribute of what is given: `logits` and `last_hidden_state`, as Transformers' classes have them.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        """int64 ids, padded on the right where the mask is 0."""


@runtime_checkable
class MaskedTextModel(Protocol):
    """forward(input_ids (B, T), attention_mask (B, T) or None, places (M,)) -> logits (M, V)

    A tensor, or the attribute `logits` of what is given. V is the `vocab_size` of the preprocessor, which the configuration gets.
    """

    def forward(self, input_ids: Tensor, places: Tensor, attention_mask: Tensor | None = None) -> Any:
        """Scores of the vocabulary at places, which count through the flattened batch."""


@runtime_checkable
class CausalTextModel(Protocol):
    """forward(input_ids (B, T)) -> logits (B, T, V) of the token behind each

    A tensor, or the attribute `logits` of what is given. V is the `vocab_size` of the preprocessor, which the configuration gets. A
    model whose forward takes `use_cache`, `logits_to_keep` and `past_key_values`, as Transformers' do, reads each token once when
    it writes; any other reads all of them again for each new one.
    """

    def forward(self, input_ids: Tensor) -> Any:
        """Scores of the vocabulary."""


@runtime_checkable
class TokenPreprocessor(Protocol):
    """max_length, encode(texts, limit) -> tokens, special_id("pad") -> id

    Tokens have `row(index)`, the ids (T,) of a text, `lengths()` (N,), `whole` (N,), what these would be without the limit, and
    `cut()`, the indices of those that differ, as `zoo_nlp.preprocessor.Tokens`.
    """

    max_length: int

    def encode(self, texts: Sequence[str], limit: int) -> Tokens:
        """Ids of texts, cut to a limit."""

    def special_id(self, role: str) -> int:
        """Id of the special token with a role."""


def output_of(given: Any, name: str, *shape: int | None) -> Tensor:
    """The tensor that a model gives as it is or under a name. Raises `PluginError` for another shape; None is any size."""
    found: Any = given if isinstance(given, Tensor) else getattr(given, name, None)
    if not isinstance(found, Tensor):
        raise PluginError(f"forward: expected a tensor, or an output with {name}, found {type(given).__name__}")
    if found.ndim != len(shape) or any(due not in (None, size) for due, size in zip(shape, found.shape, strict=True)):
        wanted = ", ".join("any" if due is None else str(due) for due in shape)
        raise PluginError(f"forward: expected {name} of shape ({wanted}), found {tuple(found.shape)}")
    return found


def remembers(model: nn.Module) -> bool:
    """Whether a model's forward may keep what it read, for the tokens that follow."""
    return "use_cache" in inspect.signature(model.forward).parameters
