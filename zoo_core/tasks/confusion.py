"""Counts of the pairs of true and predicted class that occur, however many classes there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """A confusion matrix (C, C) by its K cells that aren't zero, in the order of their rows and columns."""

    classes: int
    """C, the number of classes."""
    true: NDArray[np.int64]
    """Rows (K,): numbers of the true classes."""
    predicted: NDArray[np.int64]
    """Columns (K,): numbers of the predicted classes."""
    counts: NDArray[np.int64]
    """Samples (K,) in each cell, at least 1."""

    @classmethod
    def of_pairs(cls, pairs: ArrayLike, classes: int) -> Confusion:
        """Counts of numbers of pairs (N,), as `confusion_pairs` makes them."""
        found, counts = np.unique(np.asarray(pairs, dtype=np.int64), return_counts=True)
        return cls(classes=classes, true=found // classes, predicted=found % classes, counts=counts)

    @classmethod
    def of_matrix(cls, matrix: ArrayLike) -> Confusion:
        """The cells of a whole matrix (C, C)."""
        whole = np.asarray(matrix, dtype=np.int64)
        true, predicted = np.nonzero(whole)
        return cls(classes=len(whole), true=true, predicted=predicted, counts=whole[true, predicted])

    @property
    def total(self) -> int:
        """Number of samples."""
        return int(self.counts.sum())

    @property
    def right(self) -> NDArray[np.int64]:
        """Samples (C,) of each class that were predicted as theirs."""
        hits = self.true == self.predicted
        return self._added_up(self.true[hits], self.counts[hits])

    @property
    def rows(self) -> NDArray[np.int64]:
        """Samples (C,) of each true class."""
        return self._added_up(self.true, self.counts)

    @property
    def columns(self) -> NDArray[np.int64]:
        """Samples (C,) of each predicted class."""
        return self._added_up(self.predicted, self.counts)

    def part(self, shown: Sequence[int]) -> NDArray[np.int64]:
        """The matrix (S, S) of these S classes, in their order."""
        places = np.full(self.classes, -1)  # (C,): row in the part, -1 outside
        places[list(shown)] = np.arange(len(shown))
        rows, columns = places[self.true], places[self.predicted]
        within = (rows >= 0) & (columns >= 0)
        matrix = np.zeros((len(shown), len(shown)), dtype=np.int64)
        matrix[rows[within], columns[within]] = self.counts[within]
        return matrix

    def most_confused(self, most: int) -> list[int]:
        """The classes with the most mistakes, as the true or as the predicted one, in the order of their numbers; at most
        so many, and all where there are no more."""
        if self.classes <= most:
            return list(range(self.classes))
        wrong = self.rows + self.columns - 2 * self.right  # (C,): FN + FP
        chosen: list[int] = sorted(np.argsort(-wrong, kind="stable")[:most].tolist())
        return chosen

    def _added_up(self, numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        sums = np.zeros(self.classes, dtype=np.int64)
        np.add.at(sums, numbers, counts)  # `sums[numbers] +=` would count a repeated number once
        return sums


def confusion_pairs(labels: Tensor, predicted: Tensor, classes: int) -> list[Any]:
    """A number for each sample's pair of true and predicted class, of label numbers (N,); what `evaluate` leaves of a batch."""
    pairs: list[Any] = (labels * classes + predicted).tolist()
    return pairs
