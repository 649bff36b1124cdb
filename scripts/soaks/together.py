"""Runs that are started together, resumed twice or resumed with something changed get what is theirs, or a refusal."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"


def together(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """50 pairs of runs of one recipe with other seeds, started 0 to 3 s apart, and 50 runs resumed twice at once."""
    wanted = trials or 50
    code, found = _counts("together.py", folder, seed, "--pairs", str(wanted), "--resumes", str(wanted))
    pairs, right, resumes, refusals = found or (0, 0, 0, 0)
    counts = {"pairs": pairs, "right_weights_in_own_folders": right, "double_resumes": resumes, "refusals": refusals}
    return {**counts, "holds": code == 0 and right == 2 * wanted and refusals == wanted}


def changed(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """60 killed runs whose data, preprocessor or recipe is changed, before and after their first checkpoint."""
    wanted = trials or 60
    code, found = _counts("changed.py", folder, seed, "--runs", str(wanted))
    tried, refused, same = found[:3] if found else (0, 0, 0)
    counts = {"runs": tried, "refused_and_untouched": refused, "same_bits_once_undone": same}
    return {**counts, "holds": code == 0 and tried == refused == same == wanted}


def _counts(script: str, folder: Path, seed: int, *words: str) -> tuple[int, tuple[int, ...]]:
    """Exit code of a script of the toys, and the numbers in its last line."""
    command = [sys.executable, str(TOYS / script), str(folder), *words, "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="", end="")
    lines = done.stdout.splitlines()
    return done.returncode, tuple(map(int, re.findall(r"\b\d+\b", lines[-1].partition("; seed")[0]))) if lines else ()


PROOFS = (together, changed)
