"""`zoo doctor` on machines, plugins and stores that lack something: each is a line with what to do about it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoo_core.cli import doctor
from zoo_core.registry.store import Store

Zoo = Callable[..., Any]

HOLLOW = """
from zoo_core import NoConfig, TaskSpec, hookimpl
zoo_api = (2, 0)

@hookimpl
def zoo_tasks():
    return [TaskSpec(name="hollow", summary="none", target="zoo_hollow.missing:f", config=NoConfig, reads=(), labelled=False)]
"""


def checks(zoo: Zoo, *, code: int) -> dict[str, dict[str, str]]:
    shown = zoo("doctor", "--json")
    assert shown.code == code and shown.data["healthy"] == (code == 0), shown.out
    return {check["name"]: check for check in shown.data["checks"]}


def test_what_a_bare_machine_lacks_is_a_warning_with_the_way_out(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(tempfile, "gettempdir", missing)
    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr(doctor, "LITTLE_SHARED_MEMORY", 1 << 62)
    monkeypatch.setattr(doctor, "LITTLE_DISK", 1 << 62)
    monkeypatch.setenv("HOME", "/nonexistent/home")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/")
    found = checks(zoo, code=0)
    expected = {
        "temporary folder": "TMPDIR",
        "user": "set USER",
        "home": "",
        "shared memory": "training.workers=0",
        "disk": "ZOO_HOME",
    }
    for name, hint in expected.items():
        assert found[name]["state"] == "warning" and hint in found[name]["hint"], found[name]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ImportError("libtorch.so: failed to map segment from shared object"), "ulimit -v"),
        (ImportError("undefined symbol"), "install torch again"),
    ],
)
def test_a_torch_that_does_not_load_is_put_down_to_its_cause(
    error: ImportError, hint: str, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bool:
        raise error

    monkeypatch.setattr("torch.accelerator.is_available", fail)
    assert hint in checks(zoo, code=1)["device"]["hint"]


def test_a_plugin_whose_part_can_not_be_imported_is_broken(zoo: Zoo, installed: Callable[[str, str], None]) -> None:
    installed("zoo-hollow", HOLLOW)
    found = checks(zoo, code=1)["plugin zoo-hollow"]
    assert found["state"] == "broken" and "a part can't be imported" in found["detail"]
    assert "zoo_hollow.missing" in found["hint"]


def test_a_checkpoint_whose_task_is_not_there_is_named(zoo: Zoo, cards: None, tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    card = replace(store.get("toy_tiny.coins@1"), name="toy_tiny.odd", version=None, task="zoo-toy/no-such-task")
    store.add(card, {"model.safetensors": [b"weights"]})
    found = checks(zoo, code=1)["checkpoint toy_tiny.odd@1"]
    assert found["detail"] == "can't be built" and "no-such-task" in found["hint"]


def test_a_plugin_that_is_switched_off_is_well(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", os.environ["ZOO_DISABLE_PLUGINS"] + ",zoo-toy")
    found = checks(zoo, code=0)
    assert found["plugin zoo-toy"]["state"] == "ok" and "disabled" in found["plugin zoo-toy"]["detail"]


def test_a_store_that_is_no_folder_is_broken_and_one_that_can_not_be_made_is_a_warning(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "file"))
    assert "is not a folder" in checks(zoo, code=1)["store"]["detail"]
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / ("x" * 4200)))
    found = checks(zoo, code=0)["store"]
    assert found["state"] == "warning" and "too long" in found["hint"] and "set ZOO_HOME" in found["hint"]
