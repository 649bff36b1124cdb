"""What the toy plugin's targets stand for: telling whether a row of bits has more ones than zeros."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from zoo_core import Data, Dataset, StepOutput, Task
from zoo_core.contract import EvaluationResult
from zoo_core.data import read_table


class Net(nn.Module):
    def __init__(self, config, labels):
        super().__init__()
        self.body = nn.Linear(2, config.width)
        self.head = nn.Linear(config.width, labels) if labels else nn.Identity()

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


def build(config, head):
    return Net(config, head.labels)


class Coins(Data):
    labels = ("ones", "zeros")

    def __init__(self, config):
        self.rows = [(f"{n * 2654435761 % 32:05b}", None) for n in range(1, config.count + 1)]

    def splits(self):
        return ("train", "validation", "test")

    def samples(self, split):
        rows = [(bits, "ones" if bits.count("1") > 2 else "zeros") for bits, _ in self.rows]
        return rows[::2] if split == "train" else rows[1::2]

    def digest(self):
        return hashlib.sha256(repr(self.rows).encode()).hexdigest()


class Table(Coins):
    def __init__(self, config):
        columns = {"bits": config.bits_column, "label": config.label_column}
        self.rows = [(row.values["bits"], row.values["label"]) for row in read_table(Path(config.path), columns)]


def encode(bits):
    return torch.tensor([bits.count("1") / 5, bits.count("0") / 5])


class Encoded(Dataset):
    def __init__(self, samples, labels):
        self.samples, self.labels = samples, labels

    def __len__(self):
        return len(self.samples)

    def sample(self, key):
        bits, label = self.samples[key.index]
        return encode(bits), self.labels.index(label)

    def collate(self, samples):
        return {"x": torch.stack([x for x, _ in samples]), "y": torch.tensor([y for _, y in samples])}


@dataclass(frozen=True, kw_only=True)
class Counted(EvaluationResult):
    right: torch.Tensor
    count: torch.Tensor


class Majority(Task):
    monitor = ("accuracy", "max")

    def dataset(self, samples, *, train):
        return Encoded(samples, self.labels)

    def step(self, phase, modules, batch, at):
        return StepOutput(F.cross_entropy(modules["model"](batch["x"]), batch["y"], reduction="sum"), len(batch["y"]))

    def evaluate(self, modules, batch, at):
        right = modules["model"](batch["x"]).argmax(1) == batch["y"]
        return Counted(right=right.sum(), count=torch.tensor(len(right)))

    def summarize(self, result):
        return {"accuracy": float(result.right / result.count)}

    def baselines(self, train, test):
        return {"always ones": {"accuracy": sum(label == "ones" for _, label in test) / len(test)}}

    def answer(self, inputs, options):
        scores = self.model(torch.stack([encode(bits) for bits in inputs])).softmax(1)
        answers = []
        for row in scores:
            score, place = row.max(0)
            named = [{"label": name, "score": float(value)} for name, value in zip(self.labels, row, strict=True)]
            ranked = sorted(named, key=lambda one: -one["score"])
            answers.append({"label": self.labels[int(place)], "score": float(score), "scores": ranked[: options.top]})
        return answers


class Spelling(Majority):
    def answer(self, inputs, options):
        return [{"words": " ".join({"1": "one", "0": "nought"}[bit] for bit in bits)} for bits in inputs]

    def stream(self, item, options):
        for bit in item:
            yield {"1": "one ", "0": "nought "}[bit]


class Echo(Majority):
    def answer(self, inputs, options):
        return [{"kind": type(item).__name__, "value": item} for item in inputs]


def fetch(fetcher, name):
    fetcher.say(f"preparing {name} bits")
    return {"bits.txt": b"0101"}
