"""Loggers and observers: told of everything, apart from each other, unable to end a run, and back after a resume."""

from __future__ import annotations

import csv
import os
import signal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from zoo_toys import watcher
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import PluginError, RecipeError, UnknownName
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training.signals import Interrupted


class StopAtFour(SilentReporter):
    def logged(self, step: int, *rest: Any) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    watcher.notes.clear()
    watcher.told.clear()
    watcher.counted["figures"] = 0
    return toy_zoo(tmp_path / "home", EntryPoint("zoo-watcher", "zoo_toys.watcher", "zoo.plugins"))


def logged(*loggers: dict[str, Any], **training: Any) -> dict[str, Any]:
    return {**recipe("single", steps=8, log_every=2, **training), "loggers": list(loggers)}


def test_a_logger_is_told_of_everything_with_its_settings(zoo: Zoo, tmp_path: Path) -> None:
    train(logged({"name": "notes", "word": "a"}, {"name": "notes", "word": "b"}), folder=tmp_path / "run", zoo=zoo)
    for word in ("a", "b"):
        own = [note[1:] for note in watcher.notes if note[0] == word]
        assert own[0] == ("started", 0, 0)
        kinds = [note[2] for note in own if note[0] == "step_logged"]
        assert kinds.count("train") >= 4 and kinds.count("test") == 1 and "evaluation" in kinds
        assert own[-1] == ("ended", "finished", "toy_tiny.single@1", "toy_tiny.single", tmp_path / "run" / "model")


def test_a_watcher_knows_after_a_resume_what_it_was_told(zoo: Zoo, tmp_path: Path) -> None:
    made = logged({"name": "notes", "word": "a"}, {"name": "csv"})
    train(made, folder=tmp_path / "whole", zoo=zoo)
    watcher.notes.clear()
    watcher.told.clear()
    watcher.counted["figures"] = 0
    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=StopAtFour())
    before = sum(note[1] == "step_logged" for note in watcher.notes)
    watcher.notes.clear()
    with (tmp_path / "cut" / "metrics.csv").open("a") as table:
        table.write("5,tra")  # a crash left part of a row
    result = resume(tmp_path / "cut", zoo=zoo)
    assert watcher.notes[0][:3] == ("a", "started", 5) and watcher.notes[0][3] == before > 0
    started = [told for told in watcher.told if told[0] == "started"]
    assert started[1][3:] == (5, {"figures": before})
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")
    tables = [
        list(csv.DictReader((tmp_path / run / "metrics.csv").read_text().splitlines())) for run in ("whole", "cut")
    ]
    steady = [[row for row in table if "second" not in row["name"] and row["name"] != "data_wait"] for table in tables]
    assert steady[0] == steady[1] and {"loss", "accuracy"} <= {row["name"] for row in steady[0]}
    assert float(steady[0][-1]["value"]) == pytest.approx(list(result.metrics.values())[-1])


def test_a_resumed_run_may_be_watched_by_others(zoo: Zoo, tmp_path: Path) -> None:
    train(logged(), folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted):
        train(logged({"name": "notes", "word": "a"}), folder=tmp_path / "cut", zoo=zoo, reporter=StopAtFour())
    train(logged({"name": "notes", "word": "b"}), folder=tmp_path / "cut", resume=True, zoo=zoo)
    assert watcher.notes[-1][:3] == ("b", "ended", "finished")
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")


@pytest.mark.parametrize("method", ["step_logged", "started", "state"])
def test_a_logger_that_falls_is_switched_off_and_the_run_goes_on(method: str, zoo: Zoo, tmp_path: Path) -> None:
    made = logged({"name": "notes", "word": "a", "falls": method}, {"name": "notes", "word": "b"})
    result = train(made, folder=tmp_path / "run", zoo=zoo)
    assert result.steps == 8 and watcher.notes[-1][:3] == ("b", "ended", "finished")
    said = (tmp_path / "run" / "log.txt").read_text()
    assert "zoo-watcher/notes#0: " in said and ("OSError: the server is gone" in said or "isn't JSON" in said)
    assert ("a", "ended", "finished") not in [note[:3] for note in watcher.notes]


def test_a_logger_that_can_not_be_made_ends_the_run_before_step_1(zoo: Zoo, tmp_path: Path) -> None:
    made = logged({"name": "notes", "word": "a", "falls": "__init__"})
    with pytest.raises(PluginError, match="zoo-watcher/notes: the target of its spec raised OSError: no such server"):
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("section", "error", "message"),
    [
        ([{"name": "nots", "word": "a"}], UnknownName, "notes"),
        ([{"name": "notes"}], RecipeError, "word"),
        ([{"name": "notes", "word": "a", "wrd": 1}], RecipeError, r"loggers\[0\]\.wrd"),
        ([{"word": "a"}], RecipeError, r"loggers\[0\]: needs a name"),
        ({"name": "notes"}, RecipeError, "loggers"),
    ],
)
def test_what_a_recipe_gets_wrong_is_named(section: Any, error: Any, message: str, zoo: Zoo) -> None:
    with pytest.raises(error, match=message):
        load_recipe({**recipe("single"), "loggers": section}, [], zoo.host)


def test_a_recipe_without_loggers_is_written_as_before(zoo: Zoo) -> None:
    assert "loggers" not in load_recipe(recipe("single"), [], zoo.host).to_data()
    made = load_recipe(logged({"name": "csv"}), [], zoo.host)
    assert made.to_data()["loggers"] == [{"name": "zoo-core/csv", "path": "metrics.csv"}]
    assert load_recipe(made.to_data(), [], zoo.host) == made
