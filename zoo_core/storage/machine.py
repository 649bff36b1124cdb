"""What a bare machine or container lacks, and what to do about it: a user's name, a temporary folder, a home, memory."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

_CACHE = "TORCHINDUCTOR_CACHE_DIR"
NO_HOME = Path("/nonexistent")
"""What Debian writes for a user without a home: it isn't there, and stays so."""


def user_name() -> str:
    """The user's name, or nothing where neither the environment nor the system's list of users has one."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def temporary_folder() -> str:
    """The folder for temporary files, or nothing where none can be written to."""
    import tempfile  # slow, and listing needs none

    try:
        return tempfile.gettempdir()
    except OSError:
        return ""


def home_folder(environ: Mapping[str, str]) -> Path:
    """The user's home, or a folder that isn't there."""
    try:
        return Path(environ.get("HOME") or Path.home())
    except (RuntimeError, KeyError):
        return NO_HOME


def name_cache_folder(environ: MutableMapping[str, str] | None = None) -> None:
    """Name torch's cache folder where torch would fail to, because a user without a name or a machine without a temporary
    folder makes importing it an error. Does nothing elsewhere, or where one is named."""
    environ = os.environ if environ is None else environ
    if _CACHE in environ:
        return
    place = temporary_folder()
    if not place:
        # Torch demands a folder that exists, and writes to it only when a model is compiled.
        environ[_CACHE] = os.sep
    elif not user_name():
        environ[_CACHE] = str(Path(place, f"torchinductor_{os.getuid()}"))


def free_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that are free now: of the machine, or of the control group that holds this process where that is less."""
    import psutil  # type: ignore[import-untyped]

    return min([int(psutil.virtual_memory().available), *_free_in_groups(root)])


def data_memory() -> int:
    """Bytes of writable memory that this process has by now, which `RLIMIT_DATA` counts; a guess where the system doesn't say."""
    with suppress(OSError, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData"))
    return 256 << 20


def _free_in_groups(root: Path) -> Iterator[int]:
    """What each control group around this process leaves, in version 2 or 1; `root` is where the file system begins."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            mount, most, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount, most, used = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # In a container the path may be one that only the host sees; its own group is then at the mount.
        inner = mount / path.lstrip("/")
        for group in (inner, *(parent for parent in inner.parents if parent.is_relative_to(mount))):
            limit = _number(group / most)
            if limit is not None:
                yield max(0, limit - (_number(group / used) or 0) + _reclaimable(group / "memory.stat"))


def _number(path: Path) -> int | None:
    """The number in a file; None for another word, like `max`, and where there is no file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _reclaimable(path: Path) -> int:
    """Bytes of files that a group holds in memory for as long as nobody needs it."""
    try:
        rows = dict(line.split() for line in path.read_text().splitlines())
        return int(rows.get("total_inactive_file", rows.get("inactive_file", "0")))
    except (OSError, ValueError):
        return 0


def remedy_of(error: BaseException) -> str:
    """What to do about a failure that the machine caused; nothing for any other."""
    words = str(error)
    if "getpwuid" in words:
        return "this user has no name: set USER to any name"
    if sys.flags.optimize >= 2 and "docstring" in words:
        return "libraries read their own docstrings, which python -OO takes away: leave -OO out"
    if "temporary directory" in words:
        return "there is no temporary folder: set TMPDIR to a folder that can be written to"
    if isinstance(error, MemoryError) or any(known in words for known in _MEMORY):
        return "there is too little memory: raise the limit (ulimit -v, the container's) or free some"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE):
        return f"the system says: {error.strerror}"
    return ""


_MEMORY = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory", "can't allocate memory")
