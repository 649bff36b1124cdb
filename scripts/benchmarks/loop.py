"""Host time per optimizer step of the zoo's loop against a hand-written one, accelerate's, Transformers' and Lightning's.

All run in one process, in short blocks in turn, so that whatever else the machine does disturbs them alike. The figure
to look at is processor time: the minimum over the blocks, and what it is over the hand-written loop.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from contenders import ADVERSARIAL, BASE, CONTENDERS
from measure import Mark, Marks, compare, parser_of, record
from workloads import LOG_EVERY, Workload, adversarial, classifier, tiny, watch

TOLERANCE = 5e-3
"""Relative difference of logged losses up to which two loops did the same work; Trainer rounds its own."""


def main() -> int:
    """Measure, print a table per workload and write the record."""
    parser = parser_of("loop", __doc__, rounds=15, unit="blocks per loop")
    parser.add_argument("--only", nargs="*", default=["tiny", "classifier", "adversarial"], help="workloads to measure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        works = {"tiny": tiny, "classifier": lambda: classifier(Path(folder)), "adversarial": adversarial}
        marks = Marks()
        tables = {name: measure(works[name](), options.rounds, marks) for name in options.only}
    if not options.no_record:
        path = record(
            f"loop-{options.machine}",
            {"threads": torch.get_num_threads(), "rounds": options.rounds, "workloads": tables},
            libraries=("transformers", "lightning"),
        )
        print(f"written: {path.parent.name}/{path.name}")
    return 0


def measure(work: Workload, rounds: int, marks: Marks) -> dict[str, Any]:
    """Every loop on one workload, in blocks in turn."""
    names = list(ADVERSARIAL if work.adversarial else CONTENDERS)
    watch(marks, work)
    blocks: dict[str, list[Mark]] = {name: [] for name in names}
    losses: dict[str, list[float]] = {}
    for number in range(-1, rounds):  # the first round warms up
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            gc.collect()
            marks.seen.clear()
            losses[name] = CONTENDERS[name](work)
            if number >= 0:
                blocks[name].append(marks.quietest(work.warm_up, work.warm_up + work.measured, work.window))
    _same_work(losses)
    table = compare(blocks, BASE)
    _show(work, table)
    return {
        "steps_per_block": work.measured,
        "steps_per_window": work.window,
        "log_every": LOG_EVERY,
        "base": BASE,
        "loops": table,
    }


def _same_work(losses: dict[str, list[float]]) -> None:
    """Both loops learned the same."""
    base = losses[BASE]
    for name, logged in losses.items():
        for mine, theirs in zip(logged, base, strict=False):
            if abs(mine - theirs) > TOLERANCE * abs(theirs):
                sys.exit(f"{name} logged a loss of {mine}, the {BASE} loop {theirs}: they don't do the same work")


def _show(work: Workload, table: dict[str, dict[str, float]]) -> None:
    print(f"\n{work.name}: microseconds of processor time per optimizer step, over {BASE}")
    print(f"{'loop':<20}{'min':>10}{'median':>10}{'over':>9}{'(paired)':>10}{'ratio':>8}{'wall min':>10}")
    for name, row in table.items():
        print(
            f"{name:<20}{row['cpu_us_min']:>10.1f}{row['cpu_us_median']:>10.1f}{row['over_us']:>+9.1f}"
            f"{row['over_us_paired_median']:>+10.1f}{row['ratio']:>8.3f}{row['wall_us_min']:>10.1f}"
        )


if __name__ == "__main__":
    sys.exit(main())
