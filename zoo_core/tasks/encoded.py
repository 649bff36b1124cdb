"""A data set of what a task's `encode` makes of each sample, and batches of that without a line of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_core.contract.data import Dataset, SampleKey
from zoo_core.contract.task import Task
from zoo_core.errors import DataError, UsageError, nearest

Encode = Callable[[Any, SampleKey | None], Mapping[str, Any]]


class EncodedDataset(Dataset):
    """Samples encoded one by one when they are drawn; with `labels`, each has the number of its label, and with `values`
    that many numbers."""

    def __init__(
        self, samples: Sequence[Any], encode: Encode, *, train: bool, labels: Sequence[str] = (), values: int = 0
    ) -> None:
        self.samples, self.encode, self.train, self.values = samples, encode, train, values
        self.labels = tuple(labels)
        self._number_of = {label: number for number, label in enumerate(labels)}

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> dict[str, Any]:
        """What `encode` gives, with the truth as a number. Raises `DataError`, naming the sample, for one without."""
        raw = self.samples[key.index]
        found = dict(self.encode(raw, key if self.train else None))
        if self.labels:
            found["labels"] = self._label(found.pop("label", getattr(raw, "label", None)), key.index)
        if self.values:
            found["values"] = self._values(found.pop("values", getattr(raw, "values", None)), key.index)
        return found

    def collate(self, samples: list[Any]) -> dict[str, Any]:
        """One tensor for each name; see `collated`."""
        return collated(samples)

    def _label(self, found: Any, place: int) -> int:
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < len(self.labels):
            return found
        if found not in self._number_of:
            raise DataError(
                f"sample {place + 1}: the model has no label {found!r}", hint=nearest(str(found), self.labels)
            )
        return self._number_of[found]

    def _values(self, found: Any, place: int) -> Tensor:
        try:
            numbers = torch.as_tensor(found, dtype=torch.float32).flatten()
        except (TypeError, ValueError, RuntimeError):
            raise DataError(f"sample {place + 1}: expected {self.values} number(s), found {found!r}") from None
        if len(numbers) != self.values or not bool(numbers.isfinite().all()):
            raise DataError(f"sample {place + 1}: expected {self.values} finite number(s), found {numbers.tolist()}")
        return numbers


class EncodingTask(Task):
    """A task that says how one sample is encoded, where that needs no truth."""

    def encode(self, sample: Any, key: SampleKey | None) -> Mapping[str, Any]:
        """One raw sample as tensors, arrays and numbers by name.

        `key` names the draw while training, and its generator is the sample's randomness; otherwise it is None.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither encode nor dataset")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """The samples as `encode` gives them."""
        return EncodedDataset(samples, self.encode, train=train)


def collated(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch of encoded samples: numbers become (B,), tensors and arrays (B, ...), anything else a list.

    Those whose first dimension differs are filled up with zeros, and `NAME_lengths` (B,) says how much of each is real.
    Raises `UsageError` for samples with other names, or other shapes behind the first dimension.
    """
    if any(sample.keys() != samples[0].keys() for sample in samples):
        raise UsageError(f"encode gives {sorted(samples[0])} for one sample and other names for another")
    batch: dict[str, Any] = {}
    for name in samples[0]:
        column = [_as_tensor(sample[name]) for sample in samples]
        tensors = [part for part in column if isinstance(part, Tensor)]
        if len(tensors) < len(column):
            batch[name] = [sample[name] for sample in samples]
            continue
        if len({part.shape[1:] for part in tensors}) > 1 or len({part.ndim for part in tensors}) > 1:
            raise UsageError(f"encode gives {name} in shapes {sorted({tuple(part.shape) for part in tensors})}")
        if len({part.shape for part in tensors}) > 1:
            lengths = [len(part) for part in tensors]
            batch[f"{name}_lengths"] = torch.tensor(lengths)
            # F.pad counts dimensions from the last: two zeros for each but the first.
            tensors = [F.pad(part, [0, 0] * (part.ndim - 1) + [0, max(lengths) - len(part)]) for part in tensors]
        batch[name] = torch.stack(tensors)
    return batch


def _as_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.number):
        return torch.as_tensor(value)
    return torch.tensor(value) if isinstance(value, bool | int | float) else value
