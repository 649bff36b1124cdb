"""Streams that are full, closed or without a reader: what is promised of exit codes, answers and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_core.registry.store import Store

Zoo = Callable[..., object]
Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(zoo: Zoo, site: Path) -> Shell:
    """Runs a line of the shell, in which $zoo is the program."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, "zoo": f"{sys.executable} -m zoo_core"}
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here, so no full stream can be made")

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", "-c", line], env=environ, capture_output=True, encoding="utf-8", timeout=120)

    return run


@pytest.mark.parametrize("words", ["--help", "plugin list", "plugin list --json", "list --help"])
def test_an_answer_that_can_not_be_written_is_one_error(shell: Shell, words: str) -> None:
    done = shell(f"$zoo {words} > /dev/full")
    assert done.returncode == 5
    assert done.stderr.splitlines() == [
        "error: the answer can't be written: No space left on device",
        "stdout goes to a place that takes no more",
    ]


@pytest.mark.parametrize(("words", "code"), [("plugin list", 0), ("show nonsense", 2), ("show nonsense --json", 2)])
def test_a_closed_stdout_takes_the_answer_and_leaves_the_code(shell: Shell, words: str, code: int) -> None:
    done = shell(f"$zoo {words} >&-")
    assert (done.returncode, done.stdout) == (code, "")
    assert bool(done.stderr) == bool(code)


def test_without_stderr_nothing_stands_behind_the_document(shell: Shell) -> None:
    done = shell("$zoo show nonsense --json 2>&-")
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["type"] == "UnknownName"


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-", "2> >(true)"])
def test_a_run_goes_on_when_nobody_takes_its_progress(shell: Shell, tmp_path: Path, redirection: str) -> None:
    line = f"exec bash -c '$zoo pretrain coins training.log_every=1 {redirection}'"
    done = shell(line)
    assert done.returncode == 0 and "toy_tiny.coins@1" in done.stdout
    assert [card.name for card in Store(tmp_path / "home").cards()] == ["toy_tiny.coins"]


def test_a_plugin_that_exits_is_named(zoo: Callable[..., object], installed: Callable[[str, str], None]) -> None:
    installed("zoo-leaver", LEAVER)
    shown = zoo("data", "fetch", "leaver")
    assert shown.code == 3 and "sys.exit('enough')" in shown.err  # type: ignore[attr-defined]


LEAVER = """
import sys
from zoo_core import hookimpl
from zoo_core import DataSpec, SampleType
zoo_api = (2, 0)

def fetch(fetcher, name):
    sys.exit("enough")

@hookimpl
def zoo_data():
    target, bits = "zoo_leaver.plugin:fetch", SampleType(name="bits", fields=("bits",))
    return [DataSpec(name="leaver", summary="", target=target, samples=bits, files={"a": "0"}, fetch=target)]
"""
