"""A task of the toys whose extras fail: each in the way that its configuration says."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo_core import SampleType, TaskSpec, hookimpl

zoo_api = (2, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CarelessConfig:
    """How each extra fails: `raises`, `hangs`, `exits`, `dies`, `eats`; an empty word for one that is sound."""

    preview: str = ""
    artifacts: str = ""
    retrospect: str = ""
    intervals: str = ""
    ends: tuple[float, float] | None = None
    """The interval of accuracy that it states."""
    baselines: str = ""
    baseline: tuple[str, ...] = ()
    """One baseline for each word."""
    home: int = 0
    """The process in which nothing fails, as that of the run, where a failure is to come after it; 0 for none."""


def fail(way: str) -> None:
    """Fail in the way of the word."""
    if way == "raises":
        raise ValueError("a careless\x1b[31m plugin")
    if way == "hangs":
        time.sleep(1000)
    if way == "exits":
        sys.exit(3)
    if way == "dies":
        os._exit(0)
    if way == "eats":
        eaten = [b"x" * (32 << 20) for _ in range(64)]  # 2 GiB, so that a machine survives a test that fails
        time.sleep(1000 + len(eaten))


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """The one task."""
    return [
        TaskSpec(
            name="careless",
            summary="fails where it matters least",
            target="zoo_toys.careless:task",
            config=CarelessConfig,
            reads=(SampleType(name="point", fields=("place", "label")),),
            labelled=True,
            loss="cross-entropy",
            loss_inputs=("logits", "labels"),
        )
    ]


def task(config: CarelessConfig, context: Any) -> Any:
    """The toys' classification with extras that fail."""
    from zoo_toys.parts import Classification

    class Careless(Classification):
        def fail(self, way: str) -> None:
            if os.getpid() != config.home:
                fail(way)

        def input_artifacts(self, dataset: Any) -> dict[str, bytes]:
            self.fail(config.preview)
            return {"preview.txt": b"seen"}

        def artifacts(self, modules: Mapping[str, Any], gathered: Mapping[str, Any]) -> dict[str, bytes]:
            self.fail(config.artifacts)
            return super().artifacts(modules, gathered)

        def intervals(self, gathered: Mapping[str, Any]) -> Mapping[str, tuple[float, float]]:
            self.fail(config.intervals)
            return {"accuracy": config.ends} if config.ends else super().intervals(gathered)

        def run_artifacts(self, kept: Mapping[str, Sequence[bytes]]) -> dict[str, bytes]:
            self.fail(config.retrospect)
            return {"count.txt": str(len(kept.get("right.txt", ()))).encode()}

        def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Any:
            self.fail(config.baselines)
            return {
                **super().baselines(train, test),
                **{f"{number} {way}": lambda way=way: self.fail(way) for number, way in enumerate(config.baseline)},
            }

    return Careless(config, context)
