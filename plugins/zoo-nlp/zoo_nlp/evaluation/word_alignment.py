"""IBM Model 1: which word of one language stands for which of another, learned from pairs of sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zoo_nlp.datasets.samples import TextPair

Integers = npt.NDArray[np.int64]

_WORD = re.compile(r"\w+|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Words and signs."""
    return _WORD.findall(text)


def learn_dictionary(train: Sequence[TextPair], *, rounds: int) -> dict[str, str]:
    """The likeliest target word of every source word by IBM Model 1 with an empty word."""
    numbers_of: tuple[dict[str, int], dict[str, int]] = ({}, {})
    rows = [
        (
            _numbered(["", *split_words(pair.source)], numbers_of[0]),
            _numbered(split_words(pair.target), numbers_of[1]),
        )
        for pair in train
    ]
    sources, targets = map(list, numbers_of)
    lengths = [(len(source), len(target)) for source, target in rows]
    # Links (L,): every source word with every target word of its pair.
    left = np.concatenate([np.tile(source, len(target)) for source, target in rows])
    right = np.concatenate([np.repeat(target, len(source)) for source, target in rows])
    # (L,): which target position a link belongs to, over all pairs
    places = np.repeat(
        np.arange(sum(n for _, n in lengths)), np.repeat([m for m, _ in lengths], [n for _, n in lengths])
    )
    # One number for each pair of words that ever meet; a link is one meeting.
    pairs, links = np.unique(left * len(targets) + right, return_inverse=True)
    of_source = pairs // len(targets)  # (K,)
    table = np.ones(len(pairs))  # t(target | source), even at first
    for _ in range(rounds):
        weights = table[links]  # (L,)
        weights /= np.bincount(places, weights=weights)[places]  # E: t(f | e) / Σ_e' t(f | e') over f's sentence
        counts = np.bincount(links, weights=weights, minlength=len(pairs))
        table = counts / np.bincount(of_source, weights=counts)[of_source]  # M: c(f, e) / Σ_f' c(f', e)
    best = np.lexsort((table, of_source))
    last = best[np.append(np.diff(of_source[best]) > 0, True)]  # the likeliest, last of each source word
    chosen = {sources[of_source[pair]]: targets[pairs[pair] % len(targets)] for pair in last}
    chosen.pop("", None)
    return chosen


def _numbered(words: Sequence[str], numbers: dict[str, int]) -> Integers:
    """(N,) numbers of words, new ones being added."""
    return np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64)
