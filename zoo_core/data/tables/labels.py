"""Names of classes as users write them: made equal where only their encoding differs, and told where they look alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from zoo_core.errors import printable

_SHOWN = 5


def label_name(written: str) -> str:
    """The name of a class, for a cell of a table or a folder: composed (Unicode NFC), without spaces around it."""
    return unicodedata.normalize("NFC", written).strip()


def stated(what: str, value: str, missing: Sequence[str]) -> str:
    """The value of a table's cell. Raises ValueError where there is none, `missing` being what is written then."""
    if not value.strip():
        raise ValueError(f"the {what} is empty")
    if value.strip() in missing:
        raise ValueError(f"the {what} is missing ({value.strip()}); data.missing=[] takes it as it is")
    return value


def class_of(label: str, names: Sequence[str]) -> str:
    """The name of a class: its own, or that of its number among `names`, which may be none.

    Raises ValueError with what is wrong of a number that has no name.
    """
    if not names or label in names:
        return label
    if label == "-1":
        raise ValueError("label -1, which stands for none")
    if not (label.isascii() and label.isdecimal() and len(label) < 10):
        return label
    if int(label) >= len(names):
        raise ValueError(f"label {label}, but there are only {len(names)} names of classes")
    return names[int(label)]


def stated_class(written: str, names: Sequence[str], missing: Sequence[str]) -> str:
    """The class that a table's cell names, by itself or by its number among `names`. Raises ValueError."""
    return class_of(label_name(stated("label", written, missing)), names)


def lookalikes(labels: Iterable[str]) -> tuple[str, ...]:
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
