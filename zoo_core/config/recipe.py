"""Recipes: YAML and `key=value` overrides resolved to frozen, typed configuration before anything is allocated."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.config.keys import OPTIMIZER, SAMPLER, SCHEDULE, name_in, present_key, rename, whole_key
from zoo_core.config.parts import PartSource, sources
from zoo_core.config.samples import check_samples
from zoo_core.config.settings import Training
from zoo_core.config.shipped import find_recipe, recipes_by_id
from zoo_core.contract.schema import Place, dump_yaml, from_data, locate, parse_override, parse_yaml, set_path, to_data
from zoo_core.contract.specs import ANY
from zoo_core.data.options import PART_KEYS
from zoo_core.errors import RecipeError, ZooError
from zoo_core.plugins.discovery import CORE
from zoo_core.plugins.host import PluginHost, RegisteredComponent, check_name, model_name
from zoo_core.plugins.offers import unserved
from zoo_core.registry.card import valid_name
from zoo_core.storage import fs


@dataclass(frozen=True, kw_only=True)
class Component:
    """A registered component with its configuration."""

    provided: RegisteredComponent
    config: Any
    """Instance of the spec's configuration dataclass."""
    parts: tuple[Component, ...] = ()
    """The data sets that the configuration of a data set names."""

    @property
    def id(self) -> str:
        """`plugin/name`."""
        return self.provided.id

    def to_data(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {"name": self.id, **to_data(self.config)}


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """The parameters that one optimizer trains, and with which settings."""

    match: str
    """Patterns of parameters' names, separated by `|`; empty for an optimizer that trains all of them."""
    optimizer: Component

    def to_data(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {"match": self.match, **self.optimizer.to_data()}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Which model to build."""

    provided: RegisteredComponent
    size: str
    values: Mapping[str, Any]
    """Fields that the size sets."""
    overrides: Mapping[str, Any]
    """Fields that differ from the size's own."""

    def config(self) -> Any:
        """The whole configuration: defaults, then the size, then the overrides."""
        name = model_name(self.provided, self.size)
        return from_data(self.provided.config, {**self.values, **self.overrides}, where=f"model {name}")

    def to_data(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {"name": model_name(self.provided, self.size), **self.overrides}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a run depends on."""

    name: str
    """Name the checkpoint is registered under: `family_size.recipe_data`."""
    summary: str
    model: Architecture | None
    """Architecture for a run from scratch; None where `init` names a checkpoint."""
    init: str
    """Name or folder of the checkpoint to start from; empty for a run from scratch, and for one from several."""
    parts: Mapping[str, PartSource]
    """The checkpoints that the model is put together from, by part; none where it is of one piece."""
    fresh: bool
    """Take `init`'s architecture and preprocessor with fresh weights: the control that shows what pretraining is worth."""
    init_overrides: Mapping[str, Any]
    """Architecture fields to change in the checkpoint's configuration, like dropout."""
    adapter: Component | None
    """How the difference to `init` is trained and stored; None where all weights are."""
    task: Component
    data: Component
    preprocessor: Mapping[str, Any]
    """Settings of the preprocessor's fit, or those to change in the one that comes with `init`."""
    loss: Component | None
    """None where the model itself has the loss."""
    sampler: Component | None
    """What says which samples an epoch has and in what order; None for each of them once, shuffled."""
    optimizers: Mapping[str, tuple[ParameterGroup, ...]]
    """By the word that phases use; `main` serves every phase that has none of its own. A parameter is the first group's
    whose patterns match."""
    schedule: Component
    loggers: tuple[Component, ...]
    """Who watches the run besides plugins' observers."""
    training: Training

    def to_data(self) -> dict[str, Any]:
        """The resolved recipe as plain data; reading it back gives an equal recipe."""
        model: Mapping[str, Any] = self.model.to_data() if self.model else self.init_overrides
        init: Any = {name: part.init for name, part in self.parts.items()} or self.init
        data: dict[str, Any] = {"name": self.name, "summary": self.summary, "init": init, "fresh": self.fresh}
        settings = {name: to_data(part.settings) for name, part in self.parts.items()}
        data["model"] = {**model, **settings}
        if self.adapter:
            data["adapter"] = self.adapter.to_data()
        data["task"] = self.task.to_data()
        data["data"] = self.data.to_data()
        data["preprocessor"] = dict(self.preprocessor)
        if self.loss:
            data["loss"] = self.loss.to_data()
        if self.sampler:
            data["sampler"] = self.sampler.to_data()
        optimizers = {key: _grouped_data(groups) for key, groups in self.optimizers.items()}
        data["optimizer"] = optimizers.pop("main")
        data["optimizers"] = optimizers
        # The core's own had no plugin's name once, and are stored as they were.
        data["schedule"] = {**self.schedule.to_data(), "name": self.schedule.id.removeprefix(f"{CORE}/")}
        if self.loggers:
            data["loggers"] = [logger.to_data() for logger in self.loggers]
        data["training"] = to_data(self.training)
        return data

    def to_yaml(self) -> str:
        """The resolved recipe as a file."""
        return dump_yaml(self.to_data())


@dataclass(frozen=True, kw_only=True)
class _Sections:
    """The shape of a recipe file; components are resolved afterwards."""

    name: str
    summary: str = ""
    init: str | Mapping[str, str] = ""
    fresh: bool = False
    model: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any]
    data: Mapping[str, Any]
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    loggers: tuple[Mapping[str, Any], ...] = ()
    training: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """The shape of an optimizer's section that holds groups and nothing else."""

    groups: tuple[Mapping[str, Any], ...]


def load_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), host: PluginHost | None = None
) -> Recipe:
    """Resolve a recipe: a file, the name of one that a plugin ships, or plain data; by the installed plugins, or `host`.

    Raises `RecipeError` with file, line and key for anything that could not run, `UnknownName` for unknown components.
    """
    host = PluginHost.discover(os.environ) if host is None else host
    shipper: tuple[str, ...] = ()
    if isinstance(source, Mapping):
        data, where, lines = _plain(source), "recipe", dict[Place, int]()
    else:
        path = find_recipe(str(source), host)
        shipper = tuple(name.partition("/")[0] for name, known in recipes_by_id(host).items() if known == path)
        document = parse_yaml(fs.read_bytes(path, limit=1 << 20), where=str(path), error=RecipeError)
        data, where, lines = document.data, document.where, dict(document.lines)
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: a recipe is a mapping of sections")
    lines |= rename(data, lines, host, _own(data, host, shipper))
    for text in overrides:
        key, value = parse_override(text)
        place = key if "." in key or key in _SECTIONS else whole_key(key, data, host, _own(data, host, shipper))
        place = present_key(place, data, host, _own(data, host, shipper))
        set_path(data, place, value)
        _replace_rival(data, place, value)
        lines = {k: v for k, v in lines.items() if k != tuple(place.split("."))}
    part = _Parts(where, lines, host, _own(data, host, shipper))
    return _resolve(from_data(_Sections, data, where=where, lines=lines), where, part)


def _own(data: Mapping[str, Any], host: PluginHost, shipper: tuple[str, ...]) -> tuple[str, ...]:
    """The plugins that a recipe's short names mean first: the one that ships it, its model's, its task's."""
    own = list(shipper)
    for section in ("model", "task"):
        if name := name_in(data, section):
            with contextlib.suppress(ZooError):  # the section itself is refused later, with its line
                find = host.find_model(name, own).provided if section == "model" else host.find("task", name, own)
                own.append(find.plugin)
    return tuple(own)


def _resolve(sections: _Sections, where: str, part: _Parts) -> Recipe:
    if not valid_name(sections.name):
        raise RecipeError(f"{where}: name {sections.name!r} is not of the form family_size.recipe_data")
    task = part.component("task", sections.task, ("task",))
    if not sections.init and "name" not in sections.model:
        raise RecipeError(f"{where}: no model", hint="give model.name (an architecture) or init (a checkpoint)")
    model = part.architecture(sections.model) if "name" in sections.model else None
    if sections.fresh and not sections.init:
        raise RecipeError(f"{where}: fresh: says what to do with init, which is empty", hint="leave it out")
    if model and isinstance(sections.init, str) and sections.init:
        raise RecipeError(f"{where}: give either model.name or init, not both")
    parts = sources(sections.init, sections.model, model.provided if model else None, where, part.lines)
    if sections.adapter and (parts or not sections.init or sections.fresh):
        hint = "give init, without fresh" if sections.fresh else "give init: NAME in place of model.name"
        raise RecipeError(f"{where}: adapter: what it trains is a difference to a checkpoint", hint=hint)
    if model and not part.host.serves(model.provided, task.provided):
        lacking, hint = unserved(part.host, model.provided, task.provided)
        raise RecipeError(f"{where}: {model.provided.id} has {lacking}", hint=hint)
    if model:
        check_name(sections.name, model.provided, model.size, part.host)
    data = part.component("data", sections.data, ("data",))
    check_samples(data, task, part.host, where)
    main = part.optimizer(sections.optimizer, ("optimizer",))
    others = {key: part.optimizer(value, ("optimizers", key)) for key, value in sections.optimizers.items()}
    if model and sections.preprocessor:
        part.build(model.provided.preprocessor_config, sections.preprocessor, ("preprocessor",))
    return Recipe(
        name=sections.name,
        summary=sections.summary,
        model=model,
        init=sections.init if isinstance(sections.init, str) else "",
        parts=parts,
        fresh=sections.fresh,
        init_overrides=dict(sections.model) if model is None else {},
        adapter=part.component("adapter", sections.adapter, ("adapter",)) if sections.adapter else None,
        task=task,
        data=data,
        preprocessor=dict(sections.preprocessor),
        loss=part.loss(sections.loss, task),
        sampler=part.sampler(sections.sampler),
        optimizers={"main": main, **others},
        schedule=part.component("schedule", {"name": SCHEDULE, **sections.schedule}, ("schedule",)),
        loggers=tuple(
            part.component("logger", values, ("loggers", number)) for number, values in enumerate(sections.loggers)
        ),
        training=part.build(Training, sections.training, ("training",)),
    )


class _Parts:
    """Builds the parts of a recipe with the file and line in every complaint."""

    def __init__(self, where: str, lines: Mapping[Place, int], host: PluginHost, own: Sequence[str]) -> None:
        self.where, self.lines, self.host, self.own = where, lines, host, own

    def build(self, cls: Any, values: Mapping[str, Any], place: Place) -> Any:
        return from_data(cls, dict(values), where=self.where, lines=self.lines, path=place)

    def component(self, kind: str, values: Mapping[str, Any], place: Place) -> Component:
        if not isinstance(values.get("name"), str):
            raise RecipeError(f"{locate(self.where, place, self.lines)}: needs a name")
        # Stored recipes say no more than `linear` of a schedule of the core's.
        own = [CORE, *self.own] if kind == "schedule" else self.own
        provided = self.host.find(kind, values["name"], own)
        rest = {key: value for key, value in values.items() if key != "name"}
        config = self.build(provided.config, rest, place)
        if ANY not in getattr(provided.spec, "opens", ()):
            return Component(provided=provided, config=config)
        return self.joined(provided, config, place)

    def joined(self, provided: RegisteredComponent, config: Any, place: Place) -> Component:
        """A data set whose configuration names others, each resolved as a section of its own."""
        parts, sections = [], []
        for number, section in enumerate(config.parts):
            rest = {key: value for key, value in section.items() if key not in PART_KEYS}
            part = self.component("data", {"name": section["name"], **rest}, (*place, "parts", number))
            if part.parts:
                raise RecipeError(
                    f"{locate(self.where, (*place, 'parts', number), self.lines)}: {part.id} is made of parts itself",
                    hint="name its parts here",
                )
            parts.append(part)
            sections.append({"name": part.id, "weight": section.get("weight", 1), **part.to_data()})
        return Component(
            provided=provided, config=dataclasses.replace(config, parts=tuple(sections)), parts=tuple(parts)
        )

    def optimizer(self, values: Mapping[str, Any], place: Place) -> tuple[ParameterGroup, ...]:
        """The groups of an optimizer's section: one of everything where it names an optimizer itself."""
        if "groups" not in values:
            chosen = self.component("optimizer", {"name": OPTIMIZER, **values}, place)
            return (ParameterGroup(match="", optimizer=chosen),)
        groups = self.build(_Groups, values, place).groups
        if not groups:
            raise RecipeError(f"{locate(self.where, (*place, 'groups'), self.lines)}: expected a group, found none")
        return tuple(self._group(group, (*place, "groups", number)) for number, group in enumerate(groups))

    def _group(self, values: Mapping[str, Any], place: Place) -> ParameterGroup:
        match = values.get("match")
        if not isinstance(match, str) or not all(pattern.strip() for pattern in match.split("|")):
            raise RecipeError(
                f"{locate(self.where, (*place, 'match'), self.lines)}: expected patterns of parameters' names, found {match!r}",
                hint='for example "*.bias|*norm*", and "*" for all that are left',
            )
        rest = {"name": OPTIMIZER, **{key: value for key, value in values.items() if key != "match"}}
        return ParameterGroup(match=match, optimizer=self.component("optimizer", rest, place))

    def architecture(self, values: Mapping[str, Any]) -> Architecture:
        named = self.host.find_model(values["name"], self.own)
        rest = {key: value for key, value in values.items() if key not in ("name", *named.provided.spec.parts)}
        self.build(named.provided.config, {**named.values, **rest}, ("model",))
        return Architecture(provided=named.provided, size=named.size, values=named.values, overrides=rest)

    def sampler(self, values: Mapping[str, Any]) -> Component | None:
        chosen = self.component("sampler", {"name": SAMPLER, **values}, ("sampler",))
        return None if chosen.id == SAMPLER else chosen

    def loss(self, values: Mapping[str, Any], task: Component) -> Component | None:
        spec = task.provided.spec
        if not values and not spec.loss:
            return None
        default = self.host.find("loss", spec.loss, [task.provided.plugin]).id if spec.loss else ""
        loss = self.component("loss", {"name": default, **values}, ("loss",))
        if loss.provided.spec.inputs != spec.loss_inputs:
            wanted = ", ".join(spec.loss_inputs) or "no loss, its model has its own"
            found = ", ".join(loss.provided.spec.inputs)
            raise RecipeError(f"{self.where}: loss {loss.id} takes ({found}); task {task.id} offers ({wanted})")
        return loss


_SECTIONS = {item.name for item in dataclasses.fields(_Sections)}


def _grouped_data(groups: Sequence[ParameterGroup]) -> dict[str, Any]:
    """What trains a phase, as a recipe writes it."""
    if not groups[0].match:
        return groups[0].optimizer.to_data()
    return {"groups": [group.to_data() for group in groups]}


def _plain(value: Any) -> Any:
    """A copy of plain data that overrides may change."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _replace_rival(data: dict[str, Any], place: str, value: Any) -> None:
    """What says the same thing in two ways: whoever sets steps or epochs takes back the other, and groups of optimizers take
    back the one that was to train everything."""
    above, _, last = place.rpartition(".")
    if last == "groups" and above.partition(".")[0] in ("optimizer", "optimizers"):
        set_path(data, above, {"groups": value})
    other = {"training.steps": "epochs", "training.epochs": "steps"}.get(place)
    if other and value is not None and isinstance(data.get("training"), dict):
        data["training"].pop(other, None)
