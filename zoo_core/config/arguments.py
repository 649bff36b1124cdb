"""What the public functions are given in Python, refused where it is none of what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.errors import UsageError


def named(checkpoint: Any) -> str:
    """A checkpoint's name or path as text. Raises `UsageError` for anything else."""
    if isinstance(checkpoint, str | Path):
        return str(checkpoint)
    card, found = getattr(checkpoint, "card", None), type(checkpoint).__name__
    hint = f"it is loaded already: {card.full_name}" if card else ""
    raise UsageError(f"a checkpoint is asked for by its name or path, found {found}", hint=hint)


def demand_data(data: Any) -> None:
    """Data is named by a path or by the name of a data set. Raises `UsageError`."""
    if not isinstance(data, str | Path):
        raise UsageError(f"data is a path or the name of a data set, found {type(data).__name__}")


def demand_labels(count: Any, labels: Any) -> None:
    """A head has a whole number of labels, and each name once. Raises `UsageError`."""
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
        raise UsageError(f"num_labels is a whole number from 0 on, found {count!r}")
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise UsageError(f"labels are a sequence of names, found {labels!r}")
    if count is not None and labels and count != len(labels):
        raise UsageError(f"num_labels is {count} but {len(labels)} labels are named")
    twice = sorted({label for label in labels if list(labels).count(label) > 1})
    if twice:
        raise UsageError(f"labels are named twice: {', '.join(twice)}", hint="name each once")
