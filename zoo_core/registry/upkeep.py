"""What users change in their store besides adding to it: aliases, removals, and the space that removals leave."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_core.errors import StoreError, UnknownName, UsageError
from zoo_core.registry.aliases import history, write_alias
from zoo_core.registry.card import Reference, parse_reference
from zoo_core.registry.catalogue import names_in
from zoo_core.registry.layers import STORE, Alias, Names
from zoo_core.registry.registry import Registry
from zoo_core.registry.store import Store
from zoo_core.registry.zoo import Zoo, open_zoo
from zoo_core.storage import fs

GRACE = 3600.0
"""Seconds for which bytes that nothing refers to are kept: a registration under way has written them and not yet said so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What a collection of garbage removed, or would remove."""

    objects: int
    """Files that no card refers to."""
    size: int
    """Their bytes."""


def set_alias(name: str, version: int | None, *, zoo: Zoo | None = None) -> Alias:
    """Let a bare name mean one of its versions, or with None what it means by itself; the history is kept.

    Raises `UnknownName` for a version that does not exist, `UsageError` for a name with a version, `DiskError`.
    """
    registry = (zoo or open_zoo()).registry
    reference = _bare(name)
    if version is None:
        return write_alias(registry.store.root, name, None)
    entry = registry.lookup(f"{reference.name}@{version}")
    return write_alias(registry.store.root, name, version, entry.card.digest)


def alias_history(name: str, *, zoo: Zoo | None = None) -> list[Alias]:
    """Every alias that a name ever had, the one that counts last."""
    return history((zoo or open_zoo()).registry.store.root, _bare(name).name)


def remove(name: str, *, force: bool = False, zoo: Zoo | None = None) -> None:
    """Take `name@version` out of the user's store; the bytes stay until `collect_garbage`, the number is never reused.

    `force` also removes what another checkpoint was derived from, and takes back an alias that stands for it. Raises
    `UnknownName`, `UsageError` for what is still referred to or isn't the store's, `DiskError`.
    """
    remove_all([name], force=force, zoo=zoo)


def remove_all(names: Sequence[str], *, force: bool = False, zoo: Zoo | None = None) -> None:
    """Take several out of the user's store as `remove` does, or none of them where one can't be."""
    registry = (zoo or open_zoo()).registry
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        _check_removable(name, registry, force=force)
    for name in wanted:
        reference, aliases = parse_reference(name), registry.names().aliases
        assert reference.version is not None
        registry.store.remove(reference.name, reference.version)
        alias = aliases.get(reference.name)
        if isinstance(alias, Alias) and alias.version == reference.version:
            write_alias(registry.store.root, reference.name, None)


def _check_removable(name: str, registry: Registry, *, force: bool) -> None:
    """Raise what keeps a version from being removed."""
    reference, names = parse_reference(name), registry.names()
    own = sorted(card.version or 0 for card in registry.store.scan()[0] if card.name == reference.name)
    if reference.version is None or reference.place not in ("", STORE):
        told = (
            " or ".join(f"zoo rm {reference.name}@{version}" for version in own)
            or f"your store has no {reference.name}"
        )
        raise UsageError(f"{name} doesn't say which version of the store's to remove", hint=told)
    if not force and (users := _users(reference, names)):
        raise UsageError(
            f"{name} is still in use: {'; '.join(users)}", hint=f"remove it all the same: zoo rm {name} --force"
        )
    stored = reference.version in own
    elsewhere = [entry.layer for entry in names.held(reference) if entry.card.version == reference.version]
    damaged = any((one.name, one.version) == (reference.name, reference.version) for one in names.damaged)
    if elsewhere and not (stored or damaged):
        raise UsageError(f"{name} is of the {elsewhere[0]}", hint="only what is in your own store can be removed")
    if not (stored or damaged):
        held = sorted(card.full_name for card in registry.store.scan()[0])
        raise UnknownName("checkpoint", name, held, where=str(registry.store.root))


def collect_garbage(*, dry_run: bool = False, grace: float = GRACE, zoo: Zoo | None = None) -> Collected:
    """Remove the bytes in the user's store that no card refers to and that are older than `grace` seconds.

    Raises `StoreError` where a manifest, the catalogue or the working folder's registry can't be read: nobody knows what
    it refers to, and nothing is removed then.
    """
    registry = (zoo or open_zoo()).registry
    if registry.file_problems:
        raise StoreError(f"nothing is removed while a card can't be read: {registry.file_problems[0]}")
    cards = [entry.card for entry in registry.cards()]
    # The base of a delta stays though its own card was removed by force: it may be registered again.
    bases = {card.base.rpartition(":")[2] for card in cards if card.base}
    keep = frozenset(file.sha256 for card in cards for file in card.files) | bases
    freed = collect(registry.store, keep, grace=grace, dry_run=dry_run)
    return Collected(objects=len(freed), size=sum(freed.values()))


def _bare(name: str) -> Reference:
    reference = parse_reference(name)
    if str(reference) != reference.name:
        raise UsageError(f"{name!r} is more than a name", hint=f"zoo alias {reference.name} VERSION")
    return reference


def _users(reference: Reference, names: Names) -> list[str]:
    """Who refers to a version of the store's: an alias, and checkpoints that were derived from it."""
    alias = names.aliases.get(reference.name)
    users = []
    if isinstance(alias, Alias) and alias.version == reference.version:
        users.append(f"{reference.name} stands for it by an alias")
    cards = [entry.card for entry in names.entries]
    digests = {card.digest for card in cards if reference.matches(card)}
    others = {card.digest for card in cards if card.name == reference.name and not reference.matches(card)}
    parents = {f"{reference.name}@sha256:{digest}" for digest in digests - others}
    users += [f"{card.full_name} was trained or measured with it" for card in cards if parents & set(card.uses)]
    users += [f"{card.full_name} is a delta on it" for card in cards if card.base in parents]
    users += [
        f"{card.full_name} was derived from it"
        for card in cards
        if card.base not in parents and parents & {card.parent, *card.parents.values()}
    ]
    return users


_SHA256 = re.compile(r"[0-9a-f]{64}")


def collect(store: Store, keep: frozenset[str], *, grace: float, dry_run: bool) -> dict[str, int]:
    """Remove the objects that no manifest and nobody in `keep` refers to; returns the size of each by its digest.

    An object younger than `grace` seconds stays: it may belong to a registration under way, which makes young what it
    finds, and writes again what is gone once its manifest is there. Raises `StoreError` where a manifest can't be read,
    as nobody knows what it refers to, and `DiskError`.
    """
    # The objects before the manifests: what turns old after this look may have got a manifest that we don't know.
    old = {path.name: path for path in _objects(store.root / "objects") if _age(path) >= grace}
    cards, damaged = store.scan()
    if damaged:
        hint = "repair it, or take it out of the store: zoo rm NAME@VERSION"
        raise StoreError(f"nothing is removed while a manifest can't be read: {damaged[0].message}", hint=hint)
    keep |= {entry.sha256 for card in cards for entry in card.files}
    freed = {}
    for digest in sorted(old.keys() - keep):
        path = old[digest]
        if _age(path) >= grace:
            freed[digest] = path.lstat().st_size
            if not dry_run:
                fs.remove_file(path)
    return freed


def _objects(root: Path) -> Iterator[Path]:
    """Every file that is called by a digest, in the folder that the digest says."""
    for folder in names_in(root):
        for name in names_in(root / folder):
            if _SHA256.fullmatch(name) and name.startswith(folder):
                yield root / folder / name


def _age(path: Path) -> float:
    """Seconds since a file was written or made young; less than none for one that is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return float("-inf")
