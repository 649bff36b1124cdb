"""What the contract of a step costs: hooks that are called once an update, draws by row, and losses over the whole batch.

Each contender runs the zoo's own loop on the same batch, in turns within one process and one thread; the base runs twice, and
what it differs by from itself is the error of the figure. `hooks` are both hooks of a task that does nothing in them, against
a task that defines none; `rows` is a BERT with dropout in four micro-batches, against draws that each makes for itself; `wide`
is a contrastive loss over all of a batch, in one micro-batch and in four, against a loss over each micro-batch.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from bench_plugin import Classification
from measure import Mark, compare, parser_of, record
from workloads import classifier, contrastive, tiny
from zoo_vision.tasks.image_contrastive import ImageContrastive

from zoo_core import load_recipe
from zoo_core.contract import At, Phase
from zoo_core.testing import Cursor, Hardware, Loop, key, prepare, reseed, training_batches

STEPS: Mapping[str, int] = {"hooks": 500, "rows in 4": 3, "wide in 1": 1, "wide in 4": 1}
"""Steps of a turn, by workload; the number behind `in` is of micro-batches."""
HOOKS_BAR = 5.0
"""Microseconds that the hooks of a step may take."""
BARS: Mapping[str, float] = {"wide in 1": 1.02, "wide in 4": 1.25}
"""How many times as long a step may take."""

Step = Callable[[], None]


class Hooked(Classification):
    """Does nothing once an update."""

    def before_update(self, phase: str, modules: Mapping[str, Any], at: At) -> None:
        """Nothing."""

    def after_update(self, phase: str, modules: Mapping[str, Any], at: At) -> None:
        """Nothing."""


class Apart(Loop):
    """Every micro-batch draws for itself, as its number says."""

    @contextmanager
    def _draws(self, number: int, micro: int, count: int, at: At, rows: int) -> Iterator[None]:
        reseed(key(self.training.seed, at.step, number, micro, self.hardware.rank), self.hardware.device)
        yield


class Narrow(ImageContrastive):
    """The loss of each micro-batch is among its own pairs."""

    phases = (Phase(name="train"),)

    def step(self, phase: str, modules: Mapping[str, Any], batch: Any, at: At) -> Any:
        """As if the micro-batch were all of it."""
        return super().step(phase, modules, self.embed(phase, modules, batch, at), at)


def main() -> int:
    """Measure, print and write the record."""
    parser = parser_of("deals", __doc__, rounds=20, unit="turns of every contender")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: at least 2, for a spread")
    torch.set_num_threads(1)
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, contenders in works(Path(folder)):
            table = compare(turns(contenders, STEPS[name], options.rounds), "base")
            over, ratio = table["ours"]["over_us_paired_median"], table["ours"]["ratio_paired_median"]
            met = over <= HOOKS_BAR if name == "hooks" else ratio <= BARS.get(name, float("inf"))
            error = table["again"]["ratio_paired_median"]
            print(f"{name:10} {over:+10.1f} us a step, {ratio:.3f} times; base against itself {error:.3f}", flush=True)
            tables[name] = {"steps_per_turn": STEPS[name], "contenders": table, "met": met}
    if not options.no_record:
        body = {
            "threads": torch.get_num_threads(),
            "rounds": options.rounds,
            "bars": {"hooks_us": HOOKS_BAR, **BARS},
            "workloads": tables,
        }
        path = record(f"deals-{options.machine}", body, libraries=("zoo-nlp", "zoo-vision"))
        print(f"written: {path.parent.name}/{path.name}")
    return 0 if all(table["met"] for table in tables.values()) else 1


def turns(contenders: Mapping[str, Step], steps: int, rounds: int) -> dict[str, list[Mark]]:
    """Microseconds a step of each turn of each contender."""
    found: dict[str, list[Mark]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, step in contenders.items():
            began = Mark(time.process_time(), time.perf_counter())
            for _ in range(steps):
                step()
            cpu, wall = time.process_time() - began.cpu, time.perf_counter() - began.wall
            if number:  # the first turn warms up
                found[name].append(Mark(cpu / steps * 1e6, wall / steps * 1e6))
    return found


def works(folder: Path) -> Iterator[tuple[str, dict[str, Step]]]:
    """Each workload with its contenders."""
    yield (
        "hooks",
        {name: stepper(tiny(), task=Hooked if name == "ours" else None) for name in ("base", "ours", "again")},
    )
    texts = classifier(folder)
    dropping = {"hidden_dropout": 0.1, "dropout": 0.1, "attention_dropout": 0.1}
    known = {name: value for name, value in dropping.items() if name in texts.recipe["model"]}
    texts.recipe["model"].update(known)
    yield (
        "rows in 4",
        {name: stepper(texts, 4, loop=Loop if name == "ours" else Apart) for name in ("base", "ours", "again")},
    )
    for parts in (1, 4):
        yield (
            f"wide in {parts}",
            {
                name: stepper(contrastive(), parts, None if name == "ours" else Narrow)
                for name in ("base", "ours", "again")
            },
        )


def stepper(workload: Any, accumulation: int = 1, task: type[Any] | None = None, loop: type[Loop] = Loop) -> Step:
    """One update of the workload's loop, always on the same batch."""
    settings = {**workload.recipe["training"], "steps": 1000, "accumulation": accumulation}
    resolved = load_recipe({**workload.recipe, "training": settings}, [], workload.host)
    hardware = Hardware(resolved.training)
    parts = prepare(resolved, workload.host, hardware, None, None)
    if task is not None:
        parts.task.__class__ = task
    batches = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    done = next(batches)
    made = loop(
        parts.task, updates=parts.updates, training=resolved.training, schedule=parts.schedule, steps=1000,
        hardware=hardware,
    )  # fmt: skip
    for module in parts.task.modules().values():
        module.train()
    return lambda: made._step(0, done)


if __name__ == "__main__":
    sys.exit(main())
