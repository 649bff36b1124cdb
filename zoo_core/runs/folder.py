"""The folder of a run: resolved recipe, metrics, log, checkpoints and what evaluations leave."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from zoo_core.config.recipe import Recipe
from zoo_core.contract.schema import parse_yaml
from zoo_core.errors import CorruptFile, ResumeError
from zoo_core.preflight import identity
from zoo_core.preflight.identity import Identity
from zoo_core.storage import fs
from zoo_core.storage.paths import RECIPE
from zoo_core.training import state
from zoo_core.training.meter import rounded


class RunFolder:
    """Paths and files of one run; written by the main process only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / RECIPE
        self.identity = path / "identity.json"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "log.txt"
        self.checkpoints = path / "checkpoints"
        self.artifacts = path / "artifacts"
        self.preprocessor = path / "preprocessor"
        self.curve = path / "curve.png"

    def start(self, recipe: Recipe, preprocessor: Mapping[str, bytes], what: Identity) -> None:
        """Lay out a new run, or anew one that was stopped before its first checkpoint."""
        for folder in (self.path, self.checkpoints, self.artifacts):
            fs.make_folder(folder)
        self.sweep()
        if preprocessor and not self.preprocessor.exists():
            fs.commit_folder(self.path, self.preprocessor.name, {name: [data] for name, data in preprocessor.items()})
        self.rewind(-1)
        identity.write(self.identity, what)
        # Last, so that a folder with a recipe has everything that resuming takes.
        fs.write_file(self.recipe, recipe.to_yaml().encode())
        fs.append_line(self.log, f"{_now()} started {recipe.name}")

    def take_up(self, step: int, what: Identity) -> None:
        """Make the folder as it was when the checkpoint of `step` was saved, but for the log."""
        self.sweep()
        self.rewind(step)
        if not self.identity.exists():
            identity.write(self.identity, what)

    def origin(self) -> Identity:
        """What the run in the folder is; of one that noted less, as much as its checkpoints say. Raises `CorruptFile`."""
        kept = identity.read(self.identity)
        if kept:
            return kept
        run = identity.new_run()
        for step in reversed(state.steps(self.checkpoints)):
            with suppress(CorruptFile):
                facts = state.read_facts(self.checkpoints / state.folder_name(step))
                recipe, data, versions = facts["recipe"], facts["data"], facts["versions"]
                return Identity(run=run, recipe=recipe, data=data, preprocessor=None, init=None, environment=versions)
        text = fs.read_bytes(self.recipe, limit=1 << 20)
        recipe = parse_yaml(text, where=str(self.recipe), error=ResumeError).data
        return Identity(run=run, recipe=recipe, data=None, preprocessor=None, init=None, environment={})

    def sweep(self) -> None:
        """Remove what a process that was killed left half-written."""
        for folder in (self.path, self.checkpoints, self.artifacts):
            if folder.is_dir():
                fs.sweep(folder)

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

    def kept_artifacts(self, split: str) -> dict[str, list[bytes]]:
        """What evaluations of a split left, by name, oldest first."""
        kept: dict[str, list[bytes]] = {}
        for path in sorted(self.artifacts.iterdir()):
            step, _, name = path.name.partition("-")
            if step.isdigit() and name.startswith(f"{split}-"):
                kept.setdefault(name.removeprefix(f"{split}-"), []).append(fs.read_bytes(path))
        return kept

    def keep_artifacts(self, step: int, artifacts: Mapping[str, bytes], split: str = "") -> list[Path]:
        """Store files of a run, named by step, and by the split that an evaluation is of."""
        paths = []
        for name, data in artifacts.items():
            path = self.artifacts / f"{step:09d}-{split}{'-' if split else ''}{name}"
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


def final_digest(path: Path) -> str:
    """sha256 of the newest training checkpoint's tensors: two runs that ended the same way share it."""
    steps = state.steps(path / "checkpoints")
    if not steps:
        raise CorruptFile(f"{path} has no checkpoints")
    return str(state.read_facts(path / "checkpoints" / state.folder_name(steps[-1]))["sha256"])


def _step_of(line: str) -> int:
    try:
        row = json.loads(line)
        return 1 << 62 if {"test", "final"} & row.keys() else int(row["step"])
    except (ValueError, KeyError, TypeError):
        # A line that a kill cut short; it is written again, as final figures are.
        return 1 << 62


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
