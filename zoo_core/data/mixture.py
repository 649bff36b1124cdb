"""Several data sets as one: splits joined, classes united, and each training part met as often as its weight says."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from zoo_core.contract.data import Data, DataContext, Portion
from zoo_core.data.options import PART_KEYS, MixtureConfig
from zoo_core.data.splits import SPLITS
from zoo_core.errors import DataError, printable


class _Part(NamedTuple):
    name: str
    """What messages call it."""
    data: Data
    weight: float


def mix(config: MixtureConfig, context: DataContext) -> Mixture:
    """The data sets that the configuration names. Raises `DataError` for parts that don't go together."""
    parts = []
    for number, section in enumerate(config.parts, start=1):
        settings = {key: value for key, value in section.items() if key not in PART_KEYS}
        name = f"part {number} ({section['name']})"
        parts.append(_Part(name, context.open(section["name"], settings), float(section.get("weight", 1))))
    return Mixture(parts, config.labels)


class Mixture(Data):
    """The splits of its parts, one part after the other."""

    def __init__(self, parts: Sequence[_Part], labels: Sequence[str] = ()) -> None:
        """`labels` are the classes in their order; empty where all parts have the same."""
        for part in parts:
            if "train" not in part.data.splits():
                raise DataError(f"{part.name}: no split train, found {', '.join(part.data.splits()) or 'none'}")
        self.parts = tuple(parts)
        self.labels = united(self.parts, labels)
        found = {split for part in parts for split in part.data.splits()}
        order = [*SPLITS, *sorted(found - set(SPLITS))]
        self._splits = {
            split: joined([part.data.samples(split) for part in parts if split in part.data.splits()])
            for split in order
            if split in found
        }
        self.portions = tuple(Portion(len(part.data.samples("train")), part.weight) for part in parts)
        self.notices = (*self._told_by_parts(), *self._counted(), *self._crossing())

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that any part has."""
        return tuple(self._splits)

    def samples(self, split: str) -> Sequence[Any]:
        """The samples of all parts, in the order of the parts."""
        return self._splits[split]

    def digest(self) -> str:
        """sha256 over the digests of the parts, in their order."""
        return hashlib.sha256("".join(f"{part.data.digest()}\n" for part in self.parts).encode()).hexdigest()

    def _told_by_parts(self) -> Iterable[str]:
        return (f"{part.name}: {notice}" for part in self.parts for notice in part.data.notices)

    def _counted(self) -> Iterable[str]:
        for split in self._splits:
            having = [part for part in self.parts if split in part.data.splits()]
            yield f"{split} is {' and '.join(f'{len(part.data.samples(split)):,} of {part.name}' for part in having)}"

    def _crossing(self) -> Iterable[str]:
        """What is trained on in one part and held out in another, where samples can be compared."""
        for split in [split for split in self._splits if split != "train"]:
            trained, held = (_known(self._splits[name]) for name in ("train", split))
            if both := len(trained & held):
                yield f"samples of {split} that another part trains on: {both:,} of {len(held):,}"


def united(parts: Sequence[_Part], labels: Sequence[str]) -> tuple[str, ...]:
    """The classes of all parts: in the order that is stated, or that of the first part where all have the same ones."""
    first = parts[0]
    for part in parts:
        strange = sorted(set(part.data.labels) - set(labels or first.data.labels))
        lacking = [] if labels else sorted(set(first.data.labels) - set(part.data.labels))
        if strange or lacking:
            every = list(dict.fromkeys(label for one in parts for label in one.data.labels))
            told = " and ".join(
                f"{what} {', '.join(map(printable, names[:5]))}{' ...' if len(names) > 5 else ''}"
                for what, names in (("has", strange), ("lacks", lacking))
                if names
            )
            against = "the stated labels" if labels else first.name
            raise DataError(
                f"{part.name}: its classes aren't those of {against}: it {told}",
                hint=f"where these are the classes of all, state them: data.labels={every[:20]}"
                + (" ..." if len(every) > 20 else ""),
            )
    return tuple(labels) or first.data.labels


def joined(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """The samples of all parts, read when they are asked for unless they are lists."""
    if all(isinstance(samples, list) for samples in parts):
        return [sample for samples in parts for sample in samples]
    return _Joined(parts)


class _Joined(Sequence[Any]):
    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self.parts = parts
        self.ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = bisect_right(self.ends, place)
        return self.parts[part][place - (self.ends[part - 1] if part else 0)]


def _known(samples: Sequence[Any]) -> set[Any]:
    """The samples that can be compared: by their key, or by themselves where they are plain tuples."""
    if not isinstance(samples, list):
        return set()
    found = set()
    for sample in samples:
        key = getattr(sample, "key", None) or (sample if isinstance(sample, tuple) else None)
        try:
            found |= {key} if key is not None else set()
        except TypeError:  # a tuple of arrays
            return set()
    return found
