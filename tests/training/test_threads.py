"""Many threads at once: loading and building change nothing that belongs to the process."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import create_model, load, train
from zoo_core.registry.zoo import Zoo, open_zoo

THREADS, TURNS = 8, 25
NAMES = ("bert_tiny.sentiment", "resnet_nano.fashion", "r3gan_nano.fashion_classes", "wav2vec2_nano.languages")
"""Bundled checkpoints that are loaded side by side."""


def belongings() -> dict[str, dict[str, Any]]:
    """What others' code could be patched at: the attributes of modules and classes that building passes through."""
    places: list[Any] = [torch, torch.nn.init, torch.nn.functional, nn.Module, nn.Linear, nn.Parameter, torch.Tensor]
    places.append(warnings)
    # The first use of a library may add names; one that is there must stay what it is.
    return {getattr(place, "__qualname__", place.__name__): dict(vars(place)) for place in places}


def together(work: Callable[[int], None]) -> None:
    gate = threading.Barrier(THREADS)

    def begin(number: int) -> None:
        gate.wait()
        for turn in range(TURNS):
            work(number + THREADS * turn)

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(begin, number) for number in range(THREADS)]:
            done.result()


def demand_real(model: nn.Module) -> None:
    assert not [name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if tensor.is_meta]


def demand_unchanged(before: dict[str, dict[str, Any]]) -> None:
    after = belongings()
    changed = [
        f"{place}.{name}"
        for place, names in before.items()
        for name, value in names.items()
        if name not in ("__doc__", "_VF", "_filters_version") and after[place].get(name) is not value
    ]
    assert changed == []


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    root = tmp_path_factory.mktemp("zoo")
    made = toy_zoo(root / "home")
    train(recipe("single", steps=4), folder=root / "run", zoo=made)
    return made


def test_loads_and_builds_at_once_agree_and_change_nothing_of_torch(zoo: Zoo) -> None:
    points = [(0.1, 0.2), (1.4, 0.0)]
    expected = load("toy_tiny.single", zoo=zoo).predict(points)
    before = belongings()

    def work(number: int) -> None:
        if number % 2:
            loaded = load("toy_tiny.single", zoo=zoo)
            demand_real(loaded.model)
            assert loaded.predict(points) == expected
        else:
            demand_real(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LSTM(4, 4)))
            demand_real(create_model("mlp_tiny", num_labels=3, zoo=zoo))

    together(work)
    demand_unchanged(before)


def test_bundled_checkpoints_load_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    zoo, line = open_zoo(), "a good film"
    models = {name: load(name, zoo=zoo) for name in NAMES}
    expected = {name: [t.sum().item() for t in loaded.model.state_dict().values()] for name, loaded in models.items()}
    answer = models["bert_tiny.sentiment"].predict(line)
    before = belongings()

    def work(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        loaded = load(name, zoo=zoo)
        demand_real(loaded.model)
        assert [t.sum().item() for t in loaded.model.state_dict().values()] == expected[name]
        if name == "bert_tiny.sentiment":
            assert loaded.predict(line) == answer

    together(work)
    demand_unchanged(before)
