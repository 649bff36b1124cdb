"""What computed a result: versions of Python, torch, the zoo and its plugins, and the machine's kind."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

DRAWS = "2"
"""Version of what a seed means: the order of the data and what changes a sample at random. Another one, other bits."""


def describe_environment(plugins: Iterable[str] = ()) -> dict[str, str]:
    """Facts on which bit-identical results depend; free of anything personal. `plugins` are those that take part."""
    facts = {
        "draws": DRAWS,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
    for name in ("zoo-core", "torch", "accelerate", "safetensors", "numpy", *sorted(plugins)):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    facts["threads"] = os.environ.get("OMP_NUM_THREADS", "default")
    return facts


def describe_computation(device: str, plugins: Iterable[str] = ()) -> dict[str, str]:
    """The same with what is known once torch computes on `device`: the number of threads and the processor's kind."""
    import torch

    threads, processor = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return {**describe_environment(plugins), "torch_threads": str(threads), "processor": processor, "device": device}
