"""Verdicts of the tables of the READMEs are those that figures bear out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

import evidence  # noqa: E402
import record_rows  # noqa: E402
from intervals import SHARES  # noqa: E402

from zoo_core.registry.catalogue import read_registry  # noqa: E402


def test_a_share_has_the_interval_of_its_samples() -> None:
    interval = evidence.share(0.7615, 5116)
    assert interval == pytest.approx(stats.binom.ppf((0.025, 0.975), 5116, 0.7615) / 5116, abs=0.001)
    words = evidence.beside_share(0.7615, 5116, {"majority": 0.442, "tf-idf": 0.768})
    assert words == "better than majority; no difference seen from tf-idf"
    assert evidence.beside_share(1.0, 8, {"majority": 0.5}) == "no interval", "all right says nothing of the spread"


def test_seeds_are_compared_by_students_and_welchs_t() -> None:
    ours, theirs = [0.6579, 0.6538, 0.6632], [0.637, 0.5923, 0.6351]
    mean, error = np.mean(ours), stats.sem(ours)
    assert evidence.over_seeds(ours) == pytest.approx(stats.t.interval(0.95, 2, mean, error))
    assert evidence.beside_seeds(ours, {"fresh": theirs}, "max") == "no difference seen from fresh"
    assert evidence.beside_seeds([0.9, 0.91, 0.92], {"fresh": theirs}, "max") == "better than fresh"
    assert evidence.beside_seeds([0.9, 0.91, 0.92], {"fresh": theirs}, "min") == "worse than fresh"
    assert evidence.beside_seeds(ours, {"majority": [0.44] * 3, "near": [0.66] * 3}, "max") == (
        "better than majority; no difference seen from near"
    )


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"fid": 0.7, "recall": 0.003}, "closer, less varied than DCGAN"),
        ({"fid": 0.7, "recall": 0.5}, "closer than DCGAN"),
        ({"fid": 1.2, "recall": 0.1}, "less varied than DCGAN, farther than DCGAN"),
    ],
)
def test_a_small_distance_with_little_recall_is_closer_and_less_varied(scores: dict[str, float], words: str) -> None:
    assert evidence.among(scores, {"DCGAN": {"fid": 1.0, "recall": 0.55}}) == words


def test_features_are_named_beside_a_distance() -> None:
    assert evidence.features("") == "pixels 8×8"
    assert evidence.features("resnet_nano.fashion@sha256:" + "ab" * 32) == "`resnet_nano.fashion@sha256:abababab`"


def test_every_verdict_says_what_it_rests_on() -> None:
    for path in sorted((ROOT / "benchmarks" / "claims").glob("*.json")):
        if path.stem == "toys":  # a table of its own
            continue
        measured, _, verdict = record_rows.ROWS[path.stem](json.loads(path.read_text()))
        bare = any(word in verdict for word in ("no interval", "equal", "same tokens", "the bar", "n = 16"))
        assert "[" in measured or bare, path.stem
        assert "better" not in verdict or "[" in measured or "n = 16" in verdict, path.stem
        assert "Fréchet" not in measured or "features of `" in measured, path.stem


def test_a_title_says_what_was_compared_and_leaves_the_finding_to_the_verdict() -> None:
    findings = re.compile(
        r"\b(helps|better|worse|above|below|is far|are right|told apart|equal logits|faster|slower)\b"
    )
    for path in sorted((ROOT / "benchmarks" / "claims").glob("*.json")):
        title = json.loads(path.read_text())["claim"]
        assert not findings.search(title), title


def test_cards_of_the_catalogue_state_the_intervals_of_shares_of_samples() -> None:
    shares = [
        metric for card in read_registry(ROOT / "registry.yaml") for metric in card.metrics if metric.name in SHARES
    ]
    assert shares
    for metric in shares:
        assert metric.interval and metric.interval[0] < metric.value < metric.interval[1] and metric.better == "max"
