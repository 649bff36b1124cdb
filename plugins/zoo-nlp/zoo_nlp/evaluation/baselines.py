"""Baselines without a neural network: TF-IDF with logistic regression, copying, a dictionary."""

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
from zoo_nlp.evaluation.word_alignment import learn_dictionary, split_words

Integers = npt.NDArray[np.int64]


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
    probabilities = np.full((len(test), len(labels)), 1e-12)  # of a class that training lacks
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


def copy_source(test: Sequence[TextPair]) -> dict[str, float]:
    """BLEU and chrF of handing the source back."""
    return metrics.translation([pair.source for pair in test], [pair.target for pair in test])


def word_dictionary(train: Sequence[TextPair], test: Sequence[TextPair], *, rounds: int = 6) -> dict[str, float]:
    """BLEU and chrF of translating word by word, in the source's order, with a dictionary learnt from `train`.

    The dictionary is IBM Model 1 (Brown et al. 1993, section 4.2) after `rounds` of EM; unknown words are copied.
    """
    dictionary = learn_dictionary(train, rounds=rounds)
    found = [[dictionary.get(word, word) for word in split_words(pair.source)] for pair in test]
    return metrics.translation([_sentence(words) for words in found], [pair.target for pair in test])


def _sentence(words: Sequence[str]) -> str:
    """Words as a sentence, without a space before closing signs and behind opening ones."""
    closed = re.sub(r"\s+([.,:;!?)\]}%…])", r"\1", " ".join(words))
    return re.sub(r"([(\[{])\s+", r"\1", closed)
