"""Splits and subsets that the content of samples decides: what belongs together stays together, in whatever order it came."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from zoo_core.data.options import SplitOptions
from zoo_core.errors import DataError, printable

SPLITS = ("train", "validation", "test")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
"""What files and folders of splits are called, in any case."""


def split_of_file(name: str) -> str:
    """The split that a word of a file's name says, as in `my_Test.csv` or `train-00000-of-00002.parquet`, or nothing."""
    return next((SPLIT_WORDS[word] for word in _words(name) if word in SPLIT_WORDS), "")


def split_of_folder(name: str) -> str:
    """The split that a folder's name says or begins with, as in `Training` or `train-clean-100`, or nothing."""
    return next((SPLIT_WORDS.get(word, "") for word in _words(name)), "")


def folders_by_split(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of folders that lie side by side by the split that each is, those that are none under `""`.

    They are splits where one is for training or where every one says a split; otherwise all are under `""`.
    """
    known = sorted(names)
    parts: dict[str, list[str]] = {}
    for name in known:
        parts.setdefault(split_of_folder(name), []).append(name)
    return parts if "train" in parts or "" not in parts else {"": known}


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.casefold())


def split_by_hash(digests: Iterable[bytes], validation: float, test: float) -> dict[str, list[int]]:
    """Places of samples by split, from a sha256 of each one's content; only splits that have a share."""
    wanted = {"train": True, "validation": validation > 0, "test": test > 0}
    places: dict[str, list[int]] = {split: [] for split in SPLITS if wanted[split]}
    for number, digest in enumerate(digests):
        share = int.from_bytes(digest[:8], "big") / 2**64  # uniform in [0, 1]
        places["validation" if share < validation else "test" if share < validation + test else "train"].append(number)
    return places


def subset_by_hash(keys: Sequence[str], count: int, seed: int, *, where: str) -> list[int]:
    """Places of the first `count` samples in an order that `seed` and their keys alone decide.

    A larger number contains a smaller one's samples. Raises `DataError` if there are fewer.
    """
    if count > len(keys):
        raise DataError(f"{where}: train_samples is {count}, the training split has {len(keys)}")
    ranks = [hashlib.sha256(f"{seed}\0{key}".encode()).digest() for key in keys]
    return sorted(range(len(keys)), key=ranks.__getitem__)[:count]


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Label names, each once: by number where all are whole numbers, else by letter."""
    names = sorted(set(labels))
    numbers = all(name.isascii() and name.isdecimal() and len(name) < 10 for name in names)
    return tuple(sorted(names, key=int)) if numbers else tuple(names)


WHOLE = "all"
"""The one split of data that is not split."""

_CLASSES = 12
"""Classes that a notice counts."""


def make_splits(
    units: Sequence[str],
    options: SplitOptions,
    validation: float,
    test: float,
    *,
    labels: Sequence[str] = (),
    digests: Sequence[bytes] | None = None,
) -> dict[str, list[int]]:
    """Places of samples by split, by the rule that `options` name; only splits that have a share.

    Samples of one unit share a split: pass each sample's content, or what `joined_groups` makes of it and of groups. `digests` are
    the sha256 that the hash rule goes by, those of the units by default.
    """
    if options.split_rule == "none":
        return {WHOLE: list(range(len(units)))}
    if options.split_rule == "stratified":
        shares = {"train": 1 - validation - test, "validation": validation, "test": test}
        splits = _stratified(units, labels or [""] * len(units), shares, options.split_seed)
        return _filled(splits, [_ranked(unit.encode(), options.split_seed) for unit in units])
    drawn = digests or [hashlib.sha256(unit.encode()).digest() for unit in units]
    if options.split_seed:
        drawn = [_ranked(digest, options.split_seed) for digest in drawn]
    return _filled(split_by_hash(drawn, validation, test), drawn)


def joined_groups(keys: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The unit of each sample: its group, groups that share a sample's content being one, or its content without a group."""
    if not any(groups):
        return list(keys)
    named = [group or key for key, group in zip(keys, groups, strict=True)]
    parent = {name: name for name in named}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]  # path halving
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for key, name in zip(keys, named, strict=True):
        one, other = sorted((root(first.setdefault(key, name)), root(name)))
        parent[other] = one
    return [root(name) for name in named]


def group_notices(splits: Mapping[str, Sequence[str]], column: str, *, samples: str, where: str) -> tuple[str, ...]:
    """How many groups each split has, from the group of each sample, and which groups are in several splits that were given.

    Raises `DataError` where no sample has a group, `samples` being what they are called.
    """
    counts = {split: Counter(filter(None, groups)) for split, groups in splits.items()}
    if not any(counts.values()):
        raise DataError(
            f"{where}: none of the {samples} has a group, as column {column!r} is empty or no table was read",
            hint="name another column, or leave group_column out",
        )
    told = (f"{len(found):,} groups of {found.total():,} in {split}" for split, found in counts.items())
    notices = [f"split by {printable(column)}: {', '.join(told)}"]
    if alone := sum(groups.count("") for groups in splits.values()):
        notices.append(
            f"{alone:,} of {sum(map(len, splits.values())):,} {samples} without a group: each is one by itself"
        )
    homes = {
        group: [split for split, found in counts.items() if group in found]
        for found in counts.values()
        for group in found
    }
    if crossing := {group: found for group, found in homes.items() if len(found) > 1}:
        group, found = next(iter(crossing.items()))
        first = f"first: {printable(group)} in {' and '.join(found)}"
        notices.append(f"groups that are in several of the given splits: {len(crossing):,} ({first})")
    return tuple(notices)


def class_notices(splits: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """How many samples of each class each split has, from their labels, and which classes a split lacks."""
    counts = {split: Counter(labels) for split, labels in splits.items()}
    classes = sorted({label for found in counts.values() for label in found})
    shown = ", ".join(
        f"{printable(label)} {'/'.join(f'{found[label]:,}' for found in counts.values())}"
        for label in classes[:_CLASSES]
    )
    more = f" and {len(classes) - _CLASSES:,} more classes" if len(classes) > _CLASSES else ""
    notices = [f"samples by class ({'/'.join(splits)}): {shown}{more}"] if classes else []
    for split, found in counts.items():
        missing = [printable(label) for label in classes if label not in found]
        if missing:
            rest = f" and {len(missing) - _CLASSES:,} more" if len(missing) > _CLASSES else ""
            notices.append(f"no sample in {split} of: {', '.join(missing[:_CLASSES])}{rest}")
    return tuple(notices)


def _stratified(
    units: Sequence[str], labels: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Units in an order drawn by `seed`, each going to the split whose counts by class it brings nearest to their shares.

    The distance is the sum of (found - wanted)^2 / wanted. A class of as many units as there are splits is in all of them.
    """
    members: dict[str, list[int]] = {}
    for place, unit in enumerate(units):
        members.setdefault(unit, []).append(place)
    classes = {unit: list(Counter([labels[place] for place in places]).items()) for unit, places in members.items()}
    totals = Counter(labels)
    holders = Counter(label for found in classes.values() for label, _ in found)
    wanted = {split: shares[split] for split in SPLITS if split == "train" or shares[split] > 0}
    want = {
        split: {
            label: max(share * total, 1.0 if holders[label] >= len(wanted) else share, 1e-9)
            for label, total in totals.items()
        }
        for split, share in wanted.items()
    }
    have = {split: dict.fromkeys(totals, 0) for split in wanted}
    places: dict[str, list[int]] = {split: [] for split in wanted}
    for unit in sorted(members, key=lambda unit: _ranked(unit.encode(), seed)):
        found = classes[unit]
        chosen = min(places, key=lambda split: _cost(found, have[split], want[split]))
        places[chosen] += members[unit]
        for label, count in found:
            have[chosen][label] += count
    return {split: sorted(numbers) for split, numbers in places.items()}


def _cost(found: Sequence[tuple[str, int]], have: Mapping[str, int], want: Mapping[str, float]) -> float:
    """By how much the distance of a split grows if it gets a unit."""
    # ((h + c - w)² - (h - w)²) / w = c (2 (h - w) + c) / w
    return sum(count * (2 * (have[label] - want[label]) + count) / want[label] for label, count in found)


def _filled(places: dict[str, list[int]], digests: Sequence[bytes]) -> dict[str, list[int]]:
    """A split that has a share but got nothing gets the unit with the least digest of the split with most, if it has two."""
    for split in [split for split in places if not places[split]]:
        units = {name: sorted({digests[place] for place in numbers}) for name, numbers in places.items()}
        giver = max(units, key=lambda name: len(units[name]))
        if len(units[giver]) > 1:
            spare = units[giver][0]
            places[split] = [place for place in places[giver] if digests[place] == spare]
            places[giver] = [place for place in places[giver] if digests[place] != spare]
    return places


def _ranked(content: bytes, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0".encode() + content).digest()
