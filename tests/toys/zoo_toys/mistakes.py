"""A plugin whose parts break one promise each: the one that their configuration names."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo_core import DataSpec, LossSpec, ModelSpec, OptimizerSpec, SampleType, TaskSpec, hookimpl
from zoo_core.contract import At

zoo_api = (2, 0)

POINT = SampleType(name="point", fields=("place", "label"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistaken:
    """One configuration for data, models and tasks."""

    mistake: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakenOptimizer:
    """An optimizer's, with the fields that every optimizer has."""

    lr: float = 0.01
    weight_decay: float = 0.0
    mistake: str = ""


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """One family."""
    return [
        ModelSpec(
            name="mistaken",
            summary="a linear model",
            target="zoo_toys.mistakes:model",
            config=Mistaken,
            modality="points",
            sizes={"tiny": {}},
            tasks=("mistaken-classification",),
        )
    ]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Two rings."""
    return [
        DataSpec(
            name="mistaken-points",
            summary="rings",
            target="zoo_toys.mistakes:data",
            config=Mistaken,
            samples=POINT,
        )
    ]


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """Classification."""
    return [
        TaskSpec(
            name="mistaken-classification",
            summary="tell rings apart",
            target="zoo_toys.mistakes:task",
            config=Mistaken,
            reads=(POINT,),
            labelled=True,
            loss="mistaken-loss",
            loss_inputs=("logits", "labels"),
        )
    ]


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """Cross-entropy."""
    return [
        LossSpec(
            name="mistaken-loss",
            summary="cross-entropy",
            target="zoo_toys.mistakes:loss",
            config=Mistaken,
            inputs=("logits", "labels"),
        )
    ]


@hookimpl
def zoo_optimizers() -> list[OptimizerSpec]:
    """Plain descent."""
    return [
        OptimizerSpec(
            name="mistaken-descent",
            summary="descent",
            target="zoo_toys.mistakes:optimizer",
            config=MistakenOptimizer,
        )
    ]


def model(config: Mistaken, head: Any) -> Any:
    """A linear model."""
    import torch
    from torch import nn

    wrong = config.mistake

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.LazyLinear(head.labels) if wrong == "lazy" else nn.Linear(2, head.labels)
            if wrong == "item":
                self.scale = self.out.weight.abs().mean().item()
            if wrong == "numpy":
                self.start = self.out.weight.detach().numpy().copy()
            if wrong == "random-shape":
                self.extra = nn.Parameter(torch.zeros(next(_NUMBERS)))
            if wrong == "raises":
                raise KeyError("hidden")

        def forward(self, points: Any) -> Any:
            if wrong == "forward-parameter" and not hasattr(self, "late"):
                self.late = nn.Linear(2, 2)
            if wrong == "no-grad":
                with torch.no_grad():
                    return self.out(points)
            return self.out(points)

    return "a model" if wrong == "no-module" else Linear()


_NUMBERS = itertools.count(1)


def data(config: Mistaken) -> Any:
    """Rings with the mistake."""
    from zoo_toys.parts import Points
    from zoo_toys.plugin import PointsConfig

    wrong = config.mistake

    class Data(Points):
        def __init__(self) -> None:
            super().__init__(PointsConfig())
            if wrong == "no-labels":
                self.labels = ()
            if wrong == "label-list":
                self.labels = list(self.labels)

        def splits(self) -> tuple[str, ...]:
            return ("validation",) if wrong == "no-train" else super().splits()

        def samples(self, split: str) -> Sequence[Any]:
            if wrong == "samples-raise":
                raise KeyError(split)
            if wrong == f"empty-{split}":
                return []
            names = ("train", "validation", "test")
            made: Sequence[Any] = Points(PointsConfig()).samples(split) if split in names else []
            return [object() for _ in made] if wrong == "objects" else made

        def digest(self) -> str:
            if wrong == "short-digest":
                return "abcde"
            words = str(next(_NUMBERS)) if wrong == "other-digest" else "the same"
            return hashlib.sha256(words.encode()).hexdigest()

    return Data()


def loss(config: Mistaken) -> Any:
    """Cross-entropy with the mistake."""
    import torch
    import torch.nn.functional as F

    def cross_entropy(logits: Any, labels: Any) -> Any:
        if config.mistake == "mean":
            return F.cross_entropy(logits, labels)
        if config.mistake == "vector":
            return F.cross_entropy(logits, labels, reduction="none"), len(labels)
        return F.cross_entropy(logits, labels, reduction="sum"), torch.tensor(float(len(labels)))

    return cross_entropy


def optimizer(groups: Iterable[dict[str, Any]], config: MistakenOptimizer) -> Any:
    """Descent with the mistake."""
    import torch

    groups = list(groups)
    if config.mistake == "own-groups":
        groups = [{**groups[0], "params": groups[0]["params"][:1]}]
    made = torch.optim.SGD(groups, lr=config.lr)
    if config.mistake == "no-lr":
        for group in made.param_groups:
            del group["lr"]
    return made


def task(config: Mistaken, context: Any) -> Any:
    """Classification with the mistake."""
    from zoo_core import Phase, StepOutput
    from zoo_toys.parts import Classification, PointSet

    wrong = config.mistake
    splits = iter(("validation", "test"))

    class Hanging(PointSet):
        def sample(self, key: Any) -> Any:
            if key.index == 7:
                time.sleep(1000)
            return super().sample(key)

    class Mistakes(Classification):
        monitor = {
            "no-monitor": ("precision", "max"),
            "direction": ("accuracy", "lower"),
            "monitor-word": "accuracy",
        }.get(wrong, ("accuracy", "max"))
        phases = (Phase(name="train", trains=("modle",) if wrong == "phase" else ("model",)),)

        def __init__(self, config: Any, context: Any) -> None:
            if wrong != "no-super":
                super().__init__(config, context)

        def dataset(self, samples: Sequence[Any], *, train: bool) -> Any:
            split = "train" if train else next(splits, "")
            return (Hanging if wrong == f"{split}-hangs" else PointSet)(samples, self.labels, 0.0)

        def step(self, phase: str, modules: Mapping[str, Any], batch: Any, at: At) -> Any:
            found = super().step(phase, modules, batch, at)
            return {
                "step-list": lambda: [found.loss_sum],
                "step-tensor": lambda: found.loss_sum,
                "step-tuple": lambda: (found.loss_sum, found.weight),
                "step-vector": lambda: StepOutput(found.loss_sum.expand(2), found.weight),
                "step-none": lambda: None,
                "step-detached": lambda: StepOutput(found.loss_sum.detach(), found.weight),
                "step-float-metric": lambda: StepOutput(found.loss_sum, found.weight, {"accuracy": 0.5}),
                "step-no-weight": lambda: StepOutput(found.loss_sum, 0.0),
                "step-raises": lambda: found.nothing,
            }.get(wrong, lambda: found)()

        def evaluate(self, modules: Mapping[str, Any], batch: Any, at: At) -> Any:
            found = super().evaluate(modules, batch, at)
            if wrong == "evaluate-floats":
                return replace(found, loss=float(found.loss))
            return None if wrong == "evaluate-none" else found

        def summarize(self, result: Any) -> Any:
            found = super().summarize(result)
            if wrong == "summarize-tensors":
                return dict.fromkeys(found, result.loss)
            return None if wrong == "summarize-none" else found

        def predict(self, inputs: Sequence[Any], options: Any) -> Any:
            places = [getattr(one, "place", one) for one in inputs]
            if wrong == "predict-exits":
                raise SystemExit(0)
            if wrong == "predict-strings":
                return ["inner" for _ in places]
            if wrong == "predict-few":
                return []
            if wrong == "predict-tensors":
                return [{"score": self.model(gathered)} for gathered in _tensors(places)]
            return super().predict(places, options)

    return object() if wrong == "no-task" else Mistakes(config, context)


def _tensors(places: Sequence[Any]) -> Iterable[Any]:
    import torch

    return [torch.tensor([place]) for place in places]
