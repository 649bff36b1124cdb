"""An observer that writes down what it is told, and stumbles over the first checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zoo_core import RunInfo, hookimpl

zoo_api = (2, 0)
told: list[tuple[object, ...]] = []


@hookimpl
def zoo_run_started(run: RunInfo) -> None:
    """The start."""
    told.append(("started", run.name, run.steps))


@hookimpl
def zoo_step_logged(run: RunInfo, step: int, metrics: Mapping[str, float]) -> None:
    """A log step."""
    told.append(("logged", step, "loss" in metrics))


@hookimpl
def zoo_checkpoint_saved(run: RunInfo, step: int, folder: Path) -> None:
    """A checkpoint."""
    told.append(("saved", step, (folder / "state.safetensors").is_file()))
    raise RuntimeError("the watcher stumbled")


@hookimpl
def zoo_run_ended(run: RunInfo, status: str) -> None:
    """The end."""
    told.append(("ended", status))
