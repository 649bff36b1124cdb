"""A model of power loss: what no sync has followed may be there or not, in any combination, and every state is judged.

The method is that of ALICE (Pillai et al., All File Systems Are Not Created Equal, OSDI 2014), on the recorded operations
of one writer. It is what can tell that each sync is there; a killed process loses nothing that it has written.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoo_core.storage import fs
from zoo_core.testing.faults import FaultFS, Killed, Scenario, Tally, installed, outcome, prepared, repeated


def every_power_loss(
    scenario: Scenario, folder: Path, *, samples: int = 64, seed: int = 0, kill_at: int = 0, deaf_to: int = 0
) -> Tally:
    """Cut the power after every operation of `scenario.act`: each state that may be left is judged and recovered from.

    With `kill_at` the writer is killed there first and another one does the work; `deaf_to` is for `Recorder`.
    """
    place = prepared(scenario, folder / f"recorded-{kill_at}-{deaf_to}")
    with installed(Recorder(place, kill_at=kill_at, deaf_to=deaf_to)) as recorder:
        with suppress(Killed):
            scenario.act(place)
        if recorder.dead:
            recorder.kill_at, recorder.dead = 0, False
            scenario.act(place)
    tally, verdicts = Tally(), dict[tuple[object, ...], str]()
    for end, tree in recorder.crashes(samples, random.Random(seed)):
        finished = end == len(recorder.log)
        key = (finished, *sorted(tree.items()))
        if key not in verdicts:
            state = _built(tree, folder / f"crash-{kill_at}-{deaf_to}-{len(verdicts)}")
            verdicts[key] = outcome(scenario, state, finished=finished) or repeated(scenario, state)
        tally.add(f"power lost after {end} of {len(recorder.log)}", verdicts[key])
    return tally


@dataclass(frozen=True, kw_only=True)
class _Change:
    """One operation on the disk: a new set of names, new bytes, or a sync."""

    inodes: frozenset[int]
    """Files or folders whose sync makes it durable; of a sync, what it makes durable."""
    names: tuple[tuple[int, str, int | None], ...] | None = None
    """(folder, name, inode that it names from now on)."""
    offset: int = 0
    data: bytes | None = None


_Names = dict[int, dict[str, int]]
_Tree = dict[str, bytes | None]
"""Path to content; None for a folder."""


class Recorder(FaultFS):
    """Writes down what happens under `root`, so that `crashes` can tell what a power loss may leave of it.

    What was there at the start is durable. The `deaf_to`-th sync under `root` is left out, to prove that it is needed.
    """

    def __init__(self, root: Path, *, kill_at: int = 0, deaf_to: int = 0) -> None:
        super().__init__(kill_at=kill_at)
        self.root, self.deaf_to, self.syncs = root, deaf_to, 0
        self.log: list[_Change] = []
        self.names: _Names = {}
        self.contents: dict[int, bytes] = {}
        self._numbers = itertools.count()
        self._learn(root)
        self.names_before = {number: dict(names) for number, names in self.names.items()}
        self._handles: dict[int, int] = {}

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        """Recorded where it creates."""
        new = flags & os.O_CREAT and not os.path.lexists(path)
        descriptor = super().open(path, flags, mode)
        if new:
            self._rename({path: next(self._numbers)})
        if path.is_relative_to(self.root):
            self._handles[descriptor] = self._inode(path)
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        """Recorded, half of it where the process dies."""
        inode, offset = self._handles[descriptor], os.fstat(descriptor).st_size
        written = len(data) // 2
        try:
            written = super().write(descriptor, data)
        finally:
            self.log.append(_Change(inodes=frozenset({inode}), offset=offset, data=bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        """Recorded."""
        super().fsync(descriptor)
        if descriptor in self._handles:
            self.syncs += 1
            if self.syncs != self.deaf_to:
                self.log.append(_Change(inodes=frozenset({self._handles[descriptor]})))

    def close(self, descriptor: int) -> None:
        """Forgets the descriptor."""
        self._handles.pop(descriptor, None)
        super().close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Recorded."""
        super().rename(source, target)
        self._rename({source: None, target: self._inode(source)})

    def link(self, source: Path, target: Path) -> None:
        """Recorded."""
        super().link(source, target)
        self._rename({target: self._inode(source)})

    def unlink(self, path: Path) -> None:
        """Recorded."""
        super().unlink(path)
        self._rename({path: None})

    def mkdir(self, path: Path) -> None:
        """Recorded."""
        super().mkdir(path)
        number = next(self._numbers)
        self.names[number] = {}
        self._rename({path: number})

    def rmdir(self, path: Path) -> None:
        """Recorded."""
        super().rmdir(path)
        self._rename({path: None})

    def crashes(self, samples: int, dice: random.Random) -> Iterator[tuple[int, _Tree]]:
        """States that a power loss after each of the recorded operations may leave, at most `samples` for each.

        Whatever no sync has followed may be there, be missing or, if it is bytes, be torn or zeros, in any combination.
        """
        for end in range(len(self.log) + 1):
            synced: set[int] = set()
            options: list[tuple[str, ...]] = []
            for change in reversed(self.log[:end]):
                if change.names is None and change.data is None:
                    synced |= change.inodes
                elif synced & change.inodes:
                    options.append(("kept",))
                else:
                    options.append(("kept", "lost") if change.data is None else ("kept", "lost", "torn", "zeros"))
            options.reverse()
            few = math.prod(len(option) for option in options) <= samples
            for fate in itertools.product(*options) if few else _drawn(options, samples, dice):
                yield end, self._replay(end, fate)

    def _replay(self, end: int, fates: Iterable[str]) -> _Tree:
        names = {number: dict(self.names_before.get(number, {})) for number in self.names}
        contents = {number: bytearray(data) for number, data in self.contents.items()}
        changes = [change for change in self.log[:end] if change.names is not None or change.data is not None]
        for change, fate in zip(changes, fates, strict=True):
            for folder, name, inode in change.names if change.names and fate == "kept" else ():
                names[folder].pop(name, None)
                if inode is not None:
                    names[folder][name] = inode
            if change.data is not None and fate != "lost":
                half, zeros = change.data[: len(change.data) // 2], bytes(len(change.data))
                data = {"kept": change.data, "torn": half, "zeros": zeros}[fate]
                content = contents.setdefault(next(iter(change.inodes)), bytearray())
                content.extend(bytes(max(0, change.offset - len(content))))
                content[change.offset : change.offset + len(data)] = data
        return dict(_reachable(names, contents, 0, ""))

    def _learn(self, path: Path) -> int:
        number = next(self._numbers)
        if path.is_dir():
            self.names[number] = {}
            self.names[number].update({child.name: self._learn(child) for child in path.iterdir()})
        else:
            self.contents[number] = path.read_bytes()
        return number

    def _inode(self, path: Path) -> int:
        number = 0
        for part in path.relative_to(self.root).parts:
            number = self.names[number][part]
        return number

    def _rename(self, changed: dict[Path, int | None]) -> None:
        edits = tuple((self._inode(path.parent), path.name, inode) for path, inode in changed.items())
        self.log.append(_Change(inodes=frozenset(folder for folder, _, _ in edits), names=edits))
        for folder, name, inode in edits:
            self.names[folder].pop(name, None)
            if inode is not None:
                self.names[folder][name] = inode


def _built(tree: _Tree, place: Path) -> Path:
    with installed(FaultFS()):
        fs.make_folder(place)
        for path, content in tree.items():
            if content is None:
                fs.system.mkdir(place / path)
            else:
                fs.write_file(place / path, content)
    return place


def _reachable(
    names: _Names, contents: Mapping[int, bytearray], folder: int, prefix: str
) -> Iterator[tuple[str, bytes | None]]:
    for name, inode in names[folder].items():
        if inode in names:
            yield f"{prefix}{name}", None
            yield from _reachable(names, contents, inode, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", bytes(contents.get(inode, b""))


def _drawn(options: Sequence[tuple[str, ...]], samples: int, dice: random.Random) -> Iterator[tuple[str, ...]]:
    for _ in range(samples):
        yield tuple(dice.choice(option) for option in options)
