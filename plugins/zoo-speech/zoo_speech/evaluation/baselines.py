"""Baselines: statistics of cepstral coefficients for classes and speakers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.data import even_places
from zoo_core.tasks import label_numbers, label_scores
from zoo_speech.audio.audio import resampled
from zoo_speech.audio.features import mfcc_statistics
from zoo_speech.evaluation.verification import Trials, cosine_scores, verification_metrics

_LEARNED = 5_000
"""Most recordings that baselines learn from, evenly spaced."""


def linear_on_statistics(
    train: Sequence[Any], test: Sequence[Any], labels: Sequence[str], rate: int
) -> dict[str, float]:
    """Logistic regression on means, deviations and differences of 20 mel-frequency cepstral coefficients."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learned = _learned(train)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(_statistics(learned, rate), label_numbers([sample.label for sample in learned], labels))
    return label_scores([sample.label for sample in test], model.predict(_statistics(test, rate)), labels)


def cosine_of_statistics(train: Sequence[Any], test: Sequence[Any], trials: Trials, rate: int) -> dict[str, float]:
    """Cosines of the same statistics, less their means in training and by their deviations there."""
    learned, found = _statistics(_learned(train), rate), _statistics(test, rate)
    scores = cosine_scores((found - learned.mean(0)) / np.maximum(learned.std(0), 1e-6), trials)
    return verification_metrics(scores, trials.same).rates()


def _learned(samples: Sequence[Any]) -> list[Any]:
    return [samples[place] for place in even_places(len(samples), _LEARNED)]


def _statistics(samples: Sequence[Any], rate: int) -> NDArray[np.float32]:
    return np.stack([mfcc_statistics(resampled(sample.waveform, rate).samples, rate) for sample in samples])
