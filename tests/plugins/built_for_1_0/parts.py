"""The toys themselves."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_core import Data, Dataset, Head, Phase, SampleKey, StepOutput, Task, TaskContext


class Mlp(nn.Module):
    """Blocks, then a head where a task asks for one."""

    def __init__(self, config: Any, head: Head) -> None:
        super().__init__()
        body = nn.Module()
        body.blocks = nn.ModuleList([nn.Linear(config.inputs, config.hidden), nn.Linear(config.hidden, config.hidden)])
        body.norm = nn.BatchNorm1d(config.hidden) if config.normalise else nn.Identity()
        # Not saved, and needed: what a model built wholly on the meta device would lose.
        body.register_buffer("scale", torch.full((1,), 0.5), persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        if head.task:
            self.body = body
            self.head = nn.Linear(config.hidden, head.labels)
        else:
            self.blocks, self.norm = body.blocks, body.norm
            self.register_buffer("scale", body.scale, persistent=False)

    def forward(self, points: Tensor) -> Tensor:
        """(B, 2) to (B, labels), or to (B, hidden) without a head."""
        body = self.body if hasattr(self, "body") else self
        hidden = torch.tanh(body.norm(body.blocks[0](points))) * body.scale
        hidden = self.dropout(torch.tanh(body.blocks[1](hidden)))
        return self.head(hidden) if hasattr(self, "head") else hidden


def build_mlp(config: Any, head: Head) -> nn.Module:
    """The perceptron."""
    return Mlp(config, head)


def adapt_mlp(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """More inputs: new columns are zero."""
    if not name.endswith("blocks.0.weight") or tensor.shape[0] != shape[0]:
        return None
    grown = torch.zeros(shape)
    width = min(shape[1], tensor.shape[1])
    grown[:, :width] = tensor[:, :width]
    return grown


def build_pair(config: Any, head: Head) -> nn.Module:
    """Two networks in one checkpoint."""
    wide = config.hidden
    generator = nn.Sequential(nn.Linear(config.latent, wide), nn.Tanh(), nn.Linear(wide, 2))
    discriminator = nn.Sequential(nn.Linear(2, wide), nn.Tanh(), nn.Linear(wide, 1))
    pair = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    pair.latent = config.latent
    return pair


def build_recurrent(config: Any, head: Head) -> nn.Module:
    """Frames to log-probabilities of symbols; symbol 0 is the blank."""
    return nn.ModuleDict(
        {
            "gru": nn.GRU(config.features, config.hidden, batch_first=True),
            "out": nn.Linear(config.hidden, config.symbols),
        }
    )


class Point(NamedTuple):
    """A raw sample."""

    place: tuple[float, float]
    label: str


class Points(Data):
    """Two rings, drawn from a fixed seed."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.labels = config.labels

    def splits(self) -> tuple[str, ...]:
        """All three."""
        return ("train", "validation", "test")

    def samples(self, split: str) -> Sequence[Point]:
        """Points of a split."""
        random = np.random.default_rng(self.splits().index(split))
        points = []
        for number in range(self.config.samples):
            label = number % len(self.labels)
            angle, radius = random.uniform(0, 2 * math.pi), 0.4 + label + random.normal(0, 0.1)
            x = math.nan if number == self.config.poison and split == "train" else radius * math.cos(angle)
            points.append(Point((x, radius * math.sin(angle)), self.labels[label]))
        return points

    def digest(self) -> str:
        """Of the configuration, which says it all."""
        return hashlib.sha256(repr(self.config).encode()).hexdigest()


class PointSet(Dataset):
    """Points with noise, and a latent vector each, that are functions of the sample's key."""

    def __init__(self, samples: Sequence[Point], labels: Sequence[str], jitter: float, latent: int = 0) -> None:
        self.points = torch.tensor([s.place for s in samples])
        self.targets = torch.tensor([labels.index(s.label) for s in samples])
        self.jitter = jitter
        self.latent = latent

    def __len__(self) -> int:
        return len(self.points)

    def sample(self, key: SampleKey) -> tuple[Tensor, Tensor, Tensor]:
        """A point, its label and its latent vector."""
        random = key.generator()
        noise = torch.from_numpy(random.normal(0, 1, 2)).float() * self.jitter
        return (
            self.points[key.index] + noise,
            self.targets[key.index],
            torch.from_numpy(random.normal(0, 1, self.latent)).float(),
        )

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """A batch."""
        return dict(zip(("points", "labels", "latent"), map(torch.stack, zip(*samples, strict=True)), strict=True))


class Classification(Task):
    """One loss, one network."""

    monitor = ("accuracy", "max")

    def dataset(self, samples: Sequence[Point], *, train: bool) -> Dataset:
        """With noise for training, without for evaluation."""
        return PointSet(samples, self.labels, 0.05 if train else 0.0)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any) -> StepOutput:
        """Cross-entropy."""
        logits = modules["model"](batch["points"])
        loss, weight = self.loss(logits, batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any) -> Mapping[str, Tensor | list[Any]]:
        """Sums and lists."""
        logits = modules["model"](batch["points"])
        loss, weight = self.loss(logits, batch["labels"])
        return {"loss": loss, "weight": weight, "right": (logits.argmax(-1) == batch["labels"]).tolist()}

    def summarize(self, gathered: Mapping[str, Any]) -> dict[str, float]:
        """Loss and accuracy."""
        right = gathered["right"]
        return {"loss": float(gathered["loss"] / gathered["weight"]), "accuracy": sum(right) / len(right)}

    def predict(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Label and score."""
        with torch.no_grad():
            scores = self.model(torch.tensor(list(inputs), dtype=torch.float32)).softmax(-1)
        return [{"label": self.labels[int(s.argmax())], "score": float(s.max())} for s in scores]

    def baselines(self, train: Sequence[Point], test: Sequence[Point]) -> dict[str, dict[str, float]]:
        """The majority class."""
        names = [s.label for s in train]
        majority = max(set(names), key=names.count)
        return {"majority": {"accuracy": sum(s.label == majority for s in test) / len(test)}}

    def artifacts(self, modules: Mapping[str, nn.Module], gathered: Mapping[str, Any]) -> dict[str, bytes]:
        """A count."""
        return {"right.txt": str(sum(gathered["right"])).encode()}


class Generation(Task):
    """Two networks, two optimizers, and a penalty that runs on every fourth step only."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.phases = (
            Phase(name="discriminate", trains=("discriminator",), optimizer="discriminator"),
            Phase(
                name="penalise",
                trains=("discriminator",),
                optimizer="discriminator",
                every=config.every,
                double_backward=True,
            ),
            Phase(name="generate", trains=("generator",), optimizer="generator"),
        )

    def modules(self) -> dict[str, nn.Module]:
        """Children of the checkpoint's one module."""
        return dict(self.model.items())

    def dataset(self, samples: Sequence[Point], *, train: bool) -> Dataset:
        """Labels are not looked at."""
        return PointSet(samples, ("inner", "outer"), 0.0, self.model.latent)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any) -> StepOutput:
        """The critic's loss, its gradient penalty (Mescheder et al., 2018, R1), or the generator's loss."""
        generator, discriminator = modules["generator"], modules["discriminator"]
        real = batch["points"]
        if phase == "penalise":
            real = real.requires_grad_(True)
            slope = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)[0]
            penalty = 0.5 * self.config.penalty * self.config.every * slope.square().sum()
            return StepOutput(penalty, len(real))
        fake = generator(batch["latent"])
        if phase == "generate":
            return StepOutput(-discriminator(fake).sum(), len(real))
        loss, weight = self.loss(discriminator(real), discriminator(fake.detach()))
        return StepOutput(loss, weight, {"real": discriminator(real).detach().sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any) -> Mapping[str, Tensor | list[Any]]:
        """Distance of the drawn points' mean radius from the data's."""
        fake = modules["generator"](batch["latent"])
        sums = torch.stack([fake.norm(dim=-1).sum(), batch["points"].norm(dim=-1).sum()])
        return {"sums": sums, "count": torch.tensor(float(len(fake)))}

    def summarize(self, gathered: Mapping[str, Any]) -> dict[str, float]:
        """The monitored figure."""
        fake, real = (gathered["sums"] / gathered["count"]).tolist()
        return {"loss": abs(fake - real)}

    def predict(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """A point per seed."""
        drawn = []
        for seed in inputs:
            latent = torch.randn(1, self.model.latent, generator=torch.Generator().manual_seed(int(seed)))
            drawn.append({"point": self.model["generator"](latent)[0].tolist()})
        return drawn


class Utterance(NamedTuple):
    """A raw sample: frames and their symbols."""

    frames: np.ndarray
    symbols: list[int]


class Frames(Data):
    """Symbols that last two to five frames each, with noise."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def splits(self) -> tuple[str, ...]:
        """Two."""
        return ("train", "validation")

    def samples(self, split: str) -> Sequence[Utterance]:
        """Sequences of a split."""
        random = np.random.default_rng(self.splits().index(split))
        made = []
        for _ in range(self.config.samples):
            symbols = random.integers(1, 4, size=random.integers(1, 5)).tolist()
            rows = [np.eye(4)[s][1:] for s in symbols for _ in range(random.integers(2, 6))]
            made.append(Utterance(np.array(rows) + random.normal(0, 0.1, (len(rows), 3)), symbols))
        return made

    def digest(self) -> str:
        """Of the configuration."""
        return hashlib.sha256(repr(self.config).encode()).hexdigest()


class FrameSet(Dataset):
    """Sequences with their lengths, so that batches are bucketed."""

    def __init__(self, samples: Sequence[Utterance]) -> None:
        self.samples = samples
        self.lengths = np.array([len(s.frames) for s in samples])

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> Utterance:
        """One sequence."""
        return self.samples[key.index]

    def collate(self, samples: list[Utterance]) -> dict[str, Tensor]:
        """Padded frames, joined targets, and both lengths."""
        frames = [torch.from_numpy(s.frames).float() for s in samples]
        return {
            "frames": nn.utils.rnn.pad_sequence(frames, batch_first=True),
            "lengths": torch.tensor([len(f) for f in frames]),
            "symbols": torch.tensor([symbol for s in samples for symbol in s.symbols]),
            "counts": torch.tensor([len(s.symbols) for s in samples]),
        }


class Transcription(Task):
    """Connectionist temporal classification (Graves et al., 2006)."""

    def dataset(self, samples: Sequence[Utterance], *, train: bool) -> Dataset:
        """Sequences as they are."""
        return FrameSet(samples)

    def _loss(self, batch: Any) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            batch["frames"], batch["lengths"], batch_first=True, enforce_sorted=False
        )
        hidden, _ = nn.utils.rnn.pad_packed_sequence(self.model["gru"](packed)[0], batch_first=True)
        scores = self.model["out"](hidden).log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(
            scores, batch["symbols"], batch["lengths"], batch["counts"], reduction="sum", zero_infinity=True
        )

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any) -> StepOutput:
        """Summed loss over symbols."""
        return StepOutput(self._loss(batch), batch["counts"].sum())

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any) -> Mapping[str, Tensor | list[Any]]:
        """Sums."""
        return {"loss": self._loss(batch), "weight": batch["counts"].sum()}

    def summarize(self, gathered: Mapping[str, Any]) -> dict[str, float]:
        """Loss per symbol."""
        return {"loss": float(gathered["loss"] / gathered["weight"])}

    def predict(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Best path."""
        raise NotImplementedError
