"""Who reads a user's files: the task's own plugin first, by the order of the types that the task reads; never the alphabet."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_core.config.finetune import data_choice
from zoo_core.errors import AmbiguousName
from zoo_core.plugins.discovery import installed
from zoo_core.plugins.host import PluginHost
from zoo_core.testing.sites import on_path, write_plugin

HEADER = """
from dataclasses import dataclass
from zoo_core.data.options import SplitOptions
from zoo_core import hookimpl
from zoo_core import DataSpec, SampleType, TaskSpec
zoo_api = (2, 0)

@dataclass(frozen=True, kw_only=True)
class Plain:
    path: str

class Split(SplitOptions):
    path: str

def type_of(words):
    name, *fields = words.split()
    return SampleType(name=name, fields=("size", *fields))

@hookimpl
def zoo_data():
    return [DataSpec(name=n, summary="s", target="t:f", config=Split if n.startswith("split") else Plain, samples=type_of(k))
            for n, k in READERS.items()]
"""

TASK = """
@hookimpl
def zoo_tasks():
    return [TaskSpec(name="sorting", summary="s", target="t:f", reads=(type_of("nuts"), type_of("bolts")), labelled=False)]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    with on_path(folder):
        yield folder


def reader(site: Path, plugins: dict[str, dict[str, str]]) -> dict[str, object]:
    """What is chosen where these plugins read these types; the task is that of `zoo-own`."""
    for name, readers in plugins.items():
        source = f"{HEADER}\nREADERS = {readers!r}\n" + (TASK if name == "zoo-own" else "")
        write_plugin(site, name, source)
    importlib.invalidate_caches()
    host = PluginHost(installed([str(site)]))
    (site / "x.csv").touch()
    return data_choice(host.find("task", "sorting"), str(site / "x.csv"), {}, host)


def test_the_order_of_the_tasks_types_decides_and_not_the_alphabet(site: Path) -> None:
    assert reader(site, {"zoo-own": {"a": "bolts", "z": "nuts"}})["name"] == "zoo-own/z"


def test_samples_with_fields_to_spare_fit_and_those_with_fewest_come_first(site: Path) -> None:
    assert (
        reader(site, {"zoo-own": {"a": "nuts colour age", "b": "bolts colour", "z": "nuts colour"}})["name"]
        == "zoo-own/z"
    )


def test_the_tasks_own_plugin_comes_first(site: Path) -> None:
    found = reader(site, {"zoo-a": {"a": "nuts"}, "zoo-own": {"z": "bolts"}, "zoo-z": {"a": "nuts"}})
    assert found["name"] == "zoo-own/z"


def test_two_readers_that_are_equally_near_are_an_error(site: Path) -> None:
    with pytest.raises(AmbiguousName, match="could be read by zoo-a/x or zoo-b/x") as caught:
        reader(site, {"zoo-own": {}, "zoo-a": {"x": "nuts", "y": "bolts"}, "zoo-b": {"x": "nuts"}})
    assert caught.value.hint.startswith("--data zoo-a/x data.path=")


@pytest.mark.parametrize(("name", "rule"), [("split", "stratified"), ("plain", None)])
def test_a_reader_that_can_splits_by_class(site: Path, name: str, rule: str | None) -> None:
    assert reader(site, {"zoo-own": {name: "nuts"}}).get("split_rule") == rule
