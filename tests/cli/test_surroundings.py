"""The program in small surroundings, in processes of its own: each ends with what is asked for, or with one sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ZOO = str(Path(sys.executable).with_name("zoo"))
LONG = "x" * 4200
"""Longer than any path may be."""


def shell(script: str, tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A script for sh, in which $0 is the program."""
    environment = {**os.environ, "ZOO_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", **environ}
    return subprocess.run(
        ["sh", "-c", script, ZOO],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ('mkdir gone && cd gone && rmdir ../gone && exec "$0" list', 2, "the working folder is no longer there"),
        ('ulimit -v 600000; exec "$0" predict bert_tiny.sentiment good', 70, "there is too little memory"),
        (f"exec {sys.executable} -OO -m zoo_core predict bert_tiny.sentiment good", 3, "leave -OO out"),
    ],
)
def test_what_can_not_work_is_one_error_with_a_way_out(script: str, code: int, words: str, tmp_path: Path) -> None:
    done = shell(script, tmp_path)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "install torch again" not in done.stderr


@pytest.mark.parametrize(
    ("script", "environ", "words"),
    [
        (f"exec {sys.executable} -OO -m zoo_core list", {}, "bert_tiny.sentiment"),
        ('exec "$0" list', {"ZOO_HOME": f"/tmp/{LONG}"}, "bert_tiny.sentiment"),
        ('mkdir -p real/home && ln -s real/home home && exec "$0" list', {}, "bert_tiny.sentiment"),
    ],
)
def test_what_can_work_works(script: str, environ: dict[str, str], words: str, tmp_path: Path) -> None:
    done = shell(script, tmp_path, **environ)
    assert done.returncode == 0 and words in done.stdout and "Traceback" not in done.stderr, done.stderr


def test_little_memory_is_not_put_down_to_torch_by_doctor(tmp_path: Path) -> None:
    done = shell('ulimit -v 600000; exec "$0" doctor', tmp_path)
    assert done.returncode == 1 and "there is too little memory" in done.stdout, done.stdout + done.stderr
    assert "install torch again" not in done.stdout


def test_the_program_can_answer_an_interruption_before_anything_else_is_imported() -> None:
    """Only Python's own start comes before; of the standard library nothing that takes its time."""
    code = "import sys; before = set(sys.modules); import zoo_core.__main__; print(sorted(set(sys.modules) - before))"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "['__future__', 'zoo_core', 'zoo_core.__main__']"


INTERRUPTED = """
import signal, sys, time

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "zoo_core.cli":  # main() imports this one before all others
            print("here", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Finder())
from zoo_core.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_while_the_program_starts_is_no_traceback(tmp_path: Path) -> None:
    started = [sys.executable, "-c", INTERRUPTED, "list"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(started, text=True, cwd=tmp_path, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said == ""


SPACES = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
TRAIN = (
    "finetune bert_tiny.sentiment --task text-classification --data films.csv --folder run "
    "training.steps=2 training.batch_size=4 training.workers=1"
)
SMALL = 'mount -t tmpfs -o size=64k tmpfs /dev/shm || exit 99; exec "$0" "$@"'
FIXED = """
for place in / /tmp /var/tmp /dev/shm /run "$PWD"; do
    [ -d "$place" ] || continue
    mount --bind "$place" "$place" 2>/dev/null
    mount -o remount,bind,ro "$place" || exit 99
done
cd "$PWD" && touch there 2>/dev/null && exit 99
exec "$0" "$@"
"""


@pytest.mark.parametrize(
    ("surroundings", "code", "words"),
    [
        (SMALL, 6, "too little shared memory (0.1 MB free at /dev/shm)\nset training.workers=0"),
        (FIXED, 5, "the file system is read-only"),
    ],
)
def test_a_whole_fine_tuning_in_a_bare_container_ends_with_one_sentence(
    surroundings: str, code: int, words: str, tmp_path: Path
) -> None:
    if shutil.which("unshare") is None or subprocess.run([*SPACES, "true"], capture_output=True).returncode:
        pytest.skip("namespaces are not permitted here, so no bare container can be made")
    (tmp_path / "films.csv").write_text("text,label\n" + "".join(f"film {n},{'gb'[n % 2]}\n" for n in range(40)))
    environ = {**os.environ, "ZOO_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*SPACES, surroundings, ZOO, *TRAIN.split()], env=environ, cwd=tmp_path, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    if done.returncode == 99:
        pytest.skip("mounts can't be changed here, so no bare container can be made")
    assert done.returncode == code and words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("error: ") == 1 and not (tmp_path / "run").exists()
