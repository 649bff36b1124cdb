"""The base of models of the next item: loss and perplexity over what follows, and answers written piece by piece."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.contract.data import Batch
from zoo_core.contract.predictor import inference_mode
from zoo_core.contract.task import At, StepOutput
from zoo_core.tasks.encoded import EncodingTask
from zoo_core.tasks.results import LossResult

Pieces = Iterator[Sequence[str]]
"""What is written, piece by piece: each time a piece, maybe an empty one, for every row that is written together."""

_IGNORED = -100


class GenerationTask(EncodingTask):
    """Learns what comes next, and goes on from an input.

    A subclass defines `next_items` and `generate`, and `encode` or `dataset`. The options of a prediction may have
    `num_return`, how many continuations are written of one input.
    """

    @abstractmethod
    def next_items(self, modules: Mapping[str, nn.Module], batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores (B, T, V) of the item at each place, and the items that are there (B, T); -100 is one that isn't learned."""

    @abstractmethod
    def generate(self, start: Any, options: Any, model: nn.Module) -> Pieces:
        """What follows an input that was read; in evaluation mode and without gradients, and the same for the same options."""

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """Cross-entropy of every next item."""
        return StepOutput(*self._loss(modules, batch))

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> LossResult:
        """Sum of the losses and number of predicted items."""
        loss, weight = self._loss(modules, batch)
        return LossResult(loss=loss, weight=weight)

    def summarize(self, result: LossResult) -> dict[str, float]:
        """Mean loss in nats an item, and its perplexity."""
        return loss_and_perplexity(result.mean_loss)

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """What comes after each input: `text`, and `alternatives` where more than one was asked for."""
        rows = getattr(options, "num_return", 1)
        answers = [written(self.generate(start, options, self.model), rows) for start in inputs]
        return [
            {"text": texts[0], "alternatives": texts[1:]} if len(texts) > 1 else {"text": texts[0]} for texts in answers
        ]

    def stream(self, item: Any, options: Any) -> Iterator[str]:
        """What comes after the input, piece by piece: the same text as `predict` gives."""
        start = self.read(item, 0, options)
        one = replace(options, num_return=1) if hasattr(options, "num_return") else options
        yield from streamed(self.model, lambda: self.generate(start, one, self.model))

    def _loss(self, modules: Mapping[str, nn.Module], batch: Batch) -> tuple[Tensor, Tensor]:
        scores, items = self.next_items(modules, batch)
        flat = items.flatten()  # (B T,)
        loss = F.cross_entropy(scores.float().flatten(0, 1), flat, ignore_index=_IGNORED, reduction="sum")
        return loss, (flat != _IGNORED).sum()


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf  # doubles end near e^709


def loss_and_perplexity(loss: float) -> dict[str, float]:
    """`loss`, a mean in nats, and `perplexity`."""
    return {"loss": loss, "perplexity": perplexity(loss)}


def written(pieces: Iterable[Sequence[str]], rows: int) -> list[str]:
    """The texts of so many rows, of their pieces."""
    texts = [""] * rows
    for step in pieces:
        texts = [text + piece for text, piece in zip(texts, step, strict=True)]
    return texts


def streamed(model: nn.Module, begin: Callable[[], Pieces]) -> Iterator[str]:
    """The first row's pieces as they come. The caller's code runs between them and meets the model as it left it."""
    with inference_mode(model):
        pieces = begin()
    while True:
        with inference_mode(model):
            piece = next(pieces, None)
        if piece is None:
            return
        if piece[0]:
            yield piece[0]
