"""Runs that are killed at random instants and resumed end with the bits of undisturbed ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TOYS = Path(__file__).parent.parent.parent / "tests" / "toys"


def kills(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """200 runs of every shape killed by SIGKILL up to three times each, and resumed."""
    wanted = trials or 200
    command = [
        sys.executable,
        str(TOYS / "kill_and_resume.py"),
        str(folder),
        "--runs",
        str(wanted),
        "--seed",
        str(seed),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="", end="")
    found = re.search(r"(\d+) tried, (\d+) ok; (\d+) interruptions", done.stdout)
    tried, same, interruptions = map(int, found.groups()) if found else (0, 0, 0)
    counts = {"runs": tried, "same_bits": same, "interruptions": interruptions}
    return {**counts, "holds": done.returncode == 0 and tried == same == wanted}


PROOFS = (kills,)
