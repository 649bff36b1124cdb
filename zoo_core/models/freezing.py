"""Keeps parts of a model as they are, to the byte: their parameters get no gradient, their running statistics no update."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence

from torch import nn

from zoo_core.contract.task import Task
from zoo_core.errors import RecipeError

BACKBONE = "backbone"
"""The pattern that stands for everything outside the head: what is frozen is then known to the model's family."""


def freeze(model: nn.Module, patterns: Sequence[str], head: tuple[str, ...] = ()) -> frozenset[str]:
    """Stop training the tensors whose names match; returns the names, those of parameters and of running statistics.

    `head` holds the prefixes that `backbone` leaves out. Raises `RecipeError` for a pattern without a match.
    """
    parameters = dict(model.named_parameters())
    buffers = [name for name, _ in model.named_buffers()]
    frozen: set[str] = set()
    for pattern in patterns:
        if pattern == BACKBONE and not head:
            raise RecipeError(
                "training.freeze: this model's family doesn't say what its head is", hint=_hint(parameters)
            )
        matched = {name for name in (*parameters, *buffers) if _matches(name, pattern, head)}
        if not matched & parameters.keys():
            raise RecipeError(f"training.freeze: {pattern!r} matches no parameter", hint=_hint(parameters))
        frozen |= matched
    for name in frozen & parameters.keys():
        parameters[name].requires_grad_(False)
    return frozenset(frozen)


def freeze_all_but(model: nn.Module, trained: Collection[str]) -> frozenset[str]:
    """Stop training every tensor that isn't named; returns the names of these, parameters and running statistics."""
    parameters = dict(model.named_parameters())
    names = [*parameters, *(name for name, _ in model.named_buffers())]
    frozen = frozenset(name for name in names if name not in trained)
    for name in frozen & parameters.keys():
        parameters[name].requires_grad_(False)
    return frozen


def train_mode(task: Task, frozen: frozenset[str]) -> None:
    """Put a task's modules in training mode, but for those that no phase trains, like a teacher, and for those that would
    update frozen running statistics of their own.

    A module's mode is its own: the parts below it keep theirs. One whose parts are still trained stays in training mode,
    since a buffer that it holds beside them (position numbers, say) is no running statistic.
    """
    modules = task.modules()
    trained = {name for phase in task.phases for name in phase.trains}
    for module in modules.values():
        module.eval()
    for name in modules.keys() & trained:
        modules[name].train()
    for prefix, part in task.model.named_modules():
        below = f"{prefix}.".lstrip(".")
        if not any(below + name in frozen for name, _ in part.named_buffers(recurse=False)):
            continue
        own = {name for name, _ in part.named_parameters(recurse=False)}
        if all(below + name in frozen for name, _ in part.named_parameters() if name not in own):
            part.training = False


def _matches(name: str, pattern: str, head: tuple[str, ...]) -> bool:
    return not name.startswith(head) if pattern == BACKBONE else fnmatch.fnmatchcase(name, pattern)


def _hint(names: Iterable[str]) -> str:
    found = list(names)
    return f"parameters are called like {found[0]} ... {found[-1]}" if found else "the model has no parameters"
