"""Runs that are killed at random instants and resumed end with the bits of undisturbed ones."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo_toys.packages import PACKAGED, UNSAVED
from zoo_toys.runs import PACKAGES, recipe, toy_zoo

from zoo_core import TrainingError, train

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"


def kills(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """200 runs of every shape killed by SIGKILL up to three times each, and resumed."""
    return _killed(trials or 200, seed, folder)


def packages(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """220 such runs with optimizers of torch and of packages. Raises `ModuleNotFoundError` where a package is missing."""
    names = ("prodigyopt", "schedulefree", "pytorch_optimizer")
    versions = {name: import_module(name) and version(name) for name in names}
    found = _killed(trials or 10 * len(PACKAGED), seed, folder, "--shapes", *PACKAGED)
    refused = {name: _refusal(name, folder) for name in UNSAVED}
    holds = found["holds"] and all("a training checkpoint can't hold" in words for words in refused.values())
    return {"packages": versions, **found, "refused": refused, "holds": holds}


def _refusal(name: str, folder: Path) -> str:
    """What a run with an optimizer whose state can't be saved says within its first step."""
    zoo = toy_zoo(folder / "home", PACKAGES)
    try:
        train(recipe(name), folder=folder / name, zoo=zoo)
    except TrainingError as error:
        return error.message
    return ""


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
