"""The gradients of a recipe's first update, with its batch dealt to micro-batches and ranks, all of them in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo_core.config.loading import CheckpointOpener
from zoo_core.config.recipe import Recipe, load_recipe
from zoo_core.config.settings import Training
from zoo_core.preflight.setup import open_start, prepare
from zoo_core.registry.zoo import Zoo
from zoo_core.training.hardware import Hardware
from zoo_core.training.loop import Loop
from zoo_core.training.optim import Norms, Update
from zoo_core.training.order import Cursor, training_batches

_NONE = torch.zeros(())
"""A gradient that a parameter doesn't get."""


class Summed(NamedTuple):
    """What one phase leaves, summed over micro-batches and ranks."""

    gradients: Mapping[str, Tensor]
    """By the parameter's name, its module's in front."""
    weight: float
    """How many units the loss was summed over."""


def first_gradients(recipe: Mapping[str, Any], zoo: Zoo, *, accumulation: int = 1, ranks: int = 1) -> dict[str, Summed]:
    """What each phase of the first step leaves, all of them at the weights that the run begins with.

    Modules compute in double precision, so that the order of a sum isn't what is compared; a loss takes what it casts to.
    """
    resolved = load_recipe(dict(recipe), [f"training.accumulation={accumulation}"], zoo.host)
    every = [_Rank(resolved.training, rank, ranks) for rank in range(ranks)]
    for hardware in every:
        _step(resolved, zoo, hardware)
    if ranks > 1 and every[0].rows_given:
        # A loss over the whole batch needs the rows of the other ranks, which are known now.
        rows = [hardware.rows_given for hardware in every]
        for hardware in every:
            hardware.rows_of_all, hardware.rows_given = rows, []
            _step(resolved, zoo, hardware)
    return {phase: _summed([hardware.found[phase] for hardware in every]) for phase in every[0].found}


def gradient_difference(whole: Mapping[str, Summed], dealt: Mapping[str, Summed]) -> dict[str, float]:
    """The largest difference of any gradient in each phase, as a share of the largest one."""
    errors = {}
    for phase, (gradients, weight) in whole.items():
        others = dealt[phase].gradients
        apart = {
            name: gradients.get(name, _NONE) - others.get(name, _NONE) for name in gradients.keys() | others.keys()
        }
        errors[phase] = max(_largest(apart) / _largest(gradients), abs(dealt[phase].weight / weight - 1))
    return errors


def _largest(tensors: Mapping[str, Tensor]) -> float:
    return float(torch.stack([tensor.abs().max() for tensor in tensors.values()]).max())  # NaN, where there is one


class _Rank(Hardware):
    """One of several ranks, which are asked one after the other."""

    def __init__(self, training: Training, rank: int, ranks: int) -> None:
        super().__init__(training)
        self.rank, self.ranks = rank, ranks
        self.found: dict[str, Summed] = {}
        self.names: dict[nn.Parameter, str] = {}
        self.rows_given: list[Sequence[Mapping[str, Tensor]]] = []
        self.rows_of_all: list[list[Sequence[Mapping[str, Tensor]]]] = []

    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """All draw the same weights, and nothing follows the first step."""

    def reduce_gradients(self, phase: str, parameters: Sequence[nn.Parameter], weight: Tensor) -> Tensor:
        gradients = {self.names[p]: p.grad.clone() for p in parameters if p.grad is not None}
        self.found[phase] = Summed(gradients, float(weight))
        return weight

    def rows(self, parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        number = len(self.rows_given)
        self.rows_given.append([{name: row.detach() for name, row in part.items()} for part in parts])
        whole = {}
        for name in parts[0]:
            dealt = []
            for micro, part in enumerate(parts):
                for rank in range(self.ranks):
                    known = rank != self.rank and self.rows_of_all
                    dealt.append(self.rows_of_all[rank][number][micro][name] if known else part[name])
            whole[name] = torch.stack(dealt, 1).flatten(0, 1)
        return whole


class _Still(Update):
    """Changes nothing, so that every phase begins with the same weights."""

    def step(self, weight: Tensor) -> Norms:
        return Norms(torch.zeros(()), torch.ones((), dtype=torch.bool))


def _step(recipe: Recipe, zoo: Zoo, hardware: _Rank) -> None:
    start = open_start(recipe, zoo.host, zoo.registry, None)
    prepared = prepare(recipe, zoo.host, hardware, start, None, opener=CheckpointOpener(zoo.registry, {}))
    hardware.names = {
        parameter: f"{module}.{name}"
        for module, part in prepared.task.modules().items()
        for name, parameter in part.named_parameters()
    }
    loop = Loop(
        prepared.task,
        updates={word: _Still(*update.optimizers, clip_norm=None) for word, update in prepared.updates.items()},
        training=recipe.training,
        schedule=prepared.schedule,
        steps=prepared.steps,
        hardware=hardware,
        frozen=prepared.frozen,
    )
    batches = training_batches(
        prepared.train, prepared.plan, Cursor(0, 0), rank=hardware.rank, ranks=hardware.ranks, workers=0, pin=False
    )
    with _in_double(list(prepared.task.modules().values())):
        loop.run(batches, 0, lambda _: True)


@contextmanager
def _in_double(modules: Sequence[nn.Module]) -> Iterator[None]:
    def cast(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(given.double() if _is_single(given) else given for given in inputs)

    parts = {id(part): part for module in modules for part in module.double().modules()}
    hooks = [part.register_forward_pre_hook(cast) for part in parts.values()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_single(given: Any) -> bool:
    return isinstance(given, Tensor) and given.dtype == torch.float32


def _summed(parts: Sequence[Summed]) -> Summed:
    names = dict.fromkeys(name for part in parts for name in part.gradients)
    gradients = {
        name: torch.stack([part.gradients[name] for part in parts if name in part.gradients]).sum(0) for name in names
    }
    return Summed(gradients, sum(part.weight for part in parts))
