"""The lock of a run's folder: one process holds it for as long as it lives, and a process that died holds nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from zoo_core.errors import DiskError, ResumeError
from zoo_core.storage import fs

LOCK = "lock"
"""Name of the lock's file in the folder; it stays when the lock is given back, and says nothing then."""

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST = 4096
_LOOKS = 50
_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock."""

    pid: int
    host: str
    since: str
    """Local time, for people."""

    def __str__(self) -> str:
        """As a message says it."""
        return f"process {self.pid} on {self.host}, since {self.since}"


class InUse(ResumeError):
    """Another process works in the folder."""

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        super().__init__(
            f"{folder} is in use by {holder or 'another process'}",
            hint="wait until it ends, or stop it; a run of its own needs another folder",
        )


class Lock:
    """A lock that is held."""

    def __init__(self, descriptor: int, *, enforced: bool) -> None:
        self.descriptor = descriptor
        self.enforced = enforced
        """False on a file system that has no locks."""
        _held.add(descriptor)

    def release(self) -> None:
        """Give the lock back; a second time, or in a forked child, it does nothing."""
        if self.descriptor in _held:
            _held.discard(self.descriptor)
            fs.system.truncate(self.descriptor, 0)
            fs.system.close(self.descriptor)


def take(folder: Path) -> Lock:
    """Lock a folder that exists. Raises `InUse`, which names the holder, and `DiskError`.

    The lock belongs to the open file (flock), so the kernel gives it back however the process ends. A forked child, like a
    worker that encodes samples, closes its copy at once and can't keep the lock alive.
    """
    path = folder / LOCK
    while True:
        descriptor = _opened(path)
        try:
            enforced = _lock(descriptor, folder)
            if _same_file(descriptor, path):
                fs.system.truncate(descriptor, 0)
                fs.system.write(descriptor, memoryview(_me()))
                return Lock(descriptor, enforced=enforced)
        except BaseException:
            fs.system.close(descriptor)
            raise
        # Its holder took the file away between our open and our lock.
        fs.system.close(descriptor)


def holder_of(folder: Path) -> Holder | None:
    """Who says in the lock's file that it works in the folder; None where that can't be read."""
    for _ in range(_LOOKS):
        try:
            said = json.loads(fs.read_bytes(folder / LOCK, limit=_MOST))
            holder = Holder(pid=int(said["pid"]), host=str(said["host"]), since=str(said["since"]))
        except (DiskError, ValueError, KeyError, TypeError):
            holder = None
        if holder is not None and (holder.host != _host() or fs.alive(holder.pid)):
            return holder
        # The holder has the lock and has not written yet who it is.
        time.sleep(0.01)
    return None


def _opened(path: Path) -> int:
    try:
        return fs.system.open(path, _OPEN, 0o644)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}", hint="a run needs a folder that it can write to") from error


def _lock(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise InUse(folder, holder_of(folder)) from None
        raise DiskError(f"{folder / LOCK}: {error.strerror}") from error
    return True


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _me() -> bytes:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"pid": fs.system.pid(), "host": _host(), "since": since}).encode()


def _host() -> str:
    return os.uname().nodename


def _forget() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
