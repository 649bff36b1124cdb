"""What every rank runs under torchrun: runs with dropout whose batches are dealt to the ranks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.training.hardware import destroy_process_group

TASKS = ("point-kinds", "point-teacher", "pairs")


def made(task: str) -> dict[str, Any]:
    """Plain gradient descent, so that weights differ as gradients do."""
    whole = recipe("single", batch_size=16, steps=4)
    whole["task"], whole["optimizer"] = {"name": task}, {"name": "sgd", "lr": 0.1, "weight_decay": 0.0}
    whole["model"]["dropout"] = 0.3
    return whole


if __name__ == "__main__":
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    for name in TASKS:
        train(made(name), folder=root / name, zoo=toy_zoo(root / "home"))
    destroy_process_group()
