"""Data that is read from files, by split: bad samples are settled, splits are taken as given or made."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from zoo_core.contract.data import Data
from zoo_core.data.bad import Faults, listed_twice, settle_faults
from zoo_core.data.options import Subset
from zoo_core.data.splits import (
    SPLITS,
    WHOLE,
    class_notices,
    group_notices,
    joined_groups,
    make_splits,
    sorted_labels,
    subset_by_hash,
)
from zoo_core.data.tables.labels import lookalikes
from zoo_core.errors import DataError, UnknownName

S = TypeVar("S")

UNSPLIT = ""
"""Stands in place of a split's name for what is yet to be split."""


class Listed(NamedTuple):
    """A sample as a reader finds it."""

    sample: Any
    name: str
    """What messages call it: a file, its line, its row."""
    label: str = ""
    """Its class, where there are any."""
    group: str = ""
    """What it must share a split with, like its document; empty where nobody says."""


Parts = dict[str, list[Listed]]
"""What was found by split, `UNSPLIT` among them."""


class SplitData(Data):
    """Samples that were read, by split."""

    def __init__(
        self,
        name: str,
        splits: Mapping[str, Sequence[Any]],
        content: Callable[[], Iterable[str | bytes]],
        labels: Sequence[str] = (),
        *,
        notices: Iterable[str] = (),
    ) -> None:
        """`name` is for messages; `content` gives what the digest runs over, in pieces."""
        self.name = name
        self.labels = tuple(labels)
        self.notices = tuple(notices)
        self._splits = dict(splits)
        self._content = content
        self._digest = ""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits it has."""
        return tuple(self._splits)

    def samples(self, split: str) -> Sequence[Any]:
        """The samples of a split. Raises `UnknownName` where there is none, `DataError` where it is empty."""
        if split not in self._splits:
            raise UnknownName("split", split, self._splits, where=self.name)
        if not self._splits[split]:
            without = "" if split == "train" else f", or do without it: data.{split}_fraction=0"
            raise DataError(f"{self.name}: split {split!r} is empty", hint=f"give more data{without}")
        return self._splits[split]

    def digest(self) -> str:
        """sha256 over what was read, before any subset was drawn."""
        if not self._digest:
            sha256 = hashlib.sha256()
            for piece in self._content():
                sha256.update(piece.encode() if isinstance(piece, str) else piece)
            self._digest = sha256.hexdigest()
        return self._digest


def lines_of(splits: Iterable[Sequence[S]], line: Callable[[S], str]) -> Callable[[], Iterator[str]]:
    """What a digest of samples runs over: a line for each, and an empty one after each split."""
    kept = list(splits)

    def content() -> Iterator[str]:
        for samples in kept:
            yield from (f"{line(sample)}\n" for sample in samples)
            yield "\n"

    return content


def draw_subset(samples: Sequence[S], config: Subset, key: Callable[[S], str], *, where: str) -> list[S]:
    """The samples to train on, in an order that `subset_seed` and their keys decide; all where no number is given.

    Raises `DataError` if there are fewer.
    """
    if config.train_samples is None:
        return list(samples)
    keys = [key(sample) for sample in samples]
    return [samples[place] for place in subset_by_hash(keys, config.train_samples, config.subset_seed, where=where)]


class SplitReader(ABC):
    """Reads the user's files into splits; its subclass says how a path becomes samples and what is wrong with one."""

    plural: ClassVar[str]
    """What messages call samples."""

    def __init__(self, config: Any, name: str = "") -> None:
        """`config` derives from `SplitOptions` and `BadSamples`, and may have a `group_column`; `name` is for messages, the
        first path by default."""
        self.config = config
        self.name = name or next(iter(config.sources().values()))
        self.faults = Faults()
        """What can't be a sample goes here."""
        self.notices: list[str] = []
        """What there is to tell of what was found goes here."""
        self.group_column: str = getattr(config, "group_column", "")

    @abstractmethod
    def find(self, path: str) -> Parts:
        """The samples of a path, by splits of its own or as `UNSPLIT`."""

    def key(self, sample: Any) -> str:
        """Equal for equal samples; decides which samples a subset has."""
        return str(sample.key)

    def line(self, sample: Any) -> str:
        """What a digest of samples takes of one."""
        return self.key(sample)

    def content(self, parts: Parts) -> Callable[[], Iterable[str]]:
        """What the digest runs over."""
        return lines_of([[one.sample for one in rows] for rows in parts.values()], self.line)

    def copy_key(self, sample: Any) -> str:
        """Equal for samples that count as copies, which share a split."""
        return self.key(sample)

    def twin_key(self, sample: Any) -> str:
        """Equal for samples that count as one that occurs twice: copies, unless they are parts of what they share."""
        return self.copy_key(sample)

    def look(self, one: Listed) -> bool:
        """Whether a sample is good, its file looked into; what is wrong with it goes to `faults`."""
        return True

    def remarks(self) -> Iterable[str]:
        """Notices of what was looked into."""
        return ()

    def groups(self, whole: Sequence[Listed]) -> list[str]:
        """What each sample shares a split with."""
        return [one.group for one in whole]

    def strata(self, rows: Sequence[Listed]) -> list[str]:
        """The class of each sample, of which every split gets its share; none where classes are for one split each."""
        return [one.label for one in rows]

    def ranks(self, keys: Sequence[str]) -> Sequence[bytes] | None:
        """A sha256 of each sample that has no group, by its key; None for that of the key itself."""
        return None

    def told_of(self, made: Parts, groups: Sequence[str]) -> tuple[str, ...]:
        """Notices of splits that were made."""
        return ()

    def read(self) -> SplitData:
        """The data of the configuration's paths. Raises `DataError` for bad samples as the configuration says."""
        return self.split(self.found())

    def found(self) -> Parts:
        """What the configuration's paths have."""
        sources = self.config.sources()
        if UNSPLIT in sources:
            return self.find(sources[UNSPLIT])
        parts = {split: self.find(path) for split, path in sources.items()}
        for split, inner in parts.items():
            if set(inner) != {UNSPLIT}:
                raise DataError(f"{sources[split]}: it has splits of its own", hint=f"give it as path, not as {split}")
        return {split: inner[UNSPLIT] for split, inner in parts.items()}

    def split(self, found: Parts, classes: Sequence[str] = ()) -> SplitData:
        """The data of what was found, whose classes are `classes`, those of the configuration or those that occur."""
        declared = tuple(classes) or getattr(self.config, "labels", ())
        parts = self._checked(found, declared)
        every = [one for rows in parts.values() for one in rows]
        labels = declared or sorted_labels(one.label for one in every if one.label)
        if len(labels) == 1 and self.config.split_rule != "none":
            raise DataError(f"{self.name}: every label is {labels[0]!r}; two are needed to tell apart")
        splits = self._made(parts)
        if self.group_column:
            groups = {split: [one.group for one in splits[split]] for split in _in_order(splits)}
            self.notices += group_notices(groups, self.group_column, samples=self.plural, where=self.name)
        if "train" in splits and isinstance(self.config, Subset):
            splits["train"] = draw_subset(
                splits["train"], self.config, lambda one: self.key(one.sample), where=self.name
            )
        if labels:
            self.notices += class_notices({split: self.strata(splits[split]) for split in _in_order(splits)})
            self.notices += [*lookalikes(labels), *self._copies(every, together=len(parts) == 1)]
        samples = {split: [one.sample for one in rows] for split, rows in splits.items()}
        return SplitData(self.name, samples, self.content(parts), labels, notices=self.notices)

    def _checked(self, found: Parts, declared: Sequence[str]) -> Parts:
        """The splits without what is bad. Raises `DataError` for that as the policy says, and where nothing is left."""
        parts: Parts = {}
        for split, rows in found.items():
            parts[split] = []
            for one in rows:
                if declared and one.label and one.label not in declared:
                    self.faults.add(one.name, f"label {one.label!r} is not one of {', '.join(declared)}")
                elif self.look(one):
                    parts[split].append(one)
        kept = sum(map(len, parts.values()))
        left_out = settle_faults(self.faults, kept, self.config, what=self.plural, where=self.name)
        self.notices += [*self.faults.notices, *left_out, *self.remarks()]
        for split, rows in parts.items():
            if not rows:
                where = f" in {split}" if split else ""
                raise DataError(f"{self.name}: no {self.plural}{where} are left: {self.faults.reasons()}")
        return parts

    def _made(self, parts: Parts) -> Parts:
        """All the splits: those given, the missing ones made by the rule."""
        given = {split: rows for split, rows in parts.items() if split}
        if "validation" in given or (given and self.config.split_rule == "none"):
            return given
        whole = parts.get(UNSPLIT) or given.pop("train")
        validation, test = self.config.shares()
        groups, keys = self.groups(whole), [self.copy_key(one.sample) for one in whole]
        units, ranks = joined_groups(keys, groups), None if any(groups) else self.ranks(keys)
        test = 0.0 if parts.keys() - {UNSPLIT} else test
        places = make_splits(units, self.config, validation, test, labels=self.strata(whole), digests=ranks)
        made = {split: [whole[place] for place in numbers] for split, numbers in places.items()}
        if self.group_column and any(groups):
            self._refuse_few(made, len(set(units)))
        self.notices += self.told_of(made, groups)
        return {**made, **given}

    def _refuse_few(self, made: Parts, units: int) -> None:
        """Raise `DataError` for a split that no group came into, before anybody trains for it."""
        if empty := next((split for split, rows in made.items() if not rows), ""):
            told = f"by column {self.group_column!r} and their copies the {self.plural} are {units:,} groups"
            without = "" if empty == "train" else f"data.{empty}_fraction=0 does without it"
            raise DataError(
                f"{self.name}: split {empty!r} is empty: {told}, for {len(made)} splits",
                hint=without or "give more data",
            )

    def _copies(self, every: Iterable[Listed], *, together: bool) -> tuple[str, ...]:
        """Notices of copies, and of copies that have different labels."""
        found: dict[str, list[tuple[str, str]]] = {}
        for one in every:
            found.setdefault(self.twin_key(one.sample), []).append((one.name, one.label))
        return listed_twice(found, together=together)


def _in_order(splits: Iterable[str]) -> list[str]:
    return sorted(splits, key=(*SPLITS, WHOLE).index)
