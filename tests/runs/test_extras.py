from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import evaluate, load, train
from zoo_core.errors import CardError
from zoo_core.registry.checkpoint import open_folder
from zoo_core.registry.store import Store
from zoo_core.registry.zoo import Zoo
from zoo_core.runs import extras
from zoo_core.runs.curves import read_curves
from zoo_core.runs.extras import Job, Limits
from zoo_core.runs.extras_child import Work
from zoo_core.runs.folder import final_digest
from zoo_core.runs.record import Record
from zoo_core.storage.children import Tail
from zoo_core.training.signals import Stop


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home", EntryPoint("zoo-careless", "zoo_toys.careless", "zoo.plugins"))


def careless(training: dict[str, Any], **ways: Any) -> dict[str, Any]:
    made = recipe("single", **training)
    return {**made, "task": {"name": "careless", **ways}}


def test_extras_that_exit_raise_and_hang_leave_the_rest_and_the_run_whole(zoo: Zoo, tmp_path: Path) -> None:
    ways = {"artifacts": "dies", "baseline": ["raises", "hangs", "exits", ""], "home": os.getpid()}
    result = train(careless({"extras": "auto", "extras_timeout": 2}, **ways), folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and result.card.full_name == "toy_tiny.single@1"
    assert result.baselines == {"majority": {"accuracy": 0.5}}
    log = (tmp_path / "run" / "log.txt").read_text()
    for words in (
        "plots of the final evaluation left out: it ended the process with exit code 0",
        r"baseline 0 raises left out: ValueError: a careless\x1b[31m plugin",
        "baseline 1 hangs left out: it took longer than 2 seconds",
        "baseline 2 exits left out: SystemExit: 3",
        "baseline 3  left out: TypeError: expected metrics by name, found NoneType",
    ):
        assert words in log and words in result.card.notes
    assert log.rstrip().endswith("finished")
    held = zoo.registry.find("toy_tiny.single").card
    assert held == result.card == open_folder(tmp_path / "run").card
    accuracy = next(metric for metric in held.metrics if metric.name == "accuracy")
    assert accuracy.baselines == {"majority": 0.5}
    kept = {path.name for path in (tmp_path / "run" / "artifacts").iterdir()}
    assert (tmp_path / "run" / "artifacts" / "000000012-count.txt").read_bytes() == b"3"
    assert {f"{step:09d}-validation-right.txt" for step in (5, 10, 12)} <= kept
    assert (tmp_path / "run" / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert load("toy_tiny.single", zoo=zoo).predict([(0.1, 0.2)])


def test_what_fails_beside_a_run_changes_no_bit_of_it(zoo: Zoo, tmp_path: Path) -> None:
    train(careless({}), folder=tmp_path / "sound", zoo=zoo)
    for way in ("raises", "exits", "hangs"):
        folder = tmp_path / way
        train(careless({"extras_timeout": 0.05}, preview=way, artifacts=way), folder=folder, zoo=zoo)
        log = (folder / "log.txt").read_text()
        assert "the preview left out" in log and "step 5: plots of the evaluation left out" in log
        assert final_digest(folder) == final_digest(tmp_path / "sound")


@pytest.mark.parametrize("baselines", [True, False])
def test_a_job_names_what_is_to_be_made(baselines: bool, zoo: Zoo, tmp_path: Path) -> None:
    train(careless({}), folder=tmp_path / "run", zoo=zoo)
    job = extras.job_for(tmp_path / "run", zoo.registry, split="test", step=12, best_step=10, baselines=baselines)
    assert Job.read(json.dumps(asdict(job))) == job
    record = Record(Path(job.record))
    Work(replace(job, skip=(extras.PLOTS,))).run(record)
    made = {extras.BASELINES: [], "baseline majority": {"accuracy": 0.5}} if baselines else {}
    assert record.read().done == {extras.RETROSPECT: 1, **made}


def test_plots_and_figures_are_named_by_split_and_by_the_step_that_was_kept(zoo: Zoo, tmp_path: Path) -> None:
    for split, kind in (("test", "test"), ("validation", "final")):
        folder = tmp_path / split
        result = train(careless({"test_split": "test" if kind == "test" else "nowhere"}), folder=folder, zoo=zoo)
        assert result.card is not None and {metric.split for metric in result.card.metrics} == {split}
        best = result.card.training["best_step"]
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows if kind in row] == [best]
        assert ("test/loss" in read_curves(folder / "metrics.jsonl")) == (kind == "test")
        job = extras.job_for(folder, zoo.registry, split=split, step=12, best_step=best, baselines=False)
        Work(replace(job, skip=(extras.RETROSPECT,))).run(Record(Path(job.record)))
        assert (folder / "artifacts" / f"{best:09d}-{split}-right.txt").is_file()


def test_an_evaluation_leaves_out_the_baseline_that_cannot_be_computed(zoo: Zoo, tmp_path: Path) -> None:
    train(careless({}, baseline=["raises"]), folder=tmp_path / "run", zoo=zoo)
    metrics, _, notes = evaluate("toy_tiny.single", "points", zoo=zoo)
    assert {metric.name: dict(metric.baselines) for metric in metrics} == {"loss": {}, "accuracy": {"majority": 0.5}}
    assert notes == (r"baseline 0 raises left out: ValueError: a careless\x1b[31m plugin",)


@pytest.mark.parametrize(
    ("ways", "why"),
    [
        ({"intervals": "raises"}, r"ValueError: a careless\x1b[31m plugin"),
        ({"intervals": "exits"}, "SystemExit: 3"),
        ({"ends": [0.9, 0.1]}, "ValueError: the interval of accuracy runs from 0.9 to 0.1"),
    ],
)
def test_intervals_that_fail_leave_the_run_and_its_figures_whole(
    ways: dict[str, Any], why: str, zoo: Zoo, tmp_path: Path
) -> None:
    result = train(careless({}, **ways), folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and result.card.notes == f"intervals left out: {why}"
    assert [(metric.name, metric.interval) for metric in result.card.metrics] == [("loss", None), ("accuracy", None)]
    metrics, _, notes = evaluate("toy_tiny.single", "points", zoo=zoo)
    assert {metric.interval for metric in metrics} == {None} and f"intervals left out: {why}" in notes


CRIES = "import sys; sys.stderr.write('x' * (1 << 22) + '\\nno module named \\x1b[31m\\n\\n'); sys.exit(1)"


@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        (CRIES, (60, 1 << 40), r"exit code 1; the last line of its errors: no module named \x1b[31m"),
        ("x = [b'x' * (1 << 20) for _ in range(200)]; import time; time.sleep(60)", (60, 100 << 20), "of memory"),
        ("import time; time.sleep(60)", (0.1, 1 << 40), "longer than 0.1 seconds"),
        ("import os; os.kill(os.getpid(), 11)", (60, 1 << 40), "signal 11"),
        ("pass", (60, 1 << 40), "exit code 0"),
    ],
)
def test_a_process_is_ended_at_its_limits(code: str, limits: tuple[float, int], words: str, tmp_path: Path) -> None:
    record = Record(tmp_path / "extras.jsonl")
    record.start()
    record.begin("something")
    command = [sys.executable, "-S", "-c", code]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        allowed = Limits(seconds=limits[0], memory=limits[1])
        ended = extras._watch(process, Tail(process.stderr), record, allowed, time.monotonic() + 60, Stop())
        process.kill()
    assert ended.endswith(words)


def test_a_stop_ends_the_extras_and_not_the_run(tmp_path: Path) -> None:
    stop = Stop()
    stop.signal = 15
    record = Record(tmp_path / "extras.jsonl")
    record.start()
    command = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        limits = Limits(seconds=60, memory=1 << 40)
        ended = extras._watch(process, Tail(process.stderr), record, limits, time.monotonic() + 60, stop)
        process.kill()
    assert "asked to stop" in ended


def test_a_process_that_dies_while_it_imports_is_quoted(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = train(careless({"extras": "off"}), folder=tmp_path / "run", zoo=zoo)
    job = extras.job_for(found.folder, zoo.registry, split="test", step=12, best_step=10, baselines=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise ImportError('libcudart.so.0: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    made = extras.make_extras(job, extras.limits(60), Stop())
    said = (
        "it ended the process with exit code 1; the last line of its errors: ImportError: libcudart.so.0: cannot open"
    )
    assert made.problems == (f"{extras.LOADING} left out: {said} shared object file",)


def test_a_record_passes_over_what_is_none(tmp_path: Path) -> None:
    record = Record(tmp_path / "extras.jsonl")
    assert record.read().lines == 0
    record.start()
    record.begin("a")
    record.end("a", 1)
    record.begin("b")
    with record.path.open("ab") as file:
        file.write(b'\xff\n[1]\n{"done": "b"')
    found = record.read()
    assert (found.done, found.failed, found.current, found.lines) == ({"a": 1}, {}, "b", 3)


def test_only_baselines_and_notes_can_be_added_to_a_registered_card(zoo: Zoo, tmp_path: Path) -> None:
    result = train(careless({}), folder=tmp_path / "run", zoo=zoo)
    card, store = result.card, Store(tmp_path / "home")
    assert card is not None
    metrics = tuple(replace(metric, baselines={"guess": 0.25}) for metric in card.metrics)
    amended = store.amend(replace(card, metrics=metrics, notes="first"))
    assert store.get("toy_tiny.single") == amended and amended.same_checkpoint(card)
    assert store.amend(replace(amended, notes="first\nsecond")).notes == "first\nsecond"
    for change in (
        {"summary": "other"},
        {"notes": "other"},
        {"metrics": tuple(replace(metric, value=1.0) for metric in metrics)},
        {"metrics": card.metrics},
        {"files": ()},
    ):
        with pytest.raises(CardError, match="only baselines and notes"):
            store.amend(replace(amended, **change))  # type: ignore[arg-type]
    files = {entry.path: [store.read(entry)] for entry in card.files}
    assert store.add(replace(card, version=None), files).version == 1, "the same again is not registered twice"
    assert store.add(replace(card, version=None, summary="another"), files).version == 2
