"""Bare containers: a user without a name, no home, no temporary folder, file systems without links or syncs."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_core.registry.store import Store
from zoo_core.storage import fs, machine
from zoo_core.storage.paths import home

ZOO = str(Path(sys.executable).with_name("zoo"))
NAMELESS = ("unshare", "--user", "--map-user=54321", "--map-group=54321")
READ_ONLY = """
for place in / /tmp /var/tmp /dev/shm /run "$0"; do
    [ -d "$place" ] || continue
    mount --bind "$place" "$place" 2>/dev/null
    mount -o remount,bind,ro "$place" || exit 99
done
cd "$0" && touch there 2>/dev/null && exit 99
exec "$@"
"""


def bare(*command: str, launcher: tuple[str, ...] = NAMELESS, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command without the variables that name a user; skips where no namespaces are to be had."""
    kept = {key: value for key, value in os.environ.items() if key not in _NAMES}
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare, so no bare container can be made")
    if subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not permitted here, so no bare container can be made")
    return subprocess.run(
        [*launcher, *command], env={**kept, **environ}, capture_output=True, text=True, timeout=300, check=False
    )


_NAMES = {"HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_DATA_HOME", "ZOO_HOME", "TORCHINDUCTOR_CACHE_DIR"}


def test_a_user_without_name_and_home_is_answered_and_trains(tmp_path: Path) -> None:
    answered = bare(ZOO, "predict", "bert_tiny.sentiment", "a good film")
    assert (answered.returncode, answered.stderr) == (0, "") and "positive" in answered.stdout
    data = tmp_path / "films.csv"
    data.write_text("text,label\n" + "".join(f"film {n},{'good' if n % 2 else 'bad'}\n" for n in range(40)))
    words = f"finetune bert_tiny.sentiment --task text-classification --data {data} --folder {tmp_path / 'run'}"
    trained = bare(ZOO, *words.split(), "training.steps=1", "training.batch_size=4", ZOO_HOME=str(tmp_path / "home"))
    assert trained.returncode == 0, trained.stderr
    assert Store(tmp_path / "home").cards()


def test_a_read_only_machine_without_a_temporary_folder_answers(tmp_path: Path) -> None:
    launcher = ("unshare", "--user", "--map-root-user", "--mount")
    done = bare("sh", "-c", READ_ONLY, str(tmp_path), ZOO, "predict", "bert_tiny.sentiment", "good", launcher=launcher)
    if done.returncode == 99:
        pytest.skip("mounts can't be made read-only here, so no read-only container can be made")
    assert done.returncode == 0 and "positive" in done.stdout, done.stderr


def test_the_cache_folder_is_named_only_where_torch_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    usual: dict[str, str] = {}
    machine.name_cache_folder(usual)
    assert usual == {}
    monkeypatch.setattr("getpass.getuser", _nameless)
    given = {"TORCHINDUCTOR_CACHE_DIR": "/there"}
    machine.name_cache_folder(given)
    machine.name_cache_folder(usual)
    assert given == {"TORCHINDUCTOR_CACHE_DIR": "/there"}
    assert usual["TORCHINDUCTOR_CACHE_DIR"].endswith(f"torchinductor_{os.getuid()}")


def _nameless() -> str:
    raise KeyError("getpwuid(): uid not found: 54321")


def test_the_store_of_a_user_without_a_home_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert Store(home({})).cards() == []
    assert home({"HOME": "/home/somebody"}) == Path("/home/somebody/.local/share/zoo")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("getpwuid(): uid not found: 54321"), "set USER"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
        (ImportError("libtorch_cuda.so: failed to map segment from shared object"), "ulimit -v"),
        (MemoryError(), "ulimit -v"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (ValueError("something of the plugin's own"), ""),
    ],
)
def test_a_failure_that_the_machine_caused_is_put_right_there(error: Exception, words: str) -> None:
    remedy = machine.remedy_of(error)
    assert words in remedy and bool(remedy) == bool(words)


def test_a_file_system_that_knows_no_sync_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(system: fs.System, descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(fs.System, "fsync", refused)
    fs.write_file(tmp_path / "file", b"bytes")
    assert fs.read_bytes(tmp_path / "file") == b"bytes"


def test_a_folder_is_probed_by_writing_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fs.probe(tmp_path) == "" and list(tmp_path.iterdir()) == []

    def refused(system: fs.System, path: Path, flags: int, mode: int = 0o777) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(fs.System, "open", refused)
    assert fs.probe(tmp_path) == "the file system is read-only"
