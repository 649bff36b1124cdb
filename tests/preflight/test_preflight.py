from __future__ import annotations

import random
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import load, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract import SampleType
from zoo_core.errors import DataError, DiskError, PluginError, TrainingError, ZooError
from zoo_core.models import build
from zoo_core.preflight import preflight as flights
from zoo_core.preflight.contracts import check_samples
from zoo_core.preflight.preflight import preflight
from zoo_core.preflight.setup import RunComponents, prepare
from zoo_core.registry.zoo import Zoo
from zoo_core.training.hardware import Hardware
from zoo_core.training.loop import Loop
from zoo_core.training.order import Cursor, training_batches

PARTS = {
    "model": {"name": "mistaken_tiny"},
    "task": {"name": "mistaken-classification"},
    "data": {"name": "mistaken-points"},
    "loss": {"name": "mistaken-loss"},
    "optimizer": {"name": "mistaken-descent", "lr": 0.01},
}


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home", EntryPoint("zoo-mistakes", "zoo_toys.mistakes", "zoo.plugins"))


def mistaken(section: str, mistake: str) -> dict[str, Any]:
    made = recipe("single", steps=2)
    return {**made, **PARTS, section: {**PARTS[section], "mistake": mistake}}


@pytest.mark.parametrize(
    ("section", "mistake", "words"),
    [
        ("model", "no-module", "zoo-mistakes/mistaken: the target of its spec: expected a torch module, found a str"),
        ("model", "raises", "zoo-mistakes/mistaken: the target of its spec raised KeyError: 'hidden'"),
        ("model", "lazy", "shapes that are known when it is built"),
        ("model", "random-shape", "zoo-mistakes/mistaken: its checkpoint could not be loaded"),
        ("model", "forward-parameter", "zoo-mistakes/mistaken: forward: expected the parameters that it was built"),
        ("model", "no-grad", "expected a loss that depends on parameters"),
        ("data", "no-labels", "zoo-mistakes/mistaken"),
        ("data", "label-list", "Data.labels: expected a tuple of names, found a list of 2"),
        ("data", "no-train", "zoo-mistakes/mistaken-points: no split train, found validation"),
        ("data", "samples-raise", "zoo-mistakes/mistaken-points: Data.samples raised KeyError: 'train'"),
        ("data", "empty-train", "training split is empty"),
        ("data", "empty-validation", "at least 1 samples to measure on, the split validation has 0"),
        ("data", "empty-test", "at least 1 samples to measure on, the split test has 0"),
        (
            "data",
            "objects",
            "zoo-mistakes/mistaken-points: Data.samples: expected samples with place, label, found an object",
        ),
        ("data", "short-digest", "Data.digest: expected a sha256 of 64 lower-case hex digits, found 'abcde'"),
        ("data", "other-digest", "Data.digest: expected the same digest at every call"),
        ("optimizer", "own-groups", "zoo-mistakes/mistaken-descent: the optimizer: expected the 2 parameters"),
        ("optimizer", "no-lr", "zoo-mistakes/mistaken-descent"),
        ("loss", "mean", "zoo-mistakes/mistaken-loss: the loss: expected the sum of the loss and its weight"),
        ("loss", "vector", "zoo-mistakes/mistaken-loss: the loss: expected a sum without dimensions"),
        ("task", "no-task", "the target of its spec: expected a Task, found an object"),
        ("task", "no-super", "Task.__init__: expected a call of super().__init__(config, context)"),
        (
            "task",
            "no-monitor",
            "Task.summarize: expected the metric precision that Task.monitor names, found loss, acc",
        ),
        (
            "task",
            "direction",
            "Task.monitor: expected the name of a metric, and min or max, found ('accuracy', 'lower')",
        ),
        ("task", "monitor-word", "Task.monitor: expected the name of a metric"),
        ("task", "phase", "phase train: expected modules among model, found 'modle'"),
        ("task", "step-list", "Task.step in phase train: expected a StepOutput, found a list of 1"),
        ("task", "step-tensor", "expected a StepOutput, found a tensor of shape () and type float32"),
        ("task", "step-tuple", "expected a StepOutput, found a tuple of 2"),
        ("task", "step-vector", "expected loss_sum as a tensor without dimensions"),
        ("task", "step-none", "expected a StepOutput, found None"),
        ("task", "step-detached", "expected a loss that depends on parameters"),
        ("task", "step-float-metric", "expected the metric accuracy as a tensor without dimensions, found a float"),
        ("task", "step-no-weight", "expected a weight above 0, found 0"),
        ("task", "step-raises", "zoo-mistakes/mistaken-classification: Task.step in phase train raised AttributeError"),
        ("task", "evaluate-floats", "Task.evaluate: expected loss as a tensor or a list, found a float"),
        ("task", "evaluate-none", "Task.evaluate: expected an EvaluationResult, found None"),
        ("task", "summarize-tensors", "Task.summarize: expected loss as a number, found a tensor"),
        ("task", "summarize-none", "Task.summarize: expected numbers by name, found None"),
        ("task", "predict-exits", "Task.predict: expected an answer or an exception, found sys.exit"),
        ("task", "predict-strings", "Task.predict: expected answers as mappings, found a str"),
        ("task", "predict-few", "Task.predict: expected a list of 1 answer(s), found a list of 0"),
        ("task", "predict-tensors", "Task.predict: expected score as JSON or a File, found a tensor"),
    ],
)
def test_a_broken_promise_is_named_before_the_first_step(
    section: str, mistake: str, words: str, zoo: Zoo, tmp_path: Path
) -> None:
    with pytest.raises(ZooError) as refused:
        train(mistaken(section, mistake), folder=tmp_path / "run", zoo=zoo)
    assert isinstance(refused.value, PluginError | DataError) and words in refused.value.message
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "home" / "manifests").exists()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_sample_that_never_comes_ends_the_run_and_is_named(split: str, zoo: Zoo, tmp_path: Path) -> None:
    made = mistaken("task", f"{split}-hangs")
    made["training"].update(timeout=1.0, steps=30)
    with pytest.raises(TrainingError, match="a batch took longer than 1 s; sample 8 of its split was being read"):
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert split != "test" or (tmp_path / "run" / "log.txt").read_text().rstrip().endswith("failed")


def test_a_first_sample_that_cannot_be_read_is_left_to_the_policy_for_bad_ones() -> None:
    class Damaged(list[Any]):
        def __getitem__(self, place: Any) -> Any:
            raise DataError("1.jpg: it is cut off")

    stated = SampleType(name="image", fields=("image",))
    check_samples("zoo-x/photos", stated, Damaged([object()]))
    with pytest.raises(PluginError, match="expected samples with image, found an object without image"):
        check_samples("zoo-x/photos", stated, [object()])


@pytest.mark.parametrize("mistake", ["", "item", "numpy"])
def test_a_model_that_reads_its_weights_when_it_is_built_can_be_loaded(mistake: str, zoo: Zoo, tmp_path: Path) -> None:
    train(mistaken("model", mistake), folder=tmp_path / "run", zoo=zoo)
    assert len(load("toy_tiny.single", zoo=zoo).predict([(0.1, 0.2)])) == 1


SHAPES = ("single", "adversarial", "sequence", "batch-norm", "schedule-free", "teacher")


def parts_of(shape: str, zoo: Zoo) -> tuple[Any, RunComponents, Hardware]:
    resolved = load_recipe(recipe(shape, steps=4, mixed_precision="no"), [], zoo.host)
    hardware = Hardware(resolved.training)
    return resolved, prepare(resolved, zoo.host, hardware, None, None), hardware


def trained(shape: str, zoo: Zoo, folder: Path, *, checked: bool) -> dict[str, torch.Tensor]:
    resolved, parts, hardware = parts_of(shape, zoo)
    if checked:
        preflight(resolved, parts, hardware, zoo.host, zoo.registry, folder)
    loop = Loop(
        parts.task,
        updates=parts.updates,
        training=resolved.training,
        schedule=parts.schedule,
        steps=parts.steps,
        hardware=hardware,
    )
    stream = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    loop.run(stream, 0, lambda moment: False)
    return {name: tensor.clone() for name, tensor in parts.task.model.state_dict().items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_changed_by_it(shape: str, zoo: Zoo, tmp_path: Path) -> None:
    resolved, parts, hardware = parts_of(shape, zoo)
    model = parts.task.model
    model.train()

    def state() -> list[Any]:
        return [
            [(name, p.requires_grad, p.grad is None) for name, p in model.named_parameters()],
            [(name, part.training) for name, part in model.named_modules()],
            [len(update.optimizers[0].state) for update in parts.updates.values()],
            torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),
        ]  # fmt: skip

    before = state(), {name: tensor.clone() for name, tensor in build.weights(model).items()}
    preflight(resolved, parts, hardware, zoo.host, zoo.registry, tmp_path)
    assert state() == before[0]
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in build.weights(model).items())
    one, other = (trained(shape, zoo, tmp_path, checked=checked) for checked in (True, False))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [path for path in (tmp_path / "home").rglob("*") if path.name.startswith(".probe")] == []


def test_a_disk_without_room_is_named_with_the_bytes_needed(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights.fs, "free_space", lambda folder: 100)
    with pytest.raises(DiskError, match=r"the run needs about [0-9,]+ bytes for its checkpoints, 100 are free"):
        train(recipe("single"), folder=tmp_path / "run", zoo=zoo)


def test_a_store_that_cannot_be_written_is_named_before_the_first_step(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "home" / "objects").write_text("a file, where a folder is needed")
    with pytest.raises(DiskError, match="could not be registered") as refused:
        train(recipe("single"), folder=tmp_path / "run", zoo=zoo)
    assert "ZOO_HOME" in refused.value.hint and not (tmp_path / "run" / "checkpoints").exists()


def test_batch_normalisation_of_one_sample_is_refused_in_words(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", batch_size=1)
    made["model"]["normalise"] = True
    with pytest.raises(ZooError, match="batch normalisation needs at least two samples") as refused:
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert refused.value.exit_code == 2 and "training.batch_size" in refused.value.hint
