"""A run owns its folder: one process at a time, one identity, and a resume that differs is refused without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import load, resume, train
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import ResumeError, UsageError
from zoo_core.preflight.claim import claimed, newest_run
from zoo_core.preflight.identity import changed_environment
from zoo_core.preflight.lock import InUse, take
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.storage import fs
from zoo_core.training import state
from zoo_core.training.signals import Interrupted


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


class StopAt(SilentReporter):
    """Asks for a stop, as Ctrl-C does, at a step's log line; at step 0 before the first step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, run: Any, facts: Mapping[str, str]) -> None:
        if self.step == 0:
            raise KeyboardInterrupt

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def stopped(made: dict[str, Any], folder: Path, zoo: Zoo, *, at: int) -> Path:
    """A run that was stopped after its first checkpoint, or for 0 before its first step."""
    with pytest.raises(KeyboardInterrupt):
        train(made, folder=folder, zoo=zoo, reporter=StopAt(at))
    assert bool(state.steps(folder / "checkpoints")) == bool(at)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@contextmanager
def another_process(folder: Path) -> Iterator[int]:
    """A process that works in the folder; its number."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom zoo_core.preflight.lock import take\n"
        "take(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_second_resume_is_refused_and_names_the_process(zoo: Zoo, tmp_path: Path) -> None:
    folder = stopped(recipe("single"), tmp_path / "run", zoo, at=4)
    with another_process(folder) as pid, pytest.raises(InUse) as refusal:
        resume(folder, zoo=zoo)
    assert f"in use by process {pid} on {os.uname().nodename}, since 20" in str(refusal.value)
    assert resume(folder, zoo=zoo).steps == 12, "a process that was killed holds nothing"


def test_a_worker_that_outlives_its_run_holds_nothing(tmp_path: Path) -> None:
    lock = take(tmp_path)
    (read, write), (up, ready) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.write(ready, b"1")
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    os.read(up, 1)
    os.close(lock.descriptor)  # as the kernel does when the process is killed
    take(tmp_path).release()
    os.close(write)
    os.waitpid(child, 0)


def test_starts_at_one_instant_get_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = (
        "import sys\nfrom zoo_core.preflight.claim import claimed\nsys.stdin.readline()\n"
        "with claimed('a_b.c', None, resumes=False) as claim:\n"
        "    (claim.folder / 'recipe.yaml').write_text('name: a_b.c')\n"
        "    print(claim.folder, flush=True)\n    sys.stdin.readline()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        print(file=process.stdin, flush=True)
    found = [process.stdout.readline().strip() for process in processes if process.stdout]
    for process in processes:
        process.communicate("\n")
    assert sorted(found) == ["runs/a_b.c", "runs/a_b.c-2", "runs/a_b.c-3", "runs/a_b.c-4"]


def test_another_name_with_the_same_beginning_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a_b.c-2", "a_b.c", "a_b.c"):
        with claimed(name, None, resumes=False) as claim:
            assert claim.folder is not None
            (claim.folder / "recipe.yaml").write_text(f"name: {name}\n")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["a_b.c", "a_b.c-2", "a_b.c-3"]
    assert newest_run("a_b.c-2", Path("runs")).name == "a_b.c-2" and newest_run("a_b.c", Path("runs")).name == "a_b.c-3"


def test_a_start_that_fails_leaves_nothing_and_one_that_was_killed_is_no_obstacle(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", freeze=["nothing.like.this"])
    with pytest.raises(UsageError):
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert not (tmp_path / "run").exists()
    killed = tmp_path / "killed"
    (killed / "checkpoints").mkdir(parents=True)
    (killed / "lock").write_text('{"pid": 1')
    (killed / "identity.json").write_text("{}")
    assert train(recipe("single", steps=2), folder=killed, zoo=zoo).steps == 2


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints"])
def test_a_folder_with_anything_of_the_users_is_refused_and_stays_as_it_is(name: str, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        train(recipe("single"), folder=tmp_path / "mine", zoo=zoo)
    assert contents(tmp_path / "mine") == {name: b"mine"}
    with pytest.raises(UsageError, match="is a file"):
        train(recipe("single"), folder=tmp_path / "mine" / name, zoo=zoo)


def test_a_folder_that_is_taken_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code = (
        "import sys\nfrom zoo_core.errors import UsageError\nfrom zoo_core.preflight.claim import claimed\n"
        "from pathlib import Path\n"
        "import zoo_core.api\ntry:\n    claimed('a_b', Path(sys.argv[1]), resumes=False).__enter__()\n"
        "except UsageError:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "full")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


CHANGES = {
    "recipe": (lambda made, folder: made["training"].update(seed=5), r"training.seed: 0 then, 5 now"),
    "data": (
        lambda made, folder: fs.write_file(Path(made["data"]["file"]), b"other points"),
        "the data .* changed since",
    ),
    "preprocessor": (
        lambda made, folder: fs.write_file(folder / "preprocessor" / "scale.json", b'{"scale": 3.0}'),
        "the preprocessor .* changed since",
    ),
}


@pytest.mark.parametrize("at", [0, 4], ids=["before the first checkpoint", "after it"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_resume_with_something_changed_is_refused_and_leaves_no_trace(
    what: str, at: int, zoo: Zoo, tmp_path: Path
) -> None:
    made = recipe("scaled")
    made["data"]["file"] = str(tmp_path / "points")
    fs.write_file(tmp_path / "points", b"points")
    folder = stopped(made, tmp_path / "run", zoo, at=at)
    change, words = CHANGES[what]
    change(made, folder)
    before = contents(folder)
    with pytest.raises(ResumeError, match=f"(?s){words}"):
        train(made, folder=folder, zoo=zoo, resume=True)
    assert {name: data for name, data in contents(folder).items() if name != "lock"} == {
        name: data for name, data in before.items() if name != "lock"
    }
    assert b"failed" not in before["log.txt"]


def test_a_card_states_the_data_that_was_read_and_not_what_it_became(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("scaled", log_every=1)
    made["data"]["file"] = str(tmp_path / "points")
    fs.write_file(tmp_path / "points", b"points")

    class Changes(SilentReporter):
        def logged(self, *_: Any) -> None:
            fs.write_file(tmp_path / "points", b"other points")

    card = train(made, folder=tmp_path / "run", zoo=zoo, reporter=Changes()).card
    identity = json.loads((tmp_path / "run" / "identity.json").read_text())
    assert card is not None and card.data is not None and card.data.digest == identity["data"]
    assert train(made, folder=tmp_path / "again", zoo=zoo).card.data.digest != identity["data"]  # type: ignore[union-attr]


def test_a_run_goes_on_from_the_version_that_it_started_from(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("single"), folder=tmp_path / "parent", zoo=zoo)
    made = {**recipe("single"), "name": "toy_tiny.child", "init": "toy_tiny.single", "model": {}}
    whole = train(made, folder=tmp_path / "whole", zoo=zoo).folder
    folder = stopped(made, tmp_path / "run", zoo, at=0)
    train(recipe("single", seed=9), folder=tmp_path / "newer", zoo=zoo)
    assert zoo.registry.find("toy_tiny.single").card.version == 2
    resume(folder, zoo=zoo)
    assert final_digest(folder) == final_digest(whole)


def test_resume_needs_the_folder_alone_and_takes_only_what_no_weight_depends_on(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("scaled", seed=3)
    whole = train(made, folder=tmp_path / "whole", zoo=zoo).folder
    for at in (0, 4):
        folder = stopped(made, tmp_path / f"cut-{at}", zoo, at=at)
        with pytest.raises(ResumeError, match=r"optimizer.lr: 0.01 then, 0.5 now"):
            resume(folder, overrides=["lr=0.5"], zoo=zoo)
        assert resume(folder, overrides=["log_every=1", "skip_nonfinite=2"], zoo=zoo).steps == 12
        assert final_digest(folder) == final_digest(whole)
        with pytest.raises(ResumeError, match="is finished"):
            resume(folder, zoo=zoo)
    with pytest.raises(ResumeError, match="holds no run"):
        resume(tmp_path, zoo=zoo)


def test_every_message_about_an_unfinished_run_says_how_to_go_on(zoo: Zoo, tmp_path: Path) -> None:
    folder = tmp_path / "a run"
    with pytest.raises(Interrupted, match=f"zoo resume '{folder}'"):
        train(recipe("single"), folder=folder, zoo=zoo, reporter=StopAt(4))
    with pytest.raises(UsageError, match="isn't finished"):
        load(folder, zoo=zoo)


def test_a_run_that_was_begun_by_a_zoo_without_identities_goes_on(zoo: Zoo, tmp_path: Path) -> None:
    for at in (0, 4):
        folder = stopped(recipe("single"), tmp_path / f"run-{at}", zoo, at=at)
        (folder / "identity.json").unlink()
        with pytest.raises(ResumeError, match="seed: 0 then"):
            train(recipe("single", seed=1), folder=folder, zoo=zoo, resume=True)
        assert resume(folder, zoo=zoo).steps == 12
        assert len(json.loads((folder / "identity.json").read_text())["run"]) == 32


def test_other_versions_are_a_line_of_warning(zoo: Zoo, tmp_path: Path) -> None:
    folder = stopped(recipe("single"), tmp_path / "run", zoo, at=0)
    body = json.loads((folder / "identity.json").read_text())
    assert {"torch", "torch_threads", "processor", "machine", "zoo-core"} <= body["environment"].keys()
    body["environment"].update(torch="1.0", torch_threads="64", threads="64")
    (folder / "identity.json").write_text(json.dumps(body))
    resume(folder, zoo=zoo)
    said = [line for line in (folder / "log.txt").read_text().splitlines() if "its bits may differ" in line]
    assert len(said) == 1 and "torch 1.0 then" in said[0] and "torch threads 64 then" in said[0]
    assert changed_environment({"a": "1", "threads": "2"}, {"b": "1", "threads": "2"}) == ""
    assert "draws 1 then, 2 now" in changed_environment({}, {"draws": "2"}), "a run from before its draws had a number"


def test_temporaries_of_a_killed_run_are_swept(zoo: Zoo, tmp_path: Path) -> None:
    folder = stopped(recipe("single"), tmp_path / "run", zoo, at=0)
    for place in (folder, folder / "checkpoints", folder / "artifacts"):
        name = fs._temporary(place).name.split("-")
        (place / "-".join([*name[:2], "999999999", name[3]])).write_bytes(b"half")
    resume(folder, zoo=zoo)
    assert not list(folder.rglob(".tmp-*"))


def toys(script: str, folder: Path, *words: str) -> str:
    place = Path(__file__).parents[1] / "toys"
    environ = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(place / script), str(folder), *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_runs_started_together_and_resumed_twice_get_what_is_theirs(tmp_path: Path) -> None:
    said = toys("together.py", tmp_path, "--pairs", "1", "--resumes", "1")
    assert "1 pairs, 2 right; 1 double resumes, 1 refusals" in said


def test_killed_runs_with_something_changed_are_refused(tmp_path: Path) -> None:
    assert "3 tried, 3 refused, 3 with the same bits afterwards" in toys("changed.py", tmp_path, "--runs", "3")
