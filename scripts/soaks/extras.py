"""Runs of every modality end registered whatever one of their extras does: raise, hang, exit, die or eat memory."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"
_LONGEST = 900.0
"""Seconds that a run may take."""


def extras(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """116 runs: each modality, each extra before and after registration, and each way to fail."""
    sys.path.insert(0, str(TOYS))
    from zoo_toys.faulty_runs import COMBINATIONS, MODALITIES, amiss, faulty_zoo

    wanted = list(itertools.product(MODALITIES, COMBINATIONS))
    random.Random(seed).shuffle(wanted)
    failures: Counter[str] = Counter()
    wrong: list[str] = []
    for number, (modality, (extra, way)) in enumerate(wanted[:trials]):
        root, words = folder / str(number), [modality, extra, way]
        name = f"{' '.join(words)}: "
        if ended := _run([str(root), *words], folder / "bytecode"):
            wrong.append(name + ended)
            continue
        found = amiss(faulty_zoo(root / "home"), root / "run", extra, way)
        wrong += [name + what for what in found]
        failures[f"{extra} {way}"] += not found
        print(name + ("as it should be" if not found else str(found)), flush=True)
    counts = {"runs": len(wanted[:trials]), "of": len(wanted), "finished_and_registered": failures.total()}
    return {**counts, "by_failure": dict(sorted(failures.items())), "bad": wrong, "holds": not wrong}


def _run(words: list[str], bytecode: Path) -> str:
    """How a run ended, if not with exit code 0."""
    environ = {**os.environ, "PYTHONPATH": str(TOYS), "PYTHONPYCACHEPREFIX": str(bytecode)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # most of a run's time is imports, which the next one then has
    command = [sys.executable, str(TOYS / "finish_faulty.py"), *words]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {_LONGEST:g} seconds"
    return f"exit code {done.returncode}: {done.stderr[-300:]}" if done.returncode else ""


PROOFS = (extras,)
