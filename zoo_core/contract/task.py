"""The contract of a task: what the one loop asks of masked language models, classifiers, CTC and GANs alike.

Data gives raw samples. A task says how they are encoded, what one step computes, how it is evaluated and how the trained
model answers a user. The loop knows phases and sums, and nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from zoo_core.contract.data import Batch, Dataset
from zoo_core.contract.predictor import Predictor, TaskContext
from zoo_core.errors import UsageError

Baseline = Callable[[], Mapping[str, float]] | Mapping[str, float]
"""What a trivial method reaches: its metrics by name, or a function that computes them."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One optimizer update. A classifier is one phase; a GAN with a lazy regulariser is a list of three."""

    name: str
    """The phase as `Task.step` gets it."""
    trains: tuple[str, ...] = ("model",)
    """Names of the modules it changes; the others are frozen meanwhile."""
    optimizer: str = "main"
    """Phases with the same word share one optimizer and its state."""
    every: int = 1
    """Runs on steps divisible by it; lazy regularisation is a number here."""
    double_backward: bool = False
    """Whether the step differentiates a gradient; such a phase gets the modules uncompiled."""
    batch_wide: bool = False
    """Whether the loss is over the whole batch, all micro-batches and ranks, as a contrastive one's: `Task.embed` is then
    called for each micro-batch and `Task.step` once an update, with the rows of all of them."""

    def __post_init__(self) -> None:
        """Raises ValueError for what excludes itself."""
        if self.batch_wide and self.double_backward:
            raise ValueError(f"phase {self.name}: batch_wide and double_backward can't go together")


class At(NamedTuple):
    """Where a run stands."""

    step: int = 0
    """Updates of the run before this one: 0 in the first."""
    steps: int = 1
    """Updates that are planned."""
    epoch: int = 0
    """Epoch of the batch, from 0."""
    micro: int = 0
    """Number of this rank's micro-batch within the update, or of the batch within an evaluation, from 0."""
    finite: Tensor | None = None
    """In `after_update` alone: 0-d bool on the device, False where a loss or gradient was not finite and nothing changed."""


class StepOutput(NamedTuple):
    """What a step hands to the loop: sums, never means, so that accumulation and ranks can't change the result."""

    loss_sum: Tensor
    """0-d, summed over the units of `weight`."""
    weight: Tensor | float
    """How many tokens, frames or images the sum runs over."""
    metrics: Mapping[str, Tensor] = {}
    """0-d sums over the same units, for the log; no `.item()` on the way."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What one batch leaves of an evaluation and, gathered, what the whole one leaves: each task has a class of its own.

    A field is a tensor, which is summed over batches and ranks, or a list, which is joined in the order of the batches.
    """


class Task(Predictor):
    """Everything that is particular to one way of learning, and the answers of what was learned."""

    phases: tuple[Phase, ...] = (Phase(name="train"),)
    monitor: tuple[str, Literal["min", "max"]] = ("loss", "min")
    """The evaluation metric that chooses the best checkpoint, and whether `min` or `max` is better."""
    least_samples: int = 1
    """Fewest samples that metrics can be made of; fewer are refused before the first step."""
    directions: Mapping[str, Literal["min", "max"]] = {}
    """Whether `min` or `max` is better of the other metrics; one that is missing here gets no verdict beside a baseline."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` as `Predictor` does."""
        super().__init__(config, context)
        self.loss = context.loss

    def modules(self) -> dict[str, nn.Module]:
        """The modules by name, as phases speak of them; each is wrapped once for the hardware.

        One outside the model, like a teacher, is saved, moved and resumed with it. One that no phase trains stays in
        evaluation mode.
        """
        return {"model": self.model}

    def state(self) -> dict[str, Any]:
        """What training changes besides modules, by the attribute's name, like a queue: tensors, arrays, numbers, words, and
        lists, tuples and dicts of them. It is the same on every rank. Training checkpoints hold it."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave, tensors on the model's device: by default each as the attribute of its name."""
        for name, value in state.items():
            setattr(self, name, value)

    @abstractmethod
    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """Encode raw samples. Raises `DataError` for labels outside the set and the like, naming the sample."""

    @abstractmethod
    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """Forward pass and loss of one micro-batch. Random draws use torch's global generators, keyed by the loop."""

    def embed(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> Mapping[str, Tensor]:
        """In a `batch_wide` phase: one micro-batch as rows (B, ...) by name, one for each sample.

        `step` gets the rows of the whole batch in its order. Those of floating point carry the gradient back; others, like
        labels, ride along.
        """
        raise NotImplementedError(f"{type(self).__name__} has a batch_wide phase and defines no embed")

    @abstractmethod
    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> EvaluationResult:
        """What one evaluation batch leaves; `at.micro` is the number of the batch."""

    @abstractmethod
    def summarize(self, result: Any) -> dict[str, float]:
        """Metrics of the whole split from what `evaluate` gave, gathered; must contain the one named by `monitor`."""

    def before_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        """Called once an update, on every rank, when gradients are summed over micro-batches and ranks, and before they are
        divided by the weight and clipped."""

    def after_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        """Called once an update, on every rank, without gradients, when the weights have changed; `at.finite` says whether
        they have. Random draws are keyed by the step and the same on every rank."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Answers for inputs that were read, as many as are computed together. Raises `UsageError` for a task without any."""
        raise UsageError(f"{type(self).__name__} answers nothing")

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """Trivial methods (majority class, unigram, copying) by name, from raw samples of both splits.

        Each is a function without arguments that gives its metrics, so that one that can't be computed spoils no other.
        """
        return {}

    def input_artifacts(self, dataset: Dataset) -> dict[str, bytes]:
        """Files that show what the model is given, kept when a run starts; `dataset` is the training split's."""
        return {}

    def artifacts(self, modules: Mapping[str, nn.Module], result: Any) -> dict[str, bytes]:
        """Files to keep beside an evaluation: samples, a confusion matrix, a plot."""
        return {}

    def run_artifacts(self, kept: Mapping[str, Sequence[bytes]]) -> dict[str, bytes]:
        """Files made of what all evaluations of a run left, oldest first, when it ends: an animation of training."""
        return {}

    def metric_checkpoints(self) -> dict[str, str]:
        """What metrics are measured with, by metric: a checkpoint, `name@sha256:...`, or features; on the card beside each."""
        return {}

    def intervals(self, result: Any) -> Mapping[str, tuple[float, float]]:
        """95 % bootstrap intervals over samples of those metrics that have one, from what `evaluate` gave.

        Asked once for figures that go on a card, not in training; see `zoo_core.tasks.bootstrap`.
        """
        return {}

    def better(self, metric: str) -> Literal["", "min", "max"]:
        """Whether less or more of a metric is better; empty where the task doesn't tell."""
        return {**self.directions, self.monitor[0]: self.monitor[1]}.get(metric, "")


def output_of(task: Task, phase: Phase, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
    """A step on one micro-batch as if it were the whole batch."""
    rows = task.embed(phase.name, modules, batch, at) if phase.batch_wide else batch
    return task.step(phase.name, modules, rows, at)


def modules_outside(task: Task) -> dict[str, nn.Module]:
    """The modules that a task keeps outside its model, like a teacher."""
    inside = {id(part) for part in task.model.modules()}
    return {name: module for name, module in task.modules().items() if id(module) not in inside}


def as_task(component: str, predictor: Predictor) -> Task:
    """What was built, to be trained or evaluated. Raises `UsageError` for what only answers."""
    if isinstance(predictor, Task):
        return predictor
    hint = predictor.remedy or "derive it from zoo_core.Task to train it"
    raise UsageError(f"{component} has nothing to train or to evaluate", hint=hint)


class Evaluated(NamedTuple):
    """The outcome of an evaluation."""

    metrics: dict[str, float]
    result: Any
    """What `Task.evaluate` gave, over all batches and ranks; plots are made from it. None but on the main rank."""
    samples: int


def move(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: move(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        moved = [move(value, device) for value in batch]
        return type(batch)(moved) if not hasattr(batch, "_fields") else type(batch)(*moved)
    return batch
