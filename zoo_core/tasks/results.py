"""Results of evaluations that many tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo_core.contract.task import EvaluationResult


@dataclass(frozen=True, kw_only=True)
class LossResult(EvaluationResult):
    """A loss, summed over what `weight` counts."""

    loss: Tensor
    """0-d."""
    weight: Tensor
    """0-d: units that the sum runs over."""

    @property
    def mean_loss(self) -> float:
        """The loss of one unit."""
        return float(self.loss) / float(self.weight)


@dataclass(frozen=True, kw_only=True)
class ValueResult(LossResult):
    """A regression's loss, and the numbers of each sample."""

    found: list[Any]
    """A row of numbers for each sample."""
    true: list[Any]
    """The same of what they should be."""


@dataclass(frozen=True, kw_only=True)
class ClassResult(LossResult):
    """A classifier's loss, and what it took for what."""

    confusion: list[Any]
    """A number for each sample's pair of true and predicted class; see `confusion_pairs`."""
