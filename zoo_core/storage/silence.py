"""Warnings of a library that are answered here already are not shown, in any number of threads at once."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class _Filters:
    """Those of a process, while somebody silences some of them."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.inside = 0
        self.before = ExitStack()


_filters = _Filters()


@contextmanager
def silenced(kind: type[Warning] = Warning, *, message: str = "") -> Iterator[None]:
    """Leave out warnings of that kind in the body, whose words begin as `message` does.

    The filters of warnings belong to the process, and `warnings.catch_warnings` in two threads puts back what the other one
    has set. Here the first thread in notes them and the last one out puts them back.
    """
    global _filters
    if _filters.process != os.getpid():  # a fork: its lock may be one that a thread of the parent holds
        _filters = _Filters()
    own = _filters
    with own.lock:
        if not own.inside:
            own.before.enter_context(warnings.catch_warnings())
        own.inside += 1
        warnings.filterwarnings("ignore", message, kind)
    try:
        yield
    finally:
        with own.lock:
            own.inside -= 1
            if not own.inside:
                own.before.close()
