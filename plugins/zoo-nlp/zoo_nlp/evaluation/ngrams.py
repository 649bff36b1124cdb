"""N-gram language models over token ids: unigrams, and trigrams with interpolated modified Kneser-Ney smoothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zoo_core import DataError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def ngram_losses(train_ids: Integers, valid_ids: Integers, vocab_size: int) -> dict[str, float]:
    """Mean loss in nats per token of `valid_ids` under n-grams counted on `train_ids`; both (N,), values < vocab_size.

    `unigram` is add-one smoothed; `trigram` is interpolated modified Kneser-Ney (Chen & Goodman 1998, section 3).
    Raises `DataError` for fewer than three training tokens or no validation tokens.
    """
    if len(train_ids) < 3 or not len(valid_ids):
        raise DataError(f"too little text for n-grams: {len(train_ids)} and {len(valid_ids)} tokens")
    counts = np.bincount(train_ids, minlength=vocab_size)
    unigram = np.log((counts + 1) / (len(train_ids) + vocab_size))  # (V,)
    trigram = KneserNey(train_ids, vocab_size)
    return {
        "unigram": float(-unigram[valid_ids].mean()),
        "trigram": float(-trigram.log_probabilities(valid_ids).mean()),
    }


class KneserNey:
    """An interpolated modified Kneser-Ney trigram model over token ids; its probabilities sum to one."""

    def __init__(self, ids: Integers, vocab_size: int) -> None:
        """Count `ids` (N,), whose values are below `vocab_size`, which must be below 2 million."""
        ids = np.asarray(ids, dtype=np.int64)
        self.size = vocab_size
        # A sequence is one number, its tokens the digits to base V, the oldest first.
        three = _Order((ids[:-2] * vocab_size + ids[1:-1]) * vocab_size + ids[2:], vocab_size)
        # Below the top, a sequence counts as often as it has different predecessors.
        two = _Order(three.keys % vocab_size**2, vocab_size)  # the last two digits
        self.orders = [_Order(two.keys % vocab_size, vocab_size), two, three]

    def log_probabilities(self, ids: Integers) -> Floats:
        """(N,) natural logarithms of the probability of each of `ids` (N,) after up to two tokens before it."""
        ids = np.asarray(ids, dtype=np.int64)
        scores = np.empty(len(ids))
        for place in range(min(2, len(ids))):
            scores[place] = self._mixed([ids[start : start + 1] for start in range(place + 1)])[0]
        scores[2:] = self._mixed([ids[:-2], ids[1:-1], ids[2:]])
        logarithms: Floats = np.log(scores)
        return logarithms

    def probabilities(self, context: Sequence[int]) -> Floats:
        """(V,) probabilities of every token after a context of none, one or two tokens."""
        every = np.arange(self.size)
        return self._mixed([*(np.full(self.size, token) for token in context), every])

    def _mixed(self, columns: Sequence[Integers]) -> Floats:
        """Probability of the last column after the others: each order adds to its discounted share the next lower one."""
        probability = np.full(len(columns[-1]), 1 / self.size)  # below the unigrams all tokens are alike
        key, scale = np.zeros_like(columns[-1]), 1
        for order, column in zip(self.orders, reversed(columns), strict=False):
            key, scale = column * scale + key, scale * self.size  # one more digit in front
            share, rest = order.look_up(key)
            probability = share + rest * probability  # p(w | h) = (c(h w) - D) / c(h) + γ(h) p(w | h')
        return probability


class _Order:
    """One order of the model: discounted shares by sequence, and by context the mass that was discounted."""

    def __init__(self, grams: Integers, vocab_size: int) -> None:
        """`grams` are the numbers of all sequences, (N,), equal ones for equal sequences."""
        self.keys, counts = np.unique(grams, return_counts=True)
        self.size = vocab_size
        discounts = _discounts(counts)[np.minimum(counts, 3)]  # D_1, D_2, D_3+ by count
        self.contexts, where = np.unique(self.keys // vocab_size, return_inverse=True)
        totals = np.bincount(where, weights=counts)
        self.left = np.bincount(where, weights=discounts) / totals  # γ(h)
        self.shares = (counts - discounts) / totals[where]

    def look_up(self, keys: Integers) -> tuple[Floats, Floats]:
        """Discounted share of each sequence, and what its context leaves to the lower order: all if it is unseen."""
        share = _find(self.keys, self.shares, keys, 0.0)
        return share, _find(self.contexts, self.left, keys // self.size, 1.0)


def _discounts(counts: Integers) -> Floats:
    """(4,) what is taken off a count of 0, 1, 2, and 3 or more (Chen & Goodman 1998, equation 26).

    Where the formula has nothing to stand on, as in tiny texts, 0.5, 0.75 and 0.9 are taken.
    """
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return np.array([0.0, 0.5, 0.75, 0.9])
    y = n1 / (n1 + 2 * n2)  # Y; D_n = n - (n + 1) Y n_(n+1) / n_n
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    sane: Floats = np.clip(found, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.95, 2.95])
    return sane


def _find(keys: Integers, values: Floats, wanted: Integers, default: float) -> Floats:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Floats = np.where(keys[places] == wanted, values[places], default)
    return found
