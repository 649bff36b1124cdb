"""The system calls behind `fs`, one method each, and their errors in words."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo_core.errors import DiskError

_REASONS = {
    errno.ENOENT: ("no such file or folder", ""),
    errno.EACCES: ("permission denied", "check its owner and mode, or choose another place"),
    errno.EPERM: ("not permitted", "check its owner, or choose another place"),
    errno.EROFS: ("the file system is read-only", "choose another place"),
    errno.ELOOP: ("a symbolic link is not followed", "give the path of the file itself"),
    errno.EEXIST: ("it already exists", "choose another name; nothing is overwritten"),
    errno.ENOTEMPTY: ("it already exists", "choose another name; nothing is overwritten"),
    errno.ENAMETOOLONG: ("the path or name is too long", "choose a shorter one"),
    errno.ENOLCK: ("the file system has neither hard links nor locks", "choose a place on another one"),
    errno.EIO: ("the disk failed (I/O error)", "don't trust this disk before it has been checked"),
}


class System:
    """The system calls behind this module, one method each, so that a test can fail or kill any one of them."""

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        """A file descriptor."""
        return os.open(path, flags, mode)

    def read(self, descriptor: int, target: memoryview) -> int:
        """Read up to `len(target)` bytes into `target`; 0 at the end of the file."""
        return os.readv(descriptor, [target])

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write up to `len(data)` bytes."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Make a file's bytes, or a folder's entries, survive a power loss."""
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Give the descriptor back."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Move, replacing a file."""
        source.rename(target)

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file; raises FileExistsError where the name is taken."""
        target.hardlink_to(source)

    def lock(self, descriptor: int) -> None:
        """Wait until no other process of this machine holds the lock of what is open; it goes with the descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        path.unlink()

    def mkdir(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir()

    def rmdir(self, path: Path) -> None:
        """Remove one empty folder."""
        path.rmdir()

    def pid(self) -> int:
        """Number of this process."""
        return os.getpid()


@contextmanager
def explained(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn the errors of the system into `DiskError`, which names the path and says what to do."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a path that no file system could hold
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason, hint = f"no space left for {needed} bytes", "free some space or choose another disk"
        else:
            reason, hint = _REASONS.get(code or 0, (getattr(error, "strerror", None) or str(error), ""))
        raise DiskError(f"{path}: {reason}", hint=hint) from error
