"""What computed a result: versions of Python, torch and the zoo, and the machine's kind."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version


def describe_environment() -> dict[str, str]:
    """Facts on which bit-identical results depend; free of anything personal."""
    facts = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in ("zoo-core", "torch", "accelerate", "safetensors", "numpy"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    facts["threads"] = os.environ.get("OMP_NUM_THREADS", "default")
    return facts
