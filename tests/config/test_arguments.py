"""What the public functions refuse in words when they are given something else than they take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import create_model, evaluate, load, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.answers import answer_each
from zoo_core.errors import PluginError, UsageError
from zoo_core.registry.zoo import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    root = tmp_path_factory.mktemp("zoo")
    made = toy_zoo(root / "home")
    train(recipe("single", steps=1), folder=root / "run", zoo=made)
    return made


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda zoo: load(load("toy_tiny.single", zoo=zoo), zoo=zoo), "it is loaded already: toy_tiny.single@1"),
        (lambda zoo: load(None, zoo=zoo), "by its name or path, found NoneType"),
        (lambda zoo: create_model(load("toy_tiny.single", zoo=zoo), zoo=zoo), "it is loaded already"),
        (lambda zoo: evaluate("toy_tiny.single", [(0.0, 0.1)], zoo=zoo), "name of a data set, found list"),
        (lambda zoo: create_model("mlp_tiny", num_labels=-1, zoo=zoo), "whole number from 0 on, found -1"),
        (lambda zoo: create_model("mlp_tiny", num_labels=2.5, zoo=zoo), r"found 2\.5"),
        (lambda zoo: create_model("mlp_tiny", labels=("a", "b", "a"), zoo=zoo), "named twice: a"),
        (lambda zoo: create_model("mlp_tiny", labels="ab", zoo=zoo), "sequence of names, found 'ab'"),
        (lambda zoo: create_model("mlp_tiny", labels=("a",), num_labels=2, zoo=zoo), "num_labels is 2 but 1"),
    ],
)
def test_what_is_no_name_and_no_label_is_refused_in_words(zoo: Zoo, call: Callable[[Zoo], Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call(zoo)


def test_a_recipe_is_loaded_by_its_name_alone(tmp_path: Path) -> None:
    assert load_recipe("bert_tiny_mlm_tweets").name == "bert_tiny.mlm_tweets"


def test_a_prediction_that_exits_is_the_plugins_error() -> None:
    def leave(items: Any) -> Any:
        raise SystemExit("enough")

    with pytest.raises(PluginError, match=r"sys\.exit\('enough'\)"):
        list(answer_each(leave, ["one"]))
