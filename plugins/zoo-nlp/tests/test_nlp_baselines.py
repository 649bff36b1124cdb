"""Baselines: hand-worked values, a second implementation of Kneser-Ney, and probabilities that sum to one."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from zoo_nlp.datasets.samples import LabelledText, TextPair
from zoo_nlp.evaluation.baselines import _sentence, copy_source, tfidf_logistic_regression, word_dictionary
from zoo_nlp.evaluation.ngrams import KneserNey, _discounts, ngram_losses
from zoo_nlp.evaluation.word_alignment import learn_dictionary

from zoo_core import DataError


def moods(count: int, seed: int) -> list[LabelledText]:
    """Texts whose label shows in one word, but for one in ten, whose label is wrong."""
    draw = np.random.default_rng(seed)
    words = {"merry": ["glad", "great"], "sad": ["grim", "awful"]}
    samples = []
    for _ in range(count):
        label = ("merry", "sad")[int(draw.integers(2))]
        shown = label if draw.random() < 0.9 else ("sad" if label == "merry" else "merry")
        filler = " ".join(f"w{number}" for number in draw.integers(0, 50, 8))
        samples.append(LabelledText(f"{filler} {draw.choice(words[shown])} !", label))
    return samples


def test_logistic_regression_finds_the_words_that_matter() -> None:
    scores = tfidf_logistic_regression(moods(800, 0), moods(1000, 1), ["sad", "merry"])
    noise = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert 0.85 < scores["accuracy"] < 0.95 and scores["macro_f1"] == pytest.approx(scores["accuracy"], abs=0.01)
    assert noise - 0.05 < scores["log_loss"] < noise + 0.15


def test_logistic_regression_copes_with_labels_it_never_saw() -> None:
    test = [*moods(99, 1), LabelledText("glad", "odd")]
    scores = tfidf_logistic_regression(moods(200, 0), test, ["odd", "sad", "merry"])
    assert 0.8 < scores["accuracy"] <= 0.99 and scores["log_loss"] > -math.log(1e-12) / 100
    with pytest.raises(DataError, match="at least two labels"):
        tfidf_logistic_regression([LabelledText("text", "a")] * 2, [LabelledText("text", "b")], ["a", "b"])


def test_unigram_by_hand() -> None:
    losses = ngram_losses(np.array([0, 1, 0, 1, 2]), np.array([0, 2]), 3)
    assert losses["unigram"] == pytest.approx(-(math.log(3 / 8) + math.log(2 / 8)) / 2)


def test_kneser_ney_by_hand() -> None:
    # a b a b c: three trigrams once each, three bigram continuations, three unigram continuations; discount 1/2.
    model = KneserNey(np.array([0, 1, 0, 1, 2]), 3)
    assert model.probabilities([]) == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert model.probabilities([1]) == pytest.approx([5 / 12, 1 / 6, 5 / 12])
    assert model.probabilities([0, 1]) == pytest.approx([11 / 24, 1 / 12, 11 / 24])
    assert model.probabilities([2, 1]) == pytest.approx(model.probabilities([1]))
    assert np.exp(model.log_probabilities(np.array([1, 0, 2]))) == pytest.approx([1 / 3, 5 / 12, 1 / 12])


def test_discounts_by_hand() -> None:
    # n1..n4 = 8, 4, 2, 1: y = 8 / 16 = 1/2; D1 = 1 - 2·½·4/8, D2 = 2 - 3·½·2/4, D3 = 3 - 4·½·1/2.
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4])
    assert _discounts(counts) == pytest.approx([0, 0.5, 1.25, 2.0])


def markov(length: int, seed: int, size: int = 12) -> np.ndarray:
    """Tokens that depend on the two before, drawn from a few continuations of unequal weight."""
    draw = np.random.default_rng(seed)
    ids = [0, 1]
    picks, weights = draw.random(length), np.cumsum([0.6, 0.25, 0.1, 0.05])
    for pick in picks:
        rank = int(np.searchsorted(weights, pick))
        ids.append((ids[-1] * 5 + ids[-2] * 7 + rank * rank * 3) % size)
    return np.array(ids)


def slow_probability(ids: list[int], size: int, context: tuple[int, ...], token: int) -> float:
    """Interpolated modified Kneser-Ney, word for word as in the paper, one probability at a time."""
    three = Counter(zip(ids, ids[1:], ids[2:], strict=False))
    two = Counter(gram[1:] for gram in three)
    one = Counter(gram[1:] for gram in two)
    probability = 1 / size
    for order, grams in enumerate((one, two, three)):
        if order > len(context):
            break
        discounts = _discounts(np.array(list(grams.values())))
        before = tuple(context[len(context) - order :])
        followers = {gram[-1]: count for gram, count in grams.items() if gram[:-1] == before}
        total = sum(followers.values())
        if not total:
            break
        count = followers.get(token, 0)
        left = sum(discounts[min(c, 3)] for c in followers.values()) / total
        probability = (count - discounts[min(count, 3)]) / total + left * probability
    return probability


def test_kneser_ney_agrees_with_the_slow_way_and_sums_to_one() -> None:
    ids, size = markov(400, 0), 13
    model = KneserNey(ids, size)
    contexts = [(), (3,), (12,), (int(ids[5]), int(ids[6])), (0, 12), (12, 0), (12, 12), (5, 5)]
    for context in contexts:
        found = model.probabilities(context)
        assert found.sum() == pytest.approx(1.0, abs=1e-12) and found.min() > 0
        slow = [slow_probability(ids.tolist(), size, context, token) for token in range(size)]
        assert found == pytest.approx(slow, rel=1e-9)


def test_each_token_is_scored_after_the_two_before_it() -> None:
    model = KneserNey(markov(400, 0), 13)
    ids = markov(20, 1)
    expected = [model.probabilities(ids[max(0, place - 2) : place].tolist())[ids[place]] for place in range(len(ids))]
    assert np.exp(model.log_probabilities(ids)) == pytest.approx(expected)


def test_a_trigram_model_comes_near_the_entropy_of_its_source() -> None:
    losses = ngram_losses(markov(40_000, 0), markov(5_000, 1), 12)
    joined: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    truth = markov(40_000, 2)
    for a, b, c in zip(truth, truth[1:], truth[2:], strict=False):
        joined[int(a), int(b)][int(c)] += 1
    entropy = -sum(n * math.log(n / sum(f.values())) for f in joined.values() for n in f.values()) / (len(truth) - 2)
    assert entropy - 0.05 < losses["trigram"] < entropy + 0.05 and losses["unigram"] > entropy + 1


@pytest.mark.parametrize(("train", "valid"), [([1, 2], [1]), ([1, 2, 3], [])])
def test_too_little_text_for_ngrams(train: list[int], valid: list[int]) -> None:
    with pytest.raises(DataError, match="too little text"):
        ngram_losses(np.array(train), np.array(valid, dtype=np.int64), 5)


BOOKS = [
    TextPair("das Haus", "the house"),
    TextPair("das Buch", "the book"),
    TextPair("ein Buch", "a book"),
    TextPair("ein Haus", "a house"),
]


def test_model_one_learns_what_belongs_together() -> None:
    learnt = learn_dictionary(BOOKS, rounds=10)
    assert learnt == {"das": "the", "Haus": "house", "Buch": "book", "ein": "a"}


def test_one_round_of_model_one_counts_meetings() -> None:
    # After one round t(w | das) is the share of each meeting's 1/3: "the" met it twice, "house" and "book" once.
    assert learn_dictionary(BOOKS[:2], rounds=1)["das"] == "the"


def test_a_dictionary_translates_and_copies_what_it_does_not_know() -> None:
    test = [TextPair("das Haus, ein Buch und das Buch.", "the house, a book und the book.")]
    scores = word_dictionary([*BOOKS, TextPair(",", ","), TextPair(".", ".")], test, rounds=10)
    assert scores["bleu"] == pytest.approx(100) and scores["chrf"] == pytest.approx(100)


def test_copying_the_source_by_hand() -> None:
    pairs = [TextPair("a b c d", "a b c d"), TextPair("e f g h i", "e f g h i")]
    assert copy_source(pairs)["bleu"] == pytest.approx(100)
    apart = [TextPair("a b c d", "w x y z")]
    assert copy_source(apart)["chrf"] == 0.0


def test_sentences_close_up_before_and_behind_signs() -> None:
    assert _sentence(["Choose", "(", "see", "there", ")", ",", "then", "go", "!"]) == "Choose (see there), then go!"
