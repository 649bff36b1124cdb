"""What an author writes for the ordinary cases, through public names alone: a classifier and a regression of a new modality,
and what happens after an update."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core import TaskContext
from zoo_core.contract import At, SampleKey
from zoo_core.tasks import ClassificationTask, RegressionTask


class PointKinds(ClassificationTask):
    """A classifier: raw sample to tensors, and tensors to logits."""

    def encode(self, sample: Any, key: SampleKey | None) -> dict[str, Any]:
        """A point, with noise while training."""
        noise = torch.from_numpy(key.generator().normal(0, 0.05, 2)).float() if key else 0.0
        return {"points": torch.tensor(getattr(sample, "place", sample)) + noise}

    def logits(self, modules: Mapping[str, nn.Module], batch: Any) -> Tensor:
        """(B, C)."""
        return modules["model"](batch["points"])  # type: ignore[no-any-return]


class PointRadius(RegressionTask):
    """A regression: how far a point is from the middle, and how far to the right."""

    def encode(self, sample: Any, key: SampleKey | None) -> dict[str, Any]:
        """A point, and its numbers."""
        place = torch.tensor(getattr(sample, "place", sample))
        return {"points": place, "values": (float(place.norm()), float(place[0]))}

    def logits(self, modules: Mapping[str, nn.Module], batch: Any) -> Tensor:
        """(B, C)."""
        return modules["model"](batch["points"])  # type: ignore[no-any-return]

    def baselines(self, train: Any, test: Any) -> Mapping[str, Any]:
        """None: the raw samples don't hold the numbers."""
        return {}


class PointTeacher(PointKinds):
    """A mean teacher: declared, so that it is saved, moved and resumed."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)

    def modules(self) -> dict[str, nn.Module]:
        """Both."""
        return {"model": self.model, "teacher": self.teacher}

    def after_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        """The mean of all students so far."""
        for slow, fast in zip(modules["teacher"].parameters(), modules["model"].parameters(), strict=True):
            slow.lerp_(fast, 1 / (at.step + 1))
