"""A few of the runs of `scripts/soak extras`: whatever fails beside a run, its checkpoint is registered."""

from __future__ import annotations

from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from zoo_toys.faulty import SWITCH
from zoo_toys.faulty_runs import MEMORY, amiss, faulty_recipe, faulty_zoo

from zoo_core.api import train


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytecode")


@pytest.mark.parametrize(
    ("modality", "extra", "way"),
    [
        ("text", "baselines", "raises"),
        ("image", "plots", "dies"),
        ("speech", "baseline", "eats"),
        ("points", "retrospect", "hangs"),
        ("points", "preview", "exits"),
    ],
)
def test_a_run_ends_registered_whatever_one_extra_does(
    modality: str, extra: str, way: str, bytecode: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()._replace(available=2 * MEMORY)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setenv(SWITCH, f"{extra} {way}")
    # What one process compiles of torch the next one has, wherever bytecode isn't kept.
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bytecode))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    zoo = faulty_zoo(tmp_path / "home")
    train(faulty_recipe(modality, way, tmp_path / "data"), folder=tmp_path / "run", zoo=zoo)
    assert amiss(zoo, tmp_path / "run", extra, way) == []
