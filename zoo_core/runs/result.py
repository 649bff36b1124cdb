"""What comes of a run, for whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo_core.registry.card import Card


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What came of a run."""

    folder: Path
    card: Card | None
    """The registered card; None on ranks other than the main one."""
    metrics: Mapping[str, float]
    """Final figures on the test split."""
    baselines: Mapping[str, Mapping[str, float]]
    """The same figures of trivial methods, by their names."""
    steps: int
    seconds: float
