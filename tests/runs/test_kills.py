"""Runs that are killed, stopped or spread over ranks end with the bits of undisturbed ones; the longest tests, by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.registry.zoo import Zoo
from zoo_core.training import state


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


def run_toys(
    script: str, *arguments: str, launcher: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    toys = Path(__file__).parents[1] / "toys"
    command = [sys.executable, *launcher, str(toys / script), *arguments]
    environ = {**os.environ, "PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)


def test_kill_nine_at_random_instants_then_resume_ends_with_the_same_bits(tmp_path: Path) -> None:
    done = run_toys("kill_and_resume.py", str(tmp_path), "--runs", "7", "--seed", "0")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 tried, 7 ok" in done.stdout


def test_sigterm_saves_and_exits_with_143(tmp_path: Path) -> None:
    done = run_toys("kill_and_resume.py", str(tmp_path), "--runs", "3", "--seed", "1", "--signal", "SIGTERM")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 tried, 3 ok" in done.stdout


def test_ranks_train_as_one_process_does_and_resume_exactly(zoo: Zoo, tmp_path: Path) -> None:
    """Three gloo ranks by torchrun, the first number at which the order of a sum can differ."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3")
    done = run_toys("ranks.py", str(tmp_path), launcher=launcher)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 ranks ok" in done.stdout
    for shape in ("single", "adversarial"):
        train(recipe(shape, batch_size=12, steps=8), folder=tmp_path / f"one-{shape}", zoo=zoo)
        ours, theirs = (state.newest(tmp_path / f"{kind}-{shape}" / "checkpoints")[1] for kind in ("whole", "one"))
        assert max((ours[name] - theirs[name]).abs().max().item() for name in theirs) < 1e-6


def test_evaluations_of_fewer_batches_than_ranks_give_the_figures_of_one_process(tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3")
    several = run_toys("evaluate_on_ranks.py", str(tmp_path / "several"), launcher=launcher)
    alone = run_toys("evaluate_on_ranks.py", str(tmp_path / "alone"))
    assert (several.returncode, alone.returncode) == (0, 0), several.stderr + alone.stderr
    ours, theirs = json.loads(several.stdout), json.loads(alone.stdout)
    assert ours.keys() == theirs.keys() and len(ours) == 14
    for name, figures in theirs.items():
        assert ours[name] == pytest.approx(figures, rel=1e-6), name


def test_what_ranks_learn_with_dropout_is_what_one_learns(tmp_path: Path) -> None:
    """Weights after four steps of plain gradient descent: dropout, a mean teacher, a loss over the batch."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    for folder, with_ranks in (("several", launcher), ("alone", ())):
        done = run_toys("dealt_on_ranks.py", str(tmp_path / folder), launcher=with_ranks)
        assert done.returncode == 0, done.stderr[-3000:]
    for task in ("point-kinds", "point-teacher", "pairs"):
        found = [state.newest(tmp_path / folder / task / "checkpoints")[1] for folder in ("several", "alone")]
        assert found[0].keys() == found[1].keys()
        for name, tensor in found[0].items():
            torch.testing.assert_close(tensor, found[1][name], rtol=2e-6, atol=2e-7, msg=f"{task}: {name}")
