"""The process in which `rehearsal.py` tries a library: reads a request as JSON, answers with why the library gave up."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from contextlib import suppress
from typing import Any

from zoo_core.storage.children import limit
from zoo_core.storage.machine import data_memory

_INPUTS = (
    "",
    "a",
    "The good movie, 12 of them; it's fine!\n  x",
    "Ａ é ß ﬁ ½ İ 漢字 か\u3099 हिन्दी עברית \u200b \U0001f600\ufffd",
    " ".join(f"word{number}" for number in range(600)),
    "".join(map(chr, range(1, 0x250))),
)
"""Few and many words, of several scripts."""


def main() -> None:
    """Try what the request asks for."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else writes the answer
    request = json.loads(sys.stdin.buffer.read())
    place, _, name = request["library"].partition(":")
    library = getattr(importlib.import_module(place), name)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_DATA, data_memory() + request["memory"])
    json.dump({"failed": _tried(library, request)}, answers)
    answers.flush()


def _tried(library: Any, request: dict[str, Any]) -> str:
    """Why the library gave up; empty where it didn't."""
    try:
        made = getattr(library, request["make"])(request["text"])
        for method in request["settle"]:
            getattr(made, method)()
        for one in _INPUTS:
            with suppress(Exception):  # an answer as well: of a word that it doesn't know
                getattr(made, request["ask"])(one)
    except BaseException as failure:  # noqa: BLE001 - a panic's class has no public name
        return (str(failure).splitlines() or [type(failure).__name__])[0][:200]
    return ""


if __name__ == "__main__":
    main()
