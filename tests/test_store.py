from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import random
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo_core import fs, tensors
from zoo_core.card import Card, FileEntry, Metric, Reference
from zoo_core.errors import (
    AmbiguousName,
    CardError,
    DigestMismatch,
    DiskError,
    StoreError,
    UnknownName,
    UsageError,
    ZooError,
)
from zoo_core.store import Store, home
from zoo_core.testing.faults import NOBODY, FaultFS, Killed, Scenario, Tally, every_failure, every_kill, installed, race
from zoo_core.testing.power import every_power_loss

CARD = Card(name="toy_tiny.digits", plugin="zoo-toy", model="zoo-toy/toy", files=())
OLD = {"model.safetensors": [b"old" * 400], "vocabulary.json": [b"{}\n"]}
NEW = {"model.safetensors": [b"new" * 300, b"end"], "vocabulary.json": [b"{}\n"]}


def found(store: Store) -> dict[str, dict[str, bytes]]:
    """All that the store holds, every byte verified; a damaged manifest is an error."""
    assert store.damaged() == []
    cards = store.cards()
    assert [problem for card in cards for problem in store.verify(card)] == []
    return {card.full_name: {entry.path: bytes(store.read(entry)) for entry in card.files} for card in cards}


def whole(files: dict[str, list[bytes]]) -> dict[str, bytes]:
    return {name: b"".join(chunks) for name, chunks in files.items()}


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
            return str(problem)[:200]
        return "" if there == new or (there == old and not finished) else f"it holds {list(there)}"


class AddFirst(Add):
    """The first checkpoint of a store, which makes all the folders."""

    before = ()


class ManifestFirst(Store):
    """Positive control: registers before the bytes are there."""

    def _put(self, entry: Any, chunks: Any) -> None:
        pass

    def _publish(self, card: Card, text: str) -> Card:
        registered = super()._publish(card, text)
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


def demand(tally: Tally, what: str) -> None:
    print(f"{what}: {tally}")
    assert tally.clean, str(tally)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_a_kill_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    demand(every_kill(scenario, tmp_path), f"kills of {name(scenario)}")


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "persistent"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_an_error_at_every_operation_leaves_no_trace(
    scenario: Scenario, error: int, persistent: bool, tmp_path: Path
) -> None:
    tally = every_failure(scenario, tmp_path, error=error, persistent=persistent)
    demand(tally, f"{errno.errorcode[error]} in {name(scenario)}")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_a_power_loss_at_every_operation_leaves_old_or_new(scenario: Scenario, tmp_path: Path) -> None:
    demand(every_power_loss(scenario, tmp_path, samples=16), f"power losses in {name(scenario)}")


def test_a_power_loss_after_the_successor_of_a_dead_writer_is_done(tmp_path: Path) -> None:
    """What a killed writer left unsynced, the next one makes durable before it says so."""
    total, kills = Tally(), range(1, every_kill(AddFirst(), tmp_path).tried, 4)
    for kill_at in kills:
        tally = every_power_loss(AddFirst(), tmp_path, kill_at=kill_at, samples=1, seed=kill_at)
        total.tried += tally.tried
        total.bad += tally.bad
    demand(total, f"power losses after a kill at one of {len(kills)} operations")


def test_the_harness_finds_stores_that_publish_first_or_do_not_sync(tmp_path: Path) -> None:
    """Positive controls for kills, errors and power losses."""
    assert every_kill(AddBackwards(), tmp_path).bad
    assert every_failure(AddBackwards(), tmp_path, error=errno.EIO).bad
    assert every_power_loss(AddForgetfully(), tmp_path, samples=4).bad


def test_syncs_are_needed(tmp_path: Path) -> None:
    """Positive control: without the sync of the object, its folder, the manifest or its folder, something is lost."""
    needed = [n for n in range(1, 20) if every_power_loss(Add(), tmp_path, samples=4, deaf_to=n).bad]
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
from zoo_core.card import Card
from zoo_core.store import Store

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
from zoo_core.card import Card
from zoo_core.store import Store

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


def test_adding_gives_the_next_version_and_nothing_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "zoo")
    assert store.cards() == []
    first = store.add(CARD, OLD)
    assert (first.full_name, [entry.path for entry in first.files]) == ("toy_tiny.digits@1", sorted(OLD))
    assert store.add(CARD, OLD) == first
    assert store.add(CARD, dict(reversed(OLD.items()))) == first
    assert store.add(dataclasses.replace(CARD, version=9), OLD) == first
    second = store.add(CARD, NEW)
    assert second.version == 2
    assert store.add(CARD, OLD) == first
    third = store.add(dataclasses.replace(CARD, summary="another word"), NEW)
    assert third.version == 3
    assert [card.version for card in store.cards()] == [1, 2, 3]
    assert len([path for path in (tmp_path / "zoo" / "objects").rglob("*") if path.is_file()]) == 3


def test_a_card_comes_back_as_it_was_added(tmp_path: Path) -> None:
    card = dataclasses.replace(
        CARD,
        summary="é \u202e \x1b[2J",
        config={"sizes": (1, 2), "rate": 1e-5, "big": 2**60},
        labels=("no", "yes"),
        metrics=(Metric(name="loss", value=float("nan"), data="digits", split="test", samples=10),),
    )
    added = Store(tmp_path).add(card, NEW)
    assert repr(Store(tmp_path).get("toy_tiny.digits")) == repr(added), "nan is not equal to itself"
    assert (added.config["rate"], added.labels, added.metrics[0].samples) == (1e-5, ("no", "yes"), 10)
    assert Store(tmp_path).add(card, NEW).version == 1
    text = (tmp_path / "manifests" / "toy_tiny.digits" / "1.json").read_text()
    data = json.loads(text)
    assert data["schema_version"] == 1
    assert text == json.dumps(data, sort_keys=True, indent=1) + "\n"


def test_names_are_found_by_version_and_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cards = [store.add(CARD, {"model.safetensors": [bytes([n])]}) for n in range(17)]
    again = store.add(dataclasses.replace(CARD, summary="again"), {"model.safetensors": [b"\x03"]})
    assert store.get("toy_tiny.digits") == again
    assert store.get("toy_tiny.digits@11") == cards[10]
    assert store.get(Reference(name="toy_tiny.digits", version=2)) == cards[1]
    assert store.get(f"toy_tiny.digits@sha256:{cards[5].digest[:12]}") == cards[5]
    assert store.get(f"toy_tiny.digits@sha256:{cards[3].digest}") == again, "the newest of equal weights"
    assert [card.version for card in store.cards()] == list(range(1, 19))
    digit, count = Counter(card.digest[0] for card in cards).most_common(1)[0]
    with pytest.raises(AmbiguousName, match=f"any of {count} checkpoints"):
        store.get(Reference(name="toy_tiny.digits", digest_prefix=digit))
    for reference, hint in [
        ("toy_tiny.digit", "did you mean toy_tiny.digits?"),
        ("toy_tiny.digits@19", "did you mean toy_tiny.digits@"),
        ("toy_tiny.digits@sha256:" + "0" * 64, "sha256:"),
    ]:
        with pytest.raises(UnknownName) as caught:
            store.get(reference)
        assert hint in caught.value.hint
    with pytest.raises(UsageError):
        store.get("../../etc/passwd")
    with pytest.raises(UnknownName, match="there are none"):
        Store(tmp_path / "nowhere").get("toy_tiny.digits")


@pytest.mark.parametrize("bad", ["", "..", "../up", "/etc/passwd", "a/b", "nul\0", "x" * 300])
def test_bad_file_names_are_refused_before_anything_is_written(bad: str, tmp_path: Path) -> None:
    with pytest.raises(CardError, match="path"):
        Store(tmp_path / "zoo").add(CARD, {bad: [b"x"]})
    assert not (tmp_path / "zoo").exists()


def test_cards_that_could_not_be_read_back_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    store, listed = Store(tmp_path / "zoo"), FileEntry(path="vocabulary.json", sha256="0" * 64, size=1)
    preprocessor = (listed.path,)
    with pytest.raises(CardError, match="not among the files"):
        store.add(dataclasses.replace(CARD, files=(listed,), preprocessor=preprocessor), {"model.safetensors": [b"x"]})
    with pytest.raises(CardError, match="not plain data"):
        store.add(dataclasses.replace(CARD, config={"a": {1, 2}}), NEW)
    with pytest.raises(CardError, match="more than"):
        store.add(dataclasses.replace(CARD, notes="x" * (5 << 20)), NEW)
    assert not (tmp_path / "zoo").exists()


def test_what_is_no_digest_has_no_place(tmp_path: Path) -> None:
    for bad in ["", "ab", "A" * 64, "g" * 64, "../" * 22, "a" * 65]:
        with pytest.raises(CardError, match="not a sha256"):
            Store(tmp_path).path_of(bad)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_modes_follow_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        card = Store(tmp_path / "zoo").add(CARD, NEW)
    finally:
        os.umask(before)
    paths = [tmp_path / "zoo", tmp_path / "zoo/manifests/toy_tiny.digits/1.json"]
    paths.append(Store(tmp_path / "zoo").path_of(card.digest))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    assert modes == [0o777 & ~mask, 0o644 & ~mask, 0o444 & ~mask]


def test_home_is_where_the_user_says() -> None:
    assert home({"ZOO_HOME": "/a/zoo", "XDG_DATA_HOME": "/b", "HOME": "/c"}) == Path("/a/zoo")
    assert home({"ZOO_HOME": "", "XDG_DATA_HOME": "/b", "HOME": "/c"}) == Path("/b/zoo")
    assert home({"XDG_DATA_HOME": "relative", "HOME": "/c"}) == Path("/c/.local/share/zoo")
    assert home({"HOME": "/c"}) == Path("/c/.local/share/zoo")
    assert home({"ZOO_HOME": "relative"}).is_absolute()


def _overwrite(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_is_found_before_a_tensor_is_used(tmp_path: Path) -> None:
    values = {"weight": torch.randn(8, 8), "bias": torch.randn(8).bfloat16(), "mask": torch.ones(4, dtype=torch.bool)}
    chunks = tensors.dump(values, {"format": "pt"})
    store = Store(tmp_path)
    card = store.add(CARD, {"model.safetensors": chunks})
    content = b"".join(chunks)
    path, header = store.path_of(card.digest), len(chunks[0]) * 8
    dice = random.Random(0)
    bits = [*range(header), *(dice.randrange(header, len(content) * 8) for _ in range(500))]
    silent = 0
    for bit in bits:
        _overwrite(path, _flipped(content, bit))
        with pytest.raises(DigestMismatch, match=r"model\.safetensors: .*its bytes have changed"):
            store.read(card.weights)
        assert len(store.verify(card)) == 1
        try:
            tensors.load(bytearray(_flipped(content, bit)), where="control")
            silent += 1
        except ZooError:
            pass
    print(f"seed 0: {len(bits)} tried, {len(bits)} ok; without the digest {silent} would have loaded silently")
    assert silent > 400, "control: the structure alone can't tell"
    _overwrite(path, content)
    assert store.read(card.weights) == content


def test_swapped_and_zeroed_pages_are_found(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(16 * 4096)
    pages = [content[n : n + 4096] for n in range(0, len(content), 4096)]
    store = Store(tmp_path)
    card = store.add(CARD, {"model.safetensors": [content]})
    other = store.add(CARD, {"model.safetensors": [content[::-1]]})
    damaged = [b"".join([*pages[:n], bytes(4096), *pages[n + 1 :]]) for n in range(16)]
    damaged += [b"".join([pages[n], *pages[1:n], pages[0], *pages[n + 1 :]]) for n in range(1, 16)]
    damaged.append(bytes(store.read(other.weights)))
    for bad in damaged:
        assert len(bad) == len(content)
        _overwrite(store.path_of(card.digest), bad)
        assert store.verify(card)
        with pytest.raises(DigestMismatch):
            store.read(card.weights)
    print(f"{len(damaged)} tried, {len(damaged)} ok")


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    _overwrite(path, b"")


def _short(path: Path) -> None:
    _overwrite(path, path.read_bytes()[:-1])


def _long(path: Path) -> None:
    _overwrite(path, path.read_bytes() + b"x")


def _huge(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 1 << 42)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGE = [
    (_missing, DiskError, "no such file"),
    (_empty, DigestMismatch, "0 bytes instead of 903"),
    (_short, DigestMismatch, "902 bytes instead of 903"),
    (_long, DigestMismatch, "904 bytes"),
    (_folder, DiskError, "not a regular file"),
    (_pipe, DiskError, "not a regular file"),
    (_link, DiskError, "symbolic link"),
    (_loop, DiskError, "symbolic link"),
]


@pytest.mark.parametrize(("damage", "error", "reason"), DAMAGE)
def test_damaged_objects_are_refused_named_and_healed(
    damage: Any, error: type[ZooError], reason: str, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, NEW)
    assert store.has(card.weights)
    damage(store.path_of(card.digest))
    assert not store.has(card.weights)
    started = time.monotonic()
    with pytest.raises(error, match=rf"(?s)model\.safetensors: .*{reason}") as caught:
        store.read(card.weights)
    assert "zoo verify" in caught.value.hint
    (problem,) = store.verify(card)
    assert problem.startswith("toy_tiny.digits@1: model.safetensors: ")
    assert reason in problem
    assert time.monotonic() - started < 0.5
    if damage is not _folder:
        assert store.add(CARD, NEW) == card
        assert store.verify(card) == []


def test_an_object_that_has_grown_huge_is_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, NEW)
    _huge(store.path_of(card.digest))
    with pytest.raises(DigestMismatch, match="more than the 903"):
        store.read(card.weights)


class Unreadable(fs.System):
    """One file that belongs to somebody else; root can read anything, so the mode alone would not do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if path == self.path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return super().open(path, flags, mode)


def test_verify_names_every_problem(tmp_path: Path) -> None:
    store = Store(tmp_path)
    files = {f"file-{n}": [bytes([n]) * 10] for n in range(5)}
    card = store.add(CARD, files)
    for entry, damage in zip(card.files, [_missing, _short, _pipe], strict=False):
        damage(store.path_of(entry.sha256))
    _overwrite(store.path_of(card.files[3].sha256), b"y" * 10)
    with installed(Unreadable(store.path_of(card.files[4].sha256))):
        problems = store.verify(card)
    print(*problems, sep="\n")
    for problem, (file, reason) in zip(
        problems,
        [
            ("file-0", "no such file"),
            ("file-1", "9 bytes instead of 10"),
            ("file-2", "not a regular file"),
            ("file-3", "its bytes have changed"),
            ("file-4", "permission denied"),
        ],
        strict=True,
    ):
        assert f": {file}: " in problem
        assert reason in problem


def test_a_verified_object_is_hashed_once_unless_it_changes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, NEW)
    path = store.path_of(card.digest)

    def reads() -> int:
        with installed(FaultFS()) as system:
            assert store.add(CARD, NEW) == card
        return system.operations.count("read")

    first, second = reads(), reads()
    assert second < first, "the second time it is remembered"
    status = path.stat()
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(_flipped(content, 0))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.verify(card), "verify always hashes"
    with pytest.raises(DigestMismatch):
        store.read(card.weights)
    assert reads() > second
    assert store.verify(card) == [], "adding has healed it"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


GOOD = {"schema_version": 1, "name": CARD.name, "version": 1, "plugin": "zoo-toy", "model": "zoo-toy/toy", "files": []}
BAD_MANIFESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a manifest"),
    "torn": (json.dumps(GOOD).encode()[:-20], "not a manifest"),
    "not UTF-8": (b"\xff\xfe\x00", "not a manifest"),
    "list": (b"[]", "expected"),
    "key twice": (b'{"name":"a","name":"b"}', "occurs twice"),
    "nested deeply": (b"[" * 100_000 + b"]" * 100_000, "not a manifest"),
    "too large": (b" " * (5 << 20), "more than the"),
    "unknown key": (json.dumps({**GOOD, "nmae": "x"}).encode(), "nmae"),
    "another name": (json.dumps({**GOOD, "name": "other"}).encode(), "it holds other@1, not toy_tiny.digits@1"),
    "another version": (json.dumps({**GOOD, "version": 2}).encode(), "it holds toy_tiny.digits@2, not"),
    "no version": (json.dumps({**GOOD, "version": None}).encode(), "it holds toy_tiny.digits, not|version"),
    "path outside": (
        json.dumps({**GOOD, "files": [{"path": "../../x", "sha256": "0" * 64, "size": 1}]}).encode(),
        "path",
    ),
    "upper-case digest": (
        json.dumps({**GOOD, "files": [{"path": "x", "sha256": "A" * 64, "size": 1}]}).encode(),
        "sha256",
    ),
    "negative size": (
        json.dumps({**GOOD, "files": [{"path": "x", "sha256": "0" * 64, "size": -1}]}).encode(),
        "size",
    ),
    "newer": (json.dumps({**GOOD, "schema_version": 2, "new": {}}).encode(), "newer zoo-core"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_damaged_manifest_is_named_and_hides_nothing_else(case: str, tmp_path: Path) -> None:
    content, reason = BAD_MANIFESTS[case]
    store = Store(tmp_path)
    other = store.add(dataclasses.replace(CARD, name="other"), OLD)
    folder = tmp_path / "manifests" / CARD.name
    folder.mkdir()
    (folder / "1.json").write_bytes(content)
    started = time.monotonic()
    with pytest.raises(StoreError, match=reason) as caught:
        store.get(CARD.name)
    assert str(folder / "1.json") in caught.value.message
    assert store.cards() == [other]
    (problem,) = store.damaged()
    assert str(folder / "1.json") in problem
    assert time.monotonic() - started < 0.5


def test_a_damaged_manifest_keeps_its_version_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(CARD, OLD)
    _overwrite(tmp_path / "manifests" / CARD.name / "1.json", b"torn")
    assert store.add(CARD, OLD).version == 2
    with pytest.raises(CardError):
        store.get("toy_tiny.digits@1")


def test_a_store_of_the_future_can_be_read_but_not_added_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, OLD)
    folder = tmp_path / "manifests" / "newer"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps({**GOOD, "name": "newer", "schema_version": 2, "new": {}}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CardError, match=r"can be read but not added to.*newer zoo-core") as caught:
        store.add(CARD, NEW)
    assert "upgrade" in caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before
    assert store.get(CARD.name) == card
    assert store.read(card.weights) == whole(OLD)["model.safetensors"]


def test_a_read_only_store_can_be_read(tmp_path: Path) -> None:
    card = Store(tmp_path).add(CARD, OLD)

    class ReadOnly(fs.System):
        def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
            if flags & (os.O_WRONLY | os.O_CREAT):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return super().open(path, flags, mode)

        def mkdir(self, path: Path) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with installed(ReadOnly()):
        assert found(Store(tmp_path)) == {card.full_name: whole(OLD)}
        with pytest.raises(DiskError, match="read-only"):
            Store(tmp_path).add(CARD, NEW)


def test_stray_files_are_no_checkpoints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, OLD)
    folder = tmp_path / "manifests"
    for stray in ["README", "UPPER/1.json", f"{CARD.name}/01.json", f"{CARD.name}/0.json", f"{CARD.name}/notes.txt"]:
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_text("x")
    (folder / CARD.name / f".tmp-{'0' * 8}-{NOBODY}-{'0' * 16}").write_text("x")
    assert store.cards() == [card]
    assert store.damaged() == []
