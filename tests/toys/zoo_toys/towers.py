"""A model of two towers, its data and its task."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_core import Data, Dataset, Head, SampleKey, StepOutput, Task
from zoo_core.contract import CompositePreprocessor
from zoo_core.tasks import LossResult

WORDS = ("flat", "tall", "plain")


class Towers(nn.Module):
    """Pictures and words in one space; the towers are bare backbones of other checkpoints."""

    def __init__(self, config: Any, head: Head, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.image, self.text = parts["image"], parts["text"]
        self.from_image, self.from_text = (
            nn.Linear(width, config.width) for width in (self.image.num_features, self.text.config.hidden_size)
        )
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """(B, C, S, S) and (B, T) to similarities (B, B)."""
        image = F.normalize(self.from_image(self.image(pixels)), dim=1)
        text = F.normalize(self.from_text(self.text(ids).last_hidden_state[:, 0]), dim=1)
        return self.scale.exp() * image @ text.T


def losing(config: Any, head: Head, parts: Mapping[str, nn.Module]) -> nn.Module:
    """Keeps its parts under other names."""
    return nn.ModuleDict({"first": parts["image"], "text": parts["text"]})


class Pair(NamedTuple):
    """A raw sample."""

    image: np.ndarray
    word: str


class Pairs(Data):
    """Stripes of three kinds with their words."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def splits(self) -> tuple[str, ...]:
        """Two."""
        return ("train", "validation")

    def samples(self, split: str) -> Sequence[Pair]:
        """Twelve of each split."""
        random, made = np.random.default_rng(self.splits().index(split)), []
        for number in range(12):
            image = random.integers(0, 60, (28, 28, 1)).astype(np.uint8)
            if number % 3 < 2:
                image[::4] += 150
            made.append(Pair(np.swapaxes(image, 0, number % 3 % 2), WORDS[number % 3]))
        return made

    def digest(self) -> str:
        """Of nothing that changes."""
        return hashlib.sha256(b"pairs").hexdigest()


class PairSet(Dataset):
    """Pictures and ids."""

    def __init__(self, samples: Sequence[Pair], preprocessor: Any) -> None:
        self.samples, self.preprocessor = samples, preprocessor

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> Any:
        """Encoded by each part's own preprocessor."""
        image, word = self.samples[key.index]
        ids = self.preprocessor["text"].encode([word], 8).row(0)
        return self.preprocessor["image"].resize_and_crop(image), torch.tensor(ids.astype(np.int64))

    def collate(self, samples: Sequence[Any]) -> Any:
        """Padded with zeros."""
        pixels, ids = zip(*samples, strict=True)
        return {
            "pixels": self.preprocessor["image"].normalise(torch.stack(pixels)),
            "ids": nn.utils.rnn.pad_sequence(list(ids), batch_first=True),
        }


class Matching(Task):
    """Cross-entropy of each picture over the words of its batch."""

    preprocessor_type = CompositePreprocessor

    def dataset(self, samples: Sequence[Pair], *, train: bool) -> Dataset:
        """Both encoded."""
        return PairSet(samples, self.preprocessor)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: Any = None) -> StepOutput:
        """Of a micro-batch."""
        found = modules["model"](batch["pixels"], batch["ids"])
        return StepOutput(F.cross_entropy(found, torch.arange(len(found)), reduction="sum"), len(found))

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any, at: Any = None) -> LossResult:
        """The same."""
        output = self.step("", modules, batch)
        return LossResult(loss=output.loss_sum.detach(), weight=torch.tensor(float(output.weight)))

    def summarize(self, result: LossResult) -> dict[str, float]:
        """The mean."""
        return {"loss": result.mean_loss}

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """How like each word a picture is."""
        words = [Pair(np.zeros((28, 28, 1), np.uint8), word) for word in WORDS]
        made = PairSet([Pair(image, WORDS[0]) for image in inputs] + words, self.preprocessor)
        batch = made.collate([made.sample(SampleKey(index=i, epoch=0, seed=0)) for i in range(len(made.samples))])
        found = self.model(batch["pixels"], batch["ids"])[: len(inputs), len(inputs) :]
        return [dict(zip(WORDS, row.tolist(), strict=True)) for row in found]
