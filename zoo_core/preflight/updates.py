"""The optimizers of a run and what scales their rates: each trained parameter is one optimizer's, and one that can train it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from zoo_core.config.recipe import Component, ParameterGroup, Recipe
from zoo_core.contract.task import Task
from zoo_core.errors import DataError, RecipeError
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.preflight.contracts import broken, calling
from zoo_core.training import optim
from zoo_core.training.optim import LayerGroups, Schedule, Update

_LOOKED_AT = 200
"""Steps, about, whose rates are looked at before a run."""

Named = list[tuple[str, nn.Parameter]]
"""Parameters with their names, the word of their module in front: `generator.body.0.weight`."""


@dataclass(frozen=True, kw_only=True)
class _Section:
    """A part of a recipe that says what trains parameters, and which of its groups each one is in."""

    place: str
    groups: Sequence[ParameterGroup]
    numbers: Mapping[str, int]
    """Number of the group of each trained parameter, by its name."""

    def component(self, number: int) -> Component:
        return self.groups[number].optimizer


def build_updates(recipe: Recipe, host: PluginHost, task: Task, provided: RegisteredComponent) -> dict[str, Update]:
    """The update of each word that the task's phases use. Raises `RecipeError` for groups that don't fit the parameters."""
    words = {word: _named(task, word) for word in dict.fromkeys(phase.optimizer for phase in task.phases)}
    if unknown := set(recipe.optimizers) - set(words) - {"main"}:
        raise RecipeError(f"optimizers.{min(unknown)}: the task has only {', '.join(words)}")
    for word, named in words.items():
        if not any(parameter.requires_grad for _, parameter in named):
            raise DataError(f"optimizer {word}: every parameter is frozen", hint="freeze less")
    layers, sections = _layers(host, task, provided), _sections(recipe, task, words)
    updates = {}
    for word, named in words.items():
        section = sections[_key(recipe, word)]
        optimizers = [
            _build(host, section, numbers, named, layers, recipe.training.layer_decay) for numbers in _shared(section)
        ]
        there = [optimizer for optimizer in optimizers if optimizer is not None]
        updates[word] = Update(*there, clip_norm=recipe.training.clip_norm)
    return updates


def build_schedule(component: Component, host: PluginHost) -> Schedule:
    """What scales the base rates of a run."""
    target = host.resolve(component.provided.spec.target, component.provided)

    def schedule(step: int, steps: int) -> float:
        return target(step, steps, component.config)  # type: ignore[no-any-return]

    return schedule


def check_schedule(component: Component, schedule: Schedule, steps: int) -> None:
    """A schedule gives a factor for each step, and the same one when asked again. Raises `PluginError`."""
    method, looked_at = "the target of its spec", range(0, steps, max(1, steps // _LOOKED_AT))
    with calling(component.id, method):
        factors = {step: schedule(step, steps) for step in looked_at}
        again = {step: schedule(step, steps) for step in reversed(looked_at)}
    for step, factor in factors.items():
        if not isinstance(factor, int | float) or not 0 <= factor < math.inf:
            raise broken(component.id, method, "a factor of at least 0", f"{factor!r:.80} at step {step} of {steps}")
        if again[step] != factor:
            found = f"{factor} and then {again[step]} at step {step}"
            raise broken(component.id, method, "the same factor for the same step", found)


def check_updates(recipe: Recipe, task: Task, updates: Mapping[str, Update]) -> None:
    """Each update's optimizers hold what the phases of its word train, each parameter once. Raises `PluginError`."""
    if len(optim.optimizers_by_word(updates)) < sum(len(update.optimizers) for update in updates.values()):
        raise broken(recipe.task.id, "Task.phases", "words of optimizers without '.'", ", ".join(updates))
    for word, update in updates.items():
        groups = recipe.optimizers[_key(recipe, word)]
        component = " and ".join(dict.fromkeys(group.optimizer.id for group in groups))
        wanted = {id(parameter) for _, parameter in _named(task, word) if parameter.requires_grad}
        held = [id(parameter) for parameter in update.parameters]
        if len(held) != len(set(held)) or set(held) != wanted:
            raise broken(
                component, "the optimizer", f"the {len(wanted)} parameters it was given", f"{len(held)} others"
            )
        if any("lr" not in group for optimizer in update.optimizers for group in optimizer.param_groups):
            raise broken(component, "the optimizer", "a learning rate in every group", "a group without lr")


def _named(task: Task, word: str) -> Named:
    """Parameters of the modules that the phases of a word train."""
    modules = task.modules()
    trained = dict.fromkeys(name for phase in task.phases if phase.optimizer == word for name in phase.trains)
    return [(f"{name}.{p}", value) for name in trained for p, value in modules[name].named_parameters()]


def _key(recipe: Recipe, word: str) -> str:
    """The key of a recipe's section for a word: those without one of their own share `main`."""
    return word if word in recipe.optimizers else "main"


def _sections(recipe: Recipe, task: Task, words: Mapping[str, Named]) -> dict[str, _Section]:
    """The sections that the words use; one that several share has to fit all their parameters, and not those of each."""
    own = {parameter: name for name, parameter in task.model.named_parameters()}
    found = {}
    for key in dict.fromkeys(_key(recipe, word) for word in words):
        named = dict(pair for word in words if _key(recipe, word) == key for pair in words[word])
        # A pattern may be of the name in checkpoints, or of the one with the module's word in front.
        names = {name: (own.get(parameter, name), name) for name, parameter in named.items()}
        trained = [name for name, parameter in named.items() if parameter.requires_grad]
        place, groups = "optimizer" if key == "main" else f"optimizers.{key}", recipe.optimizers[key]
        found[key] = _Section(place=place, groups=groups, numbers=_numbers(groups, names, trained, place))
        _check_shapes(found[key], {name: (names[name][0], named[name].shape) for name in trained})
    return found


def _numbers(
    groups: Sequence[ParameterGroup], names: Mapping[str, tuple[str, ...]], trained: Sequence[str], place: str
) -> dict[str, int]:
    """The first group of each trained parameter whose patterns match one of its names, whatever the case of letters."""
    if not groups[0].match:
        return dict.fromkeys(trained, 0)
    hint = f"parameters are called like {names[trained[0]][0]} ... {names[trained[-1]][0]}"
    numbers: dict[str, int] = {}
    for number, group in enumerate(groups):
        where, taken = f"{place}.groups[{number}]", len(numbers)
        for pattern in _patterns(group):
            matched = {name for name in names if any(fnmatchcase(word.lower(), pattern) for word in names[name])}
            if not matched:
                raise RecipeError(f"{where}: {pattern!r} matches no parameter", hint=hint)
            numbers = {**dict.fromkeys(sorted(matched.intersection(trained)), number), **numbers}
        if len(numbers) == taken:
            raise RecipeError(
                f"{where}: all that {group.match!r} matches is frozen, or in a group before it",
                hint="leave the group out, or move it to the front; the first group that matches a parameter trains it",
            )
    if left := [names[name][0] for name in trained if name not in numbers]:
        raise RecipeError(
            f"{place}.groups: expected a group for every trained parameter, found none for {_listed(left)}",
            hint='end with a group for all that are left: match: "*"',
        )
    return numbers


def _patterns(group: ParameterGroup) -> Iterator[str]:
    return (pattern.strip().lower() for pattern in group.match.split("|"))


def _check_shapes(section: _Section, shapes: Mapping[str, tuple[str, torch.Size]]) -> None:
    """Each optimizer takes tensors of the shapes in its groups; `shapes` also has the names to show. Raises `RecipeError`."""
    for number, group in enumerate(section.groups):
        taken = group.optimizer.provided.spec.dimensions
        found = [shapes[name] for name, own in section.numbers.items() if own == number]
        wrong = [(shown, shape) for shown, shape in found if taken and len(shape) not in taken]
        if wrong:
            place = f"{section.place}.groups[{number}]" if group.match else section.place
            listed = _listed([f"{shown} of the shape {tuple(shape)}" for shown, shape in wrong])
            names = "|".join(shown for shown, _ in wrong[:3]) + ("|..." if len(wrong) > 3 else "")
            raise RecipeError(
                f"{place}: {group.optimizer.id} trains tensors of {' or '.join(map(str, taken))} dimensions, found {listed}",
                hint=f'give them another optimizer in a group before: {{match: "{names}", name: adamw}}',
            )


def _shared(section: _Section) -> list[list[int]]:
    """Numbers of the groups of each optimizer: those that differ in rate and weight decay alone are one optimizer's."""
    found: list[tuple[tuple[str, dict[str, Any]], list[int]]] = []
    for number in range(len(section.groups)):
        settings = _settings(section.component(number))
        for known, numbers in found:
            if known == settings:
                numbers.append(number)
                break
        else:
            found.append((settings, [number]))
    return [numbers for _, numbers in found]


def _settings(component: Component) -> tuple[str, dict[str, Any]]:
    """What an optimizer is, less what each of its groups has for itself."""
    names = [each.name for each in fields(component.config) if each.name not in ("lr", "weight_decay")]
    return component.id, {name: getattr(component.config, name) for name in names}


def _build(
    host: PluginHost,
    section: _Section,
    numbers: Sequence[int],
    named: Named,
    layers: str | LayerGroups,
    layer_decay: float,
) -> Optimizer | None:
    """The optimizer of some groups; None where none of these parameters is in them."""
    groups: optim.Groups = []
    for number in numbers:
        config = section.component(number).config
        groups += optim.parameter_groups(
            named,
            lr=config.lr,
            weight_decay=config.weight_decay,
            layers=layers,
            layer_decay=layer_decay,
            among={name for name, group in section.numbers.items() if group == number},
        )
    if not groups:
        return None
    component = section.component(numbers[0])
    with calling(component.id, "the target of its spec"):
        built: Optimizer = host.resolve(component.provided.spec.target, component.provided)(groups, component.config)
    return built


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"


def _layers(host: PluginHost, task: Task, provided: RegisteredComponent) -> str | LayerGroups:
    """How the model's parameters are grouped by layer, under the names that `build_updates` gives them."""
    if not provided.spec.layer_groups:
        return str(provided.spec.layers)
    found: LayerGroups = host.resolve(provided.spec.layer_groups, provided)(task.model)
    known = {parameter: name for name, parameter in task.model.named_parameters()}
    numbers, undecayed = {}, set()
    for module, part in task.modules().items():
        for name, parameter in part.named_parameters():
            own = known.get(parameter, "")
            if own in found.numbers:
                numbers[f"{module}.{name}"] = found.numbers[own]
            if own in found.undecayed:
                undecayed.add(f"{module}.{name}")
    return LayerGroups(numbers, frozenset(undecayed))
