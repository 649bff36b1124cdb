"""Trials of voices: figures by hand and at their ends, which pairs are drawn, and scores in little memory."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from zoo_speech.evaluation.verification import Trials, cosine_scores, draw_trials, verification_metrics

from zoo_core import DataError


def test_figures_by_hand() -> None:
    same = np.array([True, True, True, True, False, False, False, False])
    # At 0.5 one of four is missed and one of four accepted.
    scores = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.2, 0.1, 0.0])
    found = verification_metrics(scores, same)
    assert found.eer == pytest.approx(0.25) and found.auc == pytest.approx(15 / 16)
    # Accepting nothing false leaves one miss in four, which costs 0.05 / 4 of 0.05.
    assert found.min_dcf == pytest.approx(0.25) and found.dcf_score == pytest.approx(0.7)
    # Two scores for either kind, one of each swapped: the curve crosses in the middle of a step.
    assert verification_metrics(
        np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False])
    ).eer == pytest.approx(0.5)
    assert verification_metrics(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])).eer == pytest.approx(0.5)


def test_where_refusing_all_is_cheapest_the_score_to_decide_at_is_a_number() -> None:
    found = verification_metrics(np.array([1.0, 2.0, 3.0]), np.array([True, False, False]))
    assert found.min_dcf == 1.0 and found.dcf_score == np.nextafter(3.0, np.inf)


def test_figures_at_their_ends() -> None:
    same = np.random.default_rng(0).random(4000) < 0.3
    right = same.astype(np.float64)
    perfect, reversed_ = verification_metrics(right, same), verification_metrics(-right, same)
    assert (perfect.eer, perfect.min_dcf, perfect.auc) == (0.0, 0.0, 1.0) and perfect.eer_score == 1.0
    assert (reversed_.eer, reversed_.min_dcf, reversed_.auc) == (1.0, 1.0, 0.0)
    chance = verification_metrics(np.random.default_rng(1).random(4000), same)
    assert chance.eer == pytest.approx(0.5, abs=0.03) and chance.auc == pytest.approx(0.5, abs=0.03)
    assert 0.95 < chance.min_dcf <= 1.0
    constant = verification_metrics(np.zeros(4000), same)
    assert (constant.eer, constant.auc, constant.min_dcf) == (0.5, 0.5, 1.0)


def test_trials_are_all_pairs_of_a_group_or_a_draw_of_them() -> None:
    speakers, groups = list("aabbca"), list("xxxxyy")
    trials = draw_trials(speakers, groups, 100)
    pairs = set(zip(trials.first.tolist(), trials.second.tolist(), strict=True))
    assert pairs == {(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (4, 5)} and len(trials.same) == 7
    assert [(speakers[i], speakers[j]) for i, j, one in zip(*trials, strict=True) if one] == [("a", "a"), ("b", "b")]
    many = [str(n % 7) for n in range(300)]
    drawn, again = draw_trials(many, [""] * 300, 5000), draw_trials(many, [""] * 300, 5000)
    assert len(drawn.same) == 5000 == len({*zip(drawn.first.tolist(), drawn.second.tolist(), strict=True)})
    assert all(np.array_equal(one, other) for one, other in zip(drawn, again, strict=True))
    assert bool((drawn.first < drawn.second).all()) and int(drawn.second.max()) > 290
    assert drawn.same.mean() == pytest.approx(1 / 7, abs=0.02)
    for voices_, words in ((["a", "b"], "two recordings of one voice"), (["a", "a"], "two voices"), (["a"], "two rec")):
        with pytest.raises(DataError, match=words):
            draw_trials(voices_, [""] * len(voices_), 10)


def test_scores_are_cosines() -> None:
    trials = Trials(np.array([0, 0]), np.array([1, 2]), np.array([True, False]))
    assert cosine_scores(np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), trials) == pytest.approx([0.5**0.5, 0.0])


def test_many_trials_are_scored_in_the_memory_of_few() -> None:
    embeddings = np.random.default_rng(0).standard_normal((300, 192)).astype(np.float32)
    trials = draw_trials([str(n % 7) for n in range(300)], [""] * 300, 40_000)
    tracemalloc.start()
    found = cosine_scores(embeddings, trials)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20 < 2 * 40_000 * 192 * 8  # bytes, of all pairs of embeddings at once
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert np.allclose(found, (directions @ directions.T)[trials.first, trials.second], atol=1e-6)


def test_an_embedding_that_is_no_number_leaves_no_figures() -> None:
    trials = draw_trials(list("aabb"), [""] * 4, 10)
    embeddings = np.eye(4)
    assert not any(map(math.isnan, verification_metrics(cosine_scores(embeddings, trials), trials.same)))
    for broken in (np.nan, np.inf):
        embeddings[2, 1] = broken
        with np.errstate(invalid="ignore"):
            scores = cosine_scores(embeddings, trials)
        assert all(map(math.isnan, verification_metrics(scores, trials.same)))
