"""Intervals are those of the bootstrap, verdicts rest on them, and both reach the card and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import evaluate, train
from zoo_core.cli.render import metric_rows
from zoo_core.errors import CardError
from zoo_core.registry.card import Card, card_to_data, parse_card
from zoo_core.registry.records import Metric
from zoo_core.registry.verdicts import verdict, verdicts
from zoo_core.tasks import bootstrap
from zoo_core.tasks.classify import class_intervals, class_scores
from zoo_core.tasks.confusion import Confusion

CONFUSION = np.array([[40, 9, 0, 1], [5, 21, 0, 4], [0, 0, 0, 0], [2, 0, 0, 11]])


def by_hand(confusion: np.ndarray, resamples: int) -> dict[str, tuple[float, float]]:
    """The percentile bootstrap, sample by sample."""
    classes = len(confusion)
    samples = np.repeat(np.arange(classes * classes), confusion.flatten())
    generator = np.random.default_rng(7)
    found = []
    for _ in range(resamples):
        drawn = np.bincount(generator.choice(samples, len(samples)), minlength=classes * classes)
        found.append(class_scores(Confusion.of_matrix(drawn.reshape(classes, classes))))
    ends = {name: np.quantile([one[name] for one in found], (0.025, 0.975)) for name in found[0]}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def test_intervals_of_a_classifier_are_those_of_resampled_samples() -> None:
    confusion = Confusion.of_matrix(CONFUSION)
    found, expected = class_intervals(confusion), by_hand(CONFUSION, 4000)
    assert found.keys() == expected.keys() == {"accuracy", "macro_f1"}
    for name, ends in expected.items():
        assert found[name] == pytest.approx(ends, abs=0.012)
        assert found[name][0] < class_scores(confusion)[name] < found[name][1]
    assert class_intervals(confusion) == found, "the draws have a fixed seed"


def test_a_thousand_classes_take_seconds_and_little_memory() -> None:
    generator = np.random.default_rng(0)
    true = generator.integers(0, 1000, 5000)
    predicted = np.where(generator.random(5000) < 0.7, true, generator.integers(0, 1000, 5000))
    intervals = class_intervals(Confusion.of_pairs(true * 1000 + predicted, 1000))
    assert intervals.keys() == {"accuracy"}, "resamples of five samples a class have a lower macro-F1 than the samples"
    low, high = intervals["accuracy"]
    assert low == pytest.approx(0.7 - 1.96 * np.sqrt(0.21 / 5000), abs=0.01)
    assert high == pytest.approx(0.7 + 1.96 * np.sqrt(0.21 / 5000), abs=0.01)


def test_intervals_of_means_and_ratios_are_scipys() -> None:
    from scipy import stats

    generator = np.random.default_rng(3)
    words = generator.integers(1, 12, 120)
    edits = generator.binomial(words, 0.3)
    theirs = stats.bootstrap(
        (edits, words),
        lambda above, below, axis: above.sum(axis) / below.sum(axis),
        paired=True, vectorized=True, method="percentile", n_resamples=4000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert bootstrap.interval_of_ratio(edits, words) == pytest.approx((theirs.low, theirs.high), abs=0.006)
    values = generator.normal(30, 8, 80)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert bootstrap.interval_of_mean(values.tolist()) == pytest.approx((theirs.low, theirs.high), abs=0.3)
    exact = stats.binom.ppf((0.025, 0.975), 5116, 0.7615) / 5116
    assert bootstrap.interval_of_share(round(0.7615 * 5116), 5116) == pytest.approx(exact, abs=0.001)


def test_samples_that_are_all_alike_give_no_interval() -> None:
    assert bootstrap.interval_of_share(50, 50) is None and bootstrap.interval_of_share(0, 50) is None
    assert bootstrap.interval_of_share(1, 1) is None and bootstrap.interval_of_mean([3.0]) is None
    assert bootstrap.interval_of_ratio([1, 0], [0, 0]) is None, "nothing to divide by"
    assert class_intervals(Confusion.of_matrix(np.diag([4, 3]))) == {} == class_intervals(Confusion.of_pairs([], 2))


def test_resamples_come_in_blocks_that_are_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap.interval_of_share(30, 90)
    monkeypatch.setattr(bootstrap, "_BLOCK", 64)
    assert [len(block) for block in bootstrap.resamples(np.array([30, 60]))] == [32] * 31 + [8]
    assert bootstrap.interval_of_share(30, 90) == whole


@pytest.mark.parametrize(
    ("better", "baseline", "word"),
    [
        ("max", 0.70, "better"), ("max", 0.80, "worse"), ("min", 0.70, "worse"), ("min", 0.80, "better"),
        ("max", 0.77, "no difference seen"), ("min", 0.77, "no difference seen"),
        ("max", 0.7498, "no difference seen"), ("max", 0.7731, "no difference seen"),
        ("max", 0.7497, "better"), ("max", 0.7732, "worse"), ("", 0.1, ""), ("max", float("nan"), ""),
        ("max", float("inf"), "worse"), ("min", float("inf"), "better"),
    ],
)  # fmt: skip
def test_a_verdict_is_no_difference_where_the_interval_reaches_the_baseline(
    better: str, baseline: float, word: str
) -> None:
    assert verdict((0.7498, 0.7731), better, baseline) == word  # type: ignore[arg-type]


def test_verdicts_beside_several_baselines_are_one_phrase() -> None:
    baselines = {"majority": 0.44, "tf-idf": 0.768, "the same": 0.76, "a giant": 0.95}
    words = "better than majority; no difference seen from tf-idf, the same; worse than a giant"
    assert verdicts((0.7498, 0.7731), "max", baselines) == words
    assert verdicts(None, "max", baselines) == "" and verdicts((0.7, 0.8), "", baselines) == ""


ACCURACY = Metric(
    name="accuracy", value=0.761532, data="d", split="test", baselines={"majority": 0.44, "tf-idf": 0.768},
    interval=(0.749804, 0.773065), better="max",
)  # fmt: skip
LOSS = Metric(name="loss", value=0.5, data="d", split="test", better="min")


def test_a_table_shows_intervals_and_verdicts_where_there_are_some() -> None:
    headings, rows = metric_rows([ACCURACY, LOSS])
    assert headings == ["metric", "value", "baseline: majority", "baseline: tf-idf", "verdict"]
    assert rows == [
        [
            "accuracy",
            "0.7615 [0.7498, 0.7731]",
            "0.44",
            "0.768",
            "better than majority; no difference seen from tf-idf",
        ],
        ["loss", "0.5", "-", "-", "-"],
    ]
    assert metric_rows([LOSS]) == (["metric", "value"], [["loss", "0.5"]])


def test_a_card_keeps_intervals_and_one_without_them_is_read() -> None:
    card = Card(name="a", plugin="zoo-toys", model="zoo-toys/toy", files=(), metrics=(ACCURACY, LOSS))
    data = json.loads(json.dumps(card_to_data(card)))
    assert data["metrics"][0]["interval"] == [0.749804, 0.773065] and "interval" not in data["metrics"][1]
    assert parse_card(data, "card") == card
    for metric in data["metrics"]:
        metric.pop("interval", None), metric.pop("better")
    old = parse_card(data, "card")
    assert old.metrics[0].interval is None and old.metrics[0].better == "" and old.same_checkpoint(card)
    data["metrics"][0]["interval"] = [0.8, 0.7]
    with pytest.raises(CardError, match=r"interval.*lower end first"):
        parse_card(data, "card")


def test_a_run_and_an_evaluation_state_the_interval_of_their_metrics(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path / "home")
    result = train(recipe("single", steps=1), folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None
    stated = {metric.name: metric for metric in result.card.metrics}
    accuracy, loss = stated["accuracy"], stated["loss"]
    assert accuracy.better == "max" and accuracy.interval is not None and loss.interval is None
    right = bootstrap.interval_of_share(round(accuracy.value * accuracy.samples), accuracy.samples)
    assert accuracy.interval == pytest.approx(right, abs=1e-6)
    metrics, *_ = evaluate("toy_tiny.single", "points", split="test", zoo=zoo)
    assert {metric.name: metric.interval for metric in metrics} == {"loss": None, "accuracy": accuracy.interval}
