"""What every rank runs under torchrun: one rank alone gets a signal, between two log lines and in an evaluation, and all stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from zoo_toys import parts
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.contract import At
from zoo_core.training import state
from zoo_core.training.hardware import destroy_process_group
from zoo_core.training.signals import Interrupted

LATE = 6.0
"""Seconds after the signal within which every rank must have raised: usually one or two, and far from an evaluation's end."""


class Watched(parts.Classification):
    """Signals its own process, on one rank, a second after the first step of a run; its evaluations are slow then."""

    asked = 0
    """How often it was asked for a step: once before the first one of the run."""
    signalled = 0.0

    def step(self, phase: str, modules: Any, batch: Any, at: At) -> Any:
        """The usual step."""
        Watched.signal_soon()
        return super().step(phase, modules, batch, at)

    def evaluate(self, modules: Any, batch: Any, at: At) -> Any:
        """The usual evaluation, half a second later."""
        if Watched.signalled:
            time.sleep(0.5)
        return super().evaluate(modules, batch, at)

    @classmethod
    def signal_soon(cls) -> None:
        """Start the clock."""
        cls.asked += 1
        if cls.asked == 2:
            cls.signalled = time.monotonic() + 1.0
            if os.environ["RANK"] == "1":
                threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()


def seconds_to_stop(root: Path, name: str, **training: object) -> float:
    """How long after the signal a run stops that would take for ever."""
    Watched.asked, Watched.signalled = 0, 0.0
    endless = {"steps": 10_000_000, "log_every": 5_000_000, "save_every": 5_000_000, "device": "cpu"}
    try:
        train(recipe("single", **{**endless, **training}), folder=root / name, zoo=toy_zoo(root / "home"))
        raise AssertionError("the signal was not heeded")
    except Interrupted as stop:
        assert stop.exit_code == 143, stop.exit_code
    return time.monotonic() - Watched.signalled


def main(root: Path) -> None:
    """Both; raises where a rank is late."""
    parts.Classification = Watched  # type: ignore[misc]
    took = seconds_to_stop(root, "between", batch_size=12, evaluate_every=5_000_000)
    assert took < LATE, f"a signal between log lines was heeded after {took:.1f} s"
    # 64 samples in batches of one for each rank: 22 turns of half a second.
    took = seconds_to_stop(root, "evaluating", batch_size=3, evaluate_every=1)
    assert took < LATE, f"a signal in an evaluation was heeded after {took:.1f} s"
    if destroy_process_group():
        facts = state.newest(root / "evaluating" / "checkpoints")[0]
        assert facts.step == 1 and facts.evaluation_pending, "the evaluation is owed"
        print(f"{os.environ['WORLD_SIZE']} ranks stopped")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
