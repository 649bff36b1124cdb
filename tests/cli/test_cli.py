"""The command line, driven as a user drives it: through `main` and through the installed program."""

from __future__ import annotations

import inspect
import io
import json
import re

import pytest

from zoo_core import RunInfo, errors
from zoo_core.cli import main
from zoo_core.cli.app import parse, program_help
from zoo_core.cli.commands import COMMANDS, EXIT_CODES, Command
from zoo_core.cli.progress import PlainReporter, RichReporter, reporter_for
from zoo_core.cli.render import (
    PlainOutput,
    RichOutput,
    cell,
    count,
    duration,
    output_for,
    plain_value,
    size,
    write_json,
)

ESCAPE = "\x1b"

DOCUMENTED = {
    "list", "search", "show", "recipes", "pretrain", "finetune", "resume", "evaluate", "predict",
    "verify", "plugin list", "doctor", "data list", "data fetch", "import", "export",
    "alias", "rm", "gc",
}  # fmt: skip


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run() -> RunInfo:
    return RunInfo(name="toy_tiny.bits", folder="runs/toy", task="parity", model="toy_tiny", steps=1000, seed=3)


# Words


def test_every_documented_command_exists() -> None:
    assert {command.name for command in COMMANDS} == DOCUMENTED


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_has_an_example_and_the_exit_codes(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"  zoo {command.name}" in shown.split("examples:")[1].split("exit codes:")[0]
    listed = {int(code) for code in re.findall(r"^ +(\d+)  ", shown.split("exit codes:")[1], re.MULTILINE)}
    assert {0, 2, 70, 130} <= listed <= set(EXIT_CODES)
    assert "--json" in shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples_parse(command: Command) -> None:
    import shlex

    for example in command.examples:
        words = shlex.split(example.split(" < ")[0])[1 + len(command.name.split()) :]
        parse(command, words)


def test_every_error_has_a_documented_exit_code() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, errors.ZooError)]
    assert {item.exit_code for item in classes} <= set(EXIT_CODES)


def test_the_program_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and main(["--help"]) == 0
    assert capsys.readouterr().out == 2 * (program_help() + "\n")
    for command in COMMANDS:
        assert f"  {command.name} " in program_help() and command.summary in program_help()


def test_a_group_shows_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "zoo data list" in shown and "zoo data fetch" in shown and "plugin" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "did you mean list"),
        (["plugin"], "commands: zoo plugin list"),
        (["plugin", "lsit"], "unknown command 'plugin lsit'"),
        (["list", "--tsk", "x"], "did you mean --task"),
        (["show"], "required: name"),
        (["verify", "x", "--", "y"], "nothing may follow --"),
        (["finetune", "x", "--task", "t"], "required: --data"),
    ],
)
def test_wrong_words_are_usage_errors(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and said in shown.err and "Traceback" not in shown.err


def test_settings_may_stand_between_options() -> None:
    finetune = next(command for command in COMMANDS if command.name == "finetune")
    arguments = parse(
        finetune, ["base", "steps=2", "--task", "t", "lr=1", "--data", "d", "seed=3", "--columns", "a=b,c=d"]
    )
    assert arguments.model == "base" and arguments.settings == ["steps=2", "lr=1", "seed=3"]
    assert arguments.columns == ["a=b,c=d"]


def test_nothing_behind_two_dashes_is_an_option() -> None:
    predict = next(command for command in COMMANDS if command.name == "predict")
    arguments = parse(predict, ["m", "one", "--", "--stream", "a=b"])
    assert arguments.inputs == ["one"] and arguments.after == ["--stream", "a=b"] and not arguments.stream


# Rendering


def test_plain_tables_are_aligned_and_free_of_control_characters() -> None:
    stream = io.StringIO()
    output = output_for(stream, {})
    assert isinstance(output, PlainOutput)
    output.table(["name", "what"], [["a", "first\tline\nbreak"], ["longer", ""], ["x", f"{ESCAPE}[31mred"]])
    assert stream.getvalue().splitlines() == [
        "NAME    WHAT",
        "a       first line break",
        "longer  -",
        r"x       \x1b[31mred",
    ]


def test_a_terminal_gets_a_table_with_every_cell_taken_literally() -> None:
    stream = Terminal()
    output = output_for(stream, {"TERM": "xterm"})
    assert isinstance(output, RichOutput)
    output.table(["name", "what"], [["a", f"[bold]literal[/bold] :smile: {ESCAPE}[31mred"]])
    shown = stream.getvalue()
    assert ESCAPE in shown and "─" in shown and r"[bold]literal[/bold] :smile: \x1b[31mred" in shown


def test_a_dumb_terminal_is_treated_as_a_pipe() -> None:
    assert isinstance(output_for(Terminal(), {"TERM": "dumb"}), PlainOutput)


def test_json_has_no_words_that_json_lacks() -> None:
    stream = io.StringIO()
    write_json(stream, {"a": float("nan"), "b": [float("inf"), 1.5], "c": ("x", None), 4: "ü"})
    assert json.loads(stream.getvalue()) == {"a": None, "b": [None, 1.5], "c": ["x", None], "4": "ü"}
    assert "ü" in stream.getvalue()


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (count(812), "812"), (count(4_385_920), "4.4 M"), (size(0), "0 B"), (size(17_500_000), "17.5 MB"),
        (duration(45.2), "45 s"), (duration(200), "3 min 20 s"), (duration(7500), "2 h 5 min"),
        (duration(float("inf")), "?"), (cell(" \n"), "-"), (plain_value([True, None, 1e-5, "x"]), "[true, null, 1e-05, x]"),
        (plain_value({"a": 1.0}), "{a: 1}"),
    ],
)  # fmt: skip
def test_figures_read_well(made: str, wanted: str) -> None:
    assert made == wanted


# Progress


def test_a_log_file_gets_few_lines_however_often_the_loop_logs(run: RunInfo) -> None:
    stream = io.StringIO()
    reporter = reporter_for(stream, {})
    assert isinstance(reporter, PlainReporter)
    reporter.started(run, {"device": "cpu"})
    for step in range(1, run.steps + 1):
        reporter.logged(step, run.steps, {"loss": 1 / step, "data_wait": 0.5}, 1234.0, run.steps - step)
    reporter.evaluated(1000, {"loss": 0.25, "accuracy": 0.5})
    reporter.message("kept 3 tensors")
    reporter.ended("finished")
    lines = stream.getvalue().splitlines()
    assert "device: cpu" in lines and "run: toy_tiny.bits" in lines
    steps = [line for line in lines if line.startswith("step ") and "evaluated" not in line]
    assert len(steps) == 21
    assert steps[1] == "step 50/1000  loss 0.02  1.2 k samples/s  15 min 50 s left"
    assert lines[-3:] == ["step 1000 evaluated  loss 0.25  accuracy 0.5", "kept 3 tensors", "run finished"]
    assert ESCAPE not in stream.getvalue()


def test_no_color_is_respected(run: RunInfo) -> None:
    coloured, colourless = Terminal(), Terminal()
    for stream, environ in ((coloured, {}), (colourless, {"NO_COLOR": "1"})):
        reporter = reporter_for(stream, {"TERM": "xterm", **environ})
        reporter.started(run, {})
        reporter.logged(500, 1000, {"loss": 0.125}, 10.0, 50.0)
        reporter.ended("finished")
    colour = ESCAPE + r"\[[0-9;]*(3|4|9)[0-9]m"
    assert re.search(colour, coloured.getvalue()) and "500/1000" in colourless.getvalue()
    assert not re.search(colour, colourless.getvalue())


def test_a_terminal_gets_a_bar_and_gets_its_cursor_back(run: RunInfo) -> None:
    stream = Terminal()
    reporter = reporter_for(stream, {"TERM": "xterm"})
    assert isinstance(reporter, RichReporter)
    reporter.started(run, {})
    reporter.logged(500, 1000, {"loss": 0.125}, 10.0, 50.0)
    reporter.evaluated(500, {"accuracy": 0.75})
    reporter.close()
    reporter.close()
    shown = stream.getvalue()
    assert "500/1000" in shown and "loss 0.125" in shown and "50 s left" in shown and "accuracy 0.75" in shown
    assert shown.rindex(f"{ESCAPE}[?25h") > shown.rindex(f"{ESCAPE}[?25l")
