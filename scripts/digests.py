"""Digests of what everything that is shipped computes: weights after a few steps of each recipe, figures of each checkpoint.

    scripts/digests FILE [--against OLD] [--steps N] [--data FOLDER] [PATTERN ...]

A recipe runs for a few steps in a store of its own and gives the digest of the weights it registers; what it starts from is
imported from its package or comes from the recipe that makes it, after as few steps. A bundled checkpoint is verified and
evaluated on its own data. `zoo list` is kept as it prints. What can't run here stands there with its reason. Equal digests on
one machine mean equal bits; those of two machines need not be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from subprocess import run as run_program
from typing import Any

from records import write_json

from zoo_core import (
    Fetcher,
    Recipe,
    UnknownName,
    Zoo,
    ZooError,
    evaluate,
    fetch_data,
    import_packaged,
    load_recipe,
    open_zoo,
    train,
)
from zoo_core.data import data_root
from zoo_core.testing import fs, packaged_checkpoints, shipped_recipes

STEPS = 20
SHORT = ("training.epochs=null", "training.evaluate_every=null", "training.extras='off'", "training.baselines='off'")
"""What a few steps don't need."""


def main() -> int:
    """Write the digests; 1 if some differ from those of `--against`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("patterns", nargs="*", default=["*"], help="of recipes and checkpoints")
    parser.add_argument("--against", type=Path, help="digests that were written before")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--data", type=Path, default=data_root(os.environ), help="where fetched data is kept")
    options = parser.parse_args()
    file, old = options.file.resolve(), options.against and options.against.resolve()
    options.data = options.data.resolve()
    fs.make_folder(options.data)
    with tempfile.TemporaryDirectory(prefix="zoo-digests-") as folder:
        os.environ["ZOO_HOME"] = str(Path(folder, "home"))
        os.chdir(folder)
        Path(folder, "home").mkdir()
        Path(folder, "home", "data").symlink_to(options.data)
        found = dict(_digests(options.steps, options.patterns))
    write_json(file, found)
    return _compare(json.loads(old.read_text()), found) if old else 0


def _digests(steps: int, patterns: list[str]) -> Iterator[tuple[str, Any]]:
    listed = run_program([sys.executable, "-m", "zoo_core", "list"], capture_output=True, text=True, check=True)
    yield "zoo list", listed.stdout.splitlines()
    work: dict[str, Callable[[], Any]] = {}
    for name in sorted(entry.card.full_name for entry in open_zoo().registry.usual()):
        work[f"checkpoint {name}"] = partial(_checkpoint, name)
    for name in sorted(shipped_recipes(open_zoo().host)):
        work[f"recipe {name}"] = partial(_trained, name, steps)
    for key, measure in work.items():
        if not any(fnmatchcase(key.split()[1], pattern) for pattern in patterns):
            continue
        try:
            value = measure()
        except (ZooError, OSError) as error:
            value = f"not here: {error}"
        print(f"{key}: {value}", file=sys.stderr, flush=True)
        yield key, value


def _checkpoint(name: str) -> dict[str, Any]:
    """Whether it is what its card says, and what it reaches on its data, to the last bit."""
    zoo = open_zoo()
    entry = zoo.registry.find(name)
    problems = zoo.registry.verify(entry)
    assert entry.card.data is not None
    _fetch(zoo, entry.card.data.name)
    found = evaluate(name, entry.card.data.name)
    return {"problems": problems, "figures": {metric.name: metric.value.hex() for metric in found.metrics}}


def _trained(name: str, steps: int) -> str:
    """The digest of the weights after a few steps of a recipe that a plugin ships."""
    zoo = open_zoo()
    recipe = load_recipe(name, [f"training.steps={steps}", *SHORT], zoo.host)
    _fetch(zoo, f"{recipe.data.provided.plugin}/{recipe.data.provided.spec.name}")
    _provide(recipe, zoo, steps)
    card = train(recipe).card
    assert card is not None
    return card.weights.sha256


def _fetch(zoo: Zoo, name: str) -> None:
    fetch_data(zoo.host.find("data", name), zoo.host, Fetcher(data_root(os.environ), lambda line: None))


def _provide(recipe: Recipe, zoo: Zoo, steps: int) -> None:
    """Register what a recipe starts from, where nothing of that name is registered."""
    if not recipe.init:
        return
    try:
        zoo.registry.find(recipe.init)
    except UnknownName:
        if recipe.init in packaged_checkpoints(zoo.host):
            fetcher = Fetcher(data_root(os.environ), lambda line: None)
            import_packaged(recipe.init, fetcher=fetcher, zoo=zoo)
        else:
            _trained(recipe.init.replace(".", "_"), steps)


def _compare(old: dict[str, Any], new: dict[str, Any]) -> int:
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    for key in differing:
        print(f"{key}:\n  was {old.get(key)}\n  is  {new.get(key)}")
    print(f"{len(new) - len(differing)} of {len(new)} are what they were")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
