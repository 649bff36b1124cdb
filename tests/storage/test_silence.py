"""Filters of warnings belong to the process: they are put back, in whatever order threads come and go."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zoo_core.storage.silence import silenced

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in (ROOT / "zoo_core", *(ROOT / "plugins").glob("*/zoo_*")) for path in folder.rglob("*.py")]


def test_what_is_silenced_is_that_and_nothing_else() -> None:
    with silenced(UserWarning, message="well known"):
        warnings.warn("well known, and answered", UserWarning, stacklevel=1)
        with pytest.raises(RuntimeWarning):
            warnings.warn("something else", RuntimeWarning, stacklevel=1)
    with pytest.raises(UserWarning):
        warnings.warn("well known, and answered", UserWarning, stacklevel=1)


def test_the_filters_are_put_back_whoever_leaves_first() -> None:
    before, filters = warnings.filters, list(warnings.filters)
    first, second = silenced(), silenced(UserWarning)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("still silenced", UserWarning, stacklevel=1)
    second.__exit__(None, None, None)
    assert warnings.filters is before and list(warnings.filters) == filters


def test_many_threads_leave_the_filters_as_they_were() -> None:
    before, filters = warnings.filters, list(warnings.filters)
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait()
        for _ in range(200):
            with silenced():
                warnings.warn("answered", UserWarning, stacklevel=1)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    assert warnings.filters is before and list(warnings.filters) == filters


FORKED = """
import os, threading
from zoo_core.storage import silence

with silence._filters.lock:  # as a thread does that is just about to be silenced
    child = os.fork()
    if child == 0:
        with silence.silenced():
            os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_waits_for_no_thread_of_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "7\n"


def test_nobody_else_touches_the_filters() -> None:
    users = [
        path.name for path in SOURCES if "catch_warnings" in path.read_text() or "simplefilter" in path.read_text()
    ]
    assert users == ["silence.py"]
