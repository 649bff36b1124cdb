"""What a task is told of its steps, and what it does once an update: neither depends on accumulation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_toys import parts, sketches
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.contract import At
from zoo_core.errors import PluginError
from zoo_core.registry.zoo import Zoo
from zoo_core.training import state


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


def run(zoo: Zoo, folder: Path, shape: str, task: str, **training: Any) -> dict[str, Tensor]:
    """The tensors of the newest training checkpoint."""
    made = recipe(shape, **training)
    made["task"] = {"name": task}
    train(made, folder=folder, zoo=zoo)
    return state.newest(folder / "checkpoints")[1]


@pytest.mark.parametrize("task", ["mean-teacher", "point-teacher"])
def test_a_teacher_does_not_depend_on_accumulation(task: str, zoo: Zoo, tmp_path: Path) -> None:
    found = [
        run(zoo, tmp_path / str(parts), "single", task, steps=6, batch_size=16, accumulation=parts)
        for parts in (1, 2, 4)
    ]
    teachers = [name for name in found[0] if name.startswith("module.teacher.")]
    assert len(teachers) == 6
    for name in teachers:
        for other in found[1:]:
            torch.testing.assert_close(other[name], found[0][name], rtol=1e-6, atol=1e-6)
        own = found[0][name.replace("module.teacher.", "model.")]
        assert not torch.equal(found[0][name], own), "the teacher lags behind"


def test_a_teacher_stays_in_evaluation_mode(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes, step = [], sketches.PointTeacher.step

    def noted(self: Any, *arguments: Any) -> Any:
        modes.append((self.model.training, self.teacher.training))
        return step(self, *arguments)

    monkeypatch.setattr(sketches.PointTeacher, "step", noted)
    run(zoo, tmp_path / "run", "single", "point-teacher", steps=2)
    assert set(modes) == {(True, False)}


class Watched(parts.Classification):
    """Notes where it is called."""

    seen: list[tuple[str, At]]
    gradients: list[float]

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Any, at: At) -> Any:
        self.seen.append(("step", at))
        return super().step(phase, modules, batch, at)

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Any, at: At) -> Any:
        self.seen.append(("evaluate", at))
        return super().evaluate(modules, batch, at)

    def before_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        self.seen.append(("before", at))
        grads = [p.grad for p in modules["model"].parameters() if p.grad is not None]
        self.gradients.append(sum(float(grad.abs().sum()) for grad in grads))

    def after_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        assert at.finite is not None and not torch.is_grad_enabled()
        self.seen.append(("after", at._replace(finite=None)))
        self.finite.append(bool(at.finite))
        self.draws.append(float(torch.rand(())))

    finite: list[bool]
    draws: list[float]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    for name in ("seen", "gradients", "finite", "draws"):
        monkeypatch.setattr(Watched, name, [], raising=False)
    monkeypatch.setattr(parts, "Classification", Watched)
    return Watched


def test_a_task_is_told_where_it_stands(zoo: Zoo, tmp_path: Path, watched: type[Watched]) -> None:
    # 64 samples in batches of 16, of two micro-batches each: four updates are an epoch.
    run(zoo, tmp_path / "run", "single", "point-classification", steps=6, batch_size=16, accumulation=2,
        evaluate_every=6)  # fmt: skip
    trained = [(kind, at) for kind, at in watched.seen if kind != "evaluate"]
    expected = []
    for step in range(6):
        at = At(step, 6, step // 4)
        expected += [("step", at), ("step", at._replace(micro=1)), ("before", at), ("after", at)]
    assert trained[:3] == [("step", At(0, 6)), ("before", At(0, 6)), ("after", At(0, 6))], "tried before the first step"
    assert trained[3:] == expected
    evaluated = [at for kind, at in watched.seen if kind == "evaluate"]
    # Tried before step 1, after step 6 on the way, and once more on the test split when all is done.
    assert {(at.step, at.steps) for at in evaluated} == {(0, 6), (6, 6)} and evaluated[-1].micro == len(
        [at for at in evaluated if at.step == 6]
    ) // 2 - 1
    assert watched.finite == [True] * 7
    assert len(set(watched.draws[1:])) == 6


def test_gradients_are_summed_before_an_update(zoo: Zoo, tmp_path: Path, watched: type[Watched]) -> None:
    found = []
    for accumulation in (1, 4):
        watched.gradients.clear()
        run(zoo, tmp_path / str(accumulation), "single", "point-classification", steps=1, accumulation=accumulation)
        found.append(watched.gradients[-1])
    assert found[0] == pytest.approx(found[1], rel=1e-5) and found[0] > 0


def test_an_update_that_is_left_out_is_told(zoo: Zoo, tmp_path: Path, watched: type[Watched]) -> None:
    made = recipe("single", steps=4, batch_size=16, skip_nonfinite=9)
    made["data"]["poison"] = 3
    train(made, folder=tmp_path / "run", zoo=zoo)
    assert sorted(watched.finite[1:]) == [False, True, True, True]


def test_what_a_hook_changes_counts(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Any, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        for parameter in modules["model"].parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()

    made = recipe("single", steps=3)
    made["optimizer"] = {"name": "sgd", "lr": 0.1, "weight_decay": 0.0}
    monkeypatch.setattr(parts.Classification, "before_update", nothing)
    train({**made, "training": {**made["training"], "save_every": 1, "keep": 5}}, folder=tmp_path / "still", zoo=zoo)
    first, last = (state.read(tmp_path / "still" / "checkpoints" / state.folder_name(step))[1] for step in (1, 3))
    assert all(torch.equal(first[name], last[name]) for name in first if name.startswith("model."))


def test_a_hook_that_raises_is_named_before_the_first_step(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(self: Any, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        raise ValueError("no such teacher")

    monkeypatch.setattr(parts.Classification, "after_update", fall)
    with pytest.raises(PluginError, match=r"Task\.after_update in phase train raised ValueError: no such teacher"):
        train(recipe("single"), folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_declared_state_is_in_the_checkpoints(zoo: Zoo, tmp_path: Path) -> None:
    tensors = run(zoo, tmp_path / "run", "single", "remembers", steps=3)
    facts, _, _ = state.newest(tmp_path / "run" / "checkpoints")
    names = [name for name, _ in facts.task["dict"]]
    assert names == ["count", "dice", "queue", "seen"] and facts.task["dict"][0][1] == 3
    assert {name for name in tensors if name.startswith("task.")} == {"task.0", "task.1"}
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "not in the checkpoints" not in log
