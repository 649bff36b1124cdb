"""Tasks that answer and learn nothing, like embeddings from an encoder that another task trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from zoo_core.errors import UsageError
from zoo_core.training.task import Batch, Dataset, StepOutput, Task


class AnsweringTask(Task):
    """A task of which `predict` is all there is; training or evaluating it is a `UsageError`."""

    name: ClassVar[str]
    """The task's name, for the message."""
    remedy: ClassVar[str]
    """What to train instead."""

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """Raises `UsageError`."""
        raise self._untrainable()

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """Raises `UsageError`."""
        raise self._untrainable()

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Raises `UsageError`."""
        raise self._untrainable()

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Raises `UsageError`."""
        raise self._untrainable()

    def _untrainable(self) -> UsageError:
        return UsageError(f"{self.name} has nothing to train or to evaluate", hint=self.remedy)
