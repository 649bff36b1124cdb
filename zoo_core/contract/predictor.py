"""What answers with a model: a model, what reads its inputs, and nothing of learning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from zoo_core.contract.data import Batch
from zoo_core.contract.preprocessor import Preprocessor
from zoo_core.errors import UsageError

Loss = Callable[..., tuple[Tensor, Tensor]]
"""`(*inputs) -> (loss_sum, weight)`, both 0-d; inputs as declared by the `LossSpec`."""


def no_loss(*inputs: Any) -> tuple[Tensor, Tensor]:
    """The loss of a task whose spec names none. Raises `UsageError`."""
    raise UsageError("this task has no loss of its own", hint="name a default in its TaskSpec, or one in the recipe")


class OpenedCheckpoint(Protocol):
    """Another registered checkpoint: verified, on the device of the model that asks, in evaluation mode and frozen."""

    @property
    def reference(self) -> str:
        """`name@sha256:...`."""

    @property
    def modality(self) -> str:
        """What its task reads, in the word of its plugin."""

    @property
    def model(self) -> nn.Module:
        """The model."""

    @property
    def preprocessor(self) -> Preprocessor | None:
        """What reads its inputs."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Its label names in order."""

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answers for raw inputs, with the options of its task."""


def no_checkpoints(name: str, task: str) -> OpenedCheckpoint:
    """What a context opens that knows no registry. Raises `UsageError`."""
    raise UsageError(f"checkpoint {name}: there is no registry here", hint="give the TaskContext its open")


@dataclass(kw_only=True)
class TaskContext:
    """What a predictor or a task is built from."""

    model: nn.Module
    """The model of the checkpoint; a GAN's has `generator` and `discriminator` as children."""
    preprocessor: Preprocessor | None
    """What reads the model's inputs."""
    labels: tuple[str, ...] = ()
    """Label names in the order of the head's numbers."""
    loss: Loss = no_loss
    """The loss that the recipe chose, or the task's default; one that raises where the spec names none."""
    fresh: Callable[[], nn.Module] | None = None
    """Builds the same architecture with weights of its own, drawn from torch's global generator: what an untrained
    model reaches can stand beside a figure."""
    open: Callable[[str, str], OpenedCheckpoint] = no_checkpoints
    """`(name, task)` opens another checkpoint; see `checkpoint`."""

    def checkpoint(self, name: str, *, task: str = "") -> OpenedCheckpoint:
        """Another registered checkpoint by its name, like a teacher or a network whose features a loss compares.

        It answers for its own task, or for the first that `task`, a name or a shell pattern, means and its model serves. What a
        run opens so is on its card, under `uses`, and a resumed run opens the same. It is no module of the task's and isn't saved.
        Raises `UnknownName`, and `UsageError` where it has no such task.
        """
        opened = self.open(name, task)
        opened.model.to(next(self.model.parameters()).device).eval().requires_grad_(False)
        return opened


class Predictor(ABC):
    """Answers raw inputs with a model. It knows nothing of learning; `Task` adds that.

    A subclass defines `answer`, and `read` where an input isn't what the model takes as it comes.
    """

    model_type: ClassVar[type] = nn.Module
    """The class of models that it is for."""
    preprocessor_type: ClassVar[type | None] = None
    """The class of preprocessors that read its inputs, or a protocol that they keep; None for any, or for none at all."""
    needs: ClassVar[str] = ""
    """What to do about a model or a preprocessor of another class."""
    remedy: ClassVar[str] = ""
    """What to train instead, where somebody asks to train what only answers."""
    together: int = 32
    """Inputs that a prediction computes at a time."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model or a preprocessor of another class than it is for."""
        for wanted, found in ((self.model_type, context.model), (self.preprocessor_type, context.preprocessor)):
            if wanted and not isinstance(found, wanted):
                kind = type(found).__name__ if found is not None else "none"
                lacking = [name for name in protocol_names(wanted) if found is not None and not hasattr(found, name)]
                kind += f" without {', '.join(lacking)}" if lacking else ""
                raise UsageError(f"{type(self).__name__}: expected {wanted.__name__}, found {kind}", hint=self.needs)
        self.config = config
        self.model = context.model
        self.preprocessor = context.preprocessor
        self.labels = context.labels

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def modules(self) -> dict[str, nn.Module]:
        """The modules by name."""
        return {"model": self.model}

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

    @abstractmethod
    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Answers for inputs that were read, as many as are computed together."""

    def outputs(self, modules: Mapping[str, nn.Module], batch: Batch) -> Any:
        """What is computed of a batch, as an exporter writes it: tensors, or dicts and lists of them, that depend on the batch
        alone. Modules that it takes from `modules` are part of the export."""
        raise UsageError(
            f"{type(self).__name__} has no outputs to export", hint="a task that can be exported defines outputs"
        )

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """A made-up batch of so many samples, as `outputs` takes it, on the model's device.

        A dimension whose size differs between two numbers of rows has any size in what is exported.
        """
        raise UsageError(
            f"{type(self).__name__} gives no example of a batch",
            hint="a task that can be exported defines example_batch",
        )

    def stream(self, item: Any, options: Any) -> Iterator[str]:
        """The answer for one raw input piece by piece; what can't stream yields it whole."""
        yield str(self.predict([item], options)[0])

    def prediction_artifacts(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        """Files that show the answers of one prediction together, like a grid of images."""
        return {}


def protocol_names(protocol: type) -> list[str]:
    """The public attributes and methods of a `typing.Protocol` with its bases, sorted; none of a class."""
    bases = [base for base in protocol.__mro__ if vars(base).get("_is_protocol")]
    named = {name for base in bases for name in (*vars(base), *vars(base).get("__annotations__", {}))}
    return sorted(name for name in named if not name.startswith("_"))


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
