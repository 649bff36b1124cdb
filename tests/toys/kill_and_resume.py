"""Kills a training run again and again, resumes it, and compares the bits of its end with those of an undisturbed run.

What runs import is imported once; every run is a forked child, so that a trial costs a second or two.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from importlib import import_module
from pathlib import Path

import torch
from zoo_toys.runs import PACKAGED, PACKAGES, STATEFUL, recipe, toy_zoo

from zoo_core.api import train
from zoo_core.runs.folder import final_digest
from zoo_core.training.signals import Interrupted

SHAPES = ("single", "adversarial", "sequence", *(name for name, _, _ in STATEFUL))
OF_PACKAGES = tuple(name for name, _, _ in PACKAGED)


def run(shape: str, root: Path, folder: Path, workers: int) -> int:
    """One run to its end, or as far as it is let; the exit code."""
    made = recipe(shape, steps=60, save_every=4, evaluate_every=20, ema_decay=0.9, accumulation=2, workers=workers)
    others = [PACKAGES] if shape in OF_PACKAGES else []
    try:
        train(made, folder=folder, zoo=toy_zoo(root / "home", *others), resume=(folder / "recipe.yaml").exists())
    except Interrupted as stop:
        return stop.exit_code
    return 0


def forked(
    shape: str, root: Path, folder: Path, workers: int, *, delay: float | None, number: int
) -> tuple[int, float]:
    """Fork a run and signal it after `delay` seconds; its exit code (negative for a signal) and how long it took."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = run(shape, root, folder, workers)
        except BaseException:  # noqa: BLE001 - whatever it is, the trial must say it
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - began


def main() -> int:
    """Run the trials; 0 if every one ended with the bits of the undisturbed run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", default="SIGKILL")
    parser.add_argument("--shapes", nargs="+", choices=[*SHAPES, *OF_PACKAGES], default=SHAPES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("torch._dynamo", "torch.distributed", "accelerate", "matplotlib.backends.backend_agg"):
        import_module(name)
    dice, number = random.Random(options.seed), getattr(signal, options.signal)
    whole, took = {}, {}
    for shape in options.shapes:
        folder = options.folder / f"whole-{shape}"
        code, took[shape] = forked(shape, options.folder, folder, 0, delay=None, number=0)
        assert code == 0, f"the undisturbed run of {shape} failed with {code}"
        whole[shape] = final_digest(folder)
    good, interruptions = Counter[str](), 0
    for trial in range(options.runs):
        shape = options.shapes[trial % len(options.shapes)]
        folder, code, hits = options.folder / f"trial-{trial}", 1, 0
        while code != 0:
            delay = dice.uniform(0, took[shape]) if hits < 3 else None
            code, _ = forked(shape, options.folder, folder, 0, delay=delay, number=number)
            expected = {0, -number} if number == signal.SIGKILL else {0, 128 + number, -number}
            if code not in expected:
                print(f"trial {trial} ({shape}): exit code {code}")
                return 1
            hits += code != 0
            if (folder / "model").exists():  # killed after its last act: there is nothing left to resume
                break
        interruptions += hits
        same = final_digest(folder) == whole[shape]
        good[shape] += same
        if not same:
            print(f"trial {trial} ({shape}): other bits after {hits} interruptions")
        shutil.rmtree(folder)
    print("ok by shape:", ", ".join(f"{shape} {number}" for shape, number in good.items()))
    print(
        f"{options.runs} tried, {good.total()} ok; {interruptions} interruptions by {options.signal}, seed {options.seed}"
    )
    return 0 if good.total() == options.runs and interruptions >= options.runs // 3 else 1


if __name__ == "__main__":
    sys.exit(main())
