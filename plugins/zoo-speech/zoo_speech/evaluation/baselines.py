"""Baselines: the most frequent label, and statistics of cepstral coefficients for classes and speakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.tasks import Confusion, class_scores, label_numbers
from zoo_speech.audio.audio import resampled
from zoo_speech.audio.features import mfcc_statistics
from zoo_speech.evaluation.verification import Trials, cosine_scores, verification_metrics

_LEARNED = 5_000
"""Most recordings that baselines learn from, evenly spaced."""


def majority(train: Sequence[Any], test: Sequence[Any], labels: Sequence[str]) -> dict[str, float]:
    """Always the label that is most frequent in training."""
    frequent = Counter(sample.label for sample in train).most_common(1)[0][0]
    return _judged(np.full(len(test), labels.index(frequent)), test, labels)


def linear_on_statistics(
    train: Sequence[Any], test: Sequence[Any], labels: Sequence[str], rate: int
) -> dict[str, float]:
    """Logistic regression on means, deviations and differences of 20 mel-frequency cepstral coefficients."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learned = _spread(train)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(_statistics(learned, rate), label_numbers([sample.label for sample in learned], labels))
    return _judged(model.predict(_statistics(test, rate)), test, labels)


def cosine_of_statistics(train: Sequence[Any], test: Sequence[Any], trials: Trials, rate: int) -> dict[str, float]:
    """Cosines of the same statistics, less their means in training and by their deviations there."""
    learned, found = _statistics(_spread(train), rate), _statistics(test, rate)
    scores = cosine_scores((found - learned.mean(0)) / np.maximum(learned.std(0), 1e-6), trials)
    figures = verification_metrics(scores, trials.same)
    return {"eer": figures.eer, "min_dcf": figures.min_dcf, "auc": figures.auc}


def _spread(samples: Sequence[Any]) -> Sequence[Any]:
    if len(samples) <= _LEARNED:
        return samples
    return [samples[place * len(samples) // _LEARNED] for place in range(_LEARNED)]


def _statistics(samples: Sequence[Any], rate: int) -> NDArray[np.float32]:
    return np.stack([mfcc_statistics(resampled(sample.waveform, rate).samples, rate) for sample in samples])


def _judged(found: NDArray[Any], test: Sequence[Any], labels: Sequence[str]) -> dict[str, float]:
    numbers = label_numbers([sample.label for sample in test], labels)
    return class_scores(Confusion.of_pairs(numbers * len(labels) + found, len(labels)))
