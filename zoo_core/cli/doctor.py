"""`zoo doctor`: whether everything that the zoo stands on works here."""

from __future__ import annotations

import os
import platform
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from zoo_core.cli.listing import elsewhere
from zoo_core.cli.render import Output, size
from zoo_core.cli.session import Answer, Session
from zoo_core.errors import StoreError, ZooError
from zoo_core.plugins.validation import KINDS
from zoo_core.registry.card import Card, Reference
from zoo_core.registry.layers import Names
from zoo_core.storage import fs
from zoo_core.storage.machine import home_folder, name_cache_folder, remedy_of, temporary_folder, user_name

LITTLE_DISK = 1_000_000_000
"""Bytes below which free disk is worth a warning: a few checkpoints of a middle-sized run."""


SHARED_MEMORY = Path("/dev/shm")
LITTLE_SHARED_MEMORY = 100_000_000
"""Bytes of shared memory below which workers may fail; Docker gives 64 MiB unless asked for more."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at."""

    name: str
    state: Literal["ok", "warning", "broken"]
    detail: str
    """What was found."""
    hint: str = ""
    """What to do about it."""


def doctor(arguments: Namespace, session: Session) -> Answer:
    """Look at everything, whatever is broken on the way; exit code 1 if anything is."""
    parts: tuple[Callable[[Session], Iterator[Check]], ...] = (
        _versions,
        _machine,
        _device,
        _plugins,
        _store,
        _catalogue,
        _disk,
    )
    checks = [check for part in parts for check in _guarded(part, session)]
    broken = [check for check in checks if check.state == "broken"]

    def show(output: Output) -> None:
        output.table(["check", "state", "found"], [[check.name, check.state, check.detail] for check in checks])
        for check in checks:
            if check.hint:
                output.line(f"{check.name}: {check.hint}")
        output.line(f"{len(broken)} broken" if broken else "all is well; next: zoo list")

    document = {"healthy": not broken, "checks": [asdict(check) for check in checks]}
    return Answer(document=lambda: document, show=show, exit_code=1 if broken else 0)


def _guarded(part: Callable[[Session], Iterator[Check]], session: Session) -> Iterator[Check]:
    """The checks of one part; what it raises is itself a finding."""
    try:
        yield from part(session)
    except ZooError as error:
        yield Check(name=part.__name__.strip("_"), state="broken", detail=error.message, hint=error.hint)


def _versions(session: Session) -> Iterator[Check]:
    yield Check(name="python", state="ok", detail=platform.python_version())
    for name in ("zoo-core", "torch", "accelerate", "safetensors"):
        try:
            yield Check(name=name, state="ok", detail=version(name))
        except PackageNotFoundError:
            yield Check(name=name, state="broken", detail="not installed", hint=f"pip install {name}")


def _device(session: Session) -> Iterator[Check]:
    """What computes. Whatever an installed torch raises while it loads is what the user has to hear."""
    try:
        name_cache_folder()
        import torch

        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        detail = (
            f"{found.type} x {torch.accelerator.device_count()}" if found else f"cpu, {torch.get_num_threads()} threads"
        )
    except (ImportError, OSError, RuntimeError, MemoryError) as error:
        hint = remedy_of(error) or "install torch again, from one index with everything that builds on it"
        yield Check(name="device", state="broken", detail=f"torch does not load: {error}", hint=hint)
    else:
        yield Check(name="device", state="ok", detail=detail)


def _plugins(session: Session) -> Iterator[Check]:
    for record in session.host.records:
        name, detail = f"plugin {record.name}", f"{record.version} {record.state}"
        if record.state == "active":
            odd = "; ".join(record.notes)
            if problem := _unimportable(record.name, session):
                yield Check(name=name, state="broken", detail=f"{detail}, but a part can't be imported", hint=problem)
            else:
                yield Check(name=name, state="warning" if odd else "ok", detail=detail, hint=odd)
        elif record.state == "disabled":
            yield Check(name=name, state="ok", detail=detail)
        else:
            yield Check(name=name, state="broken", detail=detail, hint=record.reason)
    for name, plugins in session.host.shared_names().items():
        ids = " or ".join(f"{plugin}/{name.partition(' ')[2]}" for plugin in plugins)
        hint = f"write {ids} where neither is the own plugin"
        yield Check(name=f"name {name}", state="ok", detail=f"of {' and '.join(plugins)}", hint=hint)
    if len(session.host.records) < 2:
        yield Check(
            name="plugins",
            state="warning",
            detail="none besides the core",
            hint="install one with pip; it is found by itself",
        )


def _unimportable(plugin: str, session: Session) -> str:
    """The first of the plugin's components that can't be imported, in the error's own words."""
    for kind in KINDS:
        for provided in session.host.all(kind):
            if provided.plugin == plugin:
                try:
                    provided.resolve(provided.spec.target)
                except ZooError as error:
                    return f"{error.message}; {error.hint}"
    return ""


def _machine(session: Session) -> Iterator[Check]:
    """What a bare container lacks; each is a warning where the zoo gets along without it."""
    temporary, name, home = temporary_folder(), user_name(), home_folder(session.environ)
    yield (
        Check(name="temporary folder", state="ok", detail=temporary)
        if temporary
        else Check(
            name="temporary folder", state="warning", detail="none", hint="set TMPDIR to one that can be written"
        )
    )
    if not name:
        yield Check(
            name="user", state="warning", detail=f"number {os.getuid()} has no name", hint="set USER to any name"
        )
    if not home.is_dir():
        hint = "" if session.environ.get("ZOO_HOME") else "set ZOO_HOME to keep checkpoints"
        yield Check(name="home", state="warning", detail=f"{home} isn't there", hint=hint)
    yield _shared_memory()


def _shared_memory() -> Check:
    """The loader's workers hand batches over in it."""
    found = os.statvfs(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None
    space = found.f_bavail * found.f_frsize if found else 0
    if space >= LITTLE_SHARED_MEMORY:
        return Check(name="shared memory", state="ok", detail=f"{size(space)} free at {SHARED_MEMORY}")
    hint = "give the container more (--shm-size), or train with training.workers=0"
    return Check(name="shared memory", state="warning", detail=f"{size(space)} free at {SHARED_MEMORY}", hint=hint)


def _store(session: Session) -> Iterator[Check]:
    """The user's checkpoints: readable, and all their files there; `zoo verify --all` hashes them."""
    root = session.store.root
    cards, found = session.store.scan()
    missing = [f"{card.full_name}: {file.path}" for card in cards for file in card.files if not session.store.has(file)]
    damaged = [one.message for one in found if one.version is not None]
    unreadable = [one.message for one in found if one.version is None]
    place = _existing(root)
    if not place.is_dir():
        raise StoreError(f"{place} is not a folder", hint="set ZOO_HOME to one")
    problem = fs.probe(place)
    detail = f"{root}, {len(cards)} checkpoints"
    if damaged:
        yield Check(name="store", state="broken", detail=f"{detail}, damaged manifests", hint="; ".join(damaged[:5]))
    elif missing:
        yield Check(name="store", state="broken", detail=f"{detail}, files missing", hint="; ".join(missing[:5]))
    elif unreadable:
        hint = f"{'; '.join(unreadable[:5])}; what is in it is left out. See to it, or set ZOO_HOME to another folder"
        yield Check(name="store", state="warning", detail=f"{detail}, a folder can't be read", hint=hint)
    elif problem:
        hint = "set ZOO_HOME to a folder that can be written, to keep checkpoints"
        yield Check(name="store", state="warning", detail=f"{detail}, can't be written: {problem}", hint=hint)
    else:
        yield Check(name="store", state="ok", detail=detail)


def _catalogue(session: Session) -> Iterator[Check]:
    registry = session.registry
    names = registry.names()
    entries = [entry for entry in names.entries if not elsewhere(entry)]
    usable = sum(entry.available for entry in entries)
    detail = f"{usable} of {len(entries)} checkpoints loadable"
    for problem in registry.card_problems:
        yield Check(name="cards", state="broken", detail="a card can't be read", hint=problem)
    yield from _names(names)
    for entry in entries:
        if entry.available and (problem := _unresolved(entry.card, session)):
            yield Check(
                name=f"checkpoint {entry.card.full_name}", state="broken", detail="can't be built", hint=problem
            )
    if usable < len(entries):
        yield Check(name="catalogue", state="warning", detail=detail, hint="see why: zoo list --all")
    else:
        yield Check(name="catalogue", state="ok", detail=detail)


def _names(names: Names) -> Iterator[Check]:
    """Cards that have the name of another layer's checkpoint, and names that mean something else for that."""
    for entry in names.entries:
        card, owners = entry.card, " and ".join(sorted(names.owners(entry.card.name)))
        if names.foreign(entry):
            hint = f"{card.name} is of the {owners}; ask for this one as {names.use(entry)}"
            yield Check(name=f"card {card.full_name}", state="warning", detail=f"of {entry.layer}", hint=hint)
        elif entry.layer not in names.owners(card.name) and card.name not in names.aliases:
            way = f"use {names.use(entry)}, or let the name mean it: zoo alias {card.name} {card.version}"
            detail = f"of the {entry.layer}; {card.name} alone is of the {owners}"
            yield Check(name=f"checkpoint {card.full_name}", state="ok", detail=detail, hint=way)
    for name in dict.fromkeys(entry.card.name for entry in names.entries):
        try:
            note = names.skipped(Reference(name=name))
        except StoreError as failure:
            yield Check(name=f"name {name}", state="broken", detail=failure.message, hint=failure.hint)
        else:
            if note:
                yield Check(name=f"name {name}", state="warning", detail=note)


def _unresolved(card: Card, session: Session) -> str:
    """Which component that a card names can't be found among the plugins, in the error's own words."""
    loss = (card.recipe or {}).get("loss")
    named = {"model": card.model, "task": card.task, "loss": loss.get("name", "") if isinstance(loss, Mapping) else ""}
    try:
        for kind, name in named.items():
            if name:
                session.host.find(kind, str(name), [card.plugin])
    except ZooError as error:
        return f"{error.message}; {error.hint}"
    return ""


def _disk(session: Session) -> Iterator[Check]:
    place = _existing(session.store.root)
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    scarce = free < LITTLE_DISK
    hint = "free some, or set ZOO_HOME to a larger disk" if scarce else ""
    yield Check(name="disk", state="warning" if scarce else "ok", detail=f"{size(free)} free at {place}", hint=hint)


def _existing(path: Path) -> Path:
    """The nearest folder above a path that exists, the path itself included."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))
