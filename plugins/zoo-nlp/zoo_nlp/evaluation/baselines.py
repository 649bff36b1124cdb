"""Baselines without a neural network: TF-IDF with logistic regression, n-grams, copying, a dictionary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo_core import DataError
from zoo_core.tasks import label_scores
from zoo_nlp.datasets.samples import LabelledText, TextPair
from zoo_nlp.evaluation import metrics

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WORD = re.compile(r"\w+|[^\w\s]")


def tfidf_logistic_regression(
    train: Sequence[LabelledText], test: Sequence[LabelledText], labels: Sequence[str]
) -> dict[str, float]:
    """Accuracy, macro F1 and log loss (nats) of logistic regression on word 1- and 2-grams, sublinear TF-IDF.

    Punctuation counts as words. The inverse of the regularisation is chosen among 1, 3, 10 and 30 on every fifth
    training sample. Raises `DataError` where `train` has one label only.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    if len({sample.label for sample in train}) < 2:
        raise DataError("logistic regression needs at least two labels among the training samples")
    frequent = 2 if len(train) >= 5000 else 1
    options = {"ngram_range": (1, 2), "sublinear_tf": True, "min_df": frequent, "token_pattern": r"\w+|[^\w\s]+"}
    vectorizer = TfidfVectorizer(**options)
    features = vectorizer.fit_transform([sample.text for sample in train])
    given = np.array([labels.index(sample.label) for sample in train])
    tuning = np.arange(len(train)) % 5 == 0
    best = max(
        (1.0, 3.0, 10.0, 30.0),
        key=lambda strength: _accuracy_held_out(features, given, tuning, strength),
    )
    model = LogisticRegression(C=best, max_iter=1000).fit(features, given)
    seen = model.predict_proba(vectorizer.transform([sample.text for sample in test]))
    probabilities = np.full((len(test), len(labels)), 1e-12)
    probabilities[:, model.classes_] = seen
    truth = np.array([labels.index(sample.label) for sample in test])
    losses = -np.log(np.maximum(probabilities[np.arange(len(test)), truth], 1e-12))
    figures = label_scores([sample.label for sample in test], probabilities.argmax(axis=1), labels)
    return {**figures, "log_loss": float(losses.mean())}


def _accuracy_held_out(features: Any, given: Integers, tuning: npt.NDArray[np.bool_], strength: float) -> float:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(given[~tuning])) < 2:
        return 0.0
    model = LogisticRegression(C=strength, max_iter=1000).fit(features[~tuning], given[~tuning])
    return float(model.score(features[tuning], given[tuning]))


def ngram_losses(train_ids: Integers, valid_ids: Integers, vocab_size: int) -> dict[str, float]:
    """Mean loss in nats per token of `valid_ids` under n-grams counted on `train_ids`; both (N,), values < vocab_size.

    `unigram` is add-one smoothed; `trigram` is interpolated modified Kneser-Ney (Chen & Goodman 1998, section 3).
    Raises `DataError` for fewer than three training tokens or no validation tokens.
    """
    if len(train_ids) < 3 or not len(valid_ids):
        raise DataError(f"too little text for n-grams: {len(train_ids)} and {len(valid_ids)} tokens")
    counts = np.bincount(train_ids, minlength=vocab_size)
    unigram = np.log((counts + 1) / (len(train_ids) + vocab_size))
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
        three = _Order((ids[:-2] * vocab_size + ids[1:-1]) * vocab_size + ids[2:], vocab_size)
        # Below the top, a sequence counts as often as it has different predecessors.
        two = _Order(three.keys % vocab_size**2, vocab_size)
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
        probability = np.full(len(columns[-1]), 1 / self.size)
        key, scale = np.zeros_like(columns[-1]), 1
        for order, column in zip(self.orders, reversed(columns), strict=False):
            key, scale = column * scale + key, scale * self.size
            share, rest = order.look_up(key)
            probability = share + rest * probability
        return probability


class _Order:
    """One order of the model: discounted shares by sequence, and by context the mass that was discounted."""

    def __init__(self, grams: Integers, vocab_size: int) -> None:
        """`grams` are the numbers of all sequences, (N,), equal ones for equal sequences."""
        self.keys, counts = np.unique(grams, return_counts=True)
        self.size = vocab_size
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        self.contexts, where = np.unique(self.keys // vocab_size, return_inverse=True)
        totals = np.bincount(where, weights=counts)
        self.left = np.bincount(where, weights=discounts) / totals
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
    y = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    sane: Floats = np.clip(found, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.95, 2.95])
    return sane


def _find(keys: Integers, values: Floats, wanted: Integers, default: float) -> Floats:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Floats = np.where(keys[places] == wanted, values[places], default)
    return found


def copy_source(test: Sequence[TextPair]) -> dict[str, float]:
    """BLEU and chrF of handing the source back."""
    return metrics.translation([pair.source for pair in test], [pair.target for pair in test])


def word_dictionary(train: Sequence[TextPair], test: Sequence[TextPair], *, rounds: int = 6) -> dict[str, float]:
    """BLEU and chrF of translating word by word, in the source's order, with a dictionary learnt from `train`.

    The dictionary is IBM Model 1 (Brown et al. 1993, section 4.2) after `rounds` of EM; unknown words are copied.
    """
    dictionary = learn_dictionary(train, rounds=rounds)
    found = [[dictionary.get(word, word) for word in _WORD.findall(pair.source)] for pair in test]
    return metrics.translation([_sentence(words) for words in found], [pair.target for pair in test])


def learn_dictionary(train: Sequence[TextPair], *, rounds: int) -> dict[str, str]:
    """The likeliest target word of every source word by IBM Model 1 with an empty word."""
    numbers_of: tuple[dict[str, int], dict[str, int]] = ({}, {})
    rows = [
        (
            _numbered(["", *_WORD.findall(pair.source)], numbers_of[0]),
            _numbered(_WORD.findall(pair.target), numbers_of[1]),
        )
        for pair in train
    ]
    sources, targets = map(list, numbers_of)
    lengths = [(len(source), len(target)) for source, target in rows]
    left = np.concatenate([np.tile(source, len(target)) for source, target in rows])
    right = np.concatenate([np.repeat(target, len(source)) for source, target in rows])
    places = np.repeat(
        np.arange(sum(n for _, n in lengths)), np.repeat([m for m, _ in lengths], [n for _, n in lengths])
    )
    # One number for each pair of words that ever meet; a link is one meeting.
    pairs, links = np.unique(left * len(targets) + right, return_inverse=True)
    of_source = pairs // len(targets)
    table = np.ones(len(pairs))
    for _ in range(rounds):
        weights = table[links]
        weights /= np.bincount(places, weights=weights)[places]
        counts = np.bincount(links, weights=weights, minlength=len(pairs))
        table = counts / np.bincount(of_source, weights=counts)[of_source]
    best = np.lexsort((table, of_source))
    last = best[np.append(np.diff(of_source[best]) > 0, True)]
    chosen = {sources[of_source[pair]]: targets[pairs[pair] % len(targets)] for pair in last}
    chosen.pop("", None)
    return chosen


def _numbered(words: Sequence[str], numbers: dict[str, int]) -> Integers:
    """(N,) numbers of words, new ones being added."""
    return np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64)


def _sentence(words: Sequence[str]) -> str:
    """Words as a sentence, without a space before closing signs and behind opening ones."""
    closed = re.sub(r"\s+([.,:;!?)\]}%…])", r"\1", " ".join(words))
    return re.sub(r"([(\[{])\s+", r"\1", closed)
