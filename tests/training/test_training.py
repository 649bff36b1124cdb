from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_toys import watcher
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import load, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract import At
from zoo_core.errors import NonFiniteLoss, RecipeError, ResumeError, UsageError
from zoo_core.preflight.setup import prepare
from zoo_core.registry.catalogue import write_registry
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training import state
from zoo_core.training.ema import Ema
from zoo_core.training.hardware import Hardware
from zoo_core.training.loop import Loop
from zoo_core.training.order import BatchPlan, Cursor, training_batches
from zoo_core.training.signals import Interrupted

SHAPES = ("single", "adversarial", "sequence")


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


def trained(zoo: Zoo, shape: str, *, steps: int = 6, **settings: Any) -> dict[str, Tensor]:
    """Weights after some steps of the bare loop."""
    resolved = load_recipe(
        {**recipe(shape, steps=steps), **settings.pop("sections", {})}, _overrides(settings), zoo.host
    )
    hardware = Hardware(resolved.training)
    parts = prepare(resolved, zoo.host, hardware, None, None)
    loop = Loop(
        parts.task,
        updates=parts.updates,
        training=resolved.training,
        schedule=parts.schedule,
        steps=parts.steps,
        hardware=hardware,
    )
    workers = resolved.training.workers
    batches = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=workers, pin=False)
    loop.run(batches, 0, lambda moment: False)
    return {name: tensor.clone() for name, tensor in parts.task.model.state_dict().items()}


def _overrides(settings: Mapping[str, Any]) -> list[str]:
    return [f"training.{key}={value}" for key, value in settings.items()]


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if kind in record]


@pytest.mark.parametrize("shape", SHAPES)
def test_accumulation_does_not_change_the_weights(zoo: Zoo, shape: str) -> None:
    whole = trained(zoo, shape)
    for parts in (2, 4):
        split = trained(zoo, shape, accumulation=parts)
        assert max((whole[name] - split[name]).abs().max().item() for name in whole) < 1e-6
    assert max((whole[name] - trained(zoo, shape, seed=1)[name]).abs().max().item() for name in whole) > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_workers_change_no_bit(zoo: Zoo, shape: str) -> None:
    alone, helped = trained(zoo, shape), trained(zoo, shape, workers=2)
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_runs_to_a_registered_checkpoint(zoo: Zoo, shape: str, tmp_path: Path) -> None:
    result = train(recipe(shape), folder=tmp_path / "run", zoo=zoo)
    assert result.steps == 12 and result.card is not None
    assert result.card.full_name == f"toy_tiny.{shape}@1"
    assert (tmp_path / "run" / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert [r["step"] for r in lines(tmp_path / "run", "train")][-1] == 12
    assert [r["step"] for r in lines(tmp_path / "run", "evaluation")] == [5, 10, 12]
    assert state.steps(tmp_path / "run" / "checkpoints")[-1] == 12
    assert zoo.registry.find(f"toy_tiny.{shape}").card.metrics == result.card.metrics


def test_each_phase_changes_its_own_modules_only(zoo: Zoo) -> None:
    resolved = load_recipe(recipe("adversarial"), [], zoo.host)
    parts = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
    loop = Loop(
        parts.task,
        updates=parts.updates,
        training=resolved.training,
        schedule=parts.schedule,
        steps=4,
        hardware=Hardware(resolved.training),
    )
    stream = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    done = next(stream)
    for update in parts.updates.values():
        update.set_lr(1.0)
    for number, phase in enumerate(parts.task.phases):
        before = {name: tensor.clone() for name, tensor in parts.task.model.state_dict().items()}
        loop._phase(number, phase, done.micro_batches, At(0, 1), done.samples)
        changed = {n.split(".")[0] for n, t in parts.task.model.state_dict().items() if not torch.equal(t, before[n])}
        assert changed == set(phase.trains)


def test_a_lazy_phase_runs_on_its_steps_only(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("adversarial", log_every=1), folder=tmp_path / "run", zoo=zoo)
    ran = [r["step"] for r in lines(tmp_path / "run", "train") if "penalise/loss" in r["train"]]
    assert ran == [1, 5, 9]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_interrupted_run_ends_with_the_same_bits(zoo: Zoo, shape: str, tmp_path: Path) -> None:
    made = recipe(shape, ema_decay=0.9, accumulation=2)
    train(made, folder=tmp_path / "whole", zoo=zoo)
    interrupted = tmp_path / "interrupted"
    for at in (2, 6, 9):
        with pytest.raises(Interrupted):
            train(made, folder=interrupted, zoo=zoo, resume=interrupted.exists(), reporter=StopAt(at))
    train(made, folder=interrupted, zoo=zoo, resume=True)
    assert final_digest(interrupted) == final_digest(tmp_path / "whole")
    steps = [r["step"] for r in lines(interrupted, "train")]
    assert steps == sorted(set(steps))
    evaluations = [lines(folder, "evaluation") for folder in (interrupted, tmp_path / "whole")]
    assert evaluations[0] == evaluations[1]


class StopAt:
    """A reporter that asks for a stop, as Ctrl-C does, at the first log line from a step on."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.done = False

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        if step >= self.step and not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)

    def started(self, run: Any, facts: Mapping[str, str]) -> None: ...

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def message(self, text: str) -> None: ...

    def ended(self, status: str) -> None: ...


def test_a_damaged_checkpoint_is_passed_over_and_the_end_is_the_same(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", keep=3)
    train(made, folder=tmp_path / "whole", zoo=zoo)
    cut = tmp_path / "cut"
    with pytest.raises(Interrupted):
        train(made, folder=cut, zoo=zoo, reporter=StopAt(8))
    newest = cut / "checkpoints" / state.folder_name(state.steps(cut / "checkpoints")[-1])
    data = bytearray((newest / "state.safetensors").read_bytes())
    data[-1] ^= 1
    (newest / "state.safetensors").chmod(0o644)
    (newest / "state.safetensors").write_bytes(data)
    train(made, folder=cut, zoo=zoo, resume=True)
    assert "passed over" in (cut / "log.txt").read_text()
    assert final_digest(cut) == final_digest(tmp_path / "whole")


def test_a_non_finite_sample_changes_no_weight_and_ends_the_run(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", log_every=1, save_every=1, keep=50)
    made["data"]["poison"] = int(
        [*BatchPlan(64, batch_size=16, seed=0).epoch(0)][-1][0]
    )  # after checkpoints were written
    with pytest.raises(NonFiniteLoss, match="non-finite"):
        train(made, folder=tmp_path / "run", zoo=zoo)
    _, tensors, _ = state.newest(tmp_path / "run" / "checkpoints")
    assert all(t.isfinite().all() for t in tensors.values())
    assert not (tmp_path / "run" / "model").exists()
    made["training"]["skip_nonfinite"] = 12
    result = train(made, folder=tmp_path / "tolerant", zoo=zoo)
    assert result.steps == 12 and result.metrics["accuracy"] > 0.4
    assert "NaN" not in (tmp_path / "tolerant" / "metrics.jsonl").read_text(), "NaN is no JSON"


def test_ema_by_hand() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    ema = Ema(model, 0.5)
    model.weight.data.fill_(3.0)
    ema.update(step=0)  # decay = min(0.5, 1/10)
    assert ema.tensors()["weight"].item() == pytest.approx(0.1 * 1.0 + 0.9 * 3.0)
    model.weight.data.fill_(0.0)
    ema.update(step=1000)
    assert ema.tensors()["weight"].item() == pytest.approx(1.4)
    with ema.applied():
        assert model.weight.item() == pytest.approx(1.4)
    assert model.weight.item() == 0.0


def test_averaged_weights_are_the_ones_that_are_registered(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("single", ema_decay=0.99), folder=tmp_path / "run", zoo=zoo)
    best = json.loads((tmp_path / "run/checkpoints" / state.folder_name(12) / "state.json").read_text())["best_step"]
    _, tensors = state.read(tmp_path / "run" / "checkpoints" / state.folder_name(best))
    registered = load("toy_tiny.single", zoo=zoo).model.state_dict()
    assert torch.equal(registered["head.weight"], tensors["ema.head.weight"])
    assert not torch.equal(registered["head.weight"], tensors["model.head.weight"])


def test_early_stopping_counts_evaluations_without_improvement(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", steps=400, evaluate_every=1, save_every=400, patience=3)
    made["optimizer"]["lr"] = 1e-12
    result = train(made, folder=tmp_path / "run", zoo=zoo)
    assert result.steps == 4


def test_frozen_tensors_stay_as_they_are_to_the_byte(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("single"), folder=tmp_path / "first", zoo=zoo)
    second = recipe("single", freeze=["body.blocks.*"])
    second.update(name="toy_tiny.second", init="toy_tiny.single", model={})
    train(second, folder=tmp_path / "second", zoo=zoo)
    before, after = (load(name, zoo=zoo).model.state_dict() for name in ("toy_tiny.single", "toy_tiny.second"))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith("body.blocks.")}
    parent = zoo.registry.find("toy_tiny.single").card
    assert zoo.registry.find("toy_tiny.second").card.parent == f"toy_tiny.single@sha256:{parent.weights.sha256}"


def test_resume_refuses_another_recipe_a_finished_run_and_an_empty_folder(zoo: Zoo, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(recipe("single"), folder=folder, zoo=zoo, reporter=StopAt(4))
    with pytest.raises(ResumeError, match=r"training.seed: 0 then, 1 now"):
        train(recipe("single", seed=1), folder=folder, zoo=zoo, resume=True)
    with pytest.raises(UsageError, match="not empty"):
        train(recipe("single"), folder=folder, zoo=zoo)
    train(recipe("single", log_every=1, keep=1), folder=folder, zoo=zoo, resume=True)
    with pytest.raises(ResumeError, match="finished"):
        train(recipe("single"), folder=folder, zoo=zoo, resume=True)
    with pytest.raises(ResumeError, match="holds no run"):
        train(recipe("single"), folder=tmp_path / "nothing", zoo=zoo, resume=True)


def test_observers_are_told_and_one_that_raises_is_switched_off(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path / "home", EntryPoint("zoo-watcher", "zoo_toys.watcher", "zoo.plugins"))
    watcher.told.clear()
    result = train(recipe("single"), folder=tmp_path / "run", zoo=zoo)
    assert result.steps == 12
    kinds = [event[0] for event in watcher.told]
    assert watcher.told[0] == ("started", "toy_tiny.single", 12, 0, None)
    assert watcher.told[-1] == ("ended", "finished", 12, "toy_tiny.single@1")
    assert kinds.count("saved") == 1, "after it raised, this hook is not called again"
    assert ("logged", 2, "train", True) in watcher.told and all(
        event[2] for event in watcher.told if event[0] == "saved"
    )
    assert {event[2] for event in watcher.told if event[0] == "logged"} == {"train", "evaluation", "test"}
    assert "the watcher stumbled" in (tmp_path / "run" / "log.txt").read_text()


def test_mixed_precision_trains_nearly_the_same(zoo: Zoo) -> None:
    full, mixed = trained(zoo, "single", steps=20), trained(zoo, "single", steps=20, mixed_precision="bf16")
    gaps = [(full[name] - mixed[name]).abs().max().item() for name in full]
    assert 0 < max(gaps) < 0.1
    assert all(tensor.dtype == torch.float32 for tensor in mixed.values())


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("optimizer.lr", "nan", "optimizer.*lr"),
        ("optimizer.lr", "-1", "lr"),
        ("training.batch_size", "0", "training.batch_size: expected at least 1, found 0"),
        ("training.accumulation", "5", "divisor of batch_size"),
        ("training.seed", "-1", "seed"),
        ("training.steps", "0", "steps"),
        ("training.epochs", "0", "training.epochs: expected above 0, found 0"),
        ("training.stpes", "2", "steps"),
        ("training.mixed_precision", "fp16", "bf16"),
        ("model.hiden", "2", "hidden"),
        ("schedule.final", "2", "schedule.final: expected"),
    ],
)
def test_impossible_values_are_refused_before_anything_is_allocated(
    zoo: Zoo, key: str, value: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=f"(?s).*{words}"):
        train(recipe("single"), overrides=[f"{key}={value}"], folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run").exists()


def test_short_override_keys_find_their_section(zoo: Zoo) -> None:
    resolved = load_recipe(recipe("single"), ["lr=0.5", "batch_size=8", "hidden=5", "warmup=3"], zoo.host)
    assert (resolved.optimizers["main"][0].optimizer.config.lr, resolved.training.batch_size) == (0.5, 8)
    assert resolved.model is not None and resolved.model.config().hidden == 5 and resolved.schedule.config.warmup == 3
    with pytest.raises(RecipeError, match=r"unknown key 'learning_rate'|unknown key 'btch_size'"):
        load_recipe(recipe("single"), ["btch_size=8"], zoo.host)


def test_an_override_of_steps_takes_back_epochs_and_a_recipe_with_both_is_refused(zoo: Zoo) -> None:
    assert load_recipe(recipe("single"), ["epochs=2"], zoo.host).training.steps is None
    with pytest.raises(RecipeError, match="either steps or epochs"):
        load_recipe(recipe("single", epochs=2), [], zoo.host)


def test_fresh_takes_the_architecture_and_leaves_the_weights(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("single"), folder=tmp_path / "first", zoo=zoo)
    again = {
        **recipe("single", steps=1),
        "name": "toy_tiny.again",
        "init": "toy_tiny.single",
        "model": {},
        "fresh": True,
    }
    again["optimizer"] = {"lr": 1e-9}
    train(again, folder=tmp_path / "again", zoo=zoo)
    card = zoo.registry.find("toy_tiny.again").card
    assert card.parent == "" and dict(card.config) == dict(zoo.registry.find("toy_tiny.single").card.config)
    weights = [load(name, zoo=zoo).model.head.weight for name in ("toy_tiny.single", "toy_tiny.again")]
    assert (weights[0] - weights[1]).abs().max() > 0.01


def test_registering_takes_a_version_that_no_layer_has(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("single"), folder=tmp_path / "one", zoo=zoo)
    card = zoo.registry.find("toy_tiny.single").card
    write_registry(zoo.registry.catalogue, [replace(card, version=7)])
    other = toy_zoo(tmp_path / "elsewhere")
    write_registry(other.registry.catalogue, [replace(card, version=7)])
    result = train(recipe("single", seed=3), folder=tmp_path / "two", zoo=toy_zoo(tmp_path / "elsewhere"))
    assert result.card is not None and result.card.version == 8


def test_a_resolved_recipe_reads_back_equal(zoo: Zoo, tmp_path: Path) -> None:
    resolved = load_recipe(recipe("adversarial", freeze=["discriminator.0.*"]), [], zoo.host)
    path = tmp_path / "recipe.yaml"
    path.write_text(resolved.to_yaml())
    assert load_recipe(path, [], zoo.host) == resolved


def test_a_kill_before_the_checkpoint_is_registered_loses_no_final_figure_and_writes_none_twice(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo_core.runs.run.publish", killed)
    with pytest.raises(KeyboardInterrupt):
        train(recipe("single"), folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run" / "model").exists() and not (tmp_path / "run" / "curve.png").exists()
    monkeypatch.undo()
    result = train(recipe("single"), folder=tmp_path / "run", resume=True, zoo=zoo)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert result.card is not None and (tmp_path / "run" / "curve.png").exists()
    assert [row["step"] for row in rows if "test" in row] == [result.card.training["best_step"]]
