"""Tries a file of somebody else's with its library in a process of its own, where a panic or an abort ends nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo_core.errors import ZooError
from zoo_core.storage import children

SECONDS = 120
"""Time that a rehearsal may take."""
MEMORY = 1 << 30
"""Bytes that a library may take, beside 64 times what the text has."""

_CHILD = Path(__file__).with_name("rehearsal_child.py")


def rehearse(
    library: str,
    make: str,
    settle: Sequence[str],
    ask: str,
    text: str,
    *,
    error: Callable[[str], ZooError],
    what: str,
) -> None:
    """Raise `error("what: reason")` for what is no JSON, and where the library can't read it or gives up on an input.

    Args:
        library: a module and a class in it, `module:Class`.
        make: the class's method that makes an object of the text.
        settle: the object's methods that are called first.
        ask: the object's method that is tried on a few strings; what it raises as an ordinary exception is its answer.
        text: content of the file, JSON.
        error: makes the error of a message.
        what: the file, for the message.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise error(f"{what}: not JSON: {str(wrong)[:200]}") from None
    reason = _outcome(library, make, tuple(settle), ask, text)
    if reason:
        raise error(f"{what}: its library failed: {reason}")


@lru_cache(maxsize=4)
def _outcome(library: str, make: str, settle: Sequence[str], ask: str, text: str) -> str:
    """Why the library gave up; empty where it didn't."""
    request: dict[str, Any] = {"library": library, "make": make, "settle": settle, "ask": ask, "text": text}
    request["memory"] = MEMORY + 64 * len(text)
    try:
        # What a library prints before it gives up is not the user's: the reason is in the answer.
        done = children.run(str(_CHILD), request=json.dumps(request).encode(), seconds=SECONDS)
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS} seconds"
    if done.returncode < 0:
        return f"it ended its process with {signal.Signals(-done.returncode).name}"
    try:
        return str(json.loads(done.stdout)["failed"])
    except (ValueError, KeyError):
        return f"it ended its process with exit code {done.returncode}"
