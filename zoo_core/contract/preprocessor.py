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


class CompositePreprocessor(Preprocessor):
    """The preprocessors of a model's parts, each with its part's name in front of its files, as `text.tokenizer.json`."""

    def __init__(self, parts: Mapping[str, Preprocessor]) -> None:
        self.parts = dict(parts)

    def __getitem__(self, part: str) -> Any:
        """The preprocessor of a part."""
        return self.parts[part]

    @classmethod
    def fit(cls, config: Any, samples: Iterable[Any]) -> Self:
        """Raises `UsageError`: each part brings its own, which is fitted."""
        raise UsageError("the preprocessors of parts come with their checkpoints", hint="leave preprocessor out")

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Raises `UsageError`: only a card says of what classes the parts are; see `of_files`."""
        raise UsageError("a composite preprocessor is restored by its classes", hint="CompositePreprocessor.of_files")

    @classmethod
    def of_files(cls, files: Mapping[str, bytes], classes: Mapping[str, type[Preprocessor]]) -> Self:
        """Restore from the files of a checkpoint. Raises `CorruptFile` where a part's can't be parsed."""
        own = {
            part: {n[len(part) + 1 :]: data for n, data in files.items() if n.startswith(f"{part}.")}
            for part in classes
        }
        return cls({part: classes[part].from_files(own[part]) for part in classes if own[part]})

    def files(self) -> dict[str, bytes]:
        """Those of all parts."""
        return {f"{part}.{name}": data for part, one in self.parts.items() for name, data in one.files().items()}
