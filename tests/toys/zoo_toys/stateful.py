"""Tasks that keep state beside the model: declared, as it should be, and in each of the ways in which it gets lost."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core import StepOutput, TaskContext
from zoo_core.contract import At
from zoo_toys.parts import Classification


def follow(teacher: nn.Module, model: nn.Module) -> None:
    """Move the teacher towards the model, through `.data`, which leaves no version behind."""
    for slow, fast in zip(teacher.parameters(), model.parameters(), strict=True):
        slow.data.mul_(0.9).add_(fast.data, alpha=0.1)


class MeanTeacher(Classification):
    """A student that is drawn to a teacher, which follows it after every update (Tarvainen and Valpola, 2017,
    arXiv:1703.01780, section 2)."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.teacher = copy.deepcopy(context.model).requires_grad_(False)
        self.scale = torch.ones(2)  # a constant is no state

    def modules(self) -> dict[str, nn.Module]:
        """The teacher is declared."""
        return {"model": self.model, "teacher": self.teacher}

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Cross-entropy and the distance from the teacher's answers."""
        output = super().step(phase, modules, batch, at)
        with torch.no_grad():
            wanted = self.teacher(batch["points"])
        drawn = (modules["model"](batch["points"]) - wanted).square().sum()
        return output._replace(loss_sum=output.loss_sum + drawn)

    def after_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        """The teacher follows."""
        follow(self.teacher, self.model)


class Distilled(Classification):
    """A student of a registered model (Hinton et al., 2015, arXiv:1503.02531, with squares in place of section 2)."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.teacher = context.checkpoint("toy_tiny.teacher")

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Cross-entropy and the distance from the teacher's answers."""
        output = super().step(phase, modules, batch, at)
        drawn = (modules["model"](batch["points"]) - self.teacher.model(batch["points"])).square().sum()
        return output._replace(loss_sum=output.loss_sum + drawn)


class Remembers(Classification):
    """Keeps a queue, a count, a list and a generator, and says so."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.queue = torch.zeros(4, 2)
        self.count, self.seen = 0, [0.0]
        self.dice = torch.Generator().manual_seed(1)

    def state(self) -> dict[str, Any]:
        """All of it."""
        return {"queue": self.queue, "count": self.count, "seen": self.seen, "dice": self.dice.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The generator takes its state back; the rest are attributes."""
        rest = dict(state)
        self.dice.set_state(rest.pop("dice"))
        super().load_state(rest)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Cross-entropy, and a pull towards what is in the queue."""
        output = super().step(phase, modules, batch, at)
        logits = modules["model"](batch["points"])
        pull = (logits.mean(0) - self.queue.mean(0)).square().sum() * (1 + 0.1 * self.seen[-1])
        return output._replace(loss_sum=output.loss_sum + pull)

    def after_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        """The newest row, by chance."""
        self.count += 1
        self.seen.append(float(torch.rand((), generator=self.dice)))
        weight = next(modules["model"].parameters()).detach().flatten()[:2]
        self.queue = torch.cat([self.queue[1:], weight[None] * self.count])


class Undeclared(MeanTeacher):
    """The same, and nobody is told of the teacher."""

    def modules(self) -> dict[str, nn.Module]:
        """The model alone."""
        return {"model": self.model}


class _Leaky(Classification):
    """Changes something at every step."""

    def change(self, logits: Tensor) -> None:
        """What is forgotten."""

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Cross-entropy."""
        self.change(modules["model"](batch["points"]).detach())
        return super().step(phase, modules, batch, at)


class Queue(_Leaky):
    """Binds a new tensor to its attribute."""

    queue = None

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.queue = torch.zeros(2, 2)

    def change(self, logits: Tensor) -> None:
        """The newest answers."""
        self.queue = torch.cat([logits[:1], self.queue[:1]])


class Late(_Leaky):
    """Makes its state in the first step."""

    def change(self, logits: Tensor) -> None:
        """Sums."""
        self.__dict__.setdefault("sums", torch.zeros(2)).add_(logits.sum(0))


class Closed(_Leaky):
    """Keeps a tensor in a closure."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        held = torch.zeros(2)
        self.remember = lambda logits: held.data.add_(logits.sum(0))

    def change(self, logits: Tensor) -> None:
        """Through the closure."""
        self.remember(logits)


class Drawn(_Leaky):
    """Draws from a generator of its own."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.dice = {"numpy": np.random.default_rng(0)}

    def change(self, logits: Tensor) -> None:
        """A number."""
        self.dice["numpy"].random()


class Counting(_Leaky):
    """Counts, which is worth a warning."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.count = 0

    def change(self, logits: Tensor) -> None:
        """One more."""
        self.count += 1


class Busy(_Leaky):
    """Keeps in every step, and in every evaluation, whatever Python can hold."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        calls = 0

        def called() -> int:
            nonlocal calls
            calls += 1
            return calls

        self.called = called
        self.steps = 0
        self.losses: deque[float] = deque([0.0], maxlen=3)
        self.seen = {"labels": {0}, "order": [0], "sums": np.zeros(2)}
        self.mean = torch.zeros(2)
        self.dice = {"numpy": np.random.default_rng(0), "python": random.Random(0), "torch": torch.Generator()}

    def change(self, logits: Tensor) -> None:
        """All of it, and an attribute of the model that isn't a tensor."""
        self.steps += self.called()
        self.losses.append(float(logits.sum()) + self.dice["python"].random())
        self.seen["labels"].add(self.steps)
        self.seen["order"].append(self.steps)
        self.seen["sums"] += self.dice["numpy"].random(2)
        self.mean = self.mean + torch.rand(2, generator=self.dice["torch"])
        self.model.calls = getattr(self.model, "calls", 0) + 1
        self.newest = logits

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any, at: At) -> Any:
        """The same once more."""
        self.change(modules["model"](batch["points"]))
        return super().evaluate(modules, batch, at)


class Iterating(_Leaky):
    """Takes from an iterator, which can't be put back."""

    def __init__(self, config: Any, context: TaskContext) -> None:
        super().__init__(config, context)
        self.shares = (1 / number for number in range(1, 1000))

    def change(self, logits: Tensor) -> None:
        """The next share."""
        next(self.shares)


class Lower(Classification):
    """Watches its loss in a direction that isn't one."""

    monitor = ("loss", "lower")  # type: ignore[assignment]


class Sometimes(Classification):
    """Gives a metric in some steps only."""

    steps = 0

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Accuracy, and every other time the number of samples."""
        output = super().step(phase, modules, batch, at)
        self.steps += 1
        more = {"ones": output.metrics["accuracy"] * 0 + output.weight} if self.steps % 2 else {}
        return output._replace(metrics={**output.metrics, **more})


class Infinite(Classification):
    """A loss that is infinite once, after a few steps, with gradients that are not."""

    steps = 0

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> StepOutput:
        """Cross-entropy, and infinity added to it."""
        output = super().step(phase, modules, batch, at)
        self.steps += 1
        return output._replace(loss_sum=output.loss_sum + torch.inf) if self.steps == 4 else output
