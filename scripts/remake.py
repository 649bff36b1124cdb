"""Makes the checkpoints that packages ship again, from their recipes, and publishes each as its next version.

    scripts/remake [NAME ...] [--reuse]       all of the catalogue by default; 15 to 40 minutes each on one core

What a checkpoint starts from is made before it; data is fetched where it isn't on this machine. `--reuse` takes what the zoo's
home has registered under a name instead of training it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from measures.common import run
from publish import ROOT, exit_code, publish

from zoo_core import UnknownName, load_recipe
from zoo_core.testing import read_registry


def chain(name: str) -> list[str]:
    """The names that are made for a name, in order: what its recipe, which is called like it, starts from or measures with."""
    recipe = load_recipe(name.replace(".", "_"))
    needed = [part.init for part in recipe.parts.values()] or [recipe.init]
    needed += [value for value in recipe.task.to_data().values() if value in shipped()]
    made: list[str] = []
    for other in filter(None, needed):
        try:
            made += chain(other)
        except UnknownName:  # no recipe makes it: it comes from elsewhere, and is found by its name
            continue
    return [*made, name]


def shipped() -> list[str]:
    """Names of the checkpoints in the catalogue."""
    return sorted({card.name for card in read_registry(ROOT / "registry.yaml")})


def remake(names: Sequence[str]) -> None:
    """Train what the names need and each of them, and publish these."""
    for name in dict.fromkeys(each for asked in names for each in chain(asked)):
        run(name.replace(".", "_"))
        if name in names:
            publish(name)


def main() -> int:
    """Remake what is asked for; the error's code if one can't be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=shipped())
    parser.add_argument("--reuse", action="store_true", help="take registered checkpoints of the same names")
    arguments = parser.parse_args()
    return exit_code(lambda: remake(arguments.names))


if __name__ == "__main__":
    sys.exit(main())
