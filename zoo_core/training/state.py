"""Training checkpoints: tensors in one safetensors file, the rest in one JSON file, complete or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_core.errors import CorruptFile, ResumeError, StoreError
from zoo_core.storage import fs, tensors

FORMAT = 4
"""Version of the layout that is written. Older ones are read: 1 held of an optimizer only what belongs to one parameter, 2 had
other names for two keys, and 3 no state of a task. A newer one is refused."""
_NAMES = {"worse": "evals_since_best", "owes_evaluation": "evaluation_pending"}
"""Keys of older layouts: read, never written."""

_TENSORS, _FACTS = "state.safetensors", "state.json"


@dataclass(kw_only=True)
class TrainerState:
    """What a checkpoint holds besides tensors."""

    step: int
    """Optimizer steps done."""
    epoch: int
    batch: int
    """The next global batch to consume is `batch` of `epoch`."""
    best_step: int | None
    """Step of the best evaluation so far."""
    best_value: float | None
    evals_since_best: int
    """Evaluations since the best one."""
    evaluation_pending: bool
    """Whether a stop came before an evaluation that was due at this step."""
    skipped: int
    """Updates left out as non-finite so far."""
    world: int
    """Ranks that took part."""
    data: str
    """Digest of the data."""
    recipe: dict[str, Any]
    """The resolved recipe."""
    optimizers: dict[str, Any]
    """Optimizer state less its tensors, by optimizer, as `packing` writes it."""
    versions: dict[str, str]
    """Versions of what computed it."""
    seconds: float = 0.0
    """Time the run took until here, over all its resumes; 0 where format 1 didn't say."""
    cpu_seconds: float = 0.0
    bad: list[Any] = field(default_factory=list)
    """Training samples found bad so far: place in the split, what is wrong, hint."""
    watchers: dict[str, Any] = field(default_factory=dict)
    """What loggers and observers keep, by their names."""
    task: Any = None
    """What `Task.state` gave, less its tensors, as `packing` writes it."""
    format: int = FORMAT
    """Version of the layout."""


def folder_name(step: int) -> str:
    """Name of the checkpoint folder of a step; names sort as steps do."""
    return f"step-{step:09d}"


def save(parent: Path, facts: TrainerState, state: Mapping[str, Tensor]) -> Path:
    """Commit a checkpoint; it exists if and only if its folder does. Raises `DiskError`, leaving the older ones alone."""
    chunks = tensors.dump(state)
    body = asdict(facts)
    body["sha256"] = fs.digest_of(*chunks)
    body["digest"] = fs.digest_of(_canonical(body))
    return fs.commit_folder(parent, folder_name(facts.step), {_TENSORS: chunks, _FACTS: [_canonical(body)]})


def read(folder: Path) -> tuple[TrainerState, dict[str, Tensor]]:
    """A checkpoint whose every byte is the one that was written; `StoreError` otherwise."""
    facts = read_facts(folder)
    buffer = tensors.read_file(folder / _TENSORS)
    if fs.digest_of(buffer) != facts.pop("sha256"):
        raise CorruptFile(f"{folder / _TENSORS} is not what was saved")
    return TrainerState(**facts), tensors.load(buffer, where=str(folder / _TENSORS))


def read_facts(folder: Path) -> dict[str, Any]:
    """The verified JSON part of a checkpoint."""
    path = folder / _FACTS
    try:
        body = json.loads(fs.read_bytes(path))
        digest = body.pop("digest")
        version = body["format"]
    except (ValueError, KeyError, AttributeError) as error:
        raise CorruptFile(f"{path} is not a checkpoint's description: {error}") from None
    if version not in range(1, FORMAT + 1):
        raise ResumeError(f"{path} has format {version}; this zoo reads {FORMAT}", hint="upgrade zoo-core")
    if digest != fs.digest_of(_canonical(body)):
        raise CorruptFile(f"{path} is not what was saved")
    return {_NAMES.get(key, key): value for key, value in body.items()}


def steps(parent: Path) -> list[int]:
    """Steps that have a checkpoint folder, ascending."""
    return sorted(int(path.name[5:]) for path in parent.glob("step-*") if path.name[5:].isdigit())


def newest(parent: Path) -> tuple[TrainerState, dict[str, Tensor], dict[int, str]]:
    """The newest checkpoint that verifies, and the steps passed over with why. Raises `ResumeError` if there is none."""
    passed: dict[int, str] = {}
    for step in reversed(steps(parent)):
        try:
            facts, state = read(parent / folder_name(step))
            return facts, state, passed
        except StoreError as error:
            passed[step] = error.message
    found = "; ".join(passed.values()) or "there is none"
    raise ResumeError(f"{parent} has no checkpoint to resume from: {found}")


def rotate(parent: Path, *, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` checkpoints and the best one."""
    for step in steps(parent)[:-keep]:
        if step != best_step:
            fs.remove_folder(parent / folder_name(step))


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, indent=1).encode()
