"""Kills runs, changes their data, preprocessor or recipe, and resumes them: every one must be refused and left as it was."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.errors import ResumeError
from zoo_core.runs.folder import final_digest
from zoo_core.training import state

KINDS = ("data", "preprocessor", "recipe")
SAVE_EVERY = 20


def made(root: Path) -> dict[str, Any]:
    """A run with data in a file and a preprocessor that learns of it."""
    found = recipe("scaled", steps=60, save_every=SAVE_EVERY, evaluate_every=SAVE_EVERY)
    found["data"]["file"] = str(root / "points")
    return found


def killed(root: Path, folder: Path, *, saved: bool) -> bool:
    """A run killed by SIGKILL as soon as it has its recipe, or its first checkpoint; whether it stands where it should."""
    child = os.fork()
    if child == 0:
        try:
            train(made(root), folder=folder, zoo=toy_zoo(root / "home"))
        finally:
            os._exit(0)
    while not (folder / "recipe.yaml").exists() or (saved and not state.steps(folder / "checkpoints")):
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return bool(state.steps(folder / "checkpoints")) == saved and not (folder / "model").exists()


def change(kind: str, root: Path, folder: Path) -> tuple[Path, bytes]:
    """Change one thing; what to put back where."""
    path = {
        "data": root / "points",
        "preprocessor": folder / "preprocessor" / "scale.json",
        "recipe": folder / "recipe.yaml",
    }[kind]
    before = path.read_bytes()
    after = {
        "data": b"other points",
        "preprocessor": b'{"scale": 7.0}',
        "recipe": before.replace(b"lr: 0.01", b"lr: 0.02"),
    }
    assert after[kind] != before
    path.write_bytes(after[kind])
    return path, before


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which says who held it last."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "lock"}


def main() -> int:
    """Run the trials; 0 if every changed run was refused, and went on to the right bits once the change was undone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dice, root = random.Random(options.seed), options.folder.absolute()
    (root / "points").write_bytes(b"points")
    expected = final_digest(train(made(root), folder=root / "whole", zoo=toy_zoo(root / "home")).folder)
    refused = same = tried = 0
    while tried < options.runs:
        kind, saved = KINDS[tried % len(KINDS)], bool(tried % 2)
        folder = root / f"trial-{dice.getrandbits(32):08x}"
        if not killed(root, folder, saved=saved):  # it was faster than the signal
            shutil.rmtree(folder)
            continue
        tried += 1
        path, before = change(kind, root, folder)
        there = contents(folder)
        try:
            resume(folder, zoo=toy_zoo(root / "home"))
            print(f"trial {tried}: changed {kind}, {'after' if saved else 'before'} the first checkpoint: accepted")
        except ResumeError:
            refused += contents(folder) == there
        path.write_bytes(before)
        if not (folder / "model").exists():
            same += final_digest(resume(folder, zoo=toy_zoo(root / "home")).folder) == expected
        shutil.rmtree(folder)
    print(f"{tried} tried, {refused} refused, {same} with the same bits afterwards; seed {options.seed}")
    return 0 if tried == refused == same else 1


if __name__ == "__main__":
    sys.exit(main())
