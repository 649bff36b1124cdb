"""How long the zoo takes to start: `zoo --help`, `zoo list`, and a process up to its first training step.

Whole processes in turn, beside `import torch` and beside the other loops; processor time of the process in
milliseconds, minimum and median. Every process starts warm: one round goes before the measured ones.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import parser_of, record

HERE = Path(__file__).parent
PROCESSES: Mapping[str, Sequence[str]] = {
    "python": ("-c", "pass"),
    "import torch": ("-c", "import torch"),
    "zoo --help": ("-m", "zoo_core", "--help"),
    "zoo list": ("-m", "zoo_core", "list"),
}
LOOPS = ("hand-written", "zoo", "accelerate", "transformers", "lightning")


def main() -> int:
    """Measure, print and write the record."""
    parser = parser_of("start", __doc__, rounds=7, unit="processes of each kind")
    options = parser.parse_args()
    whole: dict[str, list[tuple[float, float]]] = {name: [] for name in PROCESSES}
    first: dict[str, list[tuple[float, float]]] = {name: [] for name in LOOPS}
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "ZOO_HOME": home}
        # Byte code is cached, as for any user, whatever the shell that started this says.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(sys.prefix) / "pycache"))
        for number in range(options.rounds + 1):
            for name, arguments in PROCESSES.items():
                _keep(whole[name], number, process(arguments, environ))
            for name in LOOPS:
                _keep(first[name], number, first_step(name, environ))
    tables = {"processes": _table(whole), "first_step": _table(first)}
    for title, table in tables.items():
        print(f"\n{title}: milliseconds of processor time\n{'':<16}{'min':>9}{'median':>9}{'wall min':>10}")
        for name, row in table.items():
            print(f"{name:<16}{row['cpu_ms_min']:>9.0f}{row['cpu_ms_median']:>9.0f}{row['wall_ms_min']:>10.0f}")
    if not options.no_record:
        body = {"rounds": options.rounds, **tables}
        path = record(f"start-{options.machine}", body, libraries=("transformers", "lightning"))
        print(f"written: {path.parent.name}/{path.name}")
    return 0


def process(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds of processor time and of the clock that a whole process takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1e3, wall * 1e3


def first_step(loop: str, environ: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds of processor time and of the clock from a process's start to the end of its first step."""
    began = time.perf_counter()
    child = subprocess.run(
        [sys.executable, str(HERE / "first_step.py"), loop], env=environ, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - began
    if child.returncode:
        sys.exit(f"{loop} failed:\n{child.stderr[-2000:]}")
    return float(child.stdout.splitlines()[-1]) * 1e3, wall * 1e3


def _keep(figures: list[tuple[float, float]], number: int, found: tuple[float, float]) -> None:
    if number:  # the first round warms up
        figures.append(found)


def _table(found: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "cpu_ms_min": round(min(cpu for cpu, _ in figures), 1),
            "cpu_ms_median": round(statistics.median(cpu for cpu, _ in figures), 1),
            "wall_ms_min": round(min(wall for _, wall in figures), 1),
        }
        for name, figures in found.items()
    }


if __name__ == "__main__":
    sys.exit(main())
