"""Moves a registered checkpoint into a plugin's package and its card into the catalogue.

scripts/publish NAME PLUGIN        scripts/publish bert_tiny.sentiment zoo-nlp
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from zoo_core import UsageError, ZooError, open_zoo
from zoo_core.testing import fs, read_registry, write_registry

ROOT = Path(__file__).parent.parent
LIMIT = 3 << 20
"""Bytes of a bundled checkpoint."""


def publish(name: str, plugin: str) -> None:
    """Copy the files, verified, and write the card. Raises `UsageError` for a checkpoint over the limit."""
    registry = open_zoo().registry
    entry = registry.find(name)
    size = sum(file.size for file in entry.card.files)
    if size > LIMIT:
        raise UsageError(f"{entry.card.full_name} has {size:,} bytes; a bundled checkpoint has at most {LIMIT:,}")
    folder = ROOT / "plugins" / plugin / plugin.replace("-", "_") / "checkpoints" / entry.card.name
    fs.make_folder(folder)
    for file in entry.card.files:
        fs.write_file(folder / file.path, registry.read(entry, file.path))
    catalogue = ROOT / "registry.yaml"
    others = [card for card in read_registry(catalogue) if card.name != entry.card.name]
    older = [card.version or 0 for card in read_registry(catalogue) if card.name == entry.card.name]
    card = replace(entry.card, version=max(older, default=0) + 1)
    write_registry(catalogue, [*others, card])
    print(f"{card.full_name}: {size:,} bytes in {folder.relative_to(ROOT)}")


def main() -> int:
    """Publish what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("plugin")
    arguments = parser.parse_args()
    try:
        publish(arguments.name, arguments.plugin)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
