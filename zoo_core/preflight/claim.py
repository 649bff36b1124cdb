"""Which folder a run works in: made by this process alone or taken up again, and locked from the first instant to the last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zoo_core.contract.schema import parse_yaml
from zoo_core.errors import DiskError, ResumeError, StoreError, UsageError
from zoo_core.preflight.lock import LOCK, InUse, Lock, take
from zoo_core.storage import fs
from zoo_core.storage.paths import RECIPE

MODEL = "model"
"""The checkpoint that a run made; from here on its weights and figures are what they are."""
PENDING = "extras.pending"
"""Stands beside the checkpoint for as long as what follows its registration isn't made."""

_TRACES = {LOCK, "identity.json", "preprocessor", "checkpoints", "artifacts"}
_MOST = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run's folder."""

    folder: Path | None
    """None on ranks other than the main one, which follow its choice."""
    lock: Lock | None
    """Held by the main rank only."""
    resumes: bool
    """Whether the folder holds a run to go on with."""
    registered: bool = False
    """Whether that run has its checkpoint, and only what follows is to be made."""


@contextmanager
def claimed(name: str, folder: Path | None, *, resumes: bool) -> Iterator[Claim]:
    """The folder of a run for as long as it lasts: the one that is named, else `runs/<name>` or its like.

    A new run gets a folder of its own, also where many start at one instant; a resumed one gets the newest of its name.
    A new run that fails before it is laid out leaves nothing. Raises `UsageError` for a folder that is taken,
    `ResumeError` for one that holds no run to resume, and `InUse` where another process works in it.
    """
    if not is_main_rank(os.environ):
        yield Claim(folder=None, lock=None, resumes=resumes)
        return
    if resumes:
        place = folder or newest_run(name, Path("runs"))
        lock, made = _taken_up(place), False
    elif folder:
        place = folder
        lock, made = _taken(place)
    else:
        place, lock = _first_free(name, Path("runs"))
        made = True
    try:
        yield Claim(folder=place, lock=lock, resumes=resumes, registered=resumes and (place / MODEL).exists())
    finally:
        if not resumes and not (place / RECIPE).exists():
            with suppress(DiskError):  # what failed first is what the user must hear
                # Nobody can hold the lock but us; who opened its file meanwhile finds that it is gone.
                (fs.remove_folder if made else _clear)(place)
        lock.release()


def is_main_rank(environ: Mapping[str, str]) -> bool:
    """Whether this process is the one that writes, by what a launcher told it."""
    return environ.get("WORLD_SIZE", "1") == "1" or environ.get("RANK", "0") == "0"


def newest_run(name: str, parent: Path) -> Path:
    """The newest run of that name, to resume. Raises `ResumeError` if there is none."""
    paths = [path for path in parent.glob(f"{name}*") if _number(path.name, name) and _name_in(path) == name]
    if not paths:
        raise ResumeError(f"{parent} has no run of {name} to resume", hint="name its folder: zoo resume FOLDER")
    return max(paths, key=lambda path: _number(path.name, name))


def _taken_up(folder: Path) -> Lock:
    """Lock a run's folder to go on with it."""
    if not (folder / RECIPE).is_file():
        raise ResumeError(
            f"{folder} holds no run that got as far as its first step", hint="start it again, or name a run's folder"
        )
    if problem := _nothing_left(folder):
        raise problem
    lock = take(folder)
    if problem := _nothing_left(folder):  # it was finished while we looked
        lock.release()
        raise problem
    return lock


def _nothing_left(folder: Path) -> ResumeError | None:
    """Why nothing can be resumed; empty where it can."""
    if not (folder / MODEL).exists():
        return None
    if not (folder / PENDING).exists():
        return ResumeError(f"{folder} is finished", hint=f"its checkpoint is in {folder / MODEL}")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        return ResumeError(
            f"{folder} has its checkpoint; what follows takes one process",
            hint=f"zoo resume {folder}, without a launcher",
        )
    return None


def _taken(folder: Path) -> tuple[Lock, bool]:
    """Lock a folder that the user named; also whether it was made."""
    holds = "is not empty" if folder.is_dir() else "is a file, and a run needs a folder"
    taken = UsageError(f"{folder} {holds}", hint=f"name another folder; a run is continued by: zoo resume {folder}")
    fs.make_folder(folder.parent)
    made = fs.claim_folder(folder)
    if not made and not _vacant(folder):
        raise taken
    lock = take(folder)
    if not _vacant(folder):
        lock.release()
        raise taken
    _clear(folder)
    return lock, made


def _first_free(name: str, parent: Path) -> tuple[Path, Lock]:
    """Make and lock `parent/name`, or `parent/name-2` and so on: of all who start together each gets its own."""
    fs.make_folder(parent)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        number += 1
        if not fs.claim_folder(path) and not _vacant(path):
            continue
        try:
            lock = take(path)
        except InUse:
            continue
        except DiskError:
            if path.is_dir():
                raise
            continue  # a run that failed has just taken it away
        if _vacant(path):
            _clear(path)
            return path, lock
        lock.release()


def _vacant(folder: Path) -> bool:
    """Whether a folder is empty but for what a start leaves that was killed before its run was laid out."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if LOCK not in names:  # every start makes it first
        return not names
    inner = [folder / name for name in ("checkpoints", "artifacts") if name in names]
    ours = all(name in _TRACES or name.startswith(".tmp-") for name in names)
    return ours and not any(path.is_file() or any(path.iterdir()) for path in inner)


def _clear(folder: Path) -> None:
    """Remove what such a start left; the lock stays."""
    for path in list(folder.iterdir()):
        if path.name != LOCK:
            remove: Callable[[Path], None] = fs.remove_folder if path.is_dir() else fs.remove_file
            remove(path)


def _name_in(folder: Path) -> str:
    """The name in a run's recipe; empty where there is none to read."""
    try:
        path = folder / RECIPE
        data = parse_yaml(fs.read_bytes(path, limit=_MOST), where=str(path), error=ResumeError).data
    except (StoreError, ResumeError):
        return ""
    return str(data.get("name", "")) if isinstance(data, dict) else ""


def _number(folder: str, name: str) -> int:
    if folder == name:
        return 1
    rest = folder.removeprefix(f"{name}-")
    return int(rest) if rest.isdigit() else 0
