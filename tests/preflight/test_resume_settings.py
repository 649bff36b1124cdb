"""Which settings a resume may change, and by which signals a run stops: one table, held both ways."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.cli.commands import RESUMABLE
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import ResumeError
from zoo_core.preflight.identity import FREE, refuse_other_recipe
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training.signals import Interrupted, ending_at_once, signal_handler

SECTIONS = ("training", "data", "task", "model", "optimizer", "schedule", "loss")
OTHERS: Mapping[str, Any] = {
    "training.steps": 13, "training.epochs": 7.0, "training.batch_cost": 99, "training.evaluate_samples": 9,
    "training.ema_decay": 0.5, "training.patience": 3, "training.clip_norm": 2.0, "training.device": "cpu",
    "training.mixed_precision": "no", "training.matmul_precision": "high", "training.layer_decay": 0.9,
    "training.freeze": ["body."], "training.evaluate_split": "test", "training.test_split": "validation",
    "training.extras": "auto", "training.baselines": "off", "schedule.name": "constant", "schedule.warmup": 3,
    "optimizer.momentum": 0.5, "data.bad": "skip", "data.spoiled": [1], "data.labels": ["outer", "inner"],
}  # fmt: skip
"""Another value of those settings that can't be counted up."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return toy_zoo(tmp_path_factory.mktemp("home"))


def settings(zoo: Zoo) -> list[str]:
    """Every setting of a recipe, less the names of its parts."""
    resolved = load_recipe(recipe("batch-norm"), [], zoo.host).to_data()
    return [f"{section}.{key}" for section in SECTIONS for key in resolved.get(section, {}) if key != "name"]


def changed(made: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The recipe with another value in one place."""
    section, key = place.split(".")
    before = made[section].get(key)
    after = OTHERS.get(place)
    if after is None:
        after = (
            not before if isinstance(before, bool)
            else f"{before}x" if isinstance(before, str)
            else (before or 0) * 1.5 + 0.25 if isinstance(before, float)
            else (before or 0) + 1
        )  # fmt: skip
    assert after != before, place
    return {**made, section: {**made[section], key: after}}


def test_every_setting_may_change_if_it_is_in_the_table_and_only_then(zoo: Zoo, tmp_path: Path) -> None:
    kept = load_recipe(recipe("batch-norm"), [], zoo.host).to_data()
    free = set()
    for place in settings(zoo):
        other = changed(kept, place)
        if place == "training.epochs":
            other["training"].pop("steps")
        resolved = load_recipe(other, [], zoo.host)
        try:
            refuse_other_recipe(kept, resolved, zoo.host, tmp_path)
            free.add(place)
        except ResumeError as error:
            assert place in error.message
    assert free == set(FREE)
    assert len(settings(zoo)) > 40


def test_the_help_names_the_settings_of_the_table() -> None:
    assert sorted(RESUMABLE) == sorted(place.partition(".")[2] for place in FREE)


class StopAt(SilentReporter):
    """Sends a signal at a step's log line."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        if step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_signal_of_a_scheduler_saves_and_stops(number: signal.Signals, zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", steps=8)
    train(made, folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted, match=r"stopped at step [45]; continue with: zoo resume") as stopped:
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=StopAt(4, number))
    assert stopped.value.exit_code == 128 + number
    resume(tmp_path / "cut", overrides=["keep=5", "save_every=1"], zoo=zoo)
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")


def test_signals_that_a_program_handles_stay_its_own() -> None:
    seen: list[int] = []
    before = {one: signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        with signal_handler() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR2)
            assert stop.signal is None and seen == [signal.SIGUSR1]
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        with signal_handler() as stop:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert stop.signal == signal.SIGUSR2
            with ending_at_once():
                assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
