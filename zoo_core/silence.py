"""Warnings of a library that are answered here already are not shown, in any number of threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_inside = 0
_before = ExitStack()


@contextmanager
def silenced(kind: type[Warning] = Warning, *, message: str = "") -> Iterator[None]:
    """Leave out warnings of that kind in the body, whose words begin as `message` does.

    The filters of warnings belong to the process, and `warnings.catch_warnings` in two threads puts back what the other one
    has set. Here the first thread in notes them and the last one out puts them back.
    """
    global _inside
    with _lock:
        if not _inside:
            _before.enter_context(warnings.catch_warnings())
        _inside += 1
        warnings.filterwarnings("ignore", message, kind)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _before.close()
