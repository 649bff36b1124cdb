"""Names of classes as users write them: made equal where only their encoding differs, and told where they look alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from zoo_core.errors import printable

_SHOWN = 5


def label_name(written: str) -> str:
    """The name of a class, for a cell of a table or a folder: composed (Unicode NFC), without spaces around it."""
    return unicodedata.normalize("NFC", written).strip()


def alike(labels: Iterable[str]) -> tuple[str, ...]:
    """A notice for each few labels that differ only in case, in spaces or in the width of letters, as `Good` and `good`."""
    groups: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        bare = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
        groups.setdefault(" ".join(bare.split()), []).append(label)
    found = [group for group in groups.values() if len(group) > 1]
    told = tuple(f"labels that look alike are different classes: {_quoted(group)}" for group in found[:_SHOWN])
    return told + ((f"{len(found) - _SHOWN} more groups of labels look alike",) if len(found) > _SHOWN else ())


def _quoted(labels: Iterable[str]) -> str:
    return ", ".join(repr(printable(label)) for label in labels)
