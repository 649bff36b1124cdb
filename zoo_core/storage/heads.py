"""The first bytes of a file and its size, for those who measure before they read."""

from __future__ import annotations

import os
from pathlib import Path

from zoo_core import fs


def read_head(path: Path, count: int) -> tuple[bytes, int]:
    """The first `count` bytes of a regular file, fewer where it ends, and its size. Raises `DiskError`."""
    with fs.opened(path, None) as (descriptor, size):
        return os.pread(descriptor, count, 0), size
