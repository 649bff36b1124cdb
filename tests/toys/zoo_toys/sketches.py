"""What an author writes for the ordinary cases, through public names alone: a classifier and a regression of a new modality,
and what happens after an update."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core import TaskContext
from zoo_core.contract import At, Phase, SampleKey, StepOutput
from zoo_core.tasks import ClassificationTask, EmbeddingTask, GenerationTask, LossResult, RegressionTask


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


class Mirrored(EmbeddingTask):
    """An embedding: a point and its mirror image are to be nearest."""

    def encode(self, sample: Any, key: SampleKey | None) -> dict[str, Any]:
        """A point."""
        return {"points": torch.tensor(getattr(sample, "place", sample))}

    def vectors(self, modules: Mapping[str, nn.Module], batch: Any) -> tuple[Tensor, Tensor]:
        """Of the point and of its mirror image, (B, C)."""
        return modules["model"](batch["points"]), modules["model"](batch["points"].flip(1))


def info_nce(config: Any) -> Any:
    """InfoNCE (van den Oord et al., 2018, equation 4) of the cosines at temperature 0.1."""

    def loss(first: Tensor, second: Tensor) -> tuple[Tensor, float]:
        cosines = nn.functional.normalize(first) @ nn.functional.normalize(second).T  # (B, B)
        truth = torch.arange(len(cosines), device=cosines.device)
        return nn.functional.cross_entropy(cosines / 0.1, truth, reduction="sum"), float(len(cosines))

    return loss


class PointWalk(GenerationTask):
    """What comes next: rings take turns, and the two before say whose turn it is."""

    def encode(self, sample: Any, key: SampleKey | None) -> dict[str, Any]:
        """Six rings, from that of the point on."""
        return {"rings": (torch.arange(6) + self.labels.index(sample.label)) % len(self.labels)}

    def next_items(self, modules: Mapping[str, nn.Module], batch: Any) -> tuple[Tensor, Tensor]:
        """(B, 4, C) of the last four, and these."""
        windows = batch["rings"].unfold(1, 2, 1)[:, :-1]  # (B, 4, 2)
        return modules["model"](windows.float()), batch["rings"][:, 2:]

    def generate(self, start: Any, options: Any, model: nn.Module) -> Iterator[list[str]]:
        """Four rings, the likeliest each time."""
        rings = list(start)
        for _ in range(4):
            rings.append(int(model(torch.tensor([rings[-2:]]).float()).argmax()))
            yield [f"{self.labels[rings[-1]]} "]


class Pairs(PointKinds):
    """A loss over the batch: a point and its mirror image are to be nearest, at a temperature that is learned."""

    phases = (Phase(name="train", batch_wide=True),)
    monitor = ("loss", "min")

    def embed(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> dict[str, Tensor]:
        """Both, (B, D), and the labels, which ride along."""
        points = batch["points"]
        return {"one": modules["model"](points), "two": modules["model"](points.flip(1)), "labels": batch["labels"]}

    def step(self, phase: str, modules: Mapping[str, nn.Module], rows: Any, at: At) -> StepOutput:
        """InfoNCE (van den Oord et al., 2018, equation 4) of all pairs; the temperature is a parameter of the model."""
        scale = modules["model"].get_parameter("head.bias")[0].exp()
        logits = scale * rows["one"] @ rows["two"].T  # (B, B)
        truth = torch.arange(len(logits), device=logits.device)
        assert len(rows["labels"]) == len(logits)
        return StepOutput(nn.functional.cross_entropy(logits, truth, reduction="sum"), float(len(logits)))

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any, at: At) -> LossResult:
        """The same among the rows of an evaluation's batch."""
        found = self.step("train", modules, self.embed("train", modules, batch, at), at)
        return LossResult(loss=found.loss_sum, weight=torch.tensor(found.weight))

    def summarize(self, result: Any) -> dict[str, float]:
        """Mean loss."""
        return {"loss": result.mean_loss}

    def intervals(self, result: Any) -> Mapping[str, tuple[float, float]]:
        """None."""
        return {}
