"""Training, asking, and the program as a process: streams, terminals, pipes and failures."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from zoo_core.cli.infer import _show_block
from zoo_core.cli.progress import PlainReporter
from zoo_core.cli.render import PlainOutput

Zoo = Callable[..., Any]
"""Runs the program on its words and gives its `code`, `out`, `err` and, as JSON, `data`."""

Program = Callable[..., subprocess.CompletedProcess[str]]

ESCAPE = "\x1b"


# Training and asking


def test_print_recipe_shows_what_would_run_and_runs_nothing(zoo: Zoo) -> None:
    shown = zoo("pretrain", "coins", "steps=7", "--name", "toy_tiny.other", "--print-recipe", "--json")
    assert shown.data["name"] == "toy_tiny.other" and shown.data["training"]["steps"] == 7
    assert "  steps: 7" in zoo("pretrain", "coins", "steps=7", "--print-recipe").out.splitlines()
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pretrain", "coin"], "did you mean coins"),
        (["pretrain", "coins", "stepz=3"], "steps"),
        (["pretrain", "coins", "steps"], "key=value"),
        (["finetune", "nobody", "--task", "majority", "--data", "coins"], "unknown checkpoint"),
    ],
)
def test_a_run_that_could_not_start_is_refused(zoo: Zoo, words: list[str], said: str) -> None:
    shown = zoo(*words)
    assert shown.code == 2 and said in shown.err and not Path("runs").exists()


def test_from_a_recipe_to_answers(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = zoo("pretrain", "coins")
    assert trained.code == 0, trained.err
    assert re.search(r"METRIC +VALUE +BASELINE: ALWAYS ONES\naccuracy +", trained.out)
    assert "figures of split test, 32 samples, with the weights of step" in trained.out
    assert "checkpoint: toy_tiny.coins@1" in trained.out and 'next: zoo predict toy_tiny.coins "..."' in trained.out
    curve = re.search(r"learning curve: (.+)", trained.out)
    assert curve and Path(curve[1]).read_bytes().startswith(b"\x89PNG")
    assert "step 12/12" in trained.err and "step 6 evaluated  accuracy" in trained.err

    folder = zoo("show", "./runs/toy_tiny.coins")
    assert folder.out.startswith("name: toy_tiny.coins@1\n") and "layer: folder" in folder.out
    assert "zoo predict ./runs/toy_tiny.coins" in folder.err
    assert zoo("show", "./nowhere").code == 2

    answer = zoo("predict", "toy_tiny.coins", "11111")
    assert re.match(r"input: 11111\nlabel: (ones|zeros)\nscore: 0\.\d+\nscores:\nLABEL +SCORE\n", answer.out)
    answer = zoo("predict", "toy_tiny.coins", "11111", "00000")
    assert re.match(r"LABEL +SCORE +INPUT\n(ones|zeros) +0\.\d+ +11111\n(ones|zeros) +0\.\d+ +00000\n$", answer.out)
    both = zoo("predict", "toy_tiny.coins", "top=2", "11111", "--json", "--", "0=0").data
    assert [item["input"] for item in both] == ["11111", "0=0"] and [len(item["scores"]) for item in both] == [2, 2]

    lines = io.TextIOWrapper(io.BytesIO(b"00000\n11111\n10101\n"))
    monkeypatch.setattr(sys, "stdin", lines)
    answered = zoo("predict", "toy_tiny.coins", "-", "--limit", "2").out.splitlines()
    assert [line.split("  ")[0] in ("ones", "zeros") for line in answered] == [True, True]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"00000\r\n11111\n")))
    assert [item["input"] for item in zoo("predict", "toy_tiny.coins", "-", "--json").data] == ["00000", "11111"]

    measured = zoo("evaluate", "toy_tiny.coins", "--data", "coins", "--split", "validation", "count=32", "--json").data
    assert (
        measured[0]["name"] == "accuracy" and measured[0]["samples"] == 16 and "always ones" in measured[0]["baselines"]
    )

    (tmp_path / "work" / "mine.csv").write_text("digits,label\n" + "11100,ones\n00011,zeros\n" * 16)
    words = ["finetune", "toy_tiny.coins", "--task", "majority", "--data", "mine.csv", "--columns", "bits=digits"]
    tuned = zoo(*words, "epochs=1", "--folder", "tuned", "--json")
    assert tuned.code == 0, tuned.err
    assert tuned.data["checkpoint"] == "toy_tiny.mine@1" and tuned.data["folder"] == "tuned"
    assert tuned.data["next"] == ['zoo predict toy_tiny.mine "..."']
    assert zoo("verify", "toy_tiny.mine", "./tuned").code == 0

    again = zoo(*words, "epochs=1", "--folder", "tuned")
    assert again.code == 2 and "not empty" in again.err


def test_data_that_can_not_be_a_path_is_refused(zoo: Zoo) -> None:
    assert zoo("pretrain", "coins", "steps=1").code == 0
    for data, said in (
        ("~nobodyhere/x.csv", "Could not determine home"),
        ("x" * 5_000, "File name too long"),
        (os.fsdecode(b"caf\xe9"), "isn't UTF-8"),
    ):
        for words in (["finetune", "toy_tiny.coins", "--task", "majority"], ["evaluate", "toy_tiny.coins"]):
            shown = zoo(*words, "--data", data)
            assert shown.code == 4 and said in shown.err and "Traceback" not in shown.err


@pytest.mark.parametrize("stopped", [False, True], ids=["done", "stopped"])
def test_a_run_leaves_the_processes_it_was_launched_with(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        if stopped:
            monkeypatch.setattr(PlainReporter, "logged", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert zoo("pretrain", "coins").code == (143 if stopped else 0)
        assert not dist.is_initialized()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def test_resume_goes_on_as_the_message_says(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        kills = iter([signal.SIGTERM])
        patched.setattr(PlainReporter, "logged", lambda *_: [os.kill(os.getpid(), number) for number in kills])
        stopped = zoo("pretrain", "coins")
    assert stopped.code == 143 and "continue with: zoo resume runs/toy_tiny.coins" in stopped.err
    unfinished = zoo("predict", "runs/toy_tiny.coins", "1")
    assert unfinished.code == 2 and "zoo resume runs/toy_tiny.coins" in unfinished.err
    refused = zoo("resume", "runs/toy_tiny.coins", "seed=9")
    assert refused.code == 6 and "training.seed" in refused.err and "Traceback" not in refused.err
    resumed = zoo("resume", "runs/toy_tiny.coins", "log_every=1", "--json")
    assert resumed.code == 0 and resumed.data["checkpoint"] == "toy_tiny.coins@1" and resumed.data["next"]
    assert zoo("resume", "runs").code == 6


def test_stream_shows_pieces(zoo: Zoo) -> None:
    assert zoo("pretrain", "coins", "steps=1").code == 0
    ask = ("predict", "toy_tiny.coins", "--task", "spelling")
    assert zoo(*ask, "101", "--stream").out == "one nought one \n"
    assert zoo(*ask, "101", "11").out == "one nought one\none one\n"
    assert zoo(*ask, "101", "--stream", "--json").code == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["toy_tiny.coins", "11", "topp=3"], 2, "did you mean top"),
        (["toy_tiny.coins", "11", "top=three"], 2, "expected a whole number"),
        (["toy_tiny.coins"], 2, "nothing to ask"),
        (["toy_tiny.coins", "11", "--limit", "0"], 2, "at least 1"),
        (["toy_tiny.coins", "--num", "0"], 2, "--num must be at least 1"),
        (["toy_tiny.coins", "--num", "4"], 2, "--num is for generators"),
        (["toy_tiny.coins", "11", "--seed", "4"], 2, "seed"),
        (["lost_tiny.coins", "11"], 3, "pip install zoo-absent"),
        (["toy_tiny.coinz", "11"], 2, "did you mean toy_tiny.coins"),
    ],
)
def test_a_wrong_question_is_refused_before_the_model_is_loaded(
    zoo: Zoo, cards: None, words: list[str], code: int, said: str
) -> None:
    shown = zoo("predict", *words)
    assert shown.code == code and said in shown.err and "Traceback" not in shown.err


def test_json_errors_are_one_document(zoo: Zoo) -> None:
    shown = zoo("show", "nobody", "--json")
    assert shown.code == 2
    assert shown.data["error"]["type"] == "UnknownName" and shown.data["error"]["exit_code"] == 2


# The program


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--all"], ["search", "toy"], ["show", "toy_tiny.coins"], ["verify", "--all"],
              ["plugin", "list"], ["data", "list"], ["recipes"], ["--help"]],
)  # fmt: skip
def test_looking_around_imports_no_torch_and_in_a_pipe_no_rich(program: Program, cards: None, words: list[str]) -> None:
    shown = program(*words, options=("-X", "importtime"))
    assert shown.returncode == 0
    imported = set(re.findall(r"\| +([\w.]+)$", shown.stderr, re.MULTILINE))
    assert "zoo_core.cli.app" in imported
    assert not imported & {"torch", "numpy", "rich", "matplotlib", "accelerate", "pyarrow"}


def test_the_installed_program_is_the_module(program: Program) -> None:
    installed = subprocess.run(
        [Path(sys.executable).with_name("zoo"), "--help"], capture_output=True, encoding="utf-8", timeout=60
    )
    assert installed.stdout == program("--help").stdout != ""


def test_a_terminal_gets_a_table_that_fits_it(program: Program, cards: None, site: Path) -> None:
    shown = on_a_terminal("list", "--all", site=site)
    assert "─" in shown and ESCAPE in shown and "toy_wide.dice@1" in shown
    plain = [re.sub(ESCAPE + r"\[[0-9;?]*[A-Za-z]", "", line) for line in shown.splitlines()]
    assert max(map(len, plain)) <= 80


def on_a_terminal(*words: str, site: Path) -> str:
    """What the program shows on a pseudo-terminal of 80 columns."""
    leader, follower = pty.openpty()
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "zoo_core", *words]
    with subprocess.Popen(command, env=environ, stdin=follower, stdout=follower, stderr=follower):
        os.close(follower)
        chunks = []
        try:
            while chunk := os.read(leader, 65536):
                chunks.append(chunk)
        except OSError:  # how Linux says that the other side has closed
            pass
    os.close(leader)
    return b"".join(chunks).decode()


def test_a_reader_that_goes_away_is_no_error(program: Program, site: Path) -> None:
    closed, sink = os.pipe()
    os.close(closed)
    command = [sys.executable, "-m", "zoo_core", "--help"]
    done = subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, timeout=60)
    os.close(sink)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_unexpected_error_is_one_line_unless_asked_for(
    zoo: Zoo, installed: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("zoo-slip", SLIP)
    shown = zoo("data", "fetch", "slip")
    assert shown.code == 70 and "Traceback" not in shown.err
    assert shown.err.splitlines()[-2:] == [
        "error: unexpected ZeroDivisionError: division by zero",
        "run again with ZOO_DEBUG=1 for the traceback",
    ]
    monkeypatch.setenv("ZOO_DEBUG", "1")
    assert "Traceback" in zoo("data", "fetch", "slip").err


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("raise Interrupted(143, 'stopped at step 3')", 143, "stopped at step 3"),
        ("raise DataError('bits.csv:3: no bits', hint='add some')", 4, "error: bits.csv:3: no bits\nadd some"),
        ("raise BrokenPipeError", 141, ""),
        (f"raise DataError('{ESCAPE}[31mred')", 4, r"error: \x1b[31mred"),
    ],
)
def test_how_a_command_ends_is_its_exit_code(
    zoo: Zoo, installed: Callable[[str, str], None], failure: str, code: int, said: str
) -> None:
    name = f"zoo-end{code}-{len(failure)}"
    module = name.replace("-", "_")
    installed(name, SLIP.replace("zoo_slip", module).replace("return 1 / 0", failure))
    shown = zoo("data", "fetch", "slip")
    assert (shown.code, shown.out, shown.err.strip()) == (code, "", said)
    if said:
        assert zoo("data", "fetch", "slip", "--json").data["error"]["exit_code"] == code


SLIP = """
from zoo_core import DataError, DataSpec, SampleType, hookimpl
from zoo_core.training.signals import Interrupted

zoo_api = (2, 0)

@hookimpl
def zoo_data():
    target, bits = "zoo_slip.plugin:fetch", SampleType(name="bits", fields=("bits",))
    return [DataSpec(name="slip", summary="", target=target, samples=bits, files={"a": "0"}, fetch=target)]

def fetch(fetcher, name):
    return 1 / 0
"""


def test_the_scores_of_a_thousand_labels_are_shown_in_part() -> None:
    stream = io.StringIO()
    scores = {f"label{number}": 0.001 for number in range(1000)}
    _show_block("photo.jpg", {"label": "label0", "score": 0.001, "scores": scores}, PlainOutput(stream))
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "... and 980 more; --json gives all" and len(lines) < 30
