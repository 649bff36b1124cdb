"""A disk that fails, dies or loses power at operation 1, 2, 3 ..., to prove that writers leave the old state or the new.

class Replace(Scenario):
    def prepare(self, folder): fs.write_file(folder / "a", b"old")
    def act(self, folder): fs.write_file(folder / "a", b"new")
    def check(self, folder, finished): return "" if fs.read_bytes(folder / "a") in ... else "mixed"

tally = every_kill(Replace(), tmp_path)
print(tally)  # 7 tried, 7 ok
assert tally.clean
"""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from zoo_core.errors import ZooError
from zoo_core.storage import fs

NOBODY = 1 << 30
"""Process number of every faulty writer: no living process can have it, so its leftovers count as abandoned."""

_System = TypeVar("_System", bound=fs.System)
_TAKES_SPACE = frozenset({"create", "write", "mkdir", "link", "fsync"})


class Killed(BaseException):
    """The process is dead: from here on every system call raises this, so that no clean-up can act."""


class Scenario(ABC):
    """Something that changes a folder and is expected to be all or nothing."""

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Bring the folder into its old state."""

    @abstractmethod
    def act(self, folder: Path) -> None:
        """Change it to its new state; must work again after any failure."""

    @abstractmethod
    def check(self, folder: Path, finished: bool) -> str:
        """What is wrong, or nothing. Once `act` has returned (`finished`), only the new state is right."""


@dataclass
class Tally:
    """How many faults were tried and what went wrong."""

    tried: int = 0
    bad: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether something was tried and all of it held."""
        return self.tried > 0 and not self.bad

    def add(self, label: str, problem: str) -> None:
        """Count one trial; an empty problem is a success."""
        self.tried += 1
        if problem:
            self.bad.append(f"{label}: {problem}")

    def require(self) -> None:
        """Raise `AssertionError`, saying what went wrong, unless something was tried and all of it held."""
        if not self.clean:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        text = f"{self.tried} tried, {self.tried - len(self.bad)} ok"
        return "\n".join([text, *self.bad[:10]])


class FaultFS(fs.System):
    """The real system but for one fault. It syncs nothing: a test can't see a sync, and would only wait for it."""

    def __init__(self, *, kill_at: int = 0, fail_at: int = 0, error: int = errno.EIO, persistent: bool = False) -> None:
        """Die at operation `kill_at`, or raise `error` at operation `fail_at` (then wherever space is taken, if
        `persistent`); operations count from 1. A write that is struck still writes its first half."""
        self.kill_at, self.fail_at, self.error, self.persistent = kill_at, fail_at, error, persistent
        self.operations: list[str] = []
        self.dead = False
        self.descriptors: set[int] = set()

    @property
    def struck(self) -> bool:
        """Whether the fault has happened."""
        return 0 < (self.kill_at or self.fail_at) <= len(self.operations)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        """Counted, as `create` where it may create."""
        self._count("create" if flags & os.O_CREAT else "open")
        descriptor = super().open(path, flags, mode)
        self.descriptors.add(descriptor)
        return descriptor

    def read(self, descriptor: int, target: memoryview) -> int:
        """Counted."""
        self._count("read")
        return super().read(descriptor, target)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Counted; struck, it writes half."""
        self._count("write", lambda: super(FaultFS, self).write(descriptor, data[: len(data) // 2]))
        return super().write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Counted only."""
        self._count("fsync")

    def truncate(self, descriptor: int, size: int) -> None:
        """Counted."""
        self._count("truncate")
        super().truncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Counted; struck by an error, it has closed all the same."""
        if not self.dead:
            self.descriptors.remove(descriptor)
            super().close(descriptor)
        self._count("close")

    def rename(self, source: Path, target: Path) -> None:
        """Counted."""
        self._count("rename")
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        """Counted."""
        self._count("link")
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        """Counted."""
        self._count("unlink")
        super().unlink(path)

    def mkdir(self, path: Path) -> None:
        """Counted."""
        self._count("mkdir")
        super().mkdir(path)

    def rmdir(self, path: Path) -> None:
        """Counted."""
        self._count("rmdir")
        super().rmdir(path)

    def pid(self) -> int:
        """`NOBODY`."""
        return NOBODY

    def _count(self, name: str, half: Callable[[], object] = lambda: None) -> None:
        if self.dead:
            raise Killed
        self.operations.append(name)
        if len(self.operations) == self.kill_at:
            half()
            self.dead = True
            for descriptor in self.descriptors:  # as the kernel does
                super().close(descriptor)
            raise Killed
        if len(self.operations) == self.fail_at or (self.persistent and self.struck and name in _TAKES_SPACE):
            half()
            raise OSError(self.error, os.strerror(self.error))


@contextmanager
def installed(system: _System) -> Iterator[_System]:
    """Put `system` under `zoo_core.storage.fs` for the length of the block."""
    before, fs.system = fs.system, system
    try:
        yield system
    finally:
        fs.system = before


def every_kill(scenario: Scenario, folder: Path) -> Tally:
    """Kill `scenario.act` at every operation in turn; each time the state must be whole, and a second try must work."""
    tally = Tally()
    for k in itertools.count(1):
        place = prepared(scenario, folder / f"kill-{k}")
        with installed(FaultFS(kill_at=k)) as system, suppress(Killed):
            scenario.act(place)
        if not system.dead:
            return tally
        problem = outcome(scenario, place, finished=False) or repeated(scenario, place)
        tally.add(f"killed at {k}, {system.operations[-1]}", problem)
    raise AssertionError("unreachable")


def every_failure(scenario: Scenario, folder: Path, *, error: int, persistent: bool = False) -> Tally:
    """Fail every operation of `scenario.act` in turn: a `ZooError`, whole state, no leftovers, and a second try works."""
    tally = Tally()
    for k in itertools.count(1):
        place = prepared(scenario, folder / f"{errno.errorcode[error]}-{persistent}-{k}")
        raised = False
        with installed(FaultFS(fail_at=k, error=error, persistent=persistent)) as system:
            try:
                scenario.act(place)
            except ZooError:
                raised = True
        if not system.struck:
            return tally
        problem = outcome(scenario, place, finished=not raised) or _leftovers(place) or repeated(scenario, place)
        if system.descriptors:
            problem = problem or "a descriptor was left open"
        tally.add(f"failed at {k}, {system.operations[k - 1]}", problem)
    raise AssertionError("unreachable")


def race(script: str, *arguments: str, writers: int) -> list[str]:
    """Run a Python script in several processes that start as one, and return what each has printed.

    Its arguments are `arguments` and its own number; it must print `ready` and then wait for a line on its input.
    """
    command = [sys.executable, "-c", script, *arguments]
    pipe = subprocess.PIPE
    started = [subprocess.Popen([*command, str(n)], stdin=pipe, stdout=pipe, text=True) for n in range(writers)]
    try:
        for process in started:
            assert process.stdout and process.stdout.readline() == "ready\n", "a writer never got ready"
        for process in started:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=60)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def prepared(scenario: Scenario, place: Path) -> Path:
    """`place`, made and brought into the old state."""
    with installed(FaultFS()):
        fs.make_folder(place)
        scenario.prepare(place)
    return place


def outcome(scenario: Scenario, place: Path, *, finished: bool) -> str:
    """What is wrong with `place`, a `ZooError` from the check included."""
    with installed(FaultFS()):
        try:
            return scenario.check(place, finished)
        except ZooError as error:
            return f"{type(error).__name__}: {error}"


def repeated(scenario: Scenario, place: Path) -> str:
    """What is wrong after another, undisturbed `act` and a sweep."""
    with installed(FaultFS()):
        try:
            scenario.act(place)
        except ZooError as error:
            return f"the second try failed: {error}"
        for inner in [place, *(path for path in place.rglob("*") if path.is_dir())]:
            if inner.is_dir():
                fs.sweep(inner)
    return outcome(scenario, place, finished=True) or _leftovers(place)


def _leftovers(place: Path) -> str:
    found = [str(path.relative_to(place)) for path in place.rglob(".tmp-*")]
    return f"left behind: {', '.join(found)}" if found else ""
