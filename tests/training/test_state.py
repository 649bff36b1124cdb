"""State is whole or refused: optimizers, teachers, averages and statistics come back to the bit, or the run says why not."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from zoo_toys.runs import STATEFUL, recipe, toy_zoo

from zoo_core.api import load, resume, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.contract.specs import OptimizerSpec
from zoo_core.errors import CorruptFile, NonFiniteLoss, PluginError, ResumeError, TrainingError
from zoo_core.plugins import builtin
from zoo_core.preflight.setup import prepare
from zoo_core.preflight.statistics import Statistics
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.storage import fs
from zoo_core.training import optim, state
from zoo_core.training.hardware import Hardware
from zoo_core.training.order import Cursor, training_batches
from zoo_core.training.packing import Unpackable, pack, unpack
from zoo_core.training.signals import Interrupted, signal_handler


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


class StopAt(SilentReporter):
    """Sends a signal at a step's log line."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        if step == self.step:
            os.kill(os.getpid(), self.number)


def test_packing_gives_back_what_it_took_and_the_same_bytes_for_the_same_state() -> None:
    value = {
        "b": [torch.arange(3.0), {2: torch.zeros((), dtype=torch.bfloat16), 10: (1, 0.5, None, True, "x")}],
        "a": {"inf": math.inf, "nan": math.nan, "minus": -math.inf, "array": np.arange(4, dtype=np.int64)},
    }
    tree, tensors = pack(value, "here")
    back = unpack(json.loads(json.dumps(tree, allow_nan=False)), tensors, lambda tensor, host: tensor.clone())
    assert torch.equal(back["b"][0], value["b"][0]) and back["b"][1][10] == (1, 0.5, None, True, "x")
    assert back["b"][1][2].dtype == torch.bfloat16 and np.array_equal(back["a"]["array"], np.arange(4))
    assert back["a"]["inf"] == math.inf and math.isnan(back["a"]["nan"]) and back["a"]["minus"] == -math.inf
    other, _ = pack(dict(reversed(value.items())), "here")
    assert tree == other
    for bad in (object(), {1.5: 1}, {"a": [{3}]}, torch.eye(2).to_sparse()):
        with pytest.raises(Unpackable, match="here"):
            pack(bad, "here")
    assert unpack(pack((torch.bfloat16, torch.int8), "here")[0], [], lambda tensor, host: tensor) == (
        torch.bfloat16,
        torch.int8,
    )
    for tree in ({"tensor": 9}, {"pickle": 1}, {}, {"dict": [1]}, {"dtype": "save"}, {"dtype": []}):
        with pytest.raises(CorruptFile):
            unpack(tree, [], lambda tensor, host: tensor)


@pytest.mark.parametrize("shape", [name for name, _, _ in STATEFUL])
def test_a_run_with_any_state_ends_with_the_same_bits_after_a_stop(shape: str, zoo: Zoo, tmp_path: Path) -> None:
    made = recipe(shape, ema_decay=0.9, log_every=1, steps=9)
    train(made, folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted):  # one more step, at which an evaluation is owed
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=StopAt(4))
    resume(tmp_path / "cut", zoo=zoo)
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")


@pytest.mark.parametrize("name", ["rmsprop", "adafactor", "zoo-toys/grouped"])
def test_state_of_a_type_of_its_own_keeps_it(name: str, zoo: Zoo) -> None:
    made = recipe("single")
    made["optimizer"] = {"name": name}
    updates = [
        prepare(r, zoo.host, Hardware(r.training), None, None).updates["main"]
        for r in (load_recipe(made, [], zoo.host) for _ in range(2))
    ]
    for update in updates[:1]:
        for p in update.parameters:
            p.grad = torch.ones_like(p)
        update.step(torch.tensor(1.0))
    tree, tensors = optim.pack_optimizer(updates[0].optimizers[0], "")
    optim.restore_optimizer(updates[1].optimizers[0], tree, tensors)
    again, others = optim.pack_optimizer(updates[1].optimizers[0], "")
    assert again == tree and tensors.keys() == others.keys()
    assert all(torch.equal(t, others[n]) and t.dtype == others[n].dtype for n, t in tensors.items())
    updates[1].optimizers[0].param_groups[0]["names"][0] = "another"
    with pytest.raises(ResumeError, match="other parameters"):
        optim.restore_optimizer(updates[1].optimizers[0], tree, tensors)


def first_format(folder: Path) -> None:
    """Rewrite a run's newest checkpoint as zoos wrote it that knew format 1 only."""
    path = folder / "checkpoints" / state.folder_name(state.steps(folder / "checkpoints")[-1])
    facts, tensors = state.read(path)
    [groups] = [body for key, body in facts.optimizers["main"]["dict"] if key == "param_groups"]
    names = [name for group in groups for key, body in group["dict"] if key == "names" for name in body]
    [states] = [body["dict"] for key, body in facts.optimizers["main"]["dict"] if key == "state"]
    old = {name: t for name, t in tensors.items() if not name.startswith("optimizer.")}
    for index, body in states:
        for key, packed in body["dict"]:
            old[f"optimizer.main.{key}.{names[index]}"] = tensors[f"optimizer.main.{packed['tensor']}"]
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    facts.format, facts.optimizers = 1, {"main": {}}
    state.save(path.parent, facts, old)


def test_keys_of_older_formats_are_read_and_never_written(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(recipe("single"), folder=tmp_path / "run", zoo=zoo, reporter=StopAt(4))
    parent = tmp_path / "run" / "checkpoints"
    folder = parent / state.folder_name(state.steps(parent)[-1])
    body = json.loads((folder / "state.json").read_text())
    assert not {"worse", "owes_evaluation"} & set(body) and body["format"] == state.FORMAT
    del body["digest"]
    body |= {"worse": body.pop("evals_since_best"), "owes_evaluation": body.pop("evaluation_pending"), "format": 2}
    body["digest"] = fs.digest_of(json.dumps(body, sort_keys=True, indent=1).encode())
    (folder / "state.json").write_text(json.dumps(body))
    found, _ = state.read(folder)
    assert (found.evals_since_best, found.evaluation_pending, found.format) == (
        body["worse"],
        body["owes_evaluation"],
        2,
    )


def test_a_checkpoint_of_the_first_format_is_read(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single")
    train(made, folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=StopAt(4))
    first_format(tmp_path / "cut")
    resume(tmp_path / "cut", zoo=zoo)
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")


@pytest.mark.parametrize(
    ("task", "place"),
    [
        ("undeclared", r"step 1 changed task\.teacher\."),
        ("queue", r"step 1 changed task\.queue"),
        ("closed", r"step 1 changed task\.remember\.held"),
        ("drawn", r"step 1 changed task\.dice\['numpy'\]"),
        ("late", r"step 2 changed task\.sums"),  # the first step made it
    ],
)
def test_state_that_no_checkpoint_holds_is_refused_by_name(task: str, place: str, zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single")
    made["task"]["name"] = task
    with pytest.raises(TrainingError, match=place):
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert not state.steps(tmp_path / "run" / "checkpoints")


@pytest.mark.parametrize(
    ("name", "words"),
    [("opaque", r"Opaque\): state.*conditioner.* is a object"), ("hidden", r"optimizer main\.momentum")],
)
def test_an_optimizer_whose_state_is_not_whole_is_refused_within_the_first_step(
    name: str, words: str, zoo: Zoo, tmp_path: Path
) -> None:
    made = recipe("single")
    made["optimizer"] = {"name": name}
    with pytest.raises(TrainingError, match=words):
        train(made, folder=tmp_path / "run", zoo=zoo)


def test_a_changed_number_is_a_line_in_the_log(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", steps=3)
    made["task"]["name"] = "counting"
    train(made, folder=tmp_path / "run", zoo=zoo)
    said = [
        line for line in (tmp_path / "run" / "log.txt").read_text().splitlines() if "not in the checkpoints" in line
    ]
    assert len(said) == 1 and said[0].endswith("task.count")


@pytest.mark.parametrize("spec", builtin.zoo_optimizers(), ids=lambda spec: spec.name)
def test_no_listed_optimizer_keeps_what_a_checkpoint_lacks(spec: OptimizerSpec, zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", steps=3)
    made["optimizer"] = {"name": spec.name, "lr": 0.01}
    if spec.dimensions:
        made["optimizer"] = {"groups": [{"match": "*.bias", "name": "adamw"}, {"match": "*", **made["optimizer"]}]}
    train(made, folder=tmp_path / "run", zoo=zoo)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "finished" in log and "not in the checkpoints" not in log


def test_a_private_number_of_a_plugins_own_optimizer_is_a_line_in_the_log(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", steps=3)
    made["optimizer"] = {"name": "counting", "lr": 0.01}
    train(made, folder=tmp_path / "run", zoo=zoo)
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "though training changes it: optimizer main._updates\n" in log


def poisoned(shape: str = "batch-norm", **training: Any) -> dict[str, Any]:
    made = recipe(shape, log_every=1, save_every=1, keep=1, **training)
    made["data"]["poison"] = 5
    return made


def test_a_step_that_is_left_out_changes_no_statistic_either(zoo: Zoo, tmp_path: Path) -> None:
    result = train(poisoned(skip_nonfinite=9, ema_decay=0.9), folder=tmp_path / "run", zoo=zoo)
    assert result.steps == 12 and result.card is not None
    _, tensors, _ = state.newest(tmp_path / "run" / "checkpoints")
    assert all(t.isfinite().all() for name, t in tensors.items() if name.startswith(("model.", "ema.")))
    with pytest.raises(NonFiniteLoss) as failure:
        train(poisoned(), folder=tmp_path / "strict", zoo=zoo)
    saved = state.steps(tmp_path / "strict" / "checkpoints")
    assert ("is sound" in failure.value.hint) == bool(saved)
    assert resume(tmp_path / "strict", overrides=["skip_nonfinite=9"], zoo=zoo).steps == 12
    assert (final_digest(tmp_path / "strict") != "" and "zoo resume" in failure.value.hint) or not saved


def test_a_checkpoint_that_is_not_finite_is_not_written_over_one_that_is(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe("batch-norm", log_every=1, save_every=2, keep=1)

    class Spoil(SilentReporter):
        """Spoils a statistic, as a layer that overflows in evaluation might."""

        def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
            spoiled.body.norm.running_mean.fill_(math.inf)

    from zoo_core.runs import run as runs

    begin = runs.Run.begin

    def remember(self: Any, *arguments: Any) -> None:
        nonlocal spoiled
        spoiled = self.model
        begin(self, *arguments)

    spoiled: Any = None
    monkeypatch.setattr(runs.Run, "begin", remember)
    with pytest.raises(NonFiniteLoss, match=r"step 5: model.body.norm.running_mean .* the checkpoint of step 4 stands"):
        train(made, folder=tmp_path / "run", zoo=zoo, reporter=Spoil())
    assert state.steps(tmp_path / "run" / "checkpoints") == [4]


def test_an_infinite_loss_counts_as_a_gradient_that_is_not_finite(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", log_every=1, save_every=2)
    made["task"]["name"] = "infinite"
    with pytest.raises(NonFiniteLoss, match=r"step \d: 1 update") as failure:
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert "skip_nonfinite=1 goes on from step 2, which is sound" in failure.value.hint
    made["training"]["save_every"] = 10
    with pytest.raises(NonFiniteLoss) as failure:
        train(made, folder=tmp_path / "unsaved", zoo=zoo)
    assert "sound" not in failure.value.hint


def measured(zoo: Zoo, made: dict[str, Any], weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A model's running statistics over the training points, by hand."""
    resolved = load_recipe(made, [], zoo.host)
    parts = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
    body = parts.task.model.body
    points = []
    for done in islice(
        training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False), 16
    ):
        points += [batch["points"] for batch in done.micro_batches]
    linear = nn.functional.linear
    hidden = [linear(p, weights["body.blocks.0.weight"], weights["body.blocks.0.bias"]) for p in points]
    assert body.norm.running_mean is not None
    return {
        "running_mean": torch.stack([h.mean(0) for h in hidden]).mean(0),
        "running_var": torch.stack([h.var(0) for h in hidden]).mean(0),
    }


@pytest.mark.parametrize("shape", ["batch-norm", "schedule-free"])
def test_what_is_registered_has_the_statistics_of_its_weights(shape: str, zoo: Zoo, tmp_path: Path) -> None:
    made = recipe(shape, **({"ema_decay": 0.9} if shape == "batch-norm" else {}))
    train(made, folder=tmp_path / "run", zoo=zoo)
    registered = load(f"toy_tiny.{shape}", zoo=zoo).model.state_dict()
    by_hand = measured(zoo, made, registered)
    for name, wanted in by_hand.items():
        assert torch.allclose(registered[f"body.norm.{name}"], wanted, atol=1e-5)
    live = state.newest(tmp_path / "run" / "checkpoints")[1]["model.body.norm.running_mean"]
    assert not torch.allclose(live, by_hand["running_mean"], atol=1e-3), "the live ones belong to other weights"


def test_measuring_statistics_leaves_no_trace(zoo: Zoo) -> None:
    resolved = load_recipe(recipe("teacher"), [], zoo.host)
    hardware = Hardware(resolved.training)
    parts = prepare(resolved, zoo.host, hardware, None, None)
    modules = nn.ModuleDict(parts.task.modules())
    before = {name: tensor.clone() for name, tensor in modules.state_dict().items()}
    modes = [part.training for part in modules.modules()]
    with Statistics(parts, hardware, resolved.training).measured():
        changed = {name for name, tensor in modules.state_dict().items() if not torch.equal(tensor, before[name])}
        assert changed == {"model.body.norm.running_mean", "model.body.norm.running_var"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in modules.state_dict().items())
    assert [part.training for part in modules.modules()] == modes and parts.task.model.body.norm.momentum == 0.1


def test_an_optimizer_with_modes_is_judged_and_registered_by_its_averages(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("schedule-free"), folder=tmp_path / "run", zoo=zoo)
    best = state.newest(tmp_path / "run" / "checkpoints")[0].best_step
    assert best is not None
    facts, tensors = state.read(tmp_path / "run" / "checkpoints" / state.folder_name(best))
    [states] = [body["dict"] for key, body in facts.optimizers["main"]["dict"] if key == "state"]
    [groups] = [body for key, body in facts.optimizers["main"]["dict"] if key == "param_groups"]
    names = [name for group in groups for key, body in group["dict"] if key == "names" for name in body]
    place = {names[index]: body["dict"][0][1]["tensor"] for index, body in states}
    y, z = tensors["model.head.weight"], tensors[f"optimizer.main.{place['model.head.weight']}"]
    registered = load("toy_tiny.schedule-free", zoo=zoo).model.state_dict()["head.weight"]
    assert torch.allclose(registered, torch.lerp(y, z, 1 - 1 / 0.9), atol=1e-6) and not torch.equal(registered, y)


def after_hours(folder: Path) -> None:
    """Make a run's newest checkpoint one that took 5,000 seconds."""
    path = folder / "checkpoints"
    facts, tensors, _ = state.newest(path)
    newest = path / state.folder_name(facts.step)
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    facts.seconds, facts.cpu_seconds = 5000.0, 3000.0
    state.save(path, facts, tensors)


def test_a_kill_behind_the_registration_registers_nothing_twice_and_sums_the_seconds(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("zoo_core.runs.publish.write_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe("single"), folder=tmp_path / "run", zoo=zoo)
    first = zoo.registry.find("toy_tiny.single").card
    facts = state.newest(tmp_path / "run" / "checkpoints")[0]
    assert 0 < facts.seconds <= first.training["seconds"] + 0.1
    after_hours(tmp_path / "run")  # so that the card would be another one
    result = resume(tmp_path / "run", zoo=zoo)
    assert (
        result.card is not None
        and result.card.version == 1
        and result.seconds > 5000
        and (tmp_path / "run" / "model").is_dir()
    )
    other = train(recipe("single"), folder=tmp_path / "other", zoo=zoo)
    assert other.card is not None and other.card.version == 2, "another run with equal bits is another run"


def test_seconds_are_sums_over_resumes(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(recipe("single"), folder=tmp_path / "run", zoo=zoo, reporter=StopAt(4))
    after_hours(tmp_path / "run")
    card = resume(tmp_path / "run", zoo=zoo).card
    assert card is not None and card.training["seconds"] >= 5000 and card.training["cpu_seconds"] >= 3000


def test_a_monitor_that_says_neither_min_nor_max_is_refused_before_step_1(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single")
    made["task"]["name"] = "lower"
    with pytest.raises(PluginError, match=r"min or max, found \('loss', 'lower'\)"):
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_some_steps_give_is_kept_in_the_log(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", log_every=3, steps=6, evaluate_every=6, save_every=6)
    made["task"]["name"] = "sometimes"
    train(made, folder=tmp_path / "run", zoo=zoo)
    rows = [json.loads(line).get("train") for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["ones"] for row in rows if row] == [1.0, 1.0]
    assert all(0 < row["accuracy"] <= 1 and 0 < row["loss"] < 2 for row in rows if row)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_stops_a_run_unless_it_was_told_to_ignore_that(
    ignored: bool, zoo: Zoo, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        run: Callable[[], Any] = lambda: train(  # noqa: E731
            recipe("single"), folder=tmp_path / "run", zoo=zoo, reporter=StopAt(4, signal.SIGHUP)
        )
        if ignored:
            assert run().steps == 12
        else:
            with pytest.raises(Interrupted) as stop:
                run()
            assert stop.value.exit_code == 129 and state.steps(tmp_path / "run" / "checkpoints")
        with signal_handler():
            pass
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
