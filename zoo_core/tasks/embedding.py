"""What answers with a vector for each input, and what learns to: pairs that are to be found among all of a batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.contract.data import Batch
from zoo_core.contract.predictor import Predictor
from zoo_core.contract.task import At, Phase, StepOutput, move
from zoo_core.tasks.encoded import EncodingTask, collated
from zoo_core.tasks.results import LossResult


class EmbeddingPredictor(Predictor):
    """Embeds inputs."""

    @abstractmethod
    def vectors(self, inputs: Sequence[Any]) -> Tensor:
        """(B, D) of inputs that were read, in single precision."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """One vector for each input, of length 1 where `normalize` asks for it."""
        return embeddings(self.vectors(inputs), options)


@dataclass(frozen=True, kw_only=True)
class PairResult(LossResult):
    """The loss of pairs, and how many of `weight` found their partner."""

    found: Tensor
    """0-d."""


class EmbeddingTask(EncodingTask):
    """Learns vectors by which the two sides of a sample, like two views of one thing, find each other among all
    samples of the batch.

    A subclass defines `encode`, or `dataset` and `batch_of`, and `vectors`. The loss is given both sides, (B, D), of the whole
    batch.
    """

    phases = (Phase(name="train", batch_wide=True),)

    @abstractmethod
    def vectors(self, modules: Mapping[str, nn.Module], batch: Batch) -> tuple[Tensor, Tensor]:
        """Both sides of a batch, each (B, D), partners at the same place; the first is the answer to an input."""

    def batch_of(self, inputs: Sequence[Any]) -> Batch:
        """Inputs that were read, as one batch on the model's device."""
        return move(collated([self.encode(item, None) for item in inputs]), self.device)

    def embed(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> dict[str, Tensor]:
        """Rows `first` and `second`."""
        return dict(zip(("first", "second"), self.vectors(modules, batch), strict=True))

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The chosen loss of pairs among all of the batch, and the share that finds its partner first."""
        first, second = batch["first"], batch["second"]
        loss, weight = self.loss(first, second)
        found = _partners_found(torch.cat((first, second)).detach())
        return StepOutput(loss, weight, {"accuracy": found * (weight / (2 * len(first)))})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> PairResult:
        """Sums of the loss, of its weight and of what finds its partner among the batch's."""
        loss, weight, found = self.step("train", modules, self.embed("train", modules, batch, at), at)
        return PairResult(loss=loss, weight=torch.as_tensor(weight), found=found["accuracy"])

    def summarize(self, result: PairResult) -> dict[str, float]:
        """Mean loss, and the share that finds its partner."""
        return {"loss": result.mean_loss, "accuracy": float(result.found) / float(result.weight)}

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """One vector for each input, of length 1 where an option `normalize` asks for it."""
        return embeddings(self.vectors(self.modules(), self.batch_of(inputs))[0].float(), options)


def embeddings(vectors: Tensor, options: Any) -> list[dict[str, Any]]:
    """Answers of vectors (B, D), which have length 1 where `normalize` asks for it."""
    found = F.normalize(vectors) if getattr(options, "normalize", False) else vectors
    return [{"embedding": vector} for vector in found.tolist()]


def _partners_found(sides: Tensor) -> Tensor:
    """How many of 2B vectors have their partner, B places on, as the nearest of the others."""
    unit = F.normalize(sides.float())
    cosines = (unit @ unit.T).fill_diagonal_(-2.0)  # (2B, 2B); below any cosine: nothing is its own nearest
    partners = torch.arange(len(unit), device=unit.device).roll(len(unit) // 2)
    return (cosines.argmax(1) == partners).sum()
