from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from zoo_core.errors import CorruptFile, DiskError
from zoo_core.storage import fs
from zoo_core.testing.faults import NOBODY, FaultFS, installed

OLD, NEW = b"old " * 1000, b"new " * 1500
FILES = {"a.bin": [b"a" * 500, b"b" * 300], "b.json": [b"{}\n"]}


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


class Resizing(fs.System):
    """Somebody else changes a file's size just before it is read."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size

    def read(self, descriptor: int, target: memoryview) -> int:
        os.truncate(self.path, self.size)
        return super().read(descriptor, target)


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(NEW)
    with installed(Resizing(tmp_path / "file", len(NEW) - 1)), pytest.raises(CorruptFile, match="cut short"):
        fs.read_into(tmp_path / "file")


def test_a_log_that_grows_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(NEW)
    with installed(Resizing(tmp_path / "file", len(NEW) + 1)):
        assert fs.read_into(tmp_path / "file") == NEW


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
    fs.write_file(tmp_path / "file", view, np.zeros((0, 3)).data)
    assert fs.read_bytes(tmp_path / "file") == bytes(range(24))


def test_limits_are_checked_before_reading(tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)
    for read in (fs.read_bytes, fs.read_into, fs.digest_file):
        with pytest.raises(CorruptFile, match="more than the 100"):
            read(tmp_path / "huge", limit=100)
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
    (tmp_path / "step-2").mkdir()
    with pytest.raises(DiskError, match="already exists"):
        fs.commit_folder(tmp_path, "step-2", FILES)
    assert len(list(tmp_path.iterdir())) == 2


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
    fs.append_line(path, '{"step": 3}\r\x0b')
    fs.truncate_lines(path, lambda line: line.endswith(("}", "}\r\x0b")))
    assert path.read_bytes() == b'{"step": 1}\n{"step": 3}\r\x0b\n'


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
    kept = tmp_path.with_name(f"{tmp_path.name}-kept")
    kept.mkdir()
    (kept / "file").write_bytes(NEW)
    (folder / "link-to-folder").symlink_to(kept)
    assert fs.sweep(tmp_path) == 3
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {mine, elsewhere, "model.tmp", ".tmp-notes", f"x{dead}"}
    assert (tmp_path / "model.tmp").read_bytes() == (kept / "file").read_bytes() == NEW


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
