"""Runs that are killed at random instants and resumed end with the bits of undisturbed ones."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"


def kills(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """200 runs of every shape killed by SIGKILL up to three times each, and resumed."""
    return _killed(trials or 200, seed, folder)


def packages(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """100 such runs with the optimizers of prodigyopt and schedulefree. Raises `ModuleNotFoundError` where one is missing."""
    versions = {name: import_module(name) and version(name) for name in ("prodigyopt", "schedulefree")}
    shapes = ("prodigy", "prodigy-safe", "free-adamw", "free-sgd")
    return {"packages": versions, **_killed(trials or 100, seed, folder, "--shapes", *shapes)}


def _killed(wanted: int, seed: int, folder: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, str(TOYS / "kill_and_resume.py"), str(folder)]
    command += ["--runs", str(wanted), "--seed", str(seed), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="", end="")
    found = re.search(r"(\d+) tried, (\d+) ok; (\d+) interruptions", done.stdout)
    tried, same, interruptions = map(int, found.groups()) if found else (0, 0, 0)
    by_shape = re.search(r"ok by shape: (.*)", done.stdout)
    shapes = dict(pair.rsplit(" ", 1) for pair in by_shape[1].split(", ")) if by_shape else {}
    counts: dict[str, Any] = {"runs": tried, "same_bits": same, "interruptions": interruptions}
    counts["same_bits_by_shape"] = {shape: int(number) for shape, number in shapes.items()}
    return {**counts, "holds": done.returncode == 0 and tried == same == wanted}


PROOFS = (kills, packages)
