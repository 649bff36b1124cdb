"""Recipes: YAML and `key=value` overrides resolved to frozen, typed configuration before anything is allocated."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoo_core import fs
from zoo_core.card import valid_name
from zoo_core.errors import RecipeError, UnknownName, nearest
from zoo_core.plugins import PluginHost, Provided
from zoo_core.schema import Place, build, dump_yaml, parse_override, parse_yaml, set_path, to_data


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate moves over the run."""

    name: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "linear"
    """Shape after the warm-up."""
    warmup: float = 0.06
    """Warm-up, as a share of the run below 1 and as a number of steps from 1 on."""
    final: float = 0.0
    """Learning rate at the end, as a share of the base rate."""

    def __post_init__(self) -> None:
        """Refuse what could not be a schedule."""
        _require(self.warmup >= 0, "warmup", "at least 0", self.warmup)
        _require(0 <= self.final <= 1, "final", "between 0 and 1", self.final)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how the loop runs."""

    steps: int | None = None
    """Optimizer steps; either this or `epochs`."""
    epochs: float | None = None
    """Passes over the training split; either this or `steps`."""
    batch_size: int = 32
    """Samples per optimizer step, over all ranks and micro-batches; the most where `batch_cost` is given."""
    batch_cost: int | None = None
    """Most padded units (samples times the longest length) in a global batch; bounds memory where lengths vary."""
    accumulation: int = 1
    """Micro-batches that a rank splits its share into; saves memory, does not change the result."""
    seed: int = 0
    """Seed of everything random in the run, 0 to 2^62."""
    clip_norm: float | None = 1.0
    """Largest gradient norm; larger gradients are scaled down to it."""
    ema_decay: float | None = None
    """Decay per step of the averaged weights that are evaluated and registered; none by default."""
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"
    """Precision of the forward pass; `auto` takes what accelerate was launched with."""
    matmul_precision: Literal["highest", "high", "medium"] = "highest"
    """torch's float32 matrix-product precision; `medium` is much faster on some processors."""
    device: Literal["auto", "cpu"] = "auto"
    """`auto` takes the accelerator that accelerate finds."""
    compile: bool = False
    """Compile the modules with torch.compile; phases with double backward stay eager."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    deterministic: bool = False
    """Use deterministic kernels only; on a GPU exact resume needs it."""
    freeze: tuple[str, ...] = ()
    """Patterns (`bert.embeddings.*`) of parameters that stay as they are, to the byte."""
    layer_decay: float = 1.0
    """Factor on the learning rate per block from the head down."""
    log_every: int = 10
    """Steps between log lines; the only host syncs of the loop."""
    evaluate_every: int | None = None
    """Steps between evaluations; a tenth of the run by default."""
    save_every: int | None = None
    """Steps between checkpoints; with the evaluations by default."""
    keep: int = 2
    """Checkpoints kept besides the best one."""
    patience: int | None = None
    """Evaluations without improvement after which the run stops."""
    evaluate_split: str = "validation"
    """Split for evaluation during training and for choosing the best checkpoint."""
    evaluate_samples: int | None = None
    """Most samples per evaluation during training; the final one takes all."""
    test_split: str = "test"
    """Split for the final figures; `evaluate_split` where the data has no such split."""
    workers: int = 0
    """Processes that encode samples; can't change the result."""
    skip_nonfinite: int = 0
    """Steps with a non-finite gradient that may be skipped before the run fails."""

    def __post_init__(self) -> None:
        """Refuse impossible values before anything is allocated."""
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        for name in ("steps", "batch_size", "batch_cost", "accumulation", "log_every", "evaluate_every", "save_every"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "at least 1", value)
        for name in ("keep", "patience", "evaluate_samples"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "at least 1", value)
        _require(
            self.epochs is None or (math.isfinite(self.epochs) and self.epochs > 0), "epochs", "above 0", self.epochs
        )
        _require(0 <= self.seed < 2**62, "seed", "between 0 and 2^62", self.seed)
        _require(self.clip_norm is None or self.clip_norm > 0, "clip_norm", "above 0", self.clip_norm)
        _require(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay", "between 0 and 1", self.ema_decay)
        _require(0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1", self.layer_decay)
        _require(self.workers >= 0, "workers", "at least 0", self.workers)
        _require(self.skip_nonfinite >= 0, "skip_nonfinite", "at least 0", self.skip_nonfinite)
        _require(
            self.batch_size % self.accumulation == 0,
            "accumulation",
            f"a divisor of batch_size {self.batch_size}",
            self.accumulation,
        )


@dataclass(frozen=True, kw_only=True)
class Component:
    """A registered component with its configuration."""

    provided: Provided
    config: Any
    """Instance of the spec's configuration dataclass."""

    @property
    def id(self) -> str:
        """`plugin/name`."""
        return self.provided.id

    def to_data(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {"name": self.id, **to_data(self.config)}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Which model to build."""

    provided: Provided
    size: str
    overrides: Mapping[str, Any]
    """Fields that differ from the size's own."""

    def config(self) -> Any:
        """The whole configuration: defaults, then the size, then the overrides."""
        spec = self.provided.spec
        values = {**spec.sizes[self.size], **self.overrides}
        return build(spec.config, values, where=f"model {spec.name}_{self.size}")

    def to_data(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {"name": f"{self.provided.id}_{self.size}", **self.overrides}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a run depends on."""

    name: str
    """Name the checkpoint is registered under: `family_size.recipe_data`."""
    summary: str
    model: Architecture | None
    """Architecture for a run from scratch; None where `init` names a checkpoint."""
    init: str
    """Name or folder of the checkpoint to start from; empty for a run from scratch."""
    init_overrides: Mapping[str, Any]
    """Architecture fields to change in the checkpoint's configuration, like dropout."""
    task: Component
    data: Component
    preprocessor: Mapping[str, Any]
    """Settings of the preprocessor's fit; empty where it comes with `init`."""
    loss: Component | None
    optimizers: Mapping[str, Component]
    """By the word that phases use; `main` serves every phase that has none of its own."""
    schedule: Schedule
    training: Training

    def to_data(self) -> dict[str, Any]:
        """The resolved recipe as plain data; reading it back gives an equal recipe."""
        model: Mapping[str, Any] = self.model.to_data() if self.model else self.init_overrides
        data: dict[str, Any] = {"name": self.name, "summary": self.summary, "init": self.init}
        data["model"] = dict(model)
        data["task"] = self.task.to_data()
        data["data"] = self.data.to_data()
        data["preprocessor"] = dict(self.preprocessor)
        if self.loss:
            data["loss"] = self.loss.to_data()
        main = self.optimizers["main"].to_data()
        data["optimizer"] = main
        data["optimizers"] = {key: part.to_data() for key, part in self.optimizers.items() if key != "main"}
        data["schedule"] = to_data(self.schedule)
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
    init: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any]
    data: Mapping[str, Any]
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any]


def load_recipe(source: str | Path | Mapping[str, Any], overrides: Sequence[str], host: PluginHost) -> Recipe:
    """Resolve a recipe: a file, the name of one that a plugin ships, or plain data.

    Raises `RecipeError` with file, line and key for anything that could not run, `UnknownName` for unknown components.
    """
    if isinstance(source, Mapping):
        data, where, lines = _plain(source), "recipe", dict[Place, int]()
    else:
        path = find_recipe(str(source), host)
        document = parse_yaml(fs.read_bytes(path, limit=1 << 20).decode(), where=str(path), error=RecipeError)
        data, where, lines = document.data, document.where, dict(document.lines)
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: a recipe is a mapping of sections")
    fields = _override_targets(data, host)
    for text in overrides:
        key, value = parse_override(text)
        place = key if "." in key or key in _SECTIONS else _expand(key, fields)
        set_path(data, place, value)
        lines = {k: v for k, v in lines.items() if k != tuple(place.split("."))}
    return _resolve(build(_Sections, data, where=where, lines=lines), where, lines, host)


def find_recipe(name: str, host: PluginHost) -> Path:
    """The file of a recipe: a path, or the name of one that a plugin ships."""
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml") or path.parent != Path():
        if not path.is_file():
            raise RecipeError(f"no recipe file {name}", hint="a recipe is a YAML file or a name from: zoo recipes")
        return path
    shipped = shipped_recipes(host)
    if name not in shipped:
        raise UnknownName("recipe", name, shipped)
    return shipped[name]


def shipped_recipes(host: PluginHost) -> dict[str, Path]:
    """Recipes that active plugins ship in their `recipes` folder, by name."""
    found: dict[str, Path] = {}
    for package in sorted(host.packages().values()):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted((Path(folder) / "recipes").glob("*.yaml")):
                found.setdefault(path.stem, path)
    return found


def _resolve(sections: _Sections, where: str, lines: Mapping[Place, int], host: PluginHost) -> Recipe:
    if not valid_name(sections.name):
        raise RecipeError(f"{where}: name {sections.name!r} is not of the form family_size.recipe_data")
    part = _Parts(where, lines, host)
    task = part.component("task", sections.task, ("task",))
    if not sections.init and "name" not in sections.model:
        raise RecipeError(f"{where}: no model", hint="give model.name (an architecture) or init (a checkpoint)")
    if sections.init and sections.preprocessor:
        raise RecipeError(f"{where}: preprocessor: it comes with the checkpoint {sections.init}", hint="leave it out")
    model = part.architecture(sections.model) if "name" in sections.model else None
    if model and sections.init:
        raise RecipeError(f"{where}: give either model.name or init, not both")
    if model and task.provided.spec.name not in model.provided.spec.tasks:
        tasks = ", ".join(model.provided.spec.tasks)
        raise RecipeError(
            f"{where}: {model.provided.id} has no head for the task {task.id}", hint=f"it serves: {tasks}"
        )
    data = part.component("data", sections.data, ("data",))
    if data.provided.spec.kind not in task.provided.spec.data:
        wanted = " or ".join(task.provided.spec.data)
        raise RecipeError(f"{where}: task {task.id} takes {wanted} data; {data.id} is {data.provided.spec.kind}")
    main = part.component("optimizer", {"name": "adamw", **sections.optimizer}, ("optimizer",))
    others = {
        key: part.component("optimizer", {"name": "adamw", **value}, ("optimizers", key))
        for key, value in sections.optimizers.items()
    }
    if model and sections.preprocessor:
        part.build(model.provided.spec.preprocessor_config, sections.preprocessor, ("preprocessor",))
    return Recipe(
        name=sections.name,
        summary=sections.summary,
        model=model,
        init=sections.init,
        init_overrides=dict(sections.model) if model is None else {},
        task=task,
        data=data,
        preprocessor=dict(sections.preprocessor),
        loss=part.loss(sections.loss, task),
        optimizers={"main": main, **others},
        schedule=part.build(Schedule, sections.schedule, ("schedule",)),
        training=part.build(Training, sections.training, ("training",)),
    )


class _Parts:
    """Builds the parts of a recipe with the file and line in every complaint."""

    def __init__(self, where: str, lines: Mapping[Place, int], host: PluginHost) -> None:
        self.where, self.lines, self.host = where, lines, host

    def build(self, cls: Any, values: Mapping[str, Any], place: tuple[str, ...]) -> Any:
        depth = len(place)
        below: dict[Place, int] = {key[depth:]: line for key, line in self.lines.items() if key[:depth] == place}
        return build(cls, dict(values), where=f"{self.where}: {'.'.join(place)}", lines=below)

    def component(self, kind: str, values: Mapping[str, Any], place: tuple[str, ...]) -> Component:
        if not isinstance(values.get("name"), str):
            raise RecipeError(f"{self.where}: {'.'.join(place)}: needs a name")
        provided = self.host.find(kind, values["name"])
        rest = {key: value for key, value in values.items() if key != "name"}
        return Component(provided=provided, config=self.build(provided.spec.config, rest, place))

    def architecture(self, values: Mapping[str, Any]) -> Architecture:
        provided, size = self.host.find_model(values["name"])
        rest = {key: value for key, value in values.items() if key != "name"}
        self.build(provided.spec.config, {**provided.spec.sizes[size], **rest}, ("model",))
        return Architecture(provided=provided, size=size, overrides=rest)

    def loss(self, values: Mapping[str, Any], task: Component) -> Component | None:
        spec = task.provided.spec
        if not values and not spec.loss:
            return None
        loss = self.component("loss", {"name": spec.loss, **values}, ("loss",))
        if loss.provided.spec.inputs != spec.loss_inputs:
            wanted = ", ".join(spec.loss_inputs) or "no loss, its model has its own"
            found = ", ".join(loss.provided.spec.inputs)
            raise RecipeError(f"{self.where}: loss {loss.id} takes ({found}); task {task.id} offers ({wanted})")
        return loss


_SECTIONS = {item.name for item in dataclasses.fields(_Sections)}


def _plain(value: Any) -> Any:
    """A copy of plain data that overrides may change."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _override_targets(data: Mapping[str, Any], host: PluginHost) -> dict[str, list[str]]:
    """Full keys that a bare field name may stand for, like `lr` for `optimizer.lr`."""
    found: dict[str, list[str]] = {}
    for section, cls in _configs(data, host):
        for item in dataclasses.fields(cls):
            found.setdefault(item.name, []).append(f"{section}.{item.name}")
    return found


def _configs(data: Mapping[str, Any], host: PluginHost) -> Iterator[tuple[str, Any]]:
    yield "training", Training
    yield "schedule", Schedule
    for section in ("task", "data", "loss", "optimizer"):
        values = data.get(section)
        name = values.get("name") if isinstance(values, Mapping) else None
        if section == "optimizer":
            name = name or "adamw"
        if isinstance(name, str):
            yield section, host.find(section, name).spec.config
    model = data.get("model")
    if isinstance(model, Mapping) and isinstance(model.get("name"), str):
        spec = host.find_model(model["name"])[0].spec
        yield "model", spec.config
        yield "preprocessor", spec.preprocessor_config


def _expand(key: str, targets: Mapping[str, list[str]]) -> str:
    places = [place for place in targets.get(key, []) if not place.endswith(".name")]
    if not places:
        raise RecipeError(f"unknown key {key!r}", hint=nearest(key, targets))
    # The loop's own settings win over a component's field of the same name; the full key still reaches the other.
    own = [place for place in places if place.startswith("training.")]
    if len(places) > 1 and not own:
        raise RecipeError(f"{key!r} could be {' or '.join(places)}", hint="write the whole key")
    return own[0] if own else places[0]


def _require(holds: bool, name: str, wanted: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {wanted}, found {found}")
