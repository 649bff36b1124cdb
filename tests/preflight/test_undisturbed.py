"""The check before step 1 changes nothing: neither a bit of a shipped recipe's run nor what a task keeps in Python."""

from __future__ import annotations

import json
import random
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from zoo_toys.faulty_runs import MODALITIES
from zoo_toys.runs import recipe, toy_zoo

from zoo_core import open_zoo
from zoo_core.api import train
from zoo_core.config.loading import CheckpointOpener
from zoo_core.config.recipe import Recipe, load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import PluginError
from zoo_core.preflight.preflight import preflight
from zoo_core.preflight.setup import open_start, prepare
from zoo_core.preflight.undeclared import changed, look
from zoo_core.preflight.undisturbed import undisturbed
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.run import Run
from zoo_core.training import state
from zoo_core.training.hardware import Hardware
from zoo_core.training.signals import Stop

SHIPPED = {
    "bert_tiny_sentiment": "text",
    "vit_mini_mae_fashion": "image",
    "resnet_nano_fashion": "image",
    "wav2vec2_tiny_mix": "speech",
    "plane_gan_tiny_gaussians": "points",
    "dcgan_tiny_fashion": "image",
}
"""Recipes of every modality, and which small data they are run over here."""
SMALLER = {"image": {"train_samples": 96}, "points": {"samples": 200}}
STEPS = 3


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def shipped(name: str, zoo: Zoo, folder: Path) -> Recipe:
    """A shipped recipe over small data, with three steps of four samples and an evaluation of twelve."""
    folder.mkdir()
    kind = SHIPPED[name]
    data = {**MODALITIES[kind](folder)["data"], **SMALLER.get(kind, {})}
    training = {"steps": STEPS, "batch_size": 4, "evaluate_samples": 12, "evaluate_every": 2, "save_every": 1}
    recipe = load_recipe(name, [], zoo.host).to_data()
    if recipe.get("init"):
        recipe["init"] = "bert_tiny.sentiment"  # what it starts from is made by another recipe, and isn't bundled
    kept = {key: value for key, value in recipe["training"].items() if key not in (*training, "epochs")}
    recipe["training"] = {**kept, **training, "log_every": 1, "extras": "off", "workers": 0, "keep": STEPS}
    return load_recipe({**recipe, "data": data}, [], zoo.host)


def trained(made: Recipe, zoo: Zoo, folder: Path, *, checked: bool) -> tuple[dict[str, torch.Tensor], list[Any]]:
    """The pieces of a run, with the check or without it: every tensor of its checkpoints, and what it recorded."""
    folder.mkdir()
    hardware, files, stop = Hardware(made.training), RunFolder(folder), Stop()
    start = open_start(made, zoo.host, zoo.registry, None)
    parts = prepare(made, zoo.host, hardware, start, None, opener=CheckpointOpener(zoo.registry, {}))
    if checked:
        preflight(made, parts, hardware, zoo.host, zoo.registry, folder)
    run = Run(made, parts, hardware, files, zoo.host, SilentReporter(), stop)
    run.begin(None, start.reference if start else "")
    run.work()
    run.end("finished")
    tensors = {
        f"{step} {name}": tensor
        for step in state.steps(files.checkpoints)
        for name, tensor in state.read(files.checkpoints / state.folder_name(step))[1].items()
    }
    return tensors, recorded(folder)


def recorded(folder: Path) -> list[Any]:
    """The lines of the metrics less what clocks say, and the images."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for name in ("samples_per_second", "units_per_second", "seconds_per_step", "data_wait", "memory"):
            line.get("train", {}).pop(name, None)
    return [lines, {path.name: path.read_bytes() for path in (folder / "artifacts").glob("*")}]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_trains_to_the_same_bits_with_the_check_and_without(
    name: str, zoo: Zoo, tmp_path: Path
) -> None:
    made = shipped(name, zoo, tmp_path / "data")
    (one, said), (other, also) = (trained(made, zoo, tmp_path / str(on), checked=on) for on in (True, False))
    assert one.keys() == other.keys() and {key.split()[0] for key in one} == {"1", "2", "3"}
    assert [key for key in one if not torch.equal(one[key].view(-1), other[key].view(-1))] == []
    assert said == also and len(said[0]) > STEPS


def test_what_a_task_keeps_in_python_is_as_it_was(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path / "home")
    resolved = load_recipe({**recipe("single", steps=4), "task": {"name": "busy"}}, [], zoo.host)
    hardware = Hardware(resolved.training)
    parts = prepare(resolved, zoo.host, hardware, None, None)
    task = parts.task
    held = (task.losses, task.seen["order"], task.seen["sums"], task.mean, task.dice["numpy"])
    before, names = look({"task": task}, []), (set(vars(task)), set(vars(task.model)))
    assert len(before) > 20
    preflight(resolved, parts, hardware, zoo.host, zoo.registry, tmp_path)
    after = look({"task": task}, [])
    assert after.keys() == before.keys() and changed(before, after) == ([], [])
    assert (set(vars(task)), set(vars(task.model))) == names
    assert all(
        one is other
        for one, other in zip(
            held, (task.losses, task.seen["order"], task.seen["sums"], task.mean, task.dice["numpy"]), strict=True
        )
    )


def test_an_iterator_that_went_on_is_refused_by_name(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path / "home")
    with pytest.raises(PluginError, match=r"found task\.shares, which can't be") as refused:
        train({**recipe("single", steps=4), "task": {"name": "iterating"}}, folder=tmp_path / "run", zoo=zoo)
    assert "zoo-toys/iterating" in refused.value.message and not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("kept", [count(3), iter([1, 2, 3]), (number for number in (1, 2, 3))])
def test_every_kind_of_iterator_is_seen_to_go_on(kept: Any) -> None:
    task = SimpleNamespace(kept={"it": kept})
    with pytest.raises(PluginError, match=r"task\.kept\['it'\]"), undisturbed("a", {"task": task}, torch.device("cpu")):
        next(kept)


def test_a_constant_that_shares_memory_and_a_source_without_state_are_left_alone() -> None:
    task = SimpleNamespace(
        wide=torch.zeros(1).expand(5),
        dice=random.SystemRandom(),
        lone=np.broadcast_to(np.zeros(1), 3),
        nan=torch.tensor(torch.nan),
    )
    with undisturbed("a", {"task": task}, torch.device("cpu")):
        task.dice.random()
    assert task.wide.tolist() == [0.0] * 5
