"""Moves a registered checkpoint into a plugin's package and its card into the catalogue; the version before it stays there.

scripts/publish NAME [PLUGIN]      scripts/publish bert_tiny.sentiment zoo-nlp
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from zoo_core import Card, UsageError, ZooError, open_zoo
from zoo_core.testing import fs, read_registry, write_registry

ROOT = Path(__file__).parent.parent
LIMIT, ALL = 3 << 20, 25 << 20
"""Bytes of a bundled checkpoint, and of all together."""


def publish(name: str, plugin: str = "") -> None:
    """Copy the files, verified, and write the card, as the next version of the checkpoint of that name in the catalogue.

    The newest version lies in the folder of the name and the one before it in `NAME@VERSION`; older ones are dropped.
    Raises `UsageError` for a checkpoint over the limit, or one that is there already.
    """
    registry, catalogue = open_zoo().registry, ROOT / "registry.yaml"
    entry, cards = registry.find(name), read_registry(catalogue)
    size = _bytes(entry.card)
    if size > LIMIT:
        raise UsageError(f"{entry.card.full_name} has {size:,} bytes; a bundled checkpoint has at most {LIMIT:,}")
    known = sorted((card for card in cards if card.name == entry.card.name), key=lambda card: card.version or 0)
    if any(card.digest == entry.card.digest for card in known):
        raise UsageError(f"{entry.card.full_name} is in the catalogue already")
    last = known[-1:]
    card = replace(entry.card, version=1 + max((card.version or 0 for card in last), default=0))
    kept = [card for card in cards if card.name != entry.card.name or card in last] + [card]
    if sum(map(_bytes, kept)) > ALL:
        raise UsageError(f"all bundled checkpoints together would have more than {ALL:,} bytes", hint="drop one")
    package = plugin or card.plugin
    folders = ROOT / "plugins" / package / package.replace("-", "_") / "checkpoints"
    for older in folders.glob(f"{card.name}@*"):
        shutil.rmtree(older)
    for before in last:
        (folders / card.name).rename(folders / before.full_name)
    fs.make_folder(folders / card.name)
    for file in card.files:
        fs.write_file(folders / card.name / file.path, registry.read(entry, file.path))
    write_registry(catalogue, kept)
    print(f"{card.full_name}: {size:,} bytes in {(folders / card.name).relative_to(ROOT)}")


def _bytes(card: Card) -> int:
    return sum(file.size for file in card.files)


def exit_code(work: Callable[[], None]) -> int:
    """0, or the code of the error that some work ends with, after printing it."""
    try:
        work()
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def main() -> int:
    """Publish what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("plugin", nargs="?", default="", help="whose package ships it; the one that made it by default")
    arguments = parser.parse_args()
    return exit_code(lambda: publish(arguments.name, arguments.plugin))


if __name__ == "__main__":
    sys.exit(main())
