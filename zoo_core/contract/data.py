"""Raw samples by split, encoded samples ready for batches, and the key that names one draw of one sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Batch = Any
"""A tree of dicts, lists and tuples whose tensors the loop moves to the device."""


class SampleKey(NamedTuple):
    """Names one draw of one sample. Everything random about the sample is a function of it."""

    seed: int
    epoch: int
    index: int  # type: ignore[assignment]  # the field's word, although a tuple has a method of that name

    def generator(self) -> np.random.Generator:
        """The sample's own random stream: the same on every machine, rank and worker."""
        return np.random.Generator(np.random.Philox(key=[self.seed, (self.epoch << 40) | self.index]))


class Data(ABC):
    """Raw samples by split, as they come from the user's files. Knows nothing of tokenizers, pixels' mean or tensors."""

    labels: tuple[str, ...] = ()
    """Label names in the order of their numbers; empty where there are none."""
    notices: tuple[str, ...] = ()
    """What the user should know of what was read, like files that were left out; shown when a run starts."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits it has, for instance `("train", "test")`."""

    @abstractmethod
    def samples(self, split: str) -> Sequence[Any]:
        """The raw samples of a split, indexable and in a fixed order. Raises `DataError` for a bad file or an empty split."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 over what was read, in hex: which data this was, for the card."""


class Dataset(ABC):
    """Encoded samples, ready to be batched."""

    lengths: np.ndarray | None = None
    """(N,) integers, cost of each sample in tokens, frames or pixels; batches are bucketed by it where it is given."""
    notices: tuple[str, ...] = ()
    """What the user should know of the encoding, like samples that were cut; that of the training split is shown when a run
    starts, and stands on the card."""

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
