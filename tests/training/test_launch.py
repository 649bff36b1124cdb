"""Processes that are launched together: variables left over, peers that don't come, signals that only one of them gets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_core.config.settings import Training
from zoo_core.errors import UsageError
from zoo_core.training.hardware import Hardware

ALL = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"WORLD_SIZE": "2"}, "not RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}, "not MASTER_ADDR, MASTER_PORT"),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0 is set as by a launcher, but not RANK"),
        ({**ALL, "WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        ({**ALL, "RANK": "2"}, "RANK=2 is not among the 2 of WORLD_SIZE"),
    ],
)
def test_left_over_variables_of_a_launcher_are_named(
    environ: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ALL:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=words) as caught:
        Hardware(Training(steps=1, device="cpu"))
    assert "unset RANK" in caught.value.hint


MEET = """
import sys
from zoo_core.errors import TrainingError
from zoo_core.config.settings import Training
from zoo_core.training.hardware import Hardware
from zoo_core.training.signals import signal_handler

with signal_handler():
    print("waiting", flush=True)
    try:
        Hardware(Training(steps=1, device="cpu", timeout=float(sys.argv[1])))
    except TrainingError as error:
        print(type(error).__name__, error)
"""


def meeting(rank: int, seconds: float) -> subprocess.Popen[str]:
    """A process that waits for another one, which never comes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, **ALL, "RANK": str(rank), "MASTER_PORT": str(port)}
    command = [sys.executable, "-c", MEET, str(seconds)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_peer_that_never_comes_is_waited_for_in_bounds(rank: int) -> None:
    with meeting(rank, 3.0) as process:
        said, _ = process.communicate(timeout=120)
    assert "TrainingError 2 processes should meet at 127.0.0.1:" in said and "within 3 s" in said, said
    assert "unset RANK" in said and process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_a_peer(number: signal.Signals) -> None:
    with meeting(0, 300.0) as process:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        # Whether it came before or in the wait: it is the second one at the latest that ends it.
        for _ in range(100):
            process.send_signal(number)
            try:
                process.wait(0.3)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode in (-number, 1)


def test_all_ranks_stop_soon_after_a_signal_that_one_of_them_got(tmp_path: Path) -> None:
    toys = Path(__file__).parents[1] / "toys"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3"]
    environ = {**os.environ, "PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1"}
    command = [*launcher, str(toys / "stop_on_ranks.py"), str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and "3 ranks stopped" in done.stdout, done.stderr[-3000:]
