"""Evaluations count what occurs: their memory follows the samples, not the square of the classes."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from zoo_core.tasks.classify import majority
from zoo_core.tasks.confusion import Confusion

MATRIX = np.array([[4, 0, 2, 0], [0, 0, 0, 0], [1, 0, 3, 0], [0, 5, 0, 0]])

EVALUATION = """
import sys

import torch
from zoo_core.testing import peak_memory
from zoo_vision.images import plots
from zoo_core.tasks.classify import class_intervals, class_scores
from zoo_core.tasks.confusion import Confusion, confusion_pairs

classes = int(sys.argv[1])
labels = torch.arange(classes)
before = peak_memory()
gathered = []
for first in range(0, min(classes, 20_000), 50):
    batch = labels[first : first + 50]
    gathered += confusion_pairs(batch, torch.where(batch % 4 == 0, (batch + 7) % classes, batch), classes)
confusion = Confusion.of_pairs(gathered, classes)
print(class_scores(confusion)["accuracy"], class_intervals(confusion).keys())
sheet = plots.confusion(confusion, [str(number) for number in range(classes)])
print(len(confusion.part(confusion.most_confused(500))), sheet[:4])
print(peak_memory() - before >> 10)
"""


def test_cells_that_occur_say_what_the_whole_matrix_says() -> None:
    confusion = Confusion.of_matrix(MATRIX)
    pairs = np.repeat(np.arange(16), MATRIX.flatten())
    assert np.array_equal(Confusion.of_pairs(pairs, 4).part(range(4)), MATRIX)
    assert confusion.total == MATRIX.sum() and np.array_equal(confusion.right, np.diag(MATRIX))
    assert np.array_equal(confusion.rows, MATRIX.sum(1)) and np.array_equal(confusion.columns, MATRIX.sum(0))
    assert np.array_equal(confusion.part([2, 0]), MATRIX[np.ix_([2, 0], [2, 0])])
    assert confusion.most_confused(2) == [1, 3] and confusion.most_confused(4) == [0, 1, 2, 3]


@pytest.mark.parametrize("classes", [1_000, 100_000])
def test_an_evaluation_of_many_classes_stays_within_memory(classes: int) -> None:
    command = [sys.executable, "-c", EVALUATION, str(classes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    scores, shown, mebibytes = done.stdout.splitlines()
    assert scores.startswith("0.75 ") and "accuracy" in scores
    assert shown == r"500 b'\x89PNG'" and int(mebibytes) < 256


def test_majority_by_hand() -> None:
    def labelled(*labels: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(label=label) for label in labels]

    scores = majority(labelled("b", "b", "a"), labelled("b", "a", "b", "c"), ["a", "b", "c"])
    # b is right twice of four; its F1 is 2·2 / (2 + 4) = 2/3, that of a and c is 0.
    assert scores == {"accuracy": 0.5, "macro_f1": pytest.approx(2 / 9)}
    assert majority(labelled("b", "a"), labelled("a"), ["a", "b"])["accuracy"] == 1.0
