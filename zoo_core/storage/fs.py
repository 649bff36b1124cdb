"""The only door to the disk: reads take whole regular files, writes leave the old state or the new one and nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo_core.errors import CorruptFile, DiskError
from zoo_core.storage.system import System as System
from zoo_core.storage.system import explained as _explained

Buffer = bytes | bytearray | memoryview
"""Bytes to write; a file is a sequence of them, so that large ones are never joined in memory."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_UNLINKABLE = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
"""What a file system without hard links answers to one."""
_UNSYNCED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system that knows no sync answers to one."""

_BLOCK = 1 << 20
_DAY = 24 * 60 * 60
_TEMPORARY = re.compile(r"\.tmp-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{16}")

system = System()
"""What every function below calls; only a test replaces it."""


def read_into(path: Path, *, limit: int | None = None) -> bytearray:
    """The whole file, as long as it was when it was opened, in one fresh buffer.

    Raises `DiskError` where it is missing, unreadable or not a regular file (a symbolic link isn't), and `CorruptFile`
    where it has more than `limit` bytes or is cut short while it is read.
    """
    with opened(path, limit) as (descriptor, size):
        buffer = bytearray(size)
        view = memoryview(buffer)
        filled = 0
        while filled < size and (count := system.read(descriptor, view[filled:])):
            filled += count
        if filled < size:
            raise CorruptFile(f"{path}: it was cut short while it was read", hint="something else writes to it")
        return buffer


def read_bytes(path: Path, *, limit: int | None = None) -> bytes:
    """`read_into` for small files: the same rules and errors, immutable bytes."""
    return bytes(read_into(path, limit=limit))


def digest_of(*chunks: Buffer) -> str:
    """sha256 in hex over the chunks one after the other."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()


def digest_file(path: Path, *, limit: int | None = None) -> tuple[str, int]:
    """sha256 in hex and size in bytes, read in constant memory. Raises what `read_into` raises."""
    sha256, total = hashlib.sha256(), 0
    with opened(path, limit) as (descriptor, _):
        block = memoryview(bytearray(_BLOCK))
        while count := system.read(descriptor, block):
            sha256.update(block[:count])
            total += count
    return sha256.hexdigest(), total


def write_file(path: Path, *chunks: Buffer, mode: int = 0o644) -> None:
    """Create or replace a file: whoever reads it, at any time and after any crash, finds the old bytes or the new ones.

    Raises `DiskError`; the old file is then still in place, unless only the last step failed, which makes the new one
    durable.
    """
    temporary = _temporary(path.parent)
    with _explained(path, needed=_size(chunks)), _discarded_on_failure(temporary):
        _create(temporary, chunks, mode)
        system.rename(temporary, path)
        sync_folder(path.parent)


def publish_new(path: Path, data: Buffer) -> bool:
    """Create a file whose name must be free: of all the writers of one name exactly one gets True.

    The others get False, and what is there is whole and durable. Where the file system has no hard links, this holds
    for the writers of one machine. Raises `DiskError`.
    """
    temporary = _temporary(path.parent)
    with _explained(path, needed=_size([data])), _discarded_on_failure(temporary):
        _create(temporary, [data], 0o644)
        try:
            system.link(temporary, path)
            published = True
        except FileExistsError:
            published = False
        except OSError as error:
            if error.errno not in _UNLINKABLE:
                raise
            published = _rename_new(temporary, path)
        if os.path.lexists(temporary):
            system.unlink(temporary)
        # Also for the loser: the winner may have died before its own sync.
        sync_folder(path.parent)
    return published


def _rename_new(source: Path, target: Path) -> bool:
    """Move a file to a name that must be free, under the lock of the folder; False where the name is taken."""
    descriptor = system.open(target.parent, _FOLDER)
    try:
        system.lock(descriptor)
        if os.path.lexists(target):
            return False
        system.rename(source, target)
        return True
    finally:
        system.close(descriptor)


def commit_folder(parent: Path, name: str, files: Mapping[str, Sequence[Buffer]]) -> Path:
    """Create the folder `parent/name` with all its files, or nothing at all. Raises `DiskError`, also where it exists."""
    target, temporary = _child(parent, name), _temporary(parent)
    needed = sum(_size(chunks) for chunks in files.values())
    with _explained(target, needed=needed), _discarded_on_failure(temporary):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        system.mkdir(temporary)
        for file, chunks in files.items():
            _create(_child(temporary, file), chunks, 0o644)
        sync_folder(temporary)
        system.rename(temporary, target)
        sync_folder(parent)
    return target


def append_line(path: Path, line: str) -> None:
    """Add one line at the end, for logs with one writer; not synced, so a power loss may take the latest lines.

    A crash may leave part of a line, which `truncate_lines` drops. Raises `DiskError`; the file is then as it was.
    """
    assert "\n" not in line, "one line at a time"
    data = memoryview(line.encode() + b"\n")
    with _explained(path, needed=len(data)):
        descriptor = system.open(path, _APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
            except BaseException:
                system.truncate(descriptor, size)
                raise
        finally:
            system.close(descriptor)


def truncate_lines(path: Path, keep: Callable[[str], bool]) -> None:
    """Keep the lines for which `keep(line)` holds, in one atomic rewrite; a last line without its end is dropped.

    A missing file has no lines. Raises `DiskError`.
    """
    if not os.path.lexists(path):
        return
    data = read_bytes(path)
    lines = data.split(b"\n")[:-1]
    kept = b"".join(line + b"\n" for line in lines if keep(line.decode(errors="replace")))
    if kept != data:
        write_file(path, kept)


def make_folder(path: Path) -> None:
    """Make the folder and its missing parents, durably; one that exists is fine. Raises `DiskError`.

    A folder is made only when its parent is durable, so that one that is there vouches for its parents but not for itself:
    its maker may have died before the sync.
    """
    with _explained(path):
        if not path.is_dir():
            make_folder(path.parent)
            with suppress(FileExistsError):
                system.mkdir(path)
            if not path.is_dir():
                raise DiskError(f"{path}: it is not a folder")
        sync_folder(path.parent)


def claim_folder(path: Path) -> bool:
    """Make a folder whose name must be free: of all who try it exactly one gets True. Raises `DiskError`."""
    with _explained(path), suppress(FileExistsError):
        system.mkdir(path)
        sync_folder(path.parent)
        return True
    return False


def probe(folder: Path) -> str:
    """Why no file can be made in a folder that exists; nothing where one can."""
    temporary = _temporary(folder)
    try:
        with _explained(folder), _discarded_on_failure(temporary):
            _create(temporary, [b""], 0o644)
            system.unlink(temporary)
    except DiskError as error:
        return error.message.removeprefix(f"{folder}: ")
    return ""


def remove_file(path: Path) -> None:
    """Remove a file, durably; one that is gone already is fine. Raises `DiskError`."""
    with _explained(path), suppress(FileNotFoundError):
        system.unlink(path)
        sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder and all that is in it; after a crash it is all there or gone. Raises `DiskError`."""
    temporary = _temporary(path.parent)
    with _explained(path), _discarded_on_failure(temporary):
        system.rename(path, temporary)
        sync_folder(path.parent)
        _remove(temporary)


def sweep(folder: Path) -> int:
    """Remove what dead writers left half-written in `folder`, and return how much it was. Raises `DiskError`."""
    with _explained(folder):
        abandoned = [Path(entry) for entry in os.scandir(folder) if _abandoned(entry)]
        for path in abandoned:
            # Another sweeper may be faster.
            with suppress(FileNotFoundError):
                _remove(path)
    return len(abandoned)


def free_space(path: Path) -> int:
    """Bytes that this user can still write where `path` is, or will be once it is made."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def sync_folder(path: Path) -> None:
    """Make the entries of a folder survive a power loss. Raises `DiskError`; a failed sync is never tried again."""
    with _explained(path):
        try:
            descriptor = system.open(path, _FOLDER)
        except PermissionError:
            return  # a folder one may write to but not list can't be opened, and so can't be synced
        try:
            _sync(descriptor)
        finally:
            system.close(descriptor)


def _sync(descriptor: int) -> None:
    try:
        system.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCED:
            raise


@contextmanager
def opened(path: Path, limit: int | None) -> Iterator[tuple[int, int]]:
    """Descriptor and size of a regular file; never blocks on a pipe, never follows a link."""
    with _explained(path):
        _demand_regular(path.lstat())
        descriptor = system.open(path, _READ)
        try:
            status = os.fstat(descriptor)
            _demand_regular(status)  # it may have been swapped since
            if limit is not None and status.st_size > limit:
                raise CorruptFile(f"{path}: {status.st_size} bytes, more than the {limit} that are allowed here")
            yield descriptor, status.st_size
        finally:
            system.close(descriptor)


def _demand_regular(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _create(path: Path, chunks: Sequence[Buffer], mode: int) -> None:
    descriptor = system.open(path, _CREATE, mode)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            if view.nbytes:  # an empty view of several dimensions can't be cast
                _write_all(descriptor, view.cast("B"))
        _sync(descriptor)
    finally:
        system.close(descriptor)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[system.write(descriptor, data) :]


def _size(chunks: Sequence[Buffer]) -> int:
    return sum(memoryview(chunk).nbytes for chunk in chunks)


def _child(folder: Path, name: str) -> Path:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise DiskError(f"{folder}: {name!r} is not a plain file name")
    return folder / name


def _machine() -> str:
    """Eight hex digits for the machine, or the container: process numbers mean nothing on another one."""
    return hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]


def _temporary(folder: Path) -> Path:
    """A fresh name that says who writes it, so that `sweep` can tell a dead writer from a busy one."""
    return folder / f".tmp-{_machine()}-{system.pid()}-{secrets.token_hex(8)}"


def _abandoned(entry: os.DirEntry[str]) -> bool:
    match = _TEMPORARY.fullmatch(entry.name)
    if match is None:
        return False
    with suppress(FileNotFoundError):
        if entry.stat(follow_symlinks=False).st_mtime < time.time() - _DAY:
            return True
        return match[1] == _machine() and not alive(int(match[2]))
    return False


def alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


@contextmanager
def _discarded_on_failure(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            _remove(temporary)
        raise


def _remove(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        for child in list(os.scandir(path)):
            _remove(Path(child))
        system.rmdir(path)
    else:
        system.unlink(path)
