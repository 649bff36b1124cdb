"""The base classes of tasks, from a recipe to an answer, with what an author writes and no more."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score
from zoo_toys import sketches
from zoo_toys.runs import recipe, toy_zoo

from zoo_core import TaskContext
from zoo_core.api import load, train
from zoo_core.contract import At, SampleKey
from zoo_core.errors import DataError, UsageError
from zoo_core.registry.zoo import Zoo
from zoo_core.tasks import EncodedDataset, collated, perplexity, regression_scores


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


def trained(zoo: Zoo, folder: Path, task: str, **data: Any) -> Any:
    made = recipe("single", steps=200, batch_size=32)
    made["task"], made["name"] = {"name": task}, "mlp_tiny.mine"
    made["data"].update(data)
    made["optimizer"]["lr"] = 0.05
    return train(made, folder=folder, zoo=zoo)


def test_a_classifier_of_two_methods_learns_and_answers(zoo: Zoo, tmp_path: Path) -> None:
    result = trained(zoo, tmp_path / "run", "point-kinds")
    assert result.metrics["accuracy"] == 1.0 and result.metrics["macro_f1"] == 1.0
    loaded = load("mlp_tiny.mine", zoo=zoo)
    inner, outer = loaded.predict([(0.4, 0.0), (0.0, 1.4)])
    assert (inner["label"], outer["label"]) == ("inner", "outer") and sum(inner["scores"].values()) == pytest.approx(1)


def test_a_regression_of_two_methods_learns_and_answers(zoo: Zoo, tmp_path: Path) -> None:
    result = trained(zoo, tmp_path / "run", "point-radius", labels=("radius", "right"))
    assert result.metrics["r2"] > 0.8 and result.metrics["mae"] < 0.25
    answer = load("mlp_tiny.mine", zoo=zoo).predict((0.0, 1.4))
    assert answer["values"]["radius"] == pytest.approx(1.4, abs=0.4) and set(answer["values"]) == {"radius", "right"}


def test_a_model_of_the_next_item_learns_goes_on_and_streams(zoo: Zoo, tmp_path: Path) -> None:
    result = trained(zoo, tmp_path / "run", "point-walk", labels=("a", "b", "c"))
    assert (
        result.metrics["perplexity"] == pytest.approx(math.exp(result.metrics["loss"])) and result.metrics["loss"] < 0.1
    )
    loaded = load("mlp_tiny.mine", zoo=zoo)
    assert loaded.predict([[0, 1], [2, 0]]) == [{"text": "c a b c "}, {"text": "b c a b "}]
    assert list(loaded.stream([0, 1])) == ["c ", "a ", "b ", "c "]


def test_items_that_are_not_learned_count_nothing(zoo: Zoo) -> None:
    context = TaskContext(model=torch.nn.Identity(), preprocessor=None, labels=("a", "b"))
    task = sketches.PointWalk(None, context)
    scores, items = torch.zeros(1, 3, 2), torch.tensor([[0, 1, -100]])
    task.next_items = lambda modules, batch: (scores, items)  # type: ignore[method-assign]
    loss, weight, _ = task.step("train", {}, None, At())
    assert float(loss) == pytest.approx(2 * math.log(2)) and float(weight) == 2 and perplexity(1e4) == math.inf


def test_an_embedding_of_two_methods_finds_partners_and_answers(zoo: Zoo, tmp_path: Path) -> None:
    result = trained(zoo, tmp_path / "run", "mirrored", labels=("a", "b", "c"))
    assert 0.3 < result.metrics["accuracy"] <= 1 and result.metrics["loss"] < 2.5
    loaded = load("mlp_tiny.mine", zoo=zoo)
    here, there, far = (np.array(one["embedding"]) for one in loaded.predict([(0.4, 0.9), (0.9, 0.4), (-1.0, -0.2)]))
    near, other = (float(a @ here / np.linalg.norm(a) / np.linalg.norm(here)) for a in (there, far))
    assert here.shape == (3,) and near > other


def test_scores_of_numbers_are_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    true, found = draw.normal(size=(50, 3)), draw.normal(size=(50, 3))
    scores = regression_scores(true, found)
    assert scores["mae"] == pytest.approx(mean_absolute_error(true, found))
    assert scores["r2"] == pytest.approx(r2_score(true, found))
    assert scores["rmse"] == pytest.approx(np.sqrt(((true - found) ** 2).mean(0)).mean())
    assert regression_scores([1.0, 1.0], [1.0, 1.0])["r2"] == 1.0
    assert regression_scores([1.0, 1.0], [1.0, 2.0])["r2"] == 0.0


def test_samples_of_other_lengths_are_filled_up_and_measured() -> None:
    batch = collated([{"frames": np.ones((2, 3), np.float32), "n": 1}, {"frames": torch.ones(4, 3), "n": 2}])
    assert batch["frames"].shape == (2, 4, 3) and batch["frames_lengths"].tolist() == [2, 4]
    assert batch["frames"][0].sum(1).tolist() == [3, 3, 0, 0] and batch["n"].tolist() == [1, 2]
    assert collated([{"name": "a"}, {"name": "b"}]) == {"name": ["a", "b"]}


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([{"a": 1}, {"b": 1}], "other names for another"),
        ([{"a": torch.ones(2, 3)}, {"a": torch.ones(2, 4)}], r"a in shapes \[\(2, 3\), \(2, 4\)\]"),
        ([{"a": torch.ones(2)}, {"a": torch.ones(2, 2)}], "a in shapes"),
    ],
)
def test_samples_that_make_no_batch_are_named(samples: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        collated(samples)


@pytest.mark.parametrize(
    ("settings", "encoded", "message"),
    [
        ({"labels": ("cat", "dog")}, {"label": "cow"}, "sample 1: the model has no label 'cow'"),
        ({"labels": ("cat", "dog")}, {}, "sample 1: the model has no label None"),
        ({"labels": ("cat", "dog")}, {"label": 2}, "sample 1: the model has no label 2"),
        ({"values": 2}, {"values": (1.0,)}, r"sample 1: expected 2 finite number\(s\), found \[1.0\]"),
        ({"values": 1}, {"values": float("nan")}, "sample 1: expected 1 finite"),
        ({"values": 1}, {"values": "many"}, "sample 1: expected 1 number"),
        ({"values": 1}, {}, "sample 1: expected 1 number"),
    ],
)
def test_a_sample_without_its_truth_is_named(settings: Any, encoded: Any, message: str) -> None:
    dataset = EncodedDataset([SimpleNamespace()], lambda sample, key: encoded, train=True, **settings)
    with pytest.raises(DataError, match=message):
        dataset.sample(SampleKey(0, 0, 0))


def test_only_training_draws() -> None:
    keys: list[Any] = []

    def encode(sample: Any, key: SampleKey | None) -> dict[str, Any]:
        keys.append(key)
        return {"label": "cat"}

    for training in (True, False):
        dataset = EncodedDataset([None], encode, train=training, labels=("cat",))
        assert dataset.sample(SampleKey(0, 0, 0)) == {"labels": 0}
    assert keys == [SampleKey(0, 0, 0), None]
