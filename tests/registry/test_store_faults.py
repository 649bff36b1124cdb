from __future__ import annotations

import contextlib
import errno
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from store_content import CARD, NEW, OLD, found, whole

from zoo_core.registry.card import Card
from zoo_core.registry.store import Store
from zoo_core.storage import fs
from zoo_core.testing.faults import FaultFS, Killed, Scenario, Tally, every_failure, every_kill, installed, race
from zoo_core.testing.power import every_power_loss


class Add(Scenario):
    """A second version of a name, which shares a file with the first."""

    before: Sequence[dict[str, list[bytes]]] = (OLD,)

    def store(self, folder: Path) -> Store:
        return Store(folder / "zoo")

    def prepare(self, folder: Path) -> None:
        for files in self.before:
            self.store(folder).add(CARD, files)

    def act(self, folder: Path) -> None:
        self.store(folder).add(CARD, NEW)

    def check(self, folder: Path, finished: bool) -> str:
        old = {f"{CARD.name}@{n}": whole(files) for n, files in enumerate(self.before, 1)}
        new = old | {f"{CARD.name}@{len(old) + 1}": whole(NEW)}
        try:
            there = found(self.store(folder))
        except AssertionError as problem:
            return f"damaged: {problem}"[:200]
        return "" if there == new or (there == old and not finished) else f"it holds {list(there)}"


class AddFirst(Add):
    """The first checkpoint of a store, which makes all the folders."""

    before = ()


class ManifestFirst(Store):
    """Positive control: registers before the bytes are there."""

    def _put(self, entry: Any, chunks: Any) -> None:
        pass

    def _publish(self, card: Card, above: int) -> Card:
        registered = super()._publish(card, above)
        for entry in card.files:
            super()._put(entry, NEW[entry.path])
        return registered


class AddBackwards(Add):
    def store(self, folder: Path) -> Store:
        return ManifestFirst(folder / "zoo")


class Forgetful(Store):
    """Positive control: writes its objects without any sync."""

    def _put(self, entry: Any, chunks: Any) -> None:
        path = self.path_of(entry.sha256)
        fs.make_folder(path.parent)
        descriptor = fs.system.open(path, os.O_WRONLY | os.O_CREAT)
        fs.system.write(descriptor, memoryview(b"".join(chunks)))
        fs.system.close(descriptor)


class AddForgetfully(AddFirst):
    def store(self, folder: Path) -> Store:
        return Forgetful(folder / "zoo")


SCENARIOS = [Add(), AddFirst()]


def name(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_a_kill_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    every_kill(scenario, tmp_path).require()


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "persistent"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_an_error_at_every_operation_leaves_no_trace(
    scenario: Scenario, error: int, persistent: bool, tmp_path: Path
) -> None:
    every_failure(scenario, tmp_path, error=error, persistent=persistent).require()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_a_power_loss_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    every_power_loss(scenario, tmp_path, samples=16).require()


def test_a_power_loss_after_the_successor_of_a_dead_writer_is_done(tmp_path: Path) -> None:
    """What a writer killed right after a new name left unsynced, the next one makes durable before it says so."""
    with installed(FaultFS()) as system:
        AddFirst().act(tmp_path)
    kills = [n + 2 for n, operation in enumerate(system.operations) if operation in ("mkdir", "rename", "link")]
    total = Tally()
    for kill_at in kills:
        tally = every_power_loss(AddFirst(), tmp_path / "loss", kill_at=kill_at, samples=4)
        total.tried += tally.tried
        total.bad += tally.bad
    total.require()


def test_the_harness_finds_stores_that_publish_first_or_do_not_sync(tmp_path: Path) -> None:
    """Positive controls for kills, errors and power losses."""
    assert every_kill(AddBackwards(), tmp_path).bad
    assert every_failure(AddBackwards(), tmp_path, error=errno.EIO).bad
    assert every_power_loss(AddForgetfully(), tmp_path, samples=4).bad


def test_syncs_are_needed(tmp_path: Path) -> None:
    """Positive control: without the sync of the object, its folder, the manifest or its folder, something is lost."""
    needed = [n for n in range(1, 12) if every_power_loss(Add(), tmp_path, samples=4, deaf_to=n).bad]
    print(f"syncs of Add that can't be left out: {needed}")
    assert len(needed) == 4


def test_what_killed_writers_left_is_swept_by_the_next_one(tmp_path: Path) -> None:
    for kill_at in itertools.count(1):
        with installed(FaultFS(kill_at=kill_at)) as system, contextlib.suppress(Killed):
            Store(tmp_path).add(CARD, NEW)
        if not system.dead:
            break
    assert list(tmp_path.rglob(".tmp-*")) == []
    assert found(Store(tmp_path)) == {f"{CARD.name}@1": whole(NEW)}


WRITER = """
import sys
from pathlib import Path
from zoo_core.registry.card import Card
from zoo_core.registry.store import Store

store, writer = Store(Path(sys.argv[1])), sys.argv[2]

def add(name, content):
    card = Card(name=name, plugin="zoo-toy", model="zoo-toy/toy", files=())
    card = store.add(card, {"model.safetensors": [content.encode() * 50]})
    assert store.verify(card) == []
    assert store.damaged() == []
    for other in store.cards()[:3]:
        for entry in other.files:
            store.read(entry)
    return card.version

print("ready", flush=True)
sys.stdin.readline()
for n in range(10):
    assert add(f"own_{writer}.n{n}", f"{writer} {n}") == 1
print(*(add(f"contested.n{n}", f"{writer} {n}") for n in range(3)), *(add(f"same.n{n}", f"{n}") for n in range(3)))
"""


def test_registrations_by_several_processes_are_all_kept(tmp_path: Path) -> None:
    writers = 8
    versions = [[int(word) for word in line.split()] for line in race(WRITER, str(tmp_path), writers=writers)]
    there = found(Store(tmp_path))
    own = {f"own_{writer}.n{n}@1" for writer in range(writers) for n in range(10)}
    contested = {f"contested.n{n}@{version}" for n in range(3) for version in range(1, writers + 1)}
    same = {f"same.n{n}@1" for n in range(3)}
    print(f"{len(own | contested | same)} tried, {len(there)} ok; contested {[v[:3] for v in versions]}")
    assert there.keys() == own | contested | same
    for n in range(3):
        assert sorted(version[n] for version in versions) == list(range(1, writers + 1)), "one winner each"
        for writer, version in enumerate(versions):
            content = there[f"contested.n{n}@{version[n]}"]["model.safetensors"]
            assert content == f"{writer} {n}".encode() * 50
    assert all(version[3:] == [1, 1, 1] for version in versions)
    assert list(tmp_path.rglob(".tmp-*")) == []


ENDLESS = """
import itertools, sys
from pathlib import Path
from zoo_core.registry.card import Card
from zoo_core.registry.store import Store

card = Card(name="toy_tiny.digits", plugin="zoo-toy", model="zoo-toy/toy", files=())
for n in itertools.count():
    added = Store(Path(sys.argv[1])).add(card, {"model.safetensors": [f"{sys.argv[2]} {n} ".encode() * 1000]})
    print(added.version, flush=True)
"""


def test_what_was_acknowledged_before_a_real_kill_is_there(tmp_path: Path) -> None:
    acknowledged = set()
    for trial in range(5):
        command = [sys.executable, "-c", ENDLESS, str(tmp_path), str(trial)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            acknowledged |= {int(process.stdout.readline()) for _ in range(3 + trial)}
            process.kill()
    there = found(Store(tmp_path))
    print(f"{len(acknowledged)} tried, {len(acknowledged)} ok; {len(there)} in the store")
    assert {f"{CARD.name}@{version}" for version in acknowledged} <= there.keys()


@pytest.fixture(
    params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK], ids=lambda code: errno.errorcode[code]
)
def linkless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(system: fs.System, source: Path, target: Path) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fs.System, "link", refused)


def test_a_file_system_without_links_holds_a_store(linkless: None, tmp_path: Path) -> None:
    assert fs.publish_new(tmp_path / "one", b"first") and not fs.publish_new(tmp_path / "one", b"second")
    assert fs.read_bytes(tmp_path / "one") == b"first"
    store = Store(tmp_path / "zoo")
    assert [store.add(CARD, NEW).version, store.add(CARD, {"model.safetensors": [b"other"]}).version] == [1, 2]
    assert found(store)[f"{CARD.name}@1"] == whole(NEW)
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.parametrize("linkless", [errno.EOPNOTSUPP], indirect=True, ids=["EOPNOTSUPP"])
@pytest.mark.parametrize("scenario", [Add(), AddFirst()], ids=name)
def test_without_links_a_crash_leaves_old_or_new_as_well(linkless: None, scenario: Scenario, tmp_path: Path) -> None:
    every_kill(scenario, tmp_path / "kills").require()
    every_failure(scenario, tmp_path / "errors", error=errno.EIO).require()
    every_power_loss(scenario, tmp_path / "losses", samples=4).require()


LINKLESS = """
import errno, os
from zoo_core.storage import fs

def refused(system, source, target):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

fs.System.link = refused
"""


def test_without_links_exactly_one_of_several_processes_gets_a_name(tmp_path: Path) -> None:
    writers = 4
    versions = [
        [int(word) for word in line.split()] for line in race(LINKLESS + WRITER, str(tmp_path), writers=writers)
    ]
    there = found(Store(tmp_path))
    for n in range(3):
        assert sorted(version[n] for version in versions) == list(range(1, writers + 1)), "one winner each"
        for writer, version in enumerate(versions):
            content = there[f"contested.n{n}@{version[n]}"]["model.safetensors"]
            assert content == f"{writer} {n}".encode() * 50
    assert len(there) == writers * 10 + writers * 3 + 3
