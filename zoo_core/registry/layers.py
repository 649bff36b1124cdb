"""Whose a checkpoint's name is: the one rule by which lookups, listings and checks read a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_core.errors import CardError, StoreError
from zoo_core.registry.card import Card, Reference

CATALOGUE, STORE, PROJECT = "catalogue", "store", "project"
"""Layers that are called by one word; a plugin's is called `plugin <distribution>`."""

_PLUGIN = "plugin "


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A card, where it comes from and whether it can be used here."""

    card: Card
    """The card."""
    layer: str
    """`catalogue`, `plugin <distribution>`, `store` or `project`."""
    where: str
    """The file that holds the card; empty for the store."""
    packages: tuple[Path, ...] = ()
    """Package folders whose `checkpoints/<name>/` may hold its files."""
    available: bool = True
    """Whether it can be loaded here and now."""
    why: str = ""
    """Why it can't be loaded, and what to do; empty when it can."""

    @property
    def place(self) -> str:
        """What stands in front of the name to ask for a layer's checkpoint: the plugin's name, or the layer's word."""
        return self.layer.removeprefix(_PLUGIN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """A manifest, or a folder of them, that can't be read."""

    name: str
    """Name of the checkpoint; empty where the whole store can't be read."""
    version: int | None
    """Its version; None for a folder."""
    message: str
    """What is wrong with it, and where it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """The version that a user lets a bare name mean."""

    name: str
    """Name of the checkpoint."""
    version: int | None
    """Its version; None where the name means again what it means by itself."""
    sha256: str = ""
    """Digest of that version's weights."""
    set_at: str = ""
    """When it was set, in UTC."""


class Names:
    """All entries, and what each name means.

    A name belongs to the first of catalogue, plugins, store and project that holds a version of it. The bare name is the
    owner's newest version that can be loaded here, or the one that an alias says. `name@3` and `name@sha256:...` reach
    the versions of the owner, the store and the project. A plugin's card of another layer's name takes part in none of
    this and is asked for as `plugin/name`, as every layer's is by its word (`store/name`).
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        damaged: Sequence[Damaged] = (),
        aliases: Mapping[str, Alias | StoreError] | None = None,
    ) -> None:
        self.entries = entries
        self.damaged = damaged
        self.aliases = aliases or {}
        self._named: dict[str, list[Entry]] = {}
        for entry in entries:
            self._named.setdefault(entry.card.name, []).append(entry)

    def owners(self, name: str) -> frozenset[str]:
        """The layers that a name belongs to: one, or plugins with equal claims; none for an unknown name."""
        held = self._named.get(name, [])
        layers = {entry.layer for entry in held}
        plugins = {layer for layer in layers if layer.startswith(_PLUGIN)}
        own = {entry.layer for entry in held if entry.layer == f"{_PLUGIN}{entry.card.plugin}"}
        stored = {STORE} if any(one.name == name for one in self.damaged) else set()
        for layer in ({CATALOGUE} & layers, own or plugins, {STORE} & layers | stored, {PROJECT} & layers):
            if layer:
                return frozenset(layer)
        return frozenset()

    def foreign(self, entry: Entry) -> bool:
        """Whether a plugin's card has the name of another layer's checkpoint."""
        return entry.layer.startswith(_PLUGIN) and entry.layer not in self.owners(entry.card.name)

    def held(self, reference: Reference) -> list[Entry]:
        """The entries of a name, whatever their version, among which the reference chooses."""
        named = self._named.get(reference.name, [])
        if not reference.place:
            return [entry for entry in named if not self.foreign(entry)]
        placed = [entry for entry in named if entry.place == reference.place]
        return placed or [e for e in named if e.layer == CATALOGUE and e.card.plugin == reference.place]

    def meant(self, reference: Reference) -> list[Entry]:
        """What a reference means: one entry; none for an unknown one; several where it is ambiguous.

        Raises `CardError` where it means a damaged manifest, `StoreError` for an alias of something that isn't here.
        """
        held = self.held(reference)
        matches = [entry for entry in held if reference.matches(entry.card)]
        if reference.digest_prefix:
            return matches if len({entry.card.digest for entry in matches}) > 1 else _newest(matches)
        if reference.version is not None:
            if not matches:
                self._refuse_damaged(reference, held, [reference.version])
            return matches
        if not reference.place and (alias := self.aliases.get(reference.name)):
            if isinstance(alias, StoreError):
                raise alias
            return _aliased(alias, matches)
        owners = self.owners(reference.name)
        owned = [entry for entry in matches if reference.place or entry.layer in owners]
        chosen = _newest([entry for entry in owned if entry.available] or owned)
        if (not reference.place and STORE in owners) or reference.place == STORE:
            newest = max((entry.card.version or 0 for entry in chosen), default=0)
            known = [one.version for one in self.damaged if one.name == reference.name]
            self._refuse_damaged(reference, chosen, [v for v in known if v is None or v > newest])
        return chosen

    def skipped(self, reference: Reference) -> str:
        """A line on the newer version that a bare name passes over because it can't be loaded here; mostly empty."""
        chosen = self.meant(reference)
        if reference.version is not None or reference.digest_prefix or not chosen or reference.name in self.aliases:
            return ""
        newer = [
            entry
            for entry in self.held(reference)
            if entry.layer in {one.layer for one in chosen}
            and (entry.card.version or 0) > (chosen[0].card.version or 0)
        ]
        if not newer:
            return ""
        return (
            f"{reference} is {chosen[0].card.full_name}: {newer[-1].card.full_name} can't be loaded ({newer[-1].why})"
        )

    def use(self, entry: Entry) -> str:
        """The shortest name that means the entry and nothing else."""
        card = entry.card
        ways = [Reference(name=card.name), Reference(name=card.name, version=card.version)]
        for way in ways:
            try:
                if self.meant(way) == [entry]:
                    return str(way)
            except StoreError:
                continue
        return f"{entry.place}/{card.full_name}"

    def usual(self) -> list[Entry]:
        """What a listing shows: what each bare name means, and the newest of the user's own that it doesn't mean."""
        shown = []
        for name, entries in self._named.items():
            try:
                meant = self.meant(Reference(name=name))
            except StoreError:
                meant = []
            own = [entry for entry in entries if entry.available and entry.layer in (STORE, PROJECT)]
            shown += [entry for entry in entries if entry.available and (entry in meant or entry in _newest(own))]
        return shown

    def _refuse_damaged(self, reference: Reference, others: Sequence[Entry], versions: Iterable[int | None]) -> None:
        for one in self.damaged:
            if one.name == reference.name and one.version in tuple(versions):
                sound = ", ".join(entry.card.full_name for entry in others) or "no other version"
                raise CardError(one.message, hint=f"{reference} means it; {sound} can still be asked for")


def _newest(entries: Sequence[Entry]) -> list[Entry]:
    newest = max((entry.card.version or 0 for entry in entries), default=0)
    return [entry for entry in entries if (entry.card.version or 0) == newest]


def _aliased(alias: Alias, entries: Sequence[Entry]) -> list[Entry]:
    found = [e for e in entries if e.card.version == alias.version and e.card.digest == alias.sha256]
    if not found:
        raise StoreError(
            f"{alias.name} stands for {alias.name}@{alias.version} by an alias, which is not here any more",
            hint=f"set another: zoo alias {alias.name} VERSION, or take it back: zoo alias {alias.name} --clear",
        )
    return found
