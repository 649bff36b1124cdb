"""Evaluations on any number of ranks give the figures of one process, however few batches there are."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"
MOST = 1e-6
"""Relative difference that is allowed."""


def ranks(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """One to nine batches of three kinds of task, a run and an evaluation by name, on 2, 3 and 8 ranks beside one process."""
    batches = [str(number) for number in range(1, 1 + (trials or 9))]
    alone = _figures(folder / "1", 1, batches)
    worst, compared = 0.0, 0
    for count in (2, 3, 8):
        for name, figures in _figures(folder / str(count), count, batches).items():
            for metric, value in figures.items():
                compared += 1
                usual = alone.get(name, {}).get(metric, math.inf)
                worst = max(worst, abs(value - usual) / max(abs(usual), 1e-12) if math.isfinite(usual) else math.inf)
    return {"compared": compared, "worst_relative_difference": worst, "holds": compared > 0 and worst <= MOST}


def _figures(folder: Path, count: int, batches: list[str]) -> dict[str, dict[str, float]]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"] if count > 1 else []
    command = [sys.executable, *launcher, str(TOYS / "evaluate_on_ranks.py"), str(folder), *batches]
    environ = {**os.environ, "PYTHONPATH": str(TOYS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        print(done.stderr, end="")
        return {"failed": {"figure": math.inf}} if count > 1 else {}
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


PROOFS = (ranks,)
