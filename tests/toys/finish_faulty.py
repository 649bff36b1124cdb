"""One run of a modality with an extra that fails: `finish_faulty.py FOLDER MODALITY EXTRA FAILURE`, for `scripts/soak extras`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from zoo_toys.faulty import SWITCH
from zoo_toys.faulty_runs import MEMORY, faulty_recipe, faulty_zoo

from zoo_core.api import train

if __name__ == "__main__":
    root, modality, extra, way = Path(sys.argv[1]), *sys.argv[2:]
    os.environ[SWITCH] = f"{extra} {way}"
    memory = psutil.virtual_memory()._replace(available=2 * MEMORY)
    psutil.virtual_memory = lambda: memory
    train(faulty_recipe(modality, way, root / "data"), folder=root / "run", zoo=faulty_zoo(root / "home"))
