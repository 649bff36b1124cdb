"""How the benchmarks measure: marks in the data, statistics over interleaved blocks, and records with their circumstances."""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import re
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zoo_core.testing import describe_environment, fs

RECORDS = Path(__file__).resolve().parents[2] / "benchmarks"


@dataclass(frozen=True)
class Mark:
    """A point in time."""

    cpu: float
    """Seconds of processor time of this process, all threads."""
    wall: float
    """Seconds of the clock."""


class Marks:
    """Notes the time whenever a batch is collated.

    Every loop collates once per step and through the same function, so the time between two marks is the time of the
    steps between them, whatever the loop is, and nothing has to be hooked into a loop.
    """

    def __init__(self) -> None:
        self.seen: list[Mark] = []
        self.on_mark: Callable[[int], None] = lambda number: None

    def watch(self, dataset: type) -> None:
        """Note the time in the `collate` of this class of data sets from now on."""
        collate = dataset.collate  # type: ignore[attr-defined]
        if getattr(collate, "marks", None) is self:
            return

        @functools.wraps(collate)
        def marked(owner: Any, samples: list[Any]) -> Any:
            self.seen.append(Mark(time.process_time(), time.perf_counter()))
            self.on_mark(len(self.seen))
            return collate(owner, samples)

        marked.marks = self  # type: ignore[attr-defined]
        setattr(dataset, "collate", marked)  # noqa: B010

    def quietest(self, first: int, last: int, window: int) -> Mark:
        """Microseconds per step in the quietest stretch of `window` steps between the marks of two steps."""
        stretches = [
            Mark((end.cpu - start.cpu) / window * 1e6, (end.wall - start.wall) / window * 1e6)
            for start, end in zip(
                self.seen[first:last:window], self.seen[first + window : last + 1 : window], strict=True
            )
        ]
        return Mark(min(stretch.cpu for stretch in stretches), min(stretch.wall for stretch in stretches))


def compare(blocks: Mapping[str, Sequence[Mark]], base: str) -> dict[str, dict[str, float]]:
    """Per contender: microseconds per step, and the same over and as a ratio to `base`.

    The minimum over blocks is what a step costs when nothing else disturbs it. The paired figure is the median of the
    differences within a round, which other work on the machine disturbs on both sides alike.
    """
    rounds = [mark.cpu for mark in blocks[base]]
    least = min(rounds)
    table = {}
    for name, marks in blocks.items():
        cpu, wall = [mark.cpu for mark in marks], [mark.wall for mark in marks]
        figures = {
            "cpu_us_min": min(cpu),
            "cpu_us_median": statistics.median(cpu),
            "wall_us_min": min(wall),
            "wall_us_median": statistics.median(wall),
            "over_us": min(cpu) - least,
            "over_us_paired_median": statistics.median(a - b for a, b in zip(cpu, rounds, strict=True)),
        }
        table[name] = {key: round(value, 1) for key, value in figures.items()}
        table[name]["ratio"] = round(min(cpu) / least, 4)
        table[name]["ratio_paired_median"] = round(
            statistics.median(a / b for a, b in zip(cpu, rounds, strict=True)), 4
        )
    return table


def parser_of(script: str, description: str | None, *, rounds: int, unit: str) -> argparse.ArgumentParser:
    """What every benchmark is asked with: how many rounds, on which machine, and whether a record is written."""
    parser = argparse.ArgumentParser(prog=f"scripts/bench {script}", description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"{unit} (default {rounds})")
    parser.add_argument("--machine", default=machine_name(), help="machine's name in the record's file name")
    parser.add_argument("--no-record", action="store_true", help="print only")
    return parser


def processor() -> str:
    """The processor's own name, or the architecture."""
    if Path("/proc/cpuinfo").is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def machine_name() -> str:
    """A short name of this kind of machine for a file name, like `amd-epyc-2`: processor and cores."""
    words = re.sub(r"\(.*?\)|@.*|\bcpu\b|\bprocessor\b", " ", processor().lower())
    return "-".join([*re.findall(r"[a-z0-9]+", words), str(os.cpu_count())])


def record(name: str, body: Mapping[str, Any], libraries: Sequence[str] = ()) -> Path:
    """Write `benchmarks/<name>.json` with date, command and environment, and return its path."""
    environment = {**describe_environment(), "processor": processor(), "cores": str(os.cpu_count())}
    for library in libraries:
        try:
            environment[library] = version(library)
        except PackageNotFoundError:
            environment[library] = "absent"
    script = Path(sys.argv[0]).resolve()
    launched = os.environ.get("ZOO_BENCH_COMMAND", f"python {script.name}")
    whole = {
        "date": time.strftime("%Y-%m-%d"),
        "command": shlex.join([*shlex.split(launched), *sys.argv[1:]]),
        "environment": environment,
        **body,
    }
    path = RECORDS / f"{name}.json"
    fs.make_folder(RECORDS)
    fs.write_file(path, (json.dumps(whole, indent=1) + "\n").encode())
    return path
