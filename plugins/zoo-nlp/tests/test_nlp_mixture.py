"""Texts from several sources as one data set, classified and packed: weights hold for blocks, too, and leaks are told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_nlp.tasks.common import PackedBlocks

from zoo_core import Zoo, evaluate, load_recipe, open_zoo, train
from zoo_core.testing import Hardware, RunComponents, open_data, prepare

TINY = {"vocab_size": 300}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def rows(path: Path, word: str, numbers: range) -> str:
    path.write_text("text,label\n" + "".join(f"{word} {number},{('a', 'b')[number % 2]}\n" for number in numbers))
    return str(path)


def prepared(zoo: Zoo, task: str, parts: list[dict[str, Any]], **sections: Any) -> RunComponents:
    resolved = load_recipe(
        {
            "name": "bert_tiny.mixed",
            "task": {"name": task},
            "data": {"name": "mixture", "parts": parts},
            "training": {"epochs": 1, "batch_size": 8, "device": "cpu"},
            **sections,
        },
        [],
        zoo.host,
    )
    return prepare(resolved, zoo.host, Hardware(resolved.training), None, None)


def test_labelled_texts_are_drawn_by_weight_and_batched_by_length(zoo: Zoo, tmp_path: Path) -> None:
    parts = [
        {"name": "labelled-text", "path": rows(tmp_path / "a.csv", "one", range(60)), "weight": 2},
        {"name": "labelled-text", "path": rows(tmp_path / "b.csv", "other", range(40))},
    ]
    found = prepared(zoo, "text-classification", parts, model={"name": "bert_tiny"}, preprocessor=TINY)
    sizes = [portion.samples for portion in found.data.portions]
    met = Counter(np.concatenate([*found.plan.epoch(0)]).tolist())
    assert found.steps == (2 * sizes[0] + sizes[1]) // 8 and max(met.values()) == 2
    assert sum(count for place, count in met.items() if place >= sizes[0]) <= sizes[1]
    assert [one.id for one in found.sources] == ["zoo-nlp/labelled-text"] * 2


def test_blocks_of_packed_texts_are_drawn_by_the_weight_of_the_text_they_begin_in(zoo: Zoo, tmp_path: Path) -> None:
    for name, words in (("a", 4000), ("b", 2000)):
        (tmp_path / f"{name}.txt").write_text(" ".join(f"{name}{number % 50}" for number in range(words)))
    parts = [
        {"name": "text", "path": str(tmp_path / "a.txt"), "weight": 3},
        {"name": "text", "path": str(tmp_path / "b.txt")},
    ]
    found = prepared(zoo, "fill-mask", parts, model={"name": "bert_tiny"}, preprocessor=TINY)
    blocks, texts = found.train, found.data.portions[0].samples
    assert isinstance(blocks, PackedBlocks) and found.plan.order is not None
    of_second = blocks.origins >= texts
    drawn = Counter(of_second[found.plan.order(0, 0)].tolist())
    assert drawn == {False: 3 * int((~of_second).sum()), True: int(of_second.sum())} and min(drawn.values()) > 1


def test_a_text_that_one_part_trains_on_and_another_holds_out_is_told(zoo: Zoo, tmp_path: Path) -> None:
    same = rows(tmp_path / "a.csv", "one", range(40))
    parts = [{"name": "labelled-text", "path": same, "split_seed": seed} for seed in (0, 1)]
    recipe = load_recipe(
        {
            "name": "bert_tiny.mixed",
            "model": {"name": "bert_tiny"},
            "task": {"name": "text-classification"},
            "data": {"name": "mixture", "parts": parts},
            "training": {"steps": 1},
        },
        [],
        zoo.host,
    )
    data = open_data(recipe.data.provided, recipe.data.config, zoo.host)
    assert any(notice.startswith("samples of test that another part trains on: ") for notice in data.notices)


def test_of_a_part_that_was_trained_on_only_the_held_out_rows_are_measured(zoo: Zoo, tmp_path: Path) -> None:
    parts = [
        {
            "name": "labelled-text",
            "path": rows(tmp_path / f"{name}.csv", name, range(count)),
            "split_rule": "stratified",
        }
        for name, count in (("a", 60), ("b", 40))
    ]
    made = {
        "name": "bert_tiny.mixed",
        "init": "bert_tiny.sentiment",
        "task": {"name": "text-classification"},
        "data": {"name": "mixture", "parts": parts},
        "training": {"steps": 1, "batch_size": 8, "device": "cpu", "extras": "off"},
    }
    train(made, folder=tmp_path / "run", zoo=zoo)
    found = evaluate("bert_tiny.mixed", parts[1]["path"], zoo=zoo)
    assert {(metric.split, metric.samples) for metric in found.metrics} == {("test", 4)}
    assert any("was trained on this data: its test split is measured" in note for note in found.notes)
    assert any(metric.baselines for metric in found.metrics)
    other = evaluate("bert_tiny.mixed", rows(tmp_path / "c.csv", "c", range(20)), zoo=zoo)
    assert {(metric.split, metric.samples) for metric in other.metrics} == {("all", 20)}
