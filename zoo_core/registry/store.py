"""The user's checkpoint store: bytes under their digest, and one manifest for each name and version, that only grows."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_core.errors import CardError, CorruptFile, DigestMismatch, DiskError, StoreError, UnknownName, UsageError
from zoo_core.registry.card import (
    MAX_VERSION,
    Card,
    card_to_data,
    check_schema_version,
    natural_key,
    parse_card,
    parse_reference,
    valid_name,
)
from zoo_core.registry.catalogue import names_in
from zoo_core.registry.layers import Damaged
from zoo_core.registry.records import FileEntry
from zoo_core.storage import fs

_MAX_MANIFEST = 4 << 20
_MANIFEST = re.compile(r"([1-9][0-9]{0,8})\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMOVED = ".removed"

_Identity = tuple[int, int, int, int, int]
"""Device, inode, size, modification and change time: what changes when a file's bytes are written."""


class Store:
    """Objects at `objects/ab/<sha256>` and manifests at `manifests/<name>/<version>.json`.

    A checkpoint exists if and only if its manifest does. Any number of processes may read and add at the same time, and
    no promise rests on a lock: an object's name is its digest, and a manifest is created by a link, which fails where the
    name is taken. Nothing that was added is ever changed, but for baselines and notes that `amend` adds; `remove` takes a
    manifest away and leaves `<version>.removed` in its place, so that its number never means anything else.
    """

    def __init__(self, root: Path) -> None:
        """`root` is made when something is added; a missing one is an empty store."""
        self.root = root
        self._verified: dict[str, _Identity] = {}

    def add(self, card: Card, files: Mapping[str, Sequence[fs.Buffer]], *, above: int = 0) -> Card:
        """Register a checkpoint and return its card with files and version: the next free one of its name.

        `above` is the newest version that the name has elsewhere, so that no two places give one number to two things.
        What is there already, bytes and card alike, is not registered twice; its version is returned. Raises `CardError`
        for a card or a file name that breaks the schema, or a store that a newer zoo-core has written to, and `DiskError`.
        """
        self._refuse_newer()
        entries = tuple(_entry(name, chunks) for name, chunks in sorted(files.items()))
        try:
            card = replace(card, version=None, files=entries)
            _text(card)
        except ValueError as error:
            raise CardError(f"{card.name}: {error}") from error
        for entry in entries:
            self._put(entry, files[entry.path])
        registered = self._publish(card, above)
        for entry in entries:
            if not self.has(entry):  # a collection took it in the instant between its look at the age and the removal
                self._put(entry, files[entry.path])
        return registered

    def probe(self) -> None:
        """Do once what adding does, and leave nothing. Raises `DiskError` where a checkpoint could not be added."""
        for name in ("objects", "manifests"):
            folder = self.root / name
            fs.make_folder(folder)
            path = folder / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
            fs.write_file(path, b"") if name == "objects" else fs.publish_new(path, b"")
            fs.remove_file(path)

    def amend(self, card: Card) -> Card:
        """Add baselines of metrics, and notes below those there are, to the registered card of the same name and version.

        Whoever reads the manifest meanwhile finds the old one or the new one. Raises `CardError` for a card that differs
        in anything else, `UnknownName` for one that isn't registered, and `DiskError`.
        """
        held = self.get(f"{card.name}@{card.version}")
        if not _amends(held, card):
            raise CardError(
                f"{card.full_name}: it differs from the registered card", hint="only baselines and notes can be added"
            )
        path = self._versions(card.name)[held.version or 0]
        fs.write_file(path, _text(card).encode())
        return _card(path)

    def cards(self) -> list[Card]:
        """All registered cards by name and version. A damaged manifest is left out here and named by `damaged`."""
        return self.scan()[0]

    def damaged(self) -> list[str]:
        """What is wrong with each manifest, and each folder of them, that can't be read."""
        return [damaged.message for damaged in self.scan()[1]]

    def scan(self) -> tuple[list[Card], list[Damaged]]:
        """All registered cards by name and version, and what can't be read, each item by itself."""
        cards, damaged = [], []
        for name, version, path in self._manifests():
            try:
                if isinstance(path, StoreError):
                    raise path
                cards.append(_card(path))
            except StoreError as failure:
                if isinstance(path, StoreError) or os.path.lexists(path):  # else `remove` was faster
                    damaged.append(Damaged(name=name, version=version, message=failure.message))
        return cards, damaged

    def remove(self, name: str, version: int) -> None:
        """Take a checkpoint out of the store; the bytes of its files stay until `collect`, its number is never used again.

        Raises `UnknownName` where there is no such manifest, and `DiskError`.
        """
        versions = self._versions(name)
        if version not in versions:
            raise UnknownName(
                "checkpoint", f"{name}@{version}", [f"{name}@{v}" for v in versions], where=str(self.root)
            )
        fs.publish_new(versions[version].with_suffix(_REMOVED), b"")
        fs.remove_file(versions[version])

    def get(self, name: str) -> Card:
        """The card of `name`, its newest version, or of `name@version`; the registry knows digests.

        Raises `UsageError` for `name@sha256:...`, `UnknownName` with the nearest names, and `CardError` for a damaged
        manifest: an older version never stands in for it.
        """
        wanted = parse_reference(name)
        if wanted.digest_prefix:
            raise UsageError(f"{wanted}: a store looks checkpoints up by version", hint="ask the registry for a digest")
        versions = self._versions(wanted.name)
        if not versions:
            raise UnknownName("checkpoint", wanted.name, self._names(), where=str(self.root))
        version = wanted.version or max(versions)
        if version not in versions:
            known = [f"{wanted.name}@{known}" for known in versions]
            raise UnknownName("checkpoint", str(wanted), known, where=str(self.root))
        return _card(versions[version])

    def path_of(self, sha256: str) -> Path:
        """Where the bytes with this digest lie, or would. Never write to it. Raises `CardError` for what is no digest."""
        if not _SHA256.fullmatch(sha256):
            raise CardError(f"{sha256[:80]!r} is not a sha256 of 64 lower-case hex digits")
        return self.root / "objects" / sha256[:2] / sha256

    def has(self, entry: FileEntry) -> bool:
        """Whether a file of the right size is there; its bytes are not looked at."""
        try:
            status = self.path_of(entry.sha256).lstat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == entry.size

    def read(self, entry: FileEntry) -> bytearray:
        """The bytes of a file, all of them hashed first.

        Raises `DigestMismatch` where they are not the ones that were registered, and `DiskError` where they can't be read.
        """
        path = self.path_of(entry.sha256)
        before = _identity(path)
        hint = "add the checkpoint again, or see what else is wrong: zoo verify"
        buffer = read_verified(path, entry, hint=hint)
        self._remember(entry, before)
        return buffer

    def verify(self, card: Card) -> list[str]:
        """Hash every file of a card; one sentence for each that is missing, unreadable or not what was registered."""
        found = (problem_of(self.path_of(entry.sha256), entry) for entry in card.files)
        return [f"{card.full_name}: {problem}" for problem in found if problem]

    def _put(self, entry: FileEntry, chunks: Sequence[fs.Buffer]) -> None:
        """Make sure that the object is there, whole and durable; a damaged one is replaced."""
        path = self.path_of(entry.sha256)
        fs.make_folder(path.parent)
        fs.sweep(path.parent)
        if self._intact(entry):
            # Whoever wrote it may have died before its own sync.
            fs.sync_folder(path.parent)
            with suppress(OSError):  # another user's file stays as old as it is
                os.utime(path)
            if found := _identity(path):
                self._verified[entry.sha256] = found
                return
        # Nobody has written it, or a collection has taken it since this look.
        fs.write_file(path, *chunks, mode=0o444)

    def _publish(self, card: Card, above: int) -> Card:
        folder = self.root / "manifests" / card.name
        fs.make_folder(folder)
        fs.sweep(folder)
        while True:
            versions = self._versions(card.name)
            for version in sorted(versions, reverse=True):
                if (held := _undamaged(versions[version])) and _amends(card, replace(held, version=None)):
                    fs.sync_folder(folder)
                    return held
            version = max(above, *versions, *self._removed(card.name), 0) + 1
            if version > MAX_VERSION:
                hint = "register it under another name"
                raise CardError(f"{card.name}: there is no version above {MAX_VERSION} left", hint=hint)
            path = folder / f"{version}.json"
            registered = replace(card, version=int(path.stem))
            if fs.publish_new(path, _text(registered).encode()):
                return _card(path)

    def _intact(self, entry: FileEntry) -> bool:
        """Whether the object has the right bytes; one that was hashed and hasn't changed since isn't hashed again."""
        before = _identity(self.path_of(entry.sha256))
        if before is None or before[2] != entry.size:
            return False
        if self._verified.get(entry.sha256) == before:
            return True
        try:
            digest, _ = fs.digest_file(self.path_of(entry.sha256))
        except StoreError:
            return False
        if digest == entry.sha256:
            self._remember(entry, before)
        return digest == entry.sha256

    def _remember(self, entry: FileEntry, before: _Identity | None) -> None:
        if before is not None and before == _identity(self.path_of(entry.sha256)):
            self._verified[entry.sha256] = before

    def _refuse_newer(self) -> None:
        for _, _, path in self._manifests():
            try:
                data = None if isinstance(path, StoreError) else _data(path)
            except StoreError:
                continue  # `damaged` names it, and it is in nobody's way
            if isinstance(data, dict):
                check_schema_version(data, f"the store can be read but not added to: {path}")

    def _names(self) -> list[str]:
        return sorted(filter(valid_name, names_in(self.root / "manifests")), key=natural_key)

    def _versions(self, name: str) -> dict[int, Path]:
        folder = self.root / "manifests" / name
        return {int(match[1]): folder / entry for entry in names_in(folder) if (match := _MANIFEST.fullmatch(entry))}

    def _removed(self, name: str) -> list[int]:
        found = map(Path, names_in(self.root / "manifests" / name))
        return [int(path.stem) for path in found if path.suffix == _REMOVED and path.stem.isdecimal()]

    def _manifests(self) -> Iterator[tuple[str, int | None, Path | StoreError]]:
        """Name, version and file of each manifest; without a version what keeps a folder of them from being read."""
        try:
            names = self._names()
        except StoreError as failure:
            yield "", None, failure
            return
        for name in names:
            try:
                versions = sorted(self._versions(name).items())
            except StoreError as failure:
                yield name, None, failure
                continue
            yield from ((name, version, path) for version, path in versions)


def _entry(name: str, chunks: Sequence[fs.Buffer]) -> FileEntry:
    size = sum(memoryview(chunk).nbytes for chunk in chunks)
    try:
        return FileEntry(path=name, sha256=fs.digest_of(*chunks), size=size)
    except ValueError as error:
        raise CardError(f"a file can't be stored: {error}") from error


def read_verified(
    path: Path, entry: FileEntry, *, hint: str = "the file was changed or damaged; nothing was loaded"
) -> bytearray:
    """The file's bytes, which are those on the card. Raises `DigestMismatch`, `DiskError`."""
    try:
        buffer = fs.read_into(path, limit=entry.size)
    except CorruptFile as error:
        raise DigestMismatch(f"{entry.path}: {error.message}", hint=hint) from error
    except DiskError as error:
        raise DiskError(f"{entry.path}: {error.message}", hint=hint) from error
    if problem := _difference(path, entry, fs.digest_of(buffer), len(buffer)):
        raise DigestMismatch(problem, hint=hint)
    return buffer


def problem_of(path: Path, entry: FileEntry) -> str:
    """Why the bytes in a file, all of them hashed, are not those on the card; empty where they are."""
    try:
        return _difference(path, entry, *fs.digest_file(path, limit=entry.size))
    except StoreError as error:
        return f"{entry.path}: {error.message}"


def _difference(path: Path, entry: FileEntry, digest: str, size: int) -> str:
    if (digest, size) == (entry.sha256, entry.size):
        return ""
    expected = f"expected {entry.size} bytes with sha256 {entry.sha256}"
    return f"{entry.path}: {path}: {expected}, found {size} with {digest}"


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _text(card: Card) -> str:
    """The card as its manifest holds it. Raises `CardError` for one that could not be read back."""
    text = json.dumps(card_to_data(card), sort_keys=True, indent=1) + "\n"
    if len(text) > _MAX_MANIFEST:
        raise CardError(f"{card.full_name}: the card takes {len(text)} bytes, more than {_MAX_MANIFEST}")
    parse_card(json.loads(text), card.full_name)
    return text


def _amends(card: Card, later: Card) -> bool:
    """Whether `later` is the card, or says the same with more baselines and with notes below."""
    bare, other = (
        replace(one, notes="", metrics=tuple(replace(metric, baselines={}) for metric in one.metrics))
        for one in (card, later)
    )
    grown = all(
        now.baselines.items() >= before.baselines.items()
        for before, now in zip(card.metrics, later.metrics, strict=False)
    )
    noted = not card.notes or later.notes == card.notes or later.notes.startswith(card.notes + "\n")
    return grown and noted and _text(bare) == _text(other)


def _undamaged(path: Path) -> Card | None:
    try:
        return _card(path)
    except StoreError:
        return None


def _card(path: Path) -> Card:
    card = parse_card(_data(path), str(path))
    name, version = path.parent.name, int(path.stem)
    if (card.name, card.version) != (name, version):
        raise CardError(
            f"{path}: it holds {card.full_name}, not {name}@{version}", hint="it was moved or changed by hand"
        )
    return card


def _data(path: Path) -> Any:
    try:
        return json.loads(fs.read_bytes(path, limit=_MAX_MANIFEST), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CardError(
            f"{path}: not a manifest: {str(error)[:200]}", hint="it was damaged or changed by hand"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key occurs twice")
    return data
