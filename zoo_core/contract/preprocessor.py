"""What turns raw input into model input and back, and lives in the checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from zoo_core.errors import UsageError


class Preprocessor(ABC):
    """Turns raw input into model input and back: a tokenizer, pixel transforms. Lives in the checkpoint."""

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, samples: Iterable[Any]) -> Self:
        """Learn from raw training samples (a vocabulary, statistics); `config` is the spec's `preprocessor_config`."""

    @classmethod
    @abstractmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Restore from the files of a checkpoint. Raises `CorruptFile` where they can't be parsed."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """What to store in the checkpoint: file name to JSON or text bytes, the same bytes for the same state."""

    def adjusted(self, settings: Mapping[str, Any], samples: Iterable[Any]) -> Self:
        """The same preprocessor with other settings, as for fine-tuning at another size; `samples` are the raw training
        samples, for what has yet to be learned of them. Raises `UsageError` for settings that can't change once it is
        fitted; by default none can."""
        raise UsageError(f"a fitted {type(self).__name__} can't change its {', '.join(settings)}", hint="leave it out")

    def model_config(self) -> dict[str, Any]:
        """Fields of the model's configuration that follow from the preprocessor, like `vocab_size`."""
        return {}

    def notices(self, samples: Sequence[Any]) -> tuple[str, ...]:
        """What of raw samples like these a model doesn't get to see, a line each, for the log and the card; looks at a few."""
        return ()
