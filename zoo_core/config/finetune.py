"""The recipe that a fine-tuning command stands for: a checkpoint, a task, and a data set or a file of the user's own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from zoo_core.config.keys import OPTIMIZER
from zoo_core.config.recipe import Component, Recipe, load_recipe
from zoo_core.config.samples import fitting, place_among
from zoo_core.contract.config import present_names
from zoo_core.contract.schema import from_data as typed
from zoo_core.contract.specs import TaskSpec
from zoo_core.data.options import SplitOptions
from zoo_core.errors import AmbiguousName, DataError, UnknownName, ZooError
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.registry.card import Card, looks_like_path
from zoo_core.registry.checkpoint import open_checkpoint
from zoo_core.registry.registry import Registry
from zoo_core.storage.paths import resolve_path


def data_choice(
    provided: RegisteredComponent, text: str, columns: Mapping[str, str], host: PluginHost
) -> dict[str, Any]:
    """The data section of a recipe for what a user named: a data set, or a file or folder of their own.

    A file goes to the reader whose samples the task can read and whose configuration has a `path`, and is split by class where
    it has no splits; `columns` names, by role, the columns to read. Raises `UnknownName` and `DataError` with what would work.
    """
    task: TaskSpec = provided.spec
    sets = fitting(provided, host)
    names = {one.spec.name for one in sets} | {one.id for one in sets}
    if text in names:
        found = host.find("data", text, [provided.plugin])
        return {"name": found.id, **_column_settings(found, columns)}
    path = resolve_path(text)
    if not path.exists() and (looks_like_path(text) or path.suffix):
        raise DataError(f"no such file or folder: {text}")
    if not path.exists():
        raise (
            UnknownName("data set", text, names, hint="") if names else DataError(f"nothing reads data for {task.name}")
        )
    readers = [one for one in sets if any(f.name == "path" for f in fields(one.config))]
    if not readers:
        raise DataError(
            f"no plugin reads files for the task {task.name}", hint=f"data sets: {', '.join(sorted(names))}"
        )
    reader = _reader(readers, provided, text)
    rule = {"split_rule": "stratified"} if issubclass(reader.config, SplitOptions) else {}
    return {"name": reader.id, "path": text, **rule, **_column_settings(reader, columns)}


def _reader(readers: Sequence[RegisteredComponent], provided: RegisteredComponent, text: str) -> RegisteredComponent:
    """The reader of the task's own plugin before any other's, and of these the one whose samples are nearest to what is read.

    Raises `AmbiguousName` where two are equally near.
    """
    nearness = {
        one.id: (one.plugin != provided.plugin, place_among(provided.spec, one.spec.samples) or (0, 0))
        for one in readers
    }
    nearest = min(nearness.values())
    found = [one for one in readers if nearness[one.id] == nearest]
    if len(found) > 1:
        names = " or ".join(one.id for one in found)
        raise AmbiguousName(f"{text} could be read by {names}", hint=f"--data {found[0].id} data.path={text}")
    return found[0]


def finetune_recipe(
    name: str,
    task: str,
    data: str,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    host: PluginHost,
    registry: Registry,
    *,
    register_as: str | None = None,
) -> Recipe:
    """The recipe that `zoo finetune` runs: from a checkpoint, to a task, on a data set or file.

    Settings of the task and of its loss are the checkpoint's where it was trained for the same task. Other defaults are the
    usual ones for fine-tuning (AdamW, 3 epochs, rate 5e-5 for large and more for small models); the task's spec can't change
    them, overrides can.
    """
    card = open_checkpoint(name, registry).card
    provided = host.find("task", task, [card.plugin])
    chosen = data_choice(provided, data, columns, host)
    stem = Path(data).stem if looks_like_path(data) or Path(data).exists() else data.split("/")[-1]
    suffix = name_from(stem)
    small = card.parameters < 30_000_000
    return load_recipe(
        {
            "name": register_as or f"{card.name.split('.')[0]}.{suffix}",
            "summary": f"{card.name} fine-tuned for {provided.spec.name} on {stem}",
            "init": name,
            "task": {"name": provided.id},
            **_inherited(card, provided, host),
            "data": chosen,
            "optimizer": {"name": OPTIMIZER, "lr": 5e-4 if small else 5e-5, "weight_decay": 0.01},
            "schedule": {"name": "linear", "warmup": 0.06},
            "training": {"epochs": 3, "batch_size": 32},
        },
        overrides,
        host,
    )


def _inherited(card: Card, provided: RegisteredComponent, host: PluginHost) -> dict[str, dict[str, Any]]:
    """Sections `task` and `loss` of the recipe that a checkpoint was trained with, if its task was this one."""
    stored = trained_with(card, provided.id, host)
    return {
        section: {"name": one.id, **{f.name: values[f.name] for f in fields(one.config) if f.name in values}}
        for section, (one, values) in stored.items()
    }


def trained_with(card: Card, task: str, host: PluginHost) -> dict[str, tuple[RegisteredComponent, Mapping[str, Any]]]:
    """The task and the loss, each with its settings, that a checkpoint was trained with; empty for another task than `task`."""
    found: dict[str, tuple[RegisteredComponent, Mapping[str, Any]]] = {}
    for section in ("task", "loss"):
        values = (card.recipe or {}).get(section)
        if not values:
            continue
        try:
            one = host.find(section, values["name"], [card.plugin])
        except ZooError:  # its plugin has gone
            return {}
        if section == "task" and one.id != task:
            return {}
        found[section] = (one, present_names(one.config, values))
    return found


def configured_task(card: Card, provided: RegisteredComponent, host: PluginHost) -> tuple[Component, Component | None]:
    """The task as the checkpoint's recipe configured it, so that it is measured as it was trained."""
    stored = trained_with(card, provided.id, host)
    spec: TaskSpec = provided.spec
    parts = {"task": stored.get("task", (provided, {}))}
    if spec.loss:
        parts["loss"] = stored["loss"] if "loss" in stored else (host.find("loss", spec.loss, [provided.plugin]), {})
    built = {
        section: Component(
            provided=one,
            config=typed(
                one.config,
                {key: value for key, value in values.items() if key != "name"},
                where=f"{section} of {card.full_name}",
            ),
        )
        for section, (one, values) in parts.items()
    }
    return built["task"], built.get("loss")


def changed_settings(card: Card, recipe: Recipe, host: PluginHost) -> list[str]:
    """How a run's task and loss differ from those that its checkpoint was trained with, a line for each setting."""
    lines = []
    for section, (one, values) in trained_with(card, recipe.task.id, host).items():
        part = recipe.task if section == "task" else recipe.loss
        if part is None:
            continue
        if part.id != one.id:
            lines.append(f"{section}: {one.id} in {card.full_name}, {part.id} here")
            continue
        here = part.to_data()
        different = [name for name in here if name != "name" and name in values and here[name] != values[name]]
        lines += [f"{section}.{name}: {values[name]} in {card.full_name}, {here[name]} here" for name in different]
    return lines


def name_from(stem: str) -> str:
    """The second half of a checkpoint's name from the name of a file or a data set, whatever letters that has."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-")[:60] or "data"


def _column_settings(provided: RegisteredComponent, columns: Mapping[str, str]) -> dict[str, str]:
    """`text=tweet` as the reader's field `text_column`."""
    names = {field.name for field in fields(provided.config)}
    roles = sorted(name.removesuffix("_column") for name in names if name.endswith("_column"))
    settings = {}
    for role, column in columns.items():
        if f"{role}_column" not in names:
            raise UnknownName("column role", role, roles, where=provided.id)
        settings[f"{role}_column"] = column
    return settings
