"""Samplers: classes by shares of their own, a plugin's order, and every way to break the contract found before step 1."""

from __future__ import annotations

import importlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.config.recipe import Recipe, load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.data.sampling import balanced, shuffled
from zoo_core.errors import DataError, PluginError, RecipeError, UnknownName
from zoo_core.plugins.configs import BalancedConfig
from zoo_core.plugins.discovery import installed
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight.setup import RunComponents, prepare
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.testing.sites import on_path, write_plugin
from zoo_core.training.hardware import Hardware
from zoo_core.training.order import BatchPlan
from zoo_core.training.signals import Interrupted

PLUGIN = """
from typing import Any

import numpy as np

from zoo_core import SamplerSpec, hookimpl
from zoo_core.contract import Config

zoo_api = (2, 0)


class Settings(Config):
    fault: str = ""


@hookimpl
def zoo_samplers() -> list[SamplerSpec]:
    return [SamplerSpec(name="alternating", summary="", target="zoo_alternate.plugin:alternate", config=Settings)]


def alternate(labels: Any, lengths: Any, seed: int, epoch: int, config: Settings) -> Any:
    random = np.random.default_rng([seed, epoch])
    sides = [random.choice(np.flatnonzero(labels == side), len(lengths) // 2) for side in (0, 1)]
    order = np.stack(sides, axis=1).ravel()
    if config.fault == "chance":
        return np.random.default_rng().permutation(len(lengths))
    if config.fault == "write":
        labels[0] = 1
    return {"few": order[1:], "float": order / 2, "far": order + 2, "late": order + 99 * (epoch > 0)}.get(config.fault, order)
"""


class StopAt(SilentReporter):
    """Stops a run once, when it has logged a step."""

    def __init__(self, step: int) -> None:
        self.step, self.done = step, False

    def logged(self, step: int, *figures: Any) -> None:
        if step >= self.step and not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    site = tmp_path_factory.mktemp("site")
    write_plugin(site, "zoo-alternate", PLUGIN)
    with on_path(site):
        importlib.invalidate_caches()
        home = toy_zoo(tmp_path_factory.mktemp("home"))
        host = PluginHost([EntryPoint("zoo-toys", "zoo_toys.plugin", "zoo.plugins"), *installed([str(site)])])
        yield Zoo(host, home.registry)


def resolved(zoo: Zoo, sampler: dict[str, Any], *overrides: str, **training: Any) -> Recipe:
    return load_recipe({**recipe("single", **training), "sampler": sampler}, overrides, zoo.host)


def prepared(zoo: Zoo, sampler: dict[str, Any], *overrides: str) -> RunComponents:
    made = resolved(zoo, sampler, *overrides)
    return prepare(made, zoo.host, Hardware(made.training), None, None)


def test_classes_have_equal_shares_however_many_samples_they_have() -> None:
    labels, lengths = np.repeat([0, 1, 2], [80, 15, 5]), np.ones(100, int)

    def draws(exponent: float, epoch: int = 0) -> np.ndarray:
        return balanced(labels, lengths, 7, epoch, BalancedConfig(exponent=exponent))

    assert Counter(labels[draws(0)].tolist()) == {0: 34, 1: 33, 2: 33}
    assert Counter(labels[draws(1)].tolist()) == {0: 80, 1: 15, 2: 5}
    assert Counter(labels[draws(0.5)].tolist()) == {0: 59, 1: 26, 2: 15}
    met = Counter(draws(0).tolist())
    assert {met[place] for place in range(95, 100)} == {6, 7} and {met[place] for place in range(80, 95)} == {2, 3}
    assert np.array_equal(draws(0), draws(0)) and not np.array_equal(draws(0), draws(0, epoch=1))
    assert sorted(draws(1)) == list(range(100))
    with pytest.raises(DataError, match="samples without labels can't be balanced"):
        balanced(None, lengths, 7, 0, BalancedConfig())


def test_a_recipe_without_a_sampler_has_the_shuffled_order_and_says_nothing_of_it(zoo: Zoo) -> None:
    plain = load_recipe(recipe("single"), [], zoo.host)
    assert plain.sampler is None and "sampler" not in plain.to_data()
    assert resolved(zoo, {"name": "shuffled"}) == plain
    order = np.concatenate([*BatchPlan(40, batch_size=4, seed=3).epoch(2)])
    assert np.array_equal(order, shuffled(None, np.ones(40, int), 3, 2, None))


def test_a_sampler_of_a_plugin_orders_a_run_that_resumes_exactly(zoo: Zoo, tmp_path: Path) -> None:
    made = resolved(zoo, {"name": "alternating"})
    assert made.to_data()["sampler"] == {"name": "zoo-alternate/alternating", "fault": ""}
    assert load_recipe(made.to_data(), [], zoo.host) == made
    parts = prepared(zoo, {"name": "alternating"})
    names = [sample.label for sample in parts.data.samples("train")]
    for batch in (*parts.plan.epoch(0), *parts.plan.epoch(1)):
        assert [names[place] for place in batch] == ["inner", "outer"] * 8
    whole = train(made, folder=tmp_path / "whole", zoo=zoo)
    split = resolved(zoo, {"name": "alternating"}, "training.accumulation=4")
    assert prepare(split, zoo.host, Hardware(split.training), None, None).plan.batches() == 4

    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=StopAt(6))
    train(made, folder=tmp_path / "cut", zoo=zoo, resume=True)
    assert final_digest(tmp_path / "cut") == final_digest(whole.folder)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("few", r"expected 64 integers, found int64 of shape \(63,\)"),
        ("float", r"expected 64 integers, found float64"),
        ("far", "expected indices from 0 to 63, found 6[45] in epoch 0"),
        ("chance", "expected the same indices for the same arguments, found others at the second call"),
        ("write", "raised ValueError: assignment destination is read-only"),
    ],
)
def test_a_sampler_that_breaks_its_contract_is_refused_before_the_first_step(
    zoo: Zoo, fault: str, message: str
) -> None:
    with pytest.raises(PluginError, match=rf"zoo-alternate/alternating: the target of its spec:? {message}"):
        prepared(zoo, {"name": "alternating", "fault": fault})


def test_later_epochs_are_held_to_it_too(zoo: Zoo) -> None:
    parts = prepared(zoo, {"name": "alternating", "fault": "late"})
    with pytest.raises(PluginError, match="in epoch 1"):
        parts.plan.epoch(1)


def test_names_keys_and_other_orders_are_refused(zoo: Zoo) -> None:
    with pytest.raises(UnknownName, match="balance") as caught:
        resolved(zoo, {"name": "balance"})
    assert "balanced" in caught.value.hint
    with pytest.raises(RecipeError, match=r"sampler\.exponent: expected from 0 to 1, found 2"):
        resolved(zoo, {"name": "balanced"}, "sampler.exponent=2.0")
    with pytest.raises(RecipeError, match=r"sampler\.exponents: unknown key"):
        resolved(zoo, {"name": "balanced", "exponents": 0})
    mixed = {"name": "mixture", "parts": [{"name": "points", "weight": 2}]}
    made = load_recipe({**recipe("single"), "data": mixed, "sampler": {"name": "balanced"}}, [], zoo.host)
    with pytest.raises(RecipeError, match="sampler: zoo-core/balanced beside parts of zoo-core/mixture with weights"):
        prepare(made, zoo.host, Hardware(made.training), None, None)


def test_a_sampler_balances_a_mixture_and_needs_labels(zoo: Zoo) -> None:
    mixed = {"name": "mixture", "parts": [{"name": "points", "samples": 30}, {"name": "points", "samples": 34}]}
    made = load_recipe({**recipe("single"), "data": mixed, "sampler": {"name": "balanced"}}, [], zoo.host)
    parts = prepare(made, zoo.host, Hardware(made.training), None, None)
    names = [sample.label for sample in parts.data.samples("train")]
    assert Counter(names[place] for batch in parts.plan.epoch(0) for place in batch) == {"inner": 32, "outer": 32}
    unlabelled = load_recipe({**recipe("sequence"), "sampler": {"name": "balanced"}}, [], zoo.host)
    with pytest.raises(DataError, match="samples without labels can't be balanced"):
        prepare(unlabelled, zoo.host, Hardware(unlabelled.training), None, None)
