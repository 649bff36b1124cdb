"""Of processes that were launched together and fail with the same words, only the main one says them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

_MOMENT = timedelta(seconds=3)
"""How long ranks wait for one another when they fail; one that goes on never answers."""


def speak_once(message: str, environ: Mapping[str, str], speak: Callable[[], None]) -> None:
    """Call `speak` in the main process, and in another one where the main one fails with another message or not at all.

    The main one stays until the others have spoken, because a launcher ends all when the first has ended.
    """
    rank, ranks = environ.get("RANK", "0"), environ.get("WORLD_SIZE", "1")
    store = _store(environ) if rank.isdecimal() and ranks.isdecimal() and int(ranks) > 1 else None
    if store is None:
        speak()
        return
    place = f"zoo/failed/{environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if int(rank) == 0:
        speak()
        with suppress(RuntimeError):
            store.set(place, message)
            store.wait([f"{place}/{other}" for other in range(1, int(ranks))], _MOMENT)
        return
    told = ""
    with suppress(RuntimeError):
        store.wait([place], _MOMENT)
        told = store.get(place).decode()
    if not told or told.removeprefix("unexpected ") not in message:
        speak()
    with suppress(RuntimeError):
        store.set(f"{place}/{rank}", "1")


def _store(environ: Mapping[str, str]) -> Any:
    """The launcher's store of words, or the main process's; None where there is neither."""
    distributed = sys.modules.get("torch.distributed")
    formed = distributed is not None and distributed.is_initialized()
    port = environ.get("MASTER_PORT", "")
    if not (formed or environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True") or not port.isdecimal():
        return None
    try:
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        return TCPStore(environ.get("MASTER_ADDR", ""), int(port), is_master=False, timeout=_MOMENT)
    except (ImportError, RuntimeError, ValueError):
        return None
