"""A small zoo for the command line's tests: a toy plugin, a store in a temporary home, and ways to run the program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from zoo_core.cli import main
from zoo_core.registry.card import Card
from zoo_core.registry.records import DataRecord, FileEntry, Metric
from zoo_core.registry.store import Store
from zoo_core.storage.fs import digest_of
from zoo_core.storage.paths import home

TOY = Path(__file__).parent / "toy"
"""Source of the toy plugin."""


class Shown(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def install(site: Path, name: str, files: Mapping[str, str]) -> None:
    """An installed distribution, as an installer would leave it."""
    package = site / name.replace("-", "_")
    info = site / f"{package.name}-1.2.dist-info"
    for folder in (package, info, package / "recipes"):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for path, words in files.items():
        (package / path).write_text(words)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[zoo.plugins]\n{name} = {package.name}.plugin\n")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the path with the toy plugin; one folder for all tests, as the process imports it only once."""
    folder = tmp_path_factory.mktemp("site")
    sources = {path.name: path.read_text() for path in TOY.glob("*.py")}
    install(folder, "zoo-toy", {**sources, "recipes/coins.yaml": (TOY / "coins.yaml").read_text()})
    return folder


@pytest.fixture
def zoo(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Shown]:
    """The program in a temporary home and folder, with the toy plugin only."""
    monkeypatch.syspath_prepend(site)
    for name, value in {"ZOO_HOME": tmp_path / "home", "ZOO_DATA": tmp_path / "data"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo-nlp,zoo-vision,zoo-speech,zoo-gan")
    monkeypatch.delenv("ZOO_DEBUG", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*words: str) -> Shown:
        capsys.readouterr()
        code = main(words)
        return Shown(code, *capsys.readouterr())

    return run


def add_card(name: str, *, plugin: str = "zoo-toy", weights: bytes = b"weights", **fields: Any) -> Card:
    """A registered checkpoint whose bytes nobody loads."""
    entry = FileEntry(path="model.safetensors", sha256=digest_of(weights), size=len(weights))
    known: dict[str, Any] = {
        "task": "majority",
        "modality": "bits",
        "summary": "a hand-made card",
        "labels": ("a", "b"),
    }
    card = Card(name=name, plugin=plugin, model=f"{plugin}/toy", size="tiny", files=(entry,), **{**known, **fields})
    return Store(home(os.environ)).add(card, {"model.safetensors": [weights]})


def add_cards() -> None:
    metric = Metric(name="accuracy", value=0.8125, data="zoo-toy/coins", split="test", baselines={"majority": 0.5})
    data = DataRecord(name="zoo-toy/coins", digest="0" * 64, splits={"train": 32})
    add_card("toy_tiny.coins", metrics=(metric,), data=data, parameters=22_000, config={"width": 4}, seed=3)
    add_card("toy_tiny.coins", weights=b"others", parameters=23_000)
    add_card("toy_wide.dice", summary="throws dice", weights=b"dice")
    add_card("lost_tiny.coins", plugin="zoo-absent", weights=b"lost")


@pytest.fixture
def cards(zoo: Callable[..., Shown]) -> None:
    """A store with two versions of one checkpoint, another one, and one whose plugin is missing."""
    add_cards()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Installs one more distribution, given its name and the source of its plugin module."""

    def install_one(name: str, source: str) -> None:
        install(tmp_path / name, name, {"plugin.py": source})
        monkeypatch.syspath_prepend(tmp_path / name)

    return install_one


@pytest.fixture
def program(zoo: Callable[..., Shown], site: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m zoo_core` in a process of its own, in the temporary home."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    def run(*words: str, options: tuple[str, ...] = (), **kinds: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *options, "-m", "zoo_core", *words]
        return subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", timeout=60, **kinds)

    return run
