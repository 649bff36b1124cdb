"""Splits, subsets and the order of labels that the content of samples decides: in which order they came plays no part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from zoo_core.errors import DataError

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
        share = int.from_bytes(digest[:8], "big") / 2**64
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


def check_share(name: str, share: float) -> None:
    """Raise ValueError for a share that would leave nothing to train on."""
    if not 0 <= share <= 0.9:
        raise ValueError(f"{name}: must be from 0 to 0.9, found {share}")


def check_shares(validation: float, test: float) -> None:
    """Raise ValueError for the two shares of `validation_fraction` and `test_fraction` if they leave too little."""
    check_share("validation_fraction", validation)
    check_share("test_fraction", test)
    if validation + test > 0.9:
        raise ValueError("validation_fraction and test_fraction: together at most 0.9")


def check_subset(samples: int | None) -> None:
    """Raise ValueError for a training split of no samples."""
    if samples is not None and samples < 1:
        raise ValueError(f"train_samples: must be at least 1, found {samples}")


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Label names, each once: by number where all are whole numbers, else by letter."""
    names = sorted(set(labels))
    numbers = all(name.isascii() and name.isdecimal() and len(name) < 10 for name in names)
    return tuple(sorted(names, key=int)) if numbers else tuple(names)
