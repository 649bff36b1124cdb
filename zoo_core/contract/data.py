"""Raw samples by split, encoded samples ready for batches, and the key that names one draw of one sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo_core.errors import UsageError

Batch = Any
"""A tree of dicts, lists and tuples whose tensors the loop moves to the device."""


class SampleKey(NamedTuple):
    """Names one draw of one sample. Everything random about the sample is a function of it."""

    seed: int
    """Seed of the run."""
    epoch: int
    """From 0."""
    index: int  # type: ignore[assignment]  # the field's word, although a tuple has a method of that name
    """Place of the sample in its data set, from 0."""
    draw: int = 0
    """How often the epoch had the sample before, where it has some more than once."""

    def generator(self) -> np.random.Generator:
        """The sample's own random stream: the same on every machine, rank and worker."""
        words = [self.seed, (self.epoch << 40) | self.index]
        # Draws start far apart in the stream, and the first where it always did.
        return np.random.Generator(np.random.Philox(key=words, counter=self.draw << 192 if self.draw else None))


class Portion(NamedTuple):
    """A stretch of the training split, and how often an epoch has each of its samples."""

    samples: int
    """How many there are."""
    weight: float
    """How often each of them comes in an epoch, on average."""


class Data(ABC):
    """Raw samples by split, as they come from the user's files. Knows nothing of tokenizers, pixels' mean or tensors."""

    labels: tuple[str, ...] = ()
    """Label names in the order of their numbers; empty where there are none."""
    notices: tuple[str, ...] = ()
    """What the user should know of what was read, like files that were left out; shown when a run starts."""
    portions: tuple[Portion, ...] = ()
    """The stretches that the training split consists of, in their order, where an epoch has some samples more often than
    others: `round(weight * samples)` draws of each stretch, a function of seed and epoch alone."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits it has, for instance `("train", "test")`."""

    @abstractmethod
    def samples(self, split: str) -> Sequence[Any]:
        """The raw samples of a split, indexable and in a fixed order. Raises `DataError` for a bad file or an empty split."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 over what was read, in hex: which data this was, for the card."""

    def stream(self, split: str, cursor: tuple[int, int]) -> Iterator[Any]:
        """Reserved: raw samples of a split from an epoch and a place in it on, for data that is never held whole. Raises
        `UsageError` today."""
        raise UsageError(
            f"{type(self).__name__}: data can't be streamed yet", hint="read it with samples(split), which may be lazy"
        )


class DataContext(ABC):
    """What the target of a `DataSpec` that `opens` other data sets is given to open them with."""

    @abstractmethod
    def open(self, name: str, settings: Mapping[str, Any]) -> Data:
        """A data set by name with what a recipe may set of it, checked as there.

        Its licence, its source and its digest go to the card. Raises `UnknownName` and `RecipeError` for what there isn't,
        `DataError` for what can't be read, and `PluginError` for a name that the spec doesn't list.
        """


class Dataset(ABC):
    """Encoded samples, ready to be batched."""

    lengths: np.ndarray | None = None
    """(N,) integers, cost of each sample in tokens, frames or pixels; batches are bucketed by it where it is given."""
    notices: tuple[str, ...] = ()
    """What the user should know of the encoding, like samples that were cut; that of the training split is shown when a run
    starts, and stands on the card."""
    origins: np.ndarray | None = None
    """(N,) integers, the place of the raw sample that each one is made from or begins in; None where each is made from that
    in the same place."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def sample(self, key: SampleKey) -> Any:
        """One encoded sample; whatever augmentation it gets is a function of `key`.

        Raises `DataError`, naming the sample, for one that can't be decoded; where the data's configuration says `bad: skip`
        another of the training split then takes its place.
        """

    @abstractmethod
    def collate(self, samples: list[Any]) -> Batch:
        """A batch of the samples, padded as the task needs."""
