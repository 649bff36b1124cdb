"""Evaluations on any number of ranks give the figures of one process, however few batches there are."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"
MOST = 1e-6
"""Relative difference that is allowed."""


def ranks(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """One to nine batches of three kinds of task, a run, an evaluation by name, and a bundled checkpoint of every modality,
    on 2, 3 and 8 ranks beside one process."""
    batches = [str(number) for number in range(1, 1 + (trials or 9))]
    compared, worst = Counter[str](), 0.0
    for script in ("evaluate_on_ranks.py", "bundled_on_ranks.py"):
        root = folder / script.removesuffix(".py")
        alone = _figures(root / "1", script, 1, batches)
        for count in (2, 3, 8):
            found = _figures(root / str(count), script, count, batches)
            if found.keys() != alone.keys():
                worst = math.inf
            for name, figures in found.items():
                far = max(_apart(value, alone.get(name, {}).get(metric, math.inf)) for metric, value in figures.items())
                compared[name.rsplit(" ", 1)[0]] += len(figures)
                worst = max(worst, far)
                if far > MOST:
                    print(f"{name} on {count} ranks: {figures}, alone {alone.get(name)}")
            print(f"{script} on {count} ranks: {worst:.1e} apart at most", flush=True)
    return {
        "compared": compared.total(),
        "compared_by_subject": dict(compared),
        "worst_relative_difference": worst if math.isfinite(worst) else "not comparable",
        "holds": compared.total() > 0 and worst <= MOST,
    }


def _apart(value: float, usual: float) -> float:
    """The relative difference; infinity where one isn't finite."""
    return abs(value - usual) / max(abs(usual), 1e-12) if math.isfinite(usual) and math.isfinite(value) else math.inf


def _figures(folder: Path, script: str, count: int, batches: list[str]) -> dict[str, dict[str, float]]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"] if count > 1 else []
    command = [sys.executable, *launcher, str(TOYS / script), str(folder), *batches]
    environ = {
        **os.environ, "PYTHONPATH": str(TOYS), "OMP_NUM_THREADS": "1",
        "PYTHONPYCACHEPREFIX": str(folder.parent.parent / "bytecode"),
    }  # fmt: skip
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # most of the time is imports, of which each rank does its own
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        print(done.stderr, end="")
        return {"failed": {"figure": math.inf}} if count > 1 else {}
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


PROOFS = (ranks,)
