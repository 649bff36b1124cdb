"""Schedules: pure functions of step and run, the core's own and a plugin's, the same bits as ever from stored recipes."""

from __future__ import annotations

import json
import math
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.config.recipe import load_recipe
from zoo_core.errors import PluginError, RecipeError, UnknownName
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight.updates import build_schedule
from zoo_core.registry.zoo import Zoo

RATES = EntryPoint("zoo-rates", "zoo_toys.rates", "zoo.plugins")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return toy_zoo(tmp_path_factory.mktemp("home"), RATES)


def scheduled(**section: Any) -> dict[str, Any]:
    return {**recipe("single", log_every=1), "schedule": section}


def factors(host: PluginHost, steps: int, **section: Any) -> list[float]:
    component = load_recipe(scheduled(**section), [], host).schedule
    return [build_schedule(component, host)(step, steps) for step in range(steps + 1)]


def test_schedules_by_hand(zoo: Zoo) -> None:
    def at(steps: tuple[int, ...], **section: Any) -> list[float]:
        found = factors(zoo.host, 100, **section)
        return [found[step] for step in steps]

    assert at((0, 3, 4, 52), name="linear", warmup=4) == pytest.approx([0.2, 0.8, 1.0, 0.5])
    assert at((0, 50, 100), name="cosine", warmup=0) == pytest.approx([1.0, 0.5, 0.0], abs=1e-9)
    assert at((50, 100), name="cosine", warmup=0, final=0.1) == pytest.approx([0.55, 0.1])
    assert at((0, 10, 99), name="constant", warmup=0.1) == pytest.approx([1 / 11, 1.0, 1.0])
    assert at((25, 100), name="inverse-sqrt", warmup=25) == pytest.approx([1.0, 0.5])
    stable = {"name": "warmup-stable-decay", "warmup": 4, "decay": 0.2, "final": 0.5}
    assert at((0, 4, 50, 80, 90, 100), **stable) == pytest.approx([0.2, 1, 1, 1, 0.75, 0.5])
    assert at((50, 99), name="warmup-stable-decay", decay=0) == [1.0, 1.0]
    assert at((0, 10, 55, 100), name="warmup-stable-decay", warmup=10, decay=1000) == pytest.approx([1 / 11, 1, 0.5, 0])
    assert at((6,), name="linear") == [1.0], "a warm-up of 6 %"


@pytest.mark.parametrize("warmup", [0.3, 1, 0.01])
def test_one_cycle_is_torchs_own(warmup: float, zoo: Zoo) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=50, pct_start=0.3, cycle_momentum=False, final_div_factor=1e4
    )
    ours = factors(zoo.host, 50, name="one-cycle", warmup=warmup, start=0.04, final=0.04 / 1e4)
    for step in range(50):
        if warmup == 0.3:
            assert ours[step] == pytest.approx(torchs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        torchs.step() if step < 49 else None
    assert max(ours) == 1.0 and all(0 <= one <= 1 for one in ours)


def as_before(name: str, warmup: float, final: float, step: int, steps: int) -> float:
    """The four shapes as they were written when they were words of the core's."""
    count = min(steps, round(warmup * steps if warmup < 1 else warmup))
    if step < count:
        return (step + 1) / (count + 1)
    progress = min(1.0, (step - count) / max(1, steps - count))
    decayed = {
        "constant": 1.0,
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        "inverse-sqrt": math.sqrt(max(1, count) / max(1, step)),
    }[name]
    return final + (1.0 - final) * decayed


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "inverse-sqrt"])
@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (0.06, 0.05), (7, 0.0), (1000, 0.1)])
def test_stored_recipes_have_the_factors_and_the_words_they_had(
    name: str, warmup: float, final: float, zoo: Zoo
) -> None:
    """To the bit; and a plugin's schedule of the same name doesn't take the word over."""
    made = scheduled(name=name, warmup=warmup, final=final)
    assert load_recipe(made, [], zoo.host).to_data()["schedule"] == {"name": name, "warmup": warmup, "final": final}
    for steps in (1, 12, 97):
        expected = [as_before(name, warmup, final, step, steps) for step in range(steps + 1)]
        assert factors(zoo.host, steps, name=name, warmup=warmup, final=final) == expected
    assert load_recipe({**made, "schedule": {}}, [], zoo.host).to_data()["schedule"] == {
        "name": "linear", "warmup": 0.06, "final": 0.0,
    }  # fmt: skip


def test_a_plugins_schedule_moves_the_rate(zoo: Zoo, tmp_path: Path) -> None:
    made = scheduled(name="stairs", every=5)
    train(made, folder=tmp_path / "run", zoo=zoo)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [line["train"]["lr"] for line in lines if "train" in line]
    assert rates == pytest.approx([0.01 * 0.5 ** (step // 5) for step in range(12)])
    resolved = load_recipe(made, ["every=3", "schedule.factor=0.1"], zoo.host)
    assert resolved.to_data()["schedule"] == {"name": "zoo-rates/stairs", "every": 3, "factor": 0.1}
    assert load_recipe(resolved.to_data(), [], zoo.host) == resolved
    assert load_recipe(scheduled(name="zoo-rates/linear"), [], zoo.host).to_data()["schedule"] == {
        "name": "zoo-rates/linear"
    }


@pytest.mark.parametrize(
    ("section", "error", "words"),
    [
        ({"name": "cosin"}, UnknownName, r"unknown schedule 'cosin'\ndid you mean cosine"),
        ({"name": "cosine", "warm": 3}, RecipeError, r"schedule\.warm: unknown key\ndid you mean warmup"),
        ({"name": "linear", "decay": 3}, RecipeError, r"schedule\.decay: unknown key"),
        ({"name": "negative"}, PluginError, r"zoo-rates/negative: .* a factor of at least 0, found -0\.\d+ at step \d+ of 12"),
        ({"name": "wordy"}, PluginError, r"zoo-rates/wordy: .* a factor of at least 0, found 'fast'"),
        ({"name": "counting"}, PluginError, r"zoo-rates/counting: .* the same factor for the same step"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_before_the_first_step(
    section: dict[str, Any], error: type[Exception], words: str, zoo: Zoo, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        train(scheduled(**section), folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run" / "checkpoints").exists()
