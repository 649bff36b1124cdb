"""Which evaluation was the best so far, and how many in a row have not been better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass
class EarlyStopping:
    """The best value of the metric that a task watches."""

    direction: Literal["min", "max"]
    """Whether `min` or `max` is better."""
    patience: int | None = None
    """Evaluations without improvement after which a run stops; None for never."""
    step: int | None = None
    """The step it was found at; None before the first evaluation."""
    value: float | None = None
    evals_since_best: int = 0
    """Evaluations since then."""

    def improved(self, step: int, value: float) -> bool:
        """Take an evaluation in; whether it is the best so far. NaN never counts as an improvement."""
        if self.value is None or self._beats(value, self.value):
            self.step, self.value, self.evals_since_best = step, value, 0
            return True
        self.evals_since_best += 1
        return False

    @property
    def lost_patience(self) -> bool:
        """Whether nothing has got better for too long."""
        return self.patience is not None and self.evals_since_best >= self.patience

    def _beats(self, value: float, other: float) -> bool:
        if math.isnan(value) or math.isnan(other):
            return not math.isnan(value)
        return value < other if self.direction == "min" else value > other
