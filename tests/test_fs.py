from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from zoo_core import fs
from zoo_core.errors import CorruptFile, DiskError
from zoo_core.testing.faults import NOBODY, FaultFS, Scenario, Tally, every_failure, every_kill, installed, race
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


class Rotate(Scenario):
    """`remove_folder` and `remove_file`."""

    def prepare(self, folder: Path) -> None:
        fs.commit_folder(folder, "step-1", FILES)
        fs.write_file(folder / "file", OLD)

    def act(self, folder: Path) -> None:
        if (folder / "step-1").exists():
            fs.remove_folder(folder / "step-1")
        if (folder / "file").exists():
            fs.remove_file(folder / "file")
        fs.sync_folder(folder)

    def check(self, folder: Path, finished: bool) -> str:
        if finished and ((folder / "step-1").exists() or (folder / "file").exists()):
            return "something is still there"
        whole = not (folder / "step-1").exists() or len(list((folder / "step-1").iterdir())) == len(FILES)
        return "" if whole else "half a folder"


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


SCENARIOS = [Replace(), Publish(), Commit(), Rotate(), Lines(), Folders()]
DURABLE = [Replace(), Publish(), Commit(), Rotate(), Folders()]


def name(scenario: Scenario) -> str:
    return type(scenario).__name__


def demand(tally: Tally, what: str) -> None:
    print(f"{what}: {tally}")
    assert tally.clean, str(tally)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_a_kill_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    demand(every_kill(scenario, tmp_path), f"kills of {name(scenario)}")


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "persistent"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_an_error_at_every_operation_leaves_no_trace(
    scenario: Scenario, error: int, persistent: bool, tmp_path: Path
) -> None:
    tally = every_failure(scenario, tmp_path, error=error, persistent=persistent)
    demand(tally, f"{errno.errorcode[error]} in {name(scenario)}")


@pytest.mark.parametrize("scenario", DURABLE, ids=name)
def test_a_power_loss_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    demand(every_power_loss(scenario, tmp_path), f"power losses in {name(scenario)}")


@pytest.mark.parametrize("kill_at", range(1, 12))
@pytest.mark.parametrize("scenario", DURABLE, ids=name)
def test_a_power_loss_after_the_successor_of_a_dead_writer_is_done(
    scenario: Scenario, kill_at: int, tmp_path: Path
) -> None:
    demand(every_power_loss(scenario, tmp_path, kill_at=kill_at, samples=8), f"power losses in {name(scenario)}")


@pytest.mark.parametrize(
    ("scenario", "syncs"), [(Replace(), 2), (Publish(), 2), (Commit(), 4)], ids=["replace", "publish", "commit"]
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


def test_a_full_disk_names_the_bytes_that_are_needed(tmp_path: Path) -> None:
    with installed(FaultFS(fail_at=2, error=errno.ENOSPC)), pytest.raises(DiskError, match="6000 bytes") as caught:
        fs.write_file(tmp_path / "file", NEW)
    assert str(tmp_path / "file") in str(caught.value)


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space left"):
            fs.system.write(descriptor, memoryview(NEW))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        fs.write_file(tmp_path / "file", NEW)
        fs.write_file(tmp_path / "object", NEW, mode=0o444)
        fs.publish_new(tmp_path / "published", NEW)
        fs.append_line(tmp_path / "log", "line")
        fs.commit_folder(tmp_path, "folder", FILES)
        fs.make_folder(tmp_path / "made")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [*tmp_path.iterdir(), tmp_path / "folder/a.bin"]}
    file, folder = 0o644 & ~mask, 0o777 & ~mask
    assert modes == {
        "file": file,
        "object": 0o444 & ~mask,
        "published": file,
        "log": file,
        "folder": folder,
        "made": folder,
        "a.bin": file,
    }


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "target").write_bytes(NEW)
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        started = time.monotonic()
        for path, reason in [
            (tmp_path / "folder", "not a regular file"),
            (tmp_path / "pipe", "not a regular file"),
            (tmp_path / "socket", "not a regular file"),
            (Path("/dev/zero"), "not a regular file"),
            (tmp_path / "link", "symbolic link"),
            (tmp_path / "loop", "symbolic link"),
            (tmp_path / "missing", "no such file"),
            (tmp_path / "target" / "below", "Not a directory"),
            (tmp_path / "nul\0", "null byte"),
            (tmp_path / ("long" * 100), "too long"),
        ]:
            for read in (fs.read_bytes, fs.read_into, fs.digest_file):
                with pytest.raises(DiskError, match=reason):
                    read(path)
        assert time.monotonic() - started < 1


def test_a_file_swapped_for_a_pipe_after_the_first_look_is_refused(tmp_path: Path) -> None:
    class Swapping(fs.System):
        def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
            path.unlink()
            os.mkfifo(path)
            return super().open(path, flags, mode)

    (tmp_path / "file").write_bytes(NEW)
    with installed(Swapping()), pytest.raises(DiskError, match="not a regular file"):
        fs.read_bytes(tmp_path / "file")


@pytest.mark.parametrize("size", [len(NEW) - 1, len(NEW) + 1])
def test_a_file_that_changes_size_while_it_is_read_is_refused(size: int, tmp_path: Path) -> None:
    class Resizing(fs.System):
        def read(self, descriptor: int, target: memoryview) -> int:
            os.truncate(tmp_path / "file", size)
            return super().read(descriptor, target)

    (tmp_path / "file").write_bytes(NEW)
    with installed(Resizing()), pytest.raises(CorruptFile, match="changed while it was read"):
        fs.read_into(tmp_path / "file")


def test_short_reads_and_writes_are_continued(tmp_path: Path) -> None:
    class Slow(fs.System):
        def read(self, descriptor: int, target: memoryview) -> int:
            return super().read(descriptor, target[:7])

        def write(self, descriptor: int, data: memoryview) -> int:
            return super().write(descriptor, data[:7])

    with installed(Slow()):
        fs.write_file(tmp_path / "file", NEW[:10], bytearray(NEW[10:20]), memoryview(NEW[20:]), b"")
        assert fs.read_into(tmp_path / "file") == NEW
        assert fs.digest_file(tmp_path / "file") == (hashlib.sha256(NEW).hexdigest(), len(NEW))


def test_views_of_several_dimensions_are_written_flat(tmp_path: Path) -> None:
    view = memoryview(bytes(range(24))).cast("B", (2, 3, 4))
    fs.write_file(tmp_path / "file", view, memoryview(b"").cast("B"))
    assert fs.read_bytes(tmp_path / "file") == bytes(range(24))


def test_limits_are_checked_before_reading(tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)
    with pytest.raises(CorruptFile, match="more than the 100"):
        fs.read_bytes(tmp_path / "huge", limit=100)
    fs.write_file(tmp_path / "fits", b"x" * 100)
    assert len(fs.read_bytes(tmp_path / "fits", limit=100)) == 100


def test_digests_agree(tmp_path: Path) -> None:
    fs.write_file(tmp_path / "file", OLD, NEW)
    assert fs.digest_of(OLD + NEW) == fs.digest_of(OLD, NEW) == fs.digest_file(tmp_path / "file")[0]
    assert fs.digest_of() == hashlib.sha256().hexdigest()


def test_publishing_never_overwrites(tmp_path: Path) -> None:
    assert fs.publish_new(tmp_path / "file", OLD)
    assert not fs.publish_new(tmp_path / "file", NEW)
    assert fs.read_bytes(tmp_path / "file") == OLD
    assert len(list(tmp_path.iterdir())) == 1


def test_committing_never_overwrites(tmp_path: Path) -> None:
    fs.commit_folder(tmp_path, "step-1", FILES)
    with pytest.raises(DiskError, match="already exists"):
        fs.commit_folder(tmp_path, "step-1", {"other": [NEW]})
    assert sorted(path.name for path in (tmp_path / "step-1").iterdir()) == sorted(FILES)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("bad", ["", ".", "..", "../up", "a/b", "/etc", "nul\0"])
def test_a_folder_takes_plain_names_only(bad: str, tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="not a plain file name"):
        fs.commit_folder(tmp_path, "step-1", {bad: [NEW]})
    with pytest.raises(DiskError, match="not a plain file name"):
        fs.commit_folder(tmp_path, bad, FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    fs.write_file(tmp_path / "file", NEW)
    with pytest.raises(DiskError, match="not a folder"):
        fs.make_folder(tmp_path / "file")
    with pytest.raises(DiskError, match="file"):
        fs.make_folder(tmp_path / "file" / "below")


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fs.truncate_lines(path, lambda line: True)
    assert not path.exists()
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n\xff{"st')
    fs.truncate_lines(path, lambda line: True)
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'
    fs.truncate_lines(path, lambda line: "1" in line)
    fs.append_line(path, '{"step": 3}')
    assert path.read_bytes() == b'{"step": 1}\n{"step": 3}\n'


def test_sweeping_takes_only_what_dead_writers_left(tmp_path: Path) -> None:
    mine = f".tmp-{fs._machine()}-{os.getpid()}-{'0' * 16}"
    dead = f".tmp-{fs._machine()}-{NOBODY}-{'0' * 16}"
    elsewhere = f".tmp-{'0' * 8}-{NOBODY}-{'0' * 16}"
    old = f".tmp-{'0' * 8}-{os.getpid()}-{'1' * 16}"
    for leftover in (mine, dead, elsewhere, old, "model.tmp", ".tmp-notes", f"x{dead}"):
        (tmp_path / leftover).write_bytes(NEW)
    os.utime(tmp_path / old, (time.time() - 2 * 24 * 3600,) * 2)
    folder = tmp_path / f".tmp-{fs._machine()}-{NOBODY}-{'2' * 16}"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(NEW)
    (folder / "link").symlink_to(tmp_path / "model.tmp")
    assert fs.sweep(tmp_path) == 3
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {mine, elsewhere, "model.tmp", ".tmp-notes", f"x{dead}"}
    assert (tmp_path / "model.tmp").read_bytes() == NEW


def test_a_folder_without_read_permission_can_be_written_to(tmp_path: Path) -> None:
    class Unlistable(fs.System):
        def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_DIRECTORY:
                raise PermissionError(errno.EACCES, "Permission denied")
            return super().open(path, flags, mode)

    with installed(Unlistable()):
        fs.write_file(tmp_path / "file", NEW)
    assert fs.read_bytes(tmp_path / "file") == NEW


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_cannot_sync_a_folder_are_accepted(code: int, tmp_path: Path) -> None:
    with installed(FaultFS(fail_at=7, error=code)) as system:
        fs.write_file(tmp_path / "file", NEW)
    assert system.operations[6] == "fsync"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.EPERM, "not permitted"),
        (errno.EMLINK, "Too many links"),
    ],
)
def test_errors_of_the_system_are_explained(code: int, reason: str, tmp_path: Path) -> None:
    with installed(FaultFS(fail_at=1, error=code)), pytest.raises(DiskError, match=reason) as caught:
        fs.write_file(tmp_path / "file", NEW)
    assert caught.value.message.startswith(str(tmp_path / "file"))


RACE = """
import sys
from pathlib import Path
from zoo_core import fs

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
