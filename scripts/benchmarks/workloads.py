"""The three workloads of the loop's benchmark: a tiny perceptron, a small text classifier, and two networks in turn."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measure import Marks
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data import Dataset as TorchDataset

from zoo_core import Recipe, load_recipe
from zoo_core.contract import Dataset, SampleKey
from zoo_core.testing import Hardware, PluginHost, RunComponents, fs, prepare

LOG_EVERY = 50
LEARNING_RATE, WEIGHT_DECAY, CLIP = 1e-3, 0.01, 1.0


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What every loop trains alike: same model and initial weights, samples, order, loss, optimizer and schedule."""

    name: str
    host: PluginHost
    recipe: Mapping[str, Any]
    """The recipe, less the number of steps."""
    loss: Callable[[nn.Module, Any], Tensor]
    """Mean loss of a batch, as a hand-written loop computes it."""
    warm_up: int
    """Steps before the measured ones of a block."""
    measured: int
    """Measured steps of a block."""
    window: int = LOG_EVERY
    """Steps of a stretch of which the quietest counts: with one log step each, where steps are short."""
    adversarial: bool = False
    """Whether the model is two networks, trained in turn."""

    @property
    def steps(self) -> int:
        """Steps of a block; the last few come after the measured ones, because some loops read a batch ahead."""
        return self.warm_up + self.measured + 5

    def resolved(self) -> Recipe:
        """The recipe of one block."""
        return load_recipe({**self.recipe, "training": {**self.recipe["training"], "steps": self.steps}}, [], self.host)

    def prepared(self) -> RunComponents:
        """A fresh model, data set and order."""
        recipe = self.resolved()
        return prepare(recipe, self.host, Hardware(recipe.training), None, None)


def tiny() -> Workload:
    """A perceptron of 2,372 parameters, batch 32: about 0.2 ms a step, so that the loop itself shows."""
    return Workload(
        name="tiny",
        host=_host(),
        recipe=_recipe("mlp_tiny.bench", "mlp_tiny", "vector-classification", {"name": "vectors"}, batch_size=32),
        loss=lambda model, batch: F.cross_entropy(model(batch["vectors"]), batch["labels"]),
        warm_up=50,
        measured=500,
    )


def adversarial() -> Workload:
    """A generator and a discriminator with an optimizer each."""
    return Workload(
        name="adversarial",
        host=_host(),
        recipe=_recipe("pair_tiny.bench", "pair_tiny", "vector-generation", {"name": "vectors"}, batch_size=32),
        loss=lambda model, batch: torch.zeros(()),
        warm_up=50,
        measured=200,
        adversarial=True,
    )


def classifier(folder: Path) -> Workload:
    """A two-layer BERT of width 128 on 16 texts of 64 words: about 20 ms a step. The texts are written to `folder`."""
    dice = random.Random(0)
    words = [f"word{number}" for number in range(2000)]
    lines = ["text\tlabel"]
    for _ in range(1024):
        lines.append(" ".join(dice.choices(words, k=62)) + "\t" + dice.choice(("good", "bad")))
    fs.write_file(folder / "texts.tsv", "\n".join(lines).encode())
    recipe = _recipe(
        "bert_tiny.bench",
        "bert_tiny",
        "text-classification",
        {"name": "labelled-text", "train": str(folder / "texts.tsv"), "validation": str(folder / "texts.tsv")},
        batch_size=16,
    )
    recipe["model"] |= {"max_length": 64, "dropout": 0.0, "attention_dropout": 0.0}
    recipe["preprocessor"] = {"vocab_size": 2100, "max_length": 64, "min_frequency": 1}
    return Workload(
        name="classifier",
        host=_host(),
        recipe=recipe,
        loss=lambda model, batch: F.cross_entropy(
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits, batch["labels"]
        ),
        warm_up=10,
        measured=50,
        window=5,
    )


def contrastive() -> Workload:
    """A small residual network on two views of 128 grey images of noise: about half a second a step."""
    recipe = _recipe(
        "resnet_nano.bench", "resnet_nano", "image-contrastive", {"name": "images", "samples": 256}, batch_size=128
    )
    recipe["preprocessor"] = {"img_size": 28, "in_chans": 1}
    return Workload(
        name="contrastive",
        host=_host(),
        recipe=recipe,
        loss=lambda model, batch: torch.zeros(()),
        warm_up=1,
        measured=5,
    )


class Indexed(TorchDataset[Any]):
    """A zoo data set as the other loops index it: by number. Its keys are made beforehand, as other loops need none."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.keys = [SampleKey(0, 0, index) for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Any:
        return self.dataset.sample(self.keys[index])

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self.dataset.sample(self.keys[index]) for index in indices]


def loader(prepared: RunComponents, steps: int) -> DataLoader[Any]:
    """The loader of a loop that isn't ours: torch's own batch sampler over the zoo's order, as one long epoch."""
    order: list[int] = []
    epoch, size = 0, prepared.plan.batch_size
    while len(order) < steps * size:
        order += [index for batch in prepared.plan.epoch(epoch) for index in batch.tolist()]
        epoch += 1
    batches = BatchSampler(order[: steps * size], batch_size=size, drop_last=True)
    return DataLoader(Indexed(prepared.train), batch_sampler=batches, collate_fn=prepared.train.collate)


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    """Fused AdamW, without decay for biases and norms."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)


def schedule_of(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear decay to zero."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 - step / steps)


def watch(marks: Marks, workload: Workload) -> None:
    """Note the time at every batch of this workload."""
    marks.watch(type(workload.prepared().train))


def _recipe(name: str, model: str, task: str, data: dict[str, Any], *, batch_size: int) -> dict[str, Any]:
    return {
        "name": name,
        "model": {"name": model},
        "task": {"name": task},
        "data": data,
        "optimizer": {"name": "adamw", "lr": LEARNING_RATE, "weight_decay": WEIGHT_DECAY},
        "schedule": {"name": "linear", "warmup": 0},
        "training": {
            "batch_size": batch_size,
            "clip_norm": CLIP,
            "log_every": LOG_EVERY,
            "save_every": 1_000_000,
            "evaluate_split": "none",
            "test_split": "none",
            "device": "cpu",
        },
    }


def _host() -> PluginHost:
    return PluginHost(
        [
            EntryPoint("zoo-bench", "bench_plugin", "zoo.plugins"),
            EntryPoint("zoo-nlp", "zoo_nlp.plugin", "zoo.plugins"),
            EntryPoint("zoo-vision", "zoo_vision.plugin", "zoo.plugins"),
        ]
    )
