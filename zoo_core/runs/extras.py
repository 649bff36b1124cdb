"""What is made after a checkpoint is registered: plots of the test split, looks back over the run, and baselines.

A process of its own makes them under a limit of time and one of memory, so that one that raises, hangs, exits or eats
memory is a line in the log and on the card, and nothing more.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from zoo_core.plugins.discovery import CORE
from zoo_core.registry.registry import Registry
from zoo_core.runs.record import Progress, Record
from zoo_core.storage import children
from zoo_core.storage.children import Tail
from zoo_core.storage.machine import free_memory
from zoo_core.tasks.baselines import left_out
from zoo_core.training.signals import Stop

LOADING = "loading what extras need"
PLOTS = "plots of the final evaluation"
RETROSPECT = "plots of all evaluations"
BASELINES = "baselines"

RECORD = "extras.jsonl"
"""Name of the record in a run's folder."""

_LOAD = 180.0
"""Seconds that a process may take to import torch and to read data and checkpoint."""

_GLANCE = 0.05
"""Seconds between two looks at the process."""

_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher of ranks sets, which would make the process wait for others."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the extras of one run may take."""

    seconds: float
    """Time for each of them; all together may take twice as long, and three minutes to be loaded."""
    memory: int
    """Bytes that the process may hold."""


def limits(seconds: float) -> Limits:
    """The limits of a run: the time that its recipe sets, and half of the memory that is free now."""
    return Limits(seconds=seconds, memory=free_memory() // 2)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process is asked for."""

    folder: str
    """The run's folder."""
    record: str
    """Where it writes down what it does."""
    plugins: tuple[tuple[str, str, str, str], ...]
    """Name, version, module and location of every plugin of the run."""
    places: tuple[str, str, str]
    """The store, the catalogue and the folder whose checkpoints the run could ask for."""
    split: str
    """The split of the final figures; empty where the data has none to measure on."""
    step: int
    """The last step, which files about the whole run are named by."""
    best_step: int
    """The step whose weights were kept, which plots of the final evaluation are named by."""
    baselines: bool
    """Whether the recipe wants them."""
    threads: int
    """Threads that torch computes with."""
    skip: tuple[str, ...] = ()
    """Names of what was made or failed before."""

    @classmethod
    def read(cls, line: str) -> Job:
        """A job from its line of JSON."""
        values = json.loads(line)
        plugins = tuple((name, version, module, location) for name, version, module, location in values["plugins"])
        return cls(**{**values, "plugins": plugins, "places": tuple(values["places"]), "skip": tuple(values["skip"])})


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What came of them."""

    baselines: Mapping[str, Mapping[str, float]]
    """Metrics by baseline."""
    problems: tuple[str, ...]
    """A sentence for each that was left out."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures has to know, like a part of a split that they are of."""


NO_EXTRAS = Extras(baselines={}, problems=())


def baseline_name(name: str) -> str:
    """What a baseline is called in the record."""
    return f"baseline {name}"


def job_for(folder: Path, registry: Registry, *, split: str, step: int, best_step: int, baselines: bool) -> Job:
    """The job of a finished run, for the same plugins and checkpoints as this process has."""
    active = [record for record in registry.host.records if record.state == "active" and record.name != CORE]
    return Job(
        folder=str(folder.absolute()),
        record=str(folder.absolute() / RECORD),
        plugins=tuple((record.name, record.version, record.module, record.location) for record in active),
        places=(
            str(registry.store.root.absolute()),
            str(registry.catalogue.absolute()),
            str(registry.folder.absolute()),
        ),
        split=split,
        step=step,
        best_step=best_step,
        baselines=baselines,
        threads=torch.get_num_threads(),
    )


def make_extras(job: Job, limits: Limits, stop: Stop) -> Extras:
    """Have the extras made, and gather what came of them. A process that had to be ended is followed by another, which
    makes the rest."""
    record = Record(Path(job.record))
    record.start()
    until = time.monotonic() + 2 * limits.seconds + _LOAD
    while True:
        ended = _run(job, record, limits, until, stop)
        found = record.read()
        if found.current:
            record.fail(found.current, ended or "it ended the process")
        elif ended and not found.lines:
            record.fail(LOADING, ended)
        found = record.read()
        skip = tuple(name for name in (*found.done, *found.failed) if name not in found.done or name != BASELINES)
        if not ended or LOADING in found.failed or stop.signal or time.monotonic() > until or skip == job.skip:
            return _gathered(found)
        job = replace(job, skip=skip)


def _run(job: Job, record: Record, limits: Limits, until: float, stop: Stop) -> str:
    """One process to its end; why it ended early, or nothing."""
    known = children.environment().items()
    environ = {name: value for name, value in known if name not in _LAUNCHER and "ACCELERATE" not in name}
    process = subprocess.Popen(
        children.command("-m", "zoo_core.runs.extras_child"),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdin is not None and process.stderr is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            process.stdin.flush()
        return _watch(process, Tail(process.stderr), record, limits, until, stop)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, SIGKILL)  # whatever it started goes with it
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]


def _watch(
    process: subprocess.Popen[bytes], errors: Tail, record: Record, limits: Limits, until: float, stop: Stop
) -> str:
    seen, since, size, allowed = -1, time.monotonic(), -1, _LOAD
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(_GLANCE)
            found = record.read()
            return "" if code == 0 and not found.current and found.lines else _ending(code, errors)
        errors.look()
        now = time.monotonic()
        if (held := _size(record.path)) != size and (progress := record.read()).lines != seen:
            size, seen, since = held, progress.lines, now
            allowed = limits.seconds if progress.current not in ("", LOADING) else _LOAD
        if stop.signal is not None:
            return "the run was asked to stop"
        if now > min(since + allowed, until):
            return f"it took longer than {min(allowed, now - since):g} seconds"
        if _memory(process.pid) > limits.memory:
            return f"it took more than {limits.memory / (1 << 30):.1f} GiB of memory"


def _ending(code: int, errors: Tail) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said = errors.last_line() if code else ""
    return f"it ended the process with {how}" + (f"; the last line of its errors: {said}" if said else "")


def _memory(pid: int) -> int:
    """Bytes that a process and those it started hold."""
    try:
        process = psutil.Process(pid)
        return sum(int(one.memory_info().rss) for one in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _gathered(found: Progress) -> Extras:
    prefix = baseline_name("")
    baselines = {
        name.removeprefix(prefix): figures for name, figures in found.done.items() if _is_baseline(name, figures)
    }
    problems = tuple(left_out(name, problem) for name, problem in found.failed.items())
    notes = tuple(found.done.get(BASELINES) or ()) if baselines else ()
    return Extras(baselines=baselines, problems=problems, notes=notes)


def _is_baseline(name: str, figures: Any) -> bool:
    return name.startswith(baseline_name("")) and isinstance(figures, dict)
