"""Recipes by name: files of the user's own, and those that plugins ship."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

from zoo_core.errors import AmbiguousName, RecipeError, UnknownName
from zoo_core.plugins.host import PluginHost
from zoo_core.storage.paths import expanded


def find_recipe(name: str, host: PluginHost) -> Path:
    """The file of a recipe: a path, or the name of one that a plugin ships, with the plugin in front where two ship it."""
    shipped = shipped_recipes(host)
    if path := shipped.get(name) or recipes_by_id(host).get(name):
        return path
    path = expanded(name)
    if path.suffix in (".yaml", ".yml") or path.parent != Path():
        if not path.is_file():
            raise RecipeError(f"no recipe file {name}", hint="a recipe is a YAML file or a name from: zoo recipes")
        return path
    if same := [full for full in shipped if full.endswith(f"/{name}")]:
        raise AmbiguousName(f"recipe {name!r} is shipped by {len(same)} plugins", hint=f"use {' or '.join(same)}")
    raise UnknownName("recipe", name, shipped)


def shipped_recipes(host: PluginHost) -> dict[str, Path]:
    """Recipes that active plugins ship in their `recipes` folder, by name; as `plugin/name` where two ship the same."""
    found = recipes_by_id(host)
    counts = Counter(path.stem for path in found.values())
    return {path.stem if counts[path.stem] == 1 else name: path for name, path in found.items()}


def recipes_by_id(host: PluginHost) -> dict[str, Path]:
    """Recipes that active plugins ship, as `plugin/name`, in the order of their names."""
    found = {}
    for plugin, package in host.packages().items():
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in (Path(folder) / "recipes").glob("*.yaml"):
                found[f"{plugin}/{path.stem}"] = path
    return dict(sorted(found.items()))
