"""What `zoo show` says of tasks, data sets, losses, optimizers and recipes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from zoo_core.cli.render import Output, plain_value
from zoo_core.cli.session import Answer
from zoo_core.errors import RecipeError, UnknownName
from zoo_core.plugins import PluginHost, Provided
from zoo_core.recipe import find_recipe, load_recipe, shipped_recipes
from zoo_core.schema import to_data

KINDS = ("task", "data", "loss", "optimizer")

_FACTS = ("kind", "loss", "source", "license", "paper")
"""Further fields of specs to show, where they have them."""


def known_names(host: PluginHost) -> set[str]:
    """Every name that `explain` answers for."""
    return {one.spec.name for kind in KINDS for one in host.all(kind)} | set(shipped_recipes(host))


def explain(name: str, host: PluginHost) -> Answer | None:
    """What there is of that name, of each kind; None where there is nothing. Raises `AmbiguousName`, `MissingPlugin`."""
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        with suppress(UnknownName):
            found.append(_component(kind, host.find(kind, name)))
    with suppress(UnknownName, RecipeError):
        path = find_recipe(name, host)
        found.append(_recipe(name, path, host))
    if not found:
        return None

    def show(output: Output) -> None:
        for number, facts in enumerate(found):
            if number:
                output.line()
            settings = facts["settings"]
            output.pairs({key: _words(value) for key, value in facts.items() if key != "settings"})
            output.pairs({f"settings.{key}": _words(value) or "(empty)" for key, value in settings.items()})

    return Answer(document=lambda: found, show=show)


def _component(kind: str, provided: Provided) -> dict[str, Any]:
    spec = provided.spec
    facts = {
        "name": spec.name,
        "is a": kind,
        "id": provided.id,
        "summary": spec.summary,
        "modality": spec.modality,
        **{word: getattr(spec, word) for word in _FACTS if getattr(spec, word, "")},
        "takes": list(getattr(spec, "inputs", ()) or (spec.data if kind == "task" else ())),
    }
    return {**facts, "settings": _settings(provided)}


def _settings(provided: Provided) -> dict[str, Any]:
    found = {}
    for item in fields(provided.config):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        found[item.name] = "(must be given)" if default is MISSING else to_data(default)
    return found


def _recipe(name: str, path: Path, host: PluginHost) -> dict[str, Any]:
    data = load_recipe(path, [], host).to_data()
    facts = {"name": name, "is a": "recipe", "summary": data["summary"], "registers": data["name"], "file": str(path)}
    facts |= {section: data[section]["name"] for section in ("task", "data", "loss", "optimizer") if section in data}
    settings = {f"training.{key}": value for key, value in data["training"].items() if value is not None}
    return {**facts, "init": data["init"], "model": data["model"].get("name", ""), "settings": settings}


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else plain_value(value)
