"""Other checkpoints by name: opened for a task by its context, on the card, and the same ones after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import evaluate, load, resume, train
from zoo_core.config.loading import CheckpointOpener
from zoo_core.contract.events import SilentReporter
from zoo_core.contract.predictor import TaskContext
from zoo_core.errors import UnknownName, UsageError
from zoo_core.registry import upkeep
from zoo_core.registry.card import card_to_data
from zoo_core.registry.checkpoint import open_checkpoint
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """With `toy_tiny.teacher`."""
    zoo = toy_zoo(tmp_path / "home")
    train({**recipe("batch-norm", steps=3), "name": "toy_tiny.teacher"}, folder=tmp_path / "teacher", zoo=zoo)
    return zoo


def student(**training: Any) -> dict[str, Any]:
    return {**recipe("single", **training), "name": "toy_tiny.student", "task": {"name": "distilled"}}


class Stops(SilentReporter):
    """Stops a run before its first step."""

    def started(self, *_: Any) -> None:
        raise KeyboardInterrupt


def test_a_teacher_is_frozen_and_named_on_the_card_by_its_digest(zoo: Zoo, tmp_path: Path) -> None:
    teacher = open_checkpoint("toy_tiny.teacher", zoo.registry)
    result = train(student(extras="auto", baselines="auto"), folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and result.card.uses == (teacher.reference,)
    assert card_to_data(result.card)["schema_version"] == 2 and card_to_data(teacher.card)["schema_version"] == 1
    assert "left out" not in (tmp_path / "run" / "log.txt").read_text()
    with pytest.raises(UsageError, match=r"toy_tiny.student@1 was trained or measured with it"):
        upkeep.remove("toy_tiny.teacher@1", zoo=zoo)
    opened = load("toy_tiny.student", zoo=zoo).task.teacher  # type: ignore[attr-defined]
    assert opened.reference == teacher.reference and not opened.model.training
    assert not any(parameter.requires_grad for parameter in opened.model.parameters())
    assert opened.modality == opened.task_spec.modality and opened.labels == ("inner", "outer")
    assert {metric.name for metric in evaluate("toy_tiny.student", "points", zoo=zoo).metrics} == {"loss", "accuracy"}


def test_a_resumed_run_has_the_teacher_that_it_began_with(zoo: Zoo, tmp_path: Path) -> None:
    whole = train(student(), folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(KeyboardInterrupt):
        train(student(), folder=tmp_path / "run", zoo=zoo, reporter=Stops())
    identity = json.loads((tmp_path / "run" / "identity.json").read_text())
    assert list(identity["uses"]) == ["toy_tiny.teacher"]
    later = {**recipe("batch-norm", steps=4), "name": "toy_tiny.teacher"}
    train(later, folder=tmp_path / "later", zoo=zoo)
    assert "uses" not in json.loads((tmp_path / "later" / "identity.json").read_text())
    card = resume(tmp_path / "run", zoo=zoo).card
    assert final_digest(tmp_path / "run") == final_digest(tmp_path / "whole")
    assert card is not None and whole.card is not None and card.uses == whole.card.uses


def test_what_cannot_be_opened_is_said_before_the_first_step(zoo: Zoo, tmp_path: Path) -> None:
    context = TaskContext(model=nn.Linear(1, 1), preprocessor=None)
    with pytest.raises(UsageError, match="there is no registry here"):
        context.checkpoint("toy_tiny.teacher")
    context.open = CheckpointOpener(zoo.registry, {})
    with pytest.raises(UsageError, match=r"toy_tiny.teacher serves no task \*transcription"):
        context.checkpoint("toy_tiny.teacher", task="*transcription")
    assert context.checkpoint("toy_tiny.teacher", task="point-*").predict([[0.1, 0.1]])[0]["label"]
    upkeep.remove("toy_tiny.teacher@1", zoo=zoo)
    with pytest.raises(UnknownName, match=r"toy_tiny.teacher"):
        train(student(), folder=tmp_path / "run", zoo=zoo)
