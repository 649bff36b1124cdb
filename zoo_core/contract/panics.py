"""Failures of libraries written in Rust, which raise what no `except Exception` catches, or nothing narrower than that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zoo_core.errors import ZooError


@contextmanager
def panics_as(error: Callable[[str], ZooError], what: str) -> Iterator[None]:
    """Raise `error("what: reason")` where the library inside gives up: by a panic, whose class has no public name, or by a
    bare `Exception`."""
    try:
        yield
    except BaseException as failure:
        if type(failure) is not Exception and type(failure).__module__ != "pyo3_runtime":
            raise
        reason = (str(failure).splitlines() or ["no reason given"])[0][:200]
        raise error(f"{what}: its library failed: {reason}") from None
