"""The contract of a task: what the one loop asks of masked language models, classifiers, CTC and GANs alike.

Data gives raw samples. A task says how they are encoded, what one step computes, how it is evaluated and how the trained
model answers a user. The loop knows phases and sums, and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from zoo_core.contract.data import Batch, Dataset
from zoo_core.contract.preprocessor import Preprocessor
from zoo_core.errors import UsageError

Baseline = Callable[[], Mapping[str, float]] | Mapping[str, float]
"""What a trivial method reaches: its metrics by name, or a function that computes them."""

Loss = Callable[..., tuple[Tensor, Tensor]]
"""`(*inputs) -> (loss_sum, weight)`, both 0-d; inputs as declared by the `LossSpec`."""


def no_loss(*inputs: Any) -> tuple[Tensor, Tensor]:
    """The loss of a task whose spec names none. Raises `UsageError`."""
    raise UsageError("this task has no loss of its own", hint="name a default in its TaskSpec, or one in the recipe")


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


@dataclass(kw_only=True)
class TaskContext:
    """What a task is built from."""

    model: nn.Module
    """The model of the checkpoint; a GAN's has `generator` and `discriminator` as children."""
    preprocessor: Preprocessor | None
    labels: tuple[str, ...] = ()
    loss: Loss = no_loss
    """The loss that the recipe chose, or the task's default; one that raises where the spec names none."""
    fresh: Callable[[], nn.Module] | None = None
    """Builds the same architecture with weights of its own, drawn from torch's global generator: what an untrained
    model reaches can stand beside a figure."""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Task(ABC):
    """Everything that is particular to one way of learning."""

    phases: tuple[Phase, ...] = (Phase(name="train"),)
    monitor: tuple[str, Literal["min", "max"]] = ("loss", "min")
    """The evaluation metric that chooses the best checkpoint, and whether `min` or `max` is better."""
    least_samples: int = 1
    """Fewest samples that metrics can be made of; fewer are refused before the first step."""
    directions: Mapping[str, Literal["min", "max"]] = {}
    """Whether `min` or `max` is better of the other metrics; one that is missing here gets no verdict beside a baseline."""
    model_type: ClassVar[type] = nn.Module
    """The class of models that it is for."""
    preprocessor_type: ClassVar[type | None] = None
    """The class of preprocessors that read its inputs; None for any, or for none at all."""
    needs: ClassVar[str] = ""
    """What to do about a model or a preprocessor of another class."""
    together: int = 32
    """Inputs that a prediction computes at a time."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model or a preprocessor of another class than it is for."""
        for wanted, found in ((self.model_type, context.model), (self.preprocessor_type, context.preprocessor)):
            if wanted and not isinstance(found, wanted):
                kind = type(found).__name__ if found is not None else "none"
                raise UsageError(f"{type(self).__name__}: expected {wanted.__name__}, found {kind}", hint=self.needs)
        self.config = config
        self.model = context.model
        self.preprocessor = context.preprocessor
        self.labels = context.labels
        self.loss = context.loss

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def modules(self) -> dict[str, nn.Module]:
        """The modules by name, as phases speak of them; each is wrapped once for the hardware."""
        return {"model": self.model}

    @abstractmethod
    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """Encode raw samples. Raises `DataError` for labels outside the set and the like, naming the sample."""

    @abstractmethod
    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """Forward pass and loss of one micro-batch. Random draws use torch's global generators, keyed by the loop."""

    @abstractmethod
    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> EvaluationResult:
        """What one evaluation batch leaves."""

    @abstractmethod
    def summarize(self, result: Any) -> dict[str, float]:
        """Metrics of the whole split from what `evaluate` gave, gathered; must contain the one named by `monitor`."""

    def predict(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Answers for raw inputs, in order: JSON-able but for `File`s; `options` is the spec's `predict` dataclass.

        Raises `DataError` naming an input that can't be answered.
        """
        return self.answered(inputs, options, lambda some: self.answer(some, options))

    def answered(
        self, inputs: Sequence[Any], options: Any, answer: Callable[[list[Any]], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """Each raw input read, and `together` of them answered in evaluation mode and without gradients."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), self.together):
            numbered = enumerate(inputs[start : start + self.together], start)
            prepared = [self.read(item, number, options) for number, item in numbered]
            with inference_mode(self.model):
                answers += answer(prepared)
        return answers

    def read(self, item: Any, number: int, options: Any) -> Any:
        """The raw input at place `number`, from 0, as `answer` takes it. Raises `DataError` naming it as input 1, 2, ..."""
        return item

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Answers for inputs that were read, as many as are computed together. Raises `UsageError` for a task without any."""
        raise UsageError(f"{type(self).__name__} answers nothing")

    def stream(self, item: Any, options: Any) -> Iterator[str]:
        """The answer for one raw input piece by piece; a task that can't stream yields it whole."""
        yield str(self.predict([item], options)[0])

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

    def prediction_artifacts(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        """Files that show the answers of one prediction together, like a grid of images."""
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


class Predictor(Task):
    """A task of which answers are all there is; training or evaluating it is a `UsageError`."""

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

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> EvaluationResult:
        """Raises `UsageError`."""
        raise self._untrainable()

    def summarize(self, result: Any) -> dict[str, float]:
        """Raises `UsageError`."""
        raise self._untrainable()

    def _untrainable(self) -> UsageError:
        return UsageError(f"{self.name} has nothing to train or to evaluate", hint=self.remedy)


class Evaluated(NamedTuple):
    """The outcome of an evaluation."""

    metrics: dict[str, float]
    result: Any
    """What `Task.evaluate` gave, over all batches and ranks; plots are made from it. None but on the main rank."""
    samples: int


@contextmanager
def inference_mode(*modules: nn.Module) -> Iterator[None]:
    """The modules in evaluation mode and without gradients, and each part back in its own mode afterwards."""
    trained = [part for module in modules for part in module.modules() if part.training]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in trained:
            part.training = True


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
