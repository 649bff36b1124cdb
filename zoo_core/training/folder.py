"""The folder of a run: resolved recipe, metrics, log, checkpoints and what evaluations leave."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_core import fs
from zoo_core.errors import CorruptFile, ResumeError
from zoo_core.recipe import Recipe
from zoo_core.training import state
from zoo_core.training.meter import rounded

FREE = ("log_every", "save_every", "keep", "workers", "evaluate_samples")
"""Settings of `training` that a resumed run may change, because no weight depends on them."""


class RunFolder:
    """Paths and files of one run; written by the main process only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "log.txt"
        self.checkpoints = path / "checkpoints"
        self.artifacts = path / "artifacts"
        self.preprocessor = path / "preprocessor"
        self.curve = path / "curve.png"

    def start(self, recipe: Recipe, preprocessor: Mapping[str, bytes]) -> None:
        """Lay out a new run, or anew one that was stopped before its first checkpoint."""
        for folder in (self.path, self.checkpoints, self.artifacts):
            fs.make_folder(folder)
        if preprocessor and not self.preprocessor.exists():
            fs.commit_folder(self.path, self.preprocessor.name, {name: [data] for name, data in preprocessor.items()})
        self.rewind(-1)
        # Last, so that a folder with a recipe has everything that resuming takes.
        fs.write_file(self.recipe, recipe.to_yaml().encode())
        fs.append_line(self.log, f"{_now()} started {recipe.name}")

    def kept_preprocessor(self) -> dict[str, bytes]:
        """The preprocessor's files that the run started with."""
        if not self.preprocessor.is_dir():
            return {}
        return {path.name: fs.read_bytes(path) for path in sorted(self.preprocessor.iterdir())}

    def rewind(self, step: int) -> None:
        """Forget figures from after `step` and final ones, which a resumed run will write again."""
        if self.metrics.exists():
            fs.truncate_lines(self.metrics, lambda line: _step_of(line) <= step)

    def record(self, step: int, kind: str, metrics: Mapping[str, float], **facts: float) -> None:
        """One line of `metrics.jsonl`."""
        line = {"step": step, **facts, kind: rounded(metrics)}
        fs.append_line(self.metrics, json.dumps(line))

    def say(self, text: str) -> None:
        """One line of the log."""
        for line in text.splitlines():
            fs.append_line(self.log, f"{_now()} {line}")

    def kept_artifacts(self) -> dict[str, list[bytes]]:
        """What evaluations left, by name, oldest first."""
        kept: dict[str, list[bytes]] = {}
        for path in sorted(self.artifacts.iterdir()):
            step, _, name = path.name.partition("-")
            if step.isdigit() and name:
                kept.setdefault(name, []).append(fs.read_bytes(path))
        return kept

    def keep_artifacts(self, step: int, artifacts: Mapping[str, bytes]) -> list[Path]:
        """Store what an evaluation leaves, named by step."""
        paths = []
        for name, data in artifacts.items():
            path = self.artifacts / f"{step:09d}-{name}"
            fs.write_file(path, data)
            paths.append(path)
        return paths


def new_folder(name: str, parent: Path) -> Path:
    """`parent/name`, or `parent/name-2` and so on when that is taken."""
    number, path = 1, parent / name
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def newest_folder(name: str, parent: Path) -> Path:
    """The newest run of that name, to resume. Raises `ResumeError` if there is none."""
    paths = [path for path in parent.glob(f"{name}*") if _number(path.name, name) and (path / "recipe.yaml").is_file()]
    if not paths:
        raise ResumeError(f"{parent} has no run of {name} to resume", hint="name its folder with --folder")
    return max(paths, key=lambda path: _number(path.name, name))


def refuse_changes(old: Mapping[str, Any], new: Mapping[str, Any], where: Path) -> None:
    """Raise `ResumeError` with the differences if the recipe is not the one that the run started with."""
    differences = list(_differences(_without_free(old), _without_free(new), ""))
    if differences:
        raise ResumeError(
            f"{where} was started with another recipe:\n  " + "\n  ".join(differences[:10]),
            hint="resume without overrides, or start a new run",
        )


def final_digest(path: Path) -> str:
    """sha256 of the newest training checkpoint's tensors: two runs that ended the same way share it."""
    steps = state.steps(path / "checkpoints")
    if not steps:
        raise CorruptFile(f"{path} has no checkpoints")
    return str(state.read_facts(path / "checkpoints" / state.folder_name(steps[-1]))["sha256"])


def _without_free(recipe: Mapping[str, Any]) -> dict[str, Any]:
    training = {key: value for key, value in recipe["training"].items() if key not in FREE}
    return {**recipe, "training": training, "summary": ""}


def _differences(old: Any, new: Any, place: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in sorted({*old, *new}):
            found += _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
        return found
    same = list(old) == list(new) if isinstance(old, list | tuple) and isinstance(new, list | tuple) else old == new
    return [] if same else [f"{place}: {old} then, {new} now"]


def _number(folder: str, name: str) -> int:
    if folder == name:
        return 1
    rest = folder.removeprefix(f"{name}-")
    return int(rest) if rest.isdigit() else 0


def _step_of(line: str) -> int:
    try:
        row = json.loads(line)
        return 1 << 62 if "test" in row else int(row["step"])
    except (ValueError, KeyError, TypeError):
        # A line that a kill cut short; it is written again, as final figures are.
        return 1 << 62


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
