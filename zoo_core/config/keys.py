"""What a recipe's keys stand for: short ones, like `lr` for `optimizer.lr`, and those that have another name now."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo_core.config.settings import Training
from zoo_core.contract.config import aliases
from zoo_core.contract.schema import Place
from zoo_core.errors import RecipeError, ZooError, nearest
from zoo_core.plugins.discovery import CORE
from zoo_core.plugins.host import PluginHost

OPTIMIZER = "zoo-core/adamw"
"""The optimizer of a recipe that names none."""
SCHEDULE = "linear"
"""The schedule of a recipe that names none."""

SAMPLER = "zoo-core/shuffled"
"""The sampler of a recipe that names none."""


def name_in(data: Mapping[str, Any], section: str) -> str:
    """The name that a section gives, empty for none."""
    values = data.get(section)
    name = values.get("name") if isinstance(values, Mapping) else None
    return name if isinstance(name, str) else ""


def whole_key(key: str, data: Mapping[str, Any], host: PluginHost, own: Sequence[str]) -> str:
    """The full key that a bare field name stands for. Raises `RecipeError` for a name of no field, or of several."""
    targets = _override_targets(data, host, own)
    places = [place for place in targets.get(key, []) if not place.endswith(".name")]
    if not places:
        raise RecipeError(f"unknown key {key!r}", hint=nearest(key, targets))
    # The loop's own settings win over a component's field of the same name; the full key still reaches the other.
    own = [place for place in places if place.startswith("training.")]
    if len(places) > 1 and not own:
        raise RecipeError(f"{key!r} could be {' or '.join(places)}", hint="write the whole key")
    return own[0] if own else places[0]


def present_key(key: str, data: Mapping[str, Any], host: PluginHost, own: Sequence[str]) -> str:
    """A full key with its field under its present name."""
    section, _, rest = key.partition(".")
    field, dot, below = rest.partition(".")
    present = _present(data, host, own).get(section, {}).get(field)
    return f"{section}.{present}{dot}{below}" if present else key


def rename(data: dict[str, Any], lines: Mapping[Place, int], host: PluginHost, own: Sequence[str]) -> dict[Place, int]:
    """Give the fields of all sections their present names, in place, and return the lines that these are on."""
    moved: dict[Place, int] = {}
    for section, names in _present(data, host, own).items():
        for old, new in names.items():
            if isinstance(data.get(section), dict) and old in data[section] and new not in data[section]:
                data[section] = {new if key == old else key: value for key, value in data[section].items()}
                moved |= {(section, new): lines[section, old]} if (section, old) in lines else {}
    return moved


def _present(data: Mapping[str, Any], host: PluginHost, own: Sequence[str]) -> dict[str, dict[str, str]]:
    """What fields of each section are called, by their other names.

    A checkpoint's model may be of any family that serves the task; then a name is another one if no family has it.
    """
    classes: dict[str, list[Any]] = {}
    with contextlib.suppress(ZooError):  # the section itself is refused later, with its line
        for section, cls in _configs(data, host, own):
            classes.setdefault(section, []).append(cls)
        if "model" not in classes:
            task = host.find("task", name_in(data, "task"), own)
            for provided in (one for one in host.all("model") if host.serves(one, task)):
                classes.setdefault("model", []).append(provided.config)
                classes.setdefault("preprocessor", []).append(provided.preprocessor_config)
    names = {}
    for section, candidates in classes.items():
        fields = {item.name for cls in candidates for item in dataclasses.fields(cls)}
        names[section] = {old: new for cls in candidates for old, new in aliases(cls).items() if old not in fields}
    return names


def _override_targets(data: Mapping[str, Any], host: PluginHost, own: Sequence[str]) -> dict[str, list[str]]:
    """Full keys that a bare field name may stand for, like `lr` for `optimizer.lr`."""
    found: dict[str, list[str]] = {}
    for section, cls in _configs(data, host, own):
        for name in (*(item.name for item in dataclasses.fields(cls)), *aliases(cls)):
            found.setdefault(name, []).append(f"{section}.{name}")
    return found


def _configs(data: Mapping[str, Any], host: PluginHost, own: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield "training", Training
    yield "schedule", host.find("schedule", name_in(data, "schedule") or SCHEDULE, [CORE, *own]).config
    for section in ("task", "data", "loss", "adapter", "sampler"):
        if name := name_in(data, section):
            yield section, host.find(section, name, own).config
    for place, name in _optimizers(data):
        yield place, host.find("optimizer", name, own).config
    if name := name_in(data, "model"):
        provided = host.find_model(name, own).provided
        yield "model", provided.config
        yield "preprocessor", provided.preprocessor_config


def _optimizers(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Places and names of what trains the phases that have no optimizer of their own."""
    section = data.get("optimizer")
    groups = section.get("groups") if isinstance(section, Mapping) else None
    if not isinstance(groups, list | tuple):
        yield "optimizer", name_in(data, "optimizer") or OPTIMIZER
        return
    for number, group in enumerate(groups):
        yield f"optimizer.groups.{number}", name_in({"group": group}, "group") or OPTIMIZER
