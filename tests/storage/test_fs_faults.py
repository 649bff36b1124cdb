from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from zoo_core.errors import DiskError
from zoo_core.storage import fs
from zoo_core.testing.faults import FaultFS, Scenario, every_failure, every_kill, installed, race
from zoo_core.testing.power import every_power_loss

OLD, NEW = b"old " * 1000, b"new " * 1500
FILES = {"a.bin": [b"a" * 500, b"b" * 300], "b.json": [b"{}\n"]}


class Replace(Scenario):
    """`write_file` over an older file."""

    def prepare(self, folder: Path) -> None:
        fs.write_file(folder / "file", OLD)

    def act(self, folder: Path) -> None:
        fs.write_file(folder / "file", NEW[:2000], NEW[2000:])

    def check(self, folder: Path, finished: bool) -> str:
        found = fs.read_bytes(folder / "file")
        return "" if found == NEW or (found == OLD and not finished) else f"{len(found)} bytes, neither old nor new"


class Publish(Scenario):
    """`publish_new`, whose second try finds the name taken."""

    def prepare(self, folder: Path) -> None:
        pass

    def act(self, folder: Path) -> None:
        fs.publish_new(folder / "file", NEW)

    def check(self, folder: Path, finished: bool) -> str:
        if not (folder / "file").exists():
            return "it is missing" if finished else ""
        return "" if fs.read_bytes(folder / "file") == NEW else "it is torn"


class Commit(Scenario):
    """`commit_folder` beside an older folder."""

    def prepare(self, folder: Path) -> None:
        fs.commit_folder(folder, "step-1", FILES)

    def act(self, folder: Path) -> None:
        if (folder / "step-2").exists():
            fs.sync_folder(folder)
        else:
            fs.commit_folder(folder, "step-2", FILES)

    def check(self, folder: Path, finished: bool) -> str:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".tmp"))
        if names not in ([["step-1", "step-2"]] if finished else [["step-1"], ["step-1", "step-2"]]):
            return f"folders {names}"
        for name in names:
            found = {path.name: [fs.read_bytes(path)] for path in (folder / name).iterdir()}
            if found != {name: [b"".join(chunks)] for name, chunks in FILES.items()}:
                return f"{name} is torn"
        return ""


class RemoveFolder(Scenario):
    """`remove_folder`, as a rotation uses it."""

    def prepare(self, folder: Path) -> None:
        fs.commit_folder(folder, "step-1", FILES)

    def act(self, folder: Path) -> None:
        if (folder / "step-1").exists():
            fs.remove_folder(folder / "step-1")
        else:
            fs.sync_folder(folder)

    def check(self, folder: Path, finished: bool) -> str:
        if not (folder / "step-1").exists():
            return ""
        return "still there" if finished or len(list((folder / "step-1").iterdir())) < len(FILES) else ""


class RemoveFile(Scenario):
    """`remove_file`."""

    def prepare(self, folder: Path) -> None:
        fs.write_file(folder / "file", OLD)

    def act(self, folder: Path) -> None:
        if (folder / "file").exists():
            fs.remove_file(folder / "file")
        else:
            fs.sync_folder(folder)

    def check(self, folder: Path, finished: bool) -> str:
        if not (folder / "file").exists():
            return ""
        return "still there" if finished or fs.read_bytes(folder / "file") != OLD else ""


class Lines(Scenario):
    """`append_line` and `truncate_lines`, as a resumed run uses them."""

    lines = ("one", "two", "three")

    def prepare(self, folder: Path) -> None:
        fs.write_file(folder / "log", b"one\nzwei\n")

    def act(self, folder: Path) -> None:
        fs.truncate_lines(folder / "log", lambda line: line == "one")
        for line in self.lines[1:]:
            fs.append_line(folder / "log", line)

    def check(self, folder: Path, finished: bool) -> str:
        *lines, torn = fs.read_bytes(folder / "log").split(b"\n")
        text = [line.decode() for line in lines]
        if finished:
            return "" if text == list(self.lines) and not torn else f"{text} and {torn!r}"
        prefixes = [["one", "zwei"], *(list(self.lines[:n]) for n in (1, 2, 3))]
        return "" if text in prefixes else f"{text}"


class Folders(Scenario):
    """`make_folder`, several deep, then a file in it."""

    def prepare(self, folder: Path) -> None:
        pass

    def act(self, folder: Path) -> None:
        fs.make_folder(folder / "a" / "b")
        fs.write_file(folder / "a" / "b" / "file", NEW)

    def check(self, folder: Path, finished: bool) -> str:
        file = folder / "a" / "b" / "file"
        if not file.exists():
            return "it is missing" if finished else ""
        return "" if fs.read_bytes(file) == NEW else "it is torn"


class InPlace(Replace):
    """Positive control: no temporary file, no rename."""

    def act(self, folder: Path) -> None:
        with fs._explained(folder / "file"):
            descriptor = fs.system.open(folder / "file", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            fs.system.write(descriptor, memoryview(NEW))
            fs.system.fsync(descriptor)
            fs.system.close(descriptor)


class Unsynced(Replace):
    """Positive control: a temporary file and a rename, but no sync; what safetensors does."""

    def act(self, folder: Path) -> None:
        descriptor = fs.system.open(folder / ".tmp-own", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        fs.system.write(descriptor, memoryview(NEW))
        fs.system.close(descriptor)
        fs.system.rename(folder / ".tmp-own", folder / "file")


SCENARIOS = [Replace(), Publish(), Commit(), RemoveFolder(), RemoveFile(), Lines(), Folders()]
DURABLE = [Replace(), Publish(), Commit(), RemoveFolder(), RemoveFile(), Folders()]


def name(scenario: Scenario) -> str:
    return type(scenario).__name__


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_a_kill_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    every_kill(scenario, tmp_path).require()


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "persistent"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_an_error_at_every_operation_leaves_no_trace(
    scenario: Scenario, error: int, persistent: bool, tmp_path: Path
) -> None:
    every_failure(scenario, tmp_path, error=error, persistent=persistent).require()


@pytest.mark.parametrize("scenario", DURABLE, ids=name)
def test_a_power_loss_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    every_power_loss(scenario, tmp_path).require()


@pytest.mark.parametrize("kill_at", range(1, 12, 2))
@pytest.mark.parametrize("scenario", DURABLE, ids=name)
def test_a_power_loss_after_the_successor_of_a_dead_writer_is_done(
    scenario: Scenario, kill_at: int, tmp_path: Path
) -> None:
    every_power_loss(scenario, tmp_path, kill_at=kill_at, samples=8).require()


@pytest.mark.parametrize(
    ("scenario", "syncs"), [(Replace(), 2), (Publish(), 2), (Commit(), 4), (RemoveFolder(), 1), (RemoveFile(), 1)]
)
def test_every_sync_is_needed(scenario: Scenario, syncs: int, tmp_path: Path) -> None:
    """Positive control: leave out any one sync, and the model finds states that are neither old nor new, or lost."""
    for number in range(1, syncs + 1):
        tally = every_power_loss(scenario, tmp_path, deaf_to=number)
        print(f"{name(scenario)} without sync {number}: {len(tally.bad)} of {tally.tried} states are bad")
        assert tally.bad


def test_the_harness_finds_writers_that_do_not_rename_or_sync(tmp_path: Path) -> None:
    """Positive controls for kills, errors and power losses."""
    assert every_kill(InPlace(), tmp_path).bad
    assert every_failure(InPlace(), tmp_path, error=errno.ENOSPC).bad
    assert every_kill(Unsynced(), tmp_path / "kill").clean, "a kill can't tell that there is no sync"
    assert every_power_loss(Unsynced(), tmp_path).bad


def test_a_failed_sync_is_fatal_and_never_tried_again(tmp_path: Path) -> None:
    with installed(FaultFS(fail_at=3)) as system, pytest.raises(DiskError, match="I/O error"):
        fs.write_file(tmp_path / "file", NEW)
    assert system.operations == ["create", "write", "fsync", "close", "unlink"]
    assert list(tmp_path.iterdir()) == []
    with installed(FaultFS(fail_at=7)) as system, pytest.raises(DiskError, match="I/O error"):
        fs.write_file(tmp_path / "file", NEW)
    assert system.operations[:7] == ["create", "write", "fsync", "close", "rename", "open", "fsync"]
    assert "fsync" not in system.operations[7:]


def test_a_line_that_could_not_be_written_leaves_no_part_of_it(tmp_path: Path) -> None:
    fs.append_line(tmp_path / "log", "one")
    with installed(FaultFS(fail_at=2, error=errno.ENOSPC)), pytest.raises(DiskError, match="no space left for 5 bytes"):
        fs.append_line(tmp_path / "log", "zwei")
    assert fs.read_bytes(tmp_path / "log") == b"one\n"


def test_a_full_disk_names_the_bytes_that_are_needed(tmp_path: Path) -> None:
    with installed(FaultFS(fail_at=2, error=errno.ENOSPC)), pytest.raises(DiskError, match="6000 bytes") as caught:
        fs.write_file(tmp_path / "file", NEW)
    assert str(tmp_path / "file") in str(caught.value)


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, timeout=60).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here")
    try:
        _fill(tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=60)


def _fill(folder: Path) -> None:
    """Replace a file while more and more of the disk is taken, 4 KiB at a time."""
    old, new, refused = b"o" * 20_000, b"n" * 40_000, 0
    sizes = range(0, 240_000, 4096)
    for size in sizes:
        fs.write_file(folder / "file", old)
        try:
            fs.write_file(folder / "filler", bytes(size))
            fs.write_file(folder / "file", new)
        except DiskError as error:
            refused += 1
            assert "no space left for" in error.message
            assert fs.read_bytes(folder / "file") == old
        else:
            assert fs.read_bytes(folder / "file") == new
        assert list(folder.glob(".tmp-*")) == []
        (folder / "filler").unlink(missing_ok=True)
        fs.write_file(folder / "file", new)
    print(f"{len(sizes)} tried, {len(sizes)} ok; {refused} refused for lack of space")
    assert 0 < refused < len(sizes)


RACE = """
import sys
from pathlib import Path
from zoo_core.storage import fs

root, writer = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
wins = sum(fs.publish_new(root / f"contested-{n}", writer.encode() * 500) for n in range(50))
assert all(fs.publish_new(root / f"own-{writer}-{n}", b"x") for n in range(10))
print(wins)
"""


def test_of_many_writers_of_one_name_exactly_one_wins(tmp_path: Path) -> None:
    wins = [int(output) for output in race(RACE, str(tmp_path), writers=8)]
    found = list(tmp_path.iterdir())
    print(f"{50 + 80} tried, {len(found)} ok; wins {wins}")
    assert sum(wins) == 50
    assert len(found) == 50 + 80
    for n in range(50):
        assert len(set(fs.read_bytes(tmp_path / f"contested-{n}"))) == 1
