"""Frees the bytes of a checkpoint store that no card refers to, also while others register."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from zoo_core import fs
from zoo_core.catalogue import names_in
from zoo_core.errors import StoreError
from zoo_core.ports import Shelf

_SHA256 = re.compile(r"[0-9a-f]{64}")


def collect(store: Shelf, keep: frozenset[str], *, grace: float, dry_run: bool) -> dict[str, int]:
    """Remove the objects that no manifest and nobody in `keep` refers to; returns the size of each by its digest.

    An object younger than `grace` seconds stays: it may belong to a registration under way, which makes young what it
    finds, and writes again what is gone once its manifest is there. Raises `StoreError` where a manifest can't be read,
    as nobody knows what it refers to, and `DiskError`.
    """
    # The objects before the manifests: what turns old after this look may have got a manifest that we don't know.
    old = {path.name: path for path in _objects(store.root / "objects") if _age(path) >= grace}
    cards, damaged = store.scan()
    if damaged:
        hint = "repair it, or take it out of the store: zoo rm NAME@VERSION"
        raise StoreError(f"nothing is removed while a manifest can't be read: {damaged[0].message}", hint=hint)
    keep |= {entry.sha256 for card in cards for entry in card.files}
    freed = {}
    for digest in sorted(old.keys() - keep):
        path = old[digest]
        if _age(path) >= grace:
            freed[digest] = path.lstat().st_size
            if not dry_run:
                fs.remove_file(path)
    return freed


def _objects(root: Path) -> Iterator[Path]:
    """Every file that is called by a digest, in the folder that the digest says."""
    for folder in names_in(root):
        for name in names_in(root / folder):
            if _SHA256.fullmatch(name) and name.startswith(folder):
                yield root / folder / name


def _age(path: Path) -> float:
    """Seconds since a file was written or made young; less than none for one that is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return float("-inf")
