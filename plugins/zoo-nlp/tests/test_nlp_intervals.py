"""Intervals of written texts' scores are those of resampled sentences, and every task of texts states its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from zoo_nlp.evaluation import metrics

PAIRS = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("a dog ran over the hill today", "a dog ran over the hill"),
    ("nothing of this is right", "something else was said here"),
    ("we saw the sea and the sky", "we saw the sea and the sky"),
    ("press the button to save the file", "press this button to store the file"),
] * 4


def resampled(score: Callable[[Sequence[str], Sequence[str]], dict[str, float]], times: int) -> dict[str, list[float]]:
    generator = np.random.default_rng(2)
    figures: dict[str, list[float]] = {}
    for _ in range(times):
        rows = [PAIRS[at] for at in generator.integers(0, len(PAIRS), len(PAIRS))]
        for name, value in score([found for found, _ in rows], [due for _, due in rows]).items():
            figures.setdefault(name, []).append(value)
    return figures


def test_the_interval_of_bleu_is_that_of_resampled_sentences() -> None:
    found, due = [found for found, _ in PAIRS], [due for _, due in PAIRS]
    intervals = metrics.translation_intervals(found, due)
    assert intervals.keys() == {"bleu"}
    expected = np.quantile(resampled(metrics.translation, 600)["bleu"], (0.025, 0.975))
    assert intervals["bleu"] == pytest.approx(expected, abs=2.5)
    assert intervals["bleu"][0] < metrics.translation(found, due)["bleu"] < intervals["bleu"][1]
    assert metrics.translation_intervals(["我 看 见 海"] * 2 + ["天"], ["我看见海"] * 3).keys() == {"bleu_zh"}


def test_sums_of_sentences_give_the_bleu_of_the_corpus() -> None:
    found, due = [found for found, _ in PAIRS], [due for _, due in PAIRS]
    assert metrics.bleu_of(metrics.bleu_sums(found, due).sum(0)) == pytest.approx(
        metrics.translation(found, due)["bleu"], abs=1e-9
    )


def test_the_intervals_of_rouge_are_those_of_means_over_texts() -> None:
    found, due = [found for found, _ in PAIRS], [due for _, due in PAIRS]
    intervals = metrics.summarization_intervals(found, due)
    assert intervals.keys() == {"rouge1", "rouge2", "rougeL"}
    for name, values in resampled(metrics.summarization, 300).items():
        assert intervals[name] == pytest.approx(np.quantile(values, (0.025, 0.975)), abs=4)
        assert intervals[name][0] < metrics.summarization(found, due)[name] < intervals[name][1]
    assert metrics.summarization_intervals([], []) == {} == metrics.translation_intervals([], [])
