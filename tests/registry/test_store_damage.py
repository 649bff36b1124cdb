from __future__ import annotations

import errno
import os
import random
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo_core.errors import DigestMismatch, DiskError, ZooError
from zoo_core.registry.card import Card
from zoo_core.registry.store import Store
from zoo_core.storage import fs, tensors
from zoo_core.testing.faults import FaultFS, installed

CARD = Card(name="toy_tiny.digits", plugin="zoo-toy", model="zoo-toy/toy", files=())
NEW = {"model.safetensors": [b"new" * 300, b"end"], "vocabulary.json": [b"{}\n"]}


def _overwrite(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_and_every_truncation_is_found_before_a_tensor_is_used(tmp_path: Path) -> None:
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
        with pytest.raises(DigestMismatch, match=r"model\.safetensors: .*expected .* found"):
            store.read(card.weights)
        assert len(store.verify(card)) == 1
        try:
            tensors.load(bytearray(_flipped(content, bit)), where="control")
            silent += 1
        except ZooError:
            pass
    print(f"seed 0: {len(bits)} tried, {len(bits)} ok; without the digest {silent} would have loaded silently")
    assert silent > 400, "control: the structure alone can't tell"
    for length in range(len(content)):
        _overwrite(path, content[:length])
        with pytest.raises(DigestMismatch, match=f"expected {len(content)} bytes with .* found {length} with"):
            store.read(card.weights)
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
    (_empty, DigestMismatch, "found 0 with"),
    (_short, DigestMismatch, "found 902 with"),
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


def test_an_empty_object_is_no_pipe(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, {"model.safetensors": [b""]})
    assert store.has(card.weights)
    assert store.read(card.weights) == b""
    _pipe(store.path_of(card.digest))
    assert not store.has(card.weights)


def test_an_object_that_has_grown_huge_is_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, NEW)
    _huge(store.path_of(card.digest))
    with pytest.raises(DigestMismatch, match="more than the 903"):
        store.read(card.weights)
    assert "more than the 903" in store.verify(card)[0]


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
            ("file-1", "found 9 with"),
            ("file-2", "not a regular file"),
            ("file-3", "found 10 with"),
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

    first, status = reads(), path.stat()
    second = reads()
    assert second < first, "the second time it is remembered"
    assert path.stat().st_ino == status.st_ino, "and not written again"
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
