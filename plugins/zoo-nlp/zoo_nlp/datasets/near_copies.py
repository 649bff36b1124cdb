"""Near-copies on both sides of a split: found by the least hashes of their pairs of words (MinHash), in a bounded sample."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

MOST = 10_000
"""Texts that are looked at, evenly spaced ..."""

_WORDS = 200
"""... and words of each."""

_HASHES = 16
_SHARED = 0.5
"""Share of equal least hashes from which two texts are near-copies; it estimates the share of common pairs of words."""

_PRIME = (1 << 31) - 1
_LEAST = 0.02
"""Share of held-out texts with a near-copy from which a notice is worth its line."""


def crossing_notice(splits: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A notice of how many held-out texts have a near-copy among those trained on, if two in a hundred have one."""
    held = [text for split, texts in splits.items() if split != "train" for text in texts]
    train = splits.get("train", ())
    if not held or not train:
        return ()
    total = len(held) + len(train)
    looked = [_spaced(texts, max(1, MOST * len(texts) // total)) if total > MOST else texts for texts in (held, train)]
    found = crossing(*looked)
    if found < _LEAST * len(looked[0]):
        return ()
    scope = "held-out texts" if total <= MOST else "held-out texts looked at"
    return (
        f"{found:,} of {len(looked[0]):,} {scope} have a near-copy in train (half of their pairs of words or more): figures on "
        "them flatter; group_column= names what belongs together, like a document",
    )


def crossing(held: Sequence[str], train: Sequence[str]) -> int:
    """How many of the held-out texts have a near-copy in the others."""
    marks, others = _marks(held), _marks(train)
    near = np.zeros(len(held), dtype=bool)
    for first in range(0, _HASHES, 2):  # near-copies agree in one of eight pairs of hashes with a probability above 0.9
        known: dict[bytes, list[int]] = {}
        for number, band in enumerate(others[:, first : first + 2]):
            known.setdefault(band.tobytes(), []).append(number)
        for number, band in enumerate(marks[:, first : first + 2]):
            if not near[number] and (candidates := known.get(band.tobytes())):
                equal = (others[candidates[:50]] == marks[number]).mean(axis=1)
                near[number] = bool((equal >= _SHARED).any())
    return int(near.sum())


def _marks(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N, 16) least hashes of each text's pairs of neighbouring words."""
    draws = np.random.Generator(np.random.Philox(0)).integers(1, _PRIME, size=(2, _HASHES))
    marks = np.zeros((len(texts), _HASHES), dtype=np.int64)
    for number, text in enumerate(texts):
        words = text.lower().split(maxsplit=_WORDS)[:_WORDS]
        pairs = {f"{one} {two}" for one, two in pairwise(words)} or {text}
        hashes = np.fromiter((zlib.crc32(pair.encode()) % _PRIME for pair in pairs), dtype=np.int64)
        marks[number] = ((hashes[:, None] * draws[0] + draws[1]) % _PRIME).min(axis=0)
    return marks


def _spaced(texts: Sequence[str], count: int) -> list[str]:
    return [texts[number * len(texts) // count] for number in range(count)]
