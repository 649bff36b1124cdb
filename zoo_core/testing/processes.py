"""Runs that are killed, and the memory that something costs."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from zoo_core.training import state


def killed_run(recipe: Path, folder: Path, *, home: Path, after: int, threads: int = 1) -> int:
    """Start or resume a run in a process of its own, kill it once it saved that step; the newest step that it left."""
    words = [sys.executable, "-m", "zoo_core", "pretrain", str(recipe), "--folder", str(folder)]
    environ = {**os.environ, "ZOO_HOME": str(home), "OMP_NUM_THREADS": str(threads)}
    resume = ["--resume"] if folder.exists() else []
    process = subprocess.Popen([*words, *resume], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    patience = time.monotonic() + 120
    while time.monotonic() < patience and process.poll() is None:
        if max(_saved(folder), default=0) >= after:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    return max(_saved(folder))


def peak_memory() -> int:
    """KiB that this process has ever held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _saved(folder: Path) -> list[int]:
    return state.steps(folder / "checkpoints")
