"""A run that is killed after its checkpoint is registered: a resume makes what was still to follow, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.errors import ResumeError
from zoo_core.preflight.claim import PENDING
from zoo_core.registry.checkpoint import open_folder
from zoo_core.runs.folder import final_digest
from zoo_core.runs.publish import annotate
from zoo_core.runs.record import Record

CARELESS = EntryPoint("zoo-careless", "zoo_toys.careless", "zoo.plugins")
HANGING = """
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from zoo_core.api import train
from zoo_toys.runs import recipe, toy_zoo

zoo = toy_zoo(Path(sys.argv[1], "home"), EntryPoint("zoo-careless", "zoo_toys.careless", "zoo.plugins"))
made = {**recipe("single", extras="auto"), "task": {"name": "careless", "baseline": ["hangs"]}}
train(made, folder=Path(sys.argv[1], "run"), zoo=zoo)
"""


def test_extras_of_a_run_that_was_killed_among_them_are_made_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys, folder = Path(__file__).parents[1] / "toys", tmp_path / "run"
    environ = {**os.environ, "PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([sys.executable, "-c", HANGING, str(tmp_path)], env=environ)
    until = time.monotonic() + 120
    while Record(folder / "extras.jsonl").read().current != "baseline 0 hangs":
        assert killed.poll() is None and time.monotonic() < until
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = open_folder(folder).card
    assert before.notes == "" and not (folder / "curve.png").exists()

    zoo, weights = toy_zoo(tmp_path / "home", CARELESS), final_digest(folder)
    with pytest.raises(ResumeError, match=r"optimizer.lr: 0.01 then, 0.5 now"):
        resume(folder, overrides=["lr=0.5"], zoo=zoo)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ResumeError, match="what follows takes one process"):
        resume(folder, zoo=zoo)
    monkeypatch.delenv("WORLD_SIZE")

    result = resume(folder, overrides=["extras_timeout=2"], zoo=zoo)
    assert result.card is not None and result.steps == 12 and result.baselines == {"majority": {"accuracy": 0.5}}
    assert result.metrics == {metric.name: metric.value for metric in before.metrics}
    assert "baseline 0 hangs left out: it took longer than 2 seconds" in result.card.notes
    assert zoo.registry.find("toy_tiny.single").card == result.card == open_folder(folder).card
    assert (folder / "curve.png").exists() and (folder / "artifacts" / "000000012-count.txt").exists()
    assert final_digest(folder) == weights and len(zoo.registry.store.cards()) == 1
    assert (folder / "log.txt").read_text().rstrip().endswith("finished")
    with pytest.raises(ResumeError, match="is finished"):
        resume(folder, zoo=zoo)


def test_what_is_on_the_card_already_is_not_added_again(tmp_path: Path) -> None:
    zoo, folder = toy_zoo(tmp_path / "home"), tmp_path / "run"
    card = train(recipe("single"), folder=folder, zoo=zoo).card
    assert card is not None and not (folder / PENDING).exists()
    noted = annotate(card, {}, ("baselines left out: a reason",), zoo.registry, folder=folder)
    (folder / PENDING).touch()  # as of a run that is killed at its last act
    again = annotate(noted, {}, ("baselines left out: a reason",), zoo.registry, folder=folder)
    assert resume(folder, zoo=zoo).card == again == noted == open_folder(folder).card
    assert not (folder / PENDING).exists()
