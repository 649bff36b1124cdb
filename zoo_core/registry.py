"""What exists: the cards of all layers under one roof, found by name, with a verified way to their bytes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from zoo_core import fs
from zoo_core.card import Card, FileEntry, Reference, natural_key, parse_reference
from zoo_core.catalogue import CATALOGUE, find_catalogue, present, read_card, read_registry
from zoo_core.errors import (
    AmbiguousName,
    CorruptFile,
    DigestMismatch,
    DiskError,
    MissingPlugin,
    PluginError,
    StoreError,
    UnknownName,
    nearest,
)


class PluginState(Protocol):
    """What the registry asks of a plugin's record."""

    @property
    def name(self) -> str:
        """Name of the distribution."""

    @property
    def state(self) -> str:
        """`active`, or a word for why it isn't."""

    @property
    def reason(self) -> str:
        """Why it isn't active, in a sentence."""


class Host(Protocol):
    """What the registry asks of the plugin host."""

    @property
    def records(self) -> Sequence[PluginState]:
        """All installed plugins."""

    def packages(self) -> Mapping[str, str]:
        """Distribution to top-level package of every active plugin."""

    def all(self, kind: str) -> Sequence[Any]:
        """Every component of a kind."""


class Shelf(Protocol):
    """What the registry asks of the user's store."""

    def cards(self) -> Sequence[Card]:
        """All registered cards."""

    def has(self, entry: FileEntry) -> bool:
        """Whether the file's bytes are there."""

    def read(self, entry: FileEntry) -> bytearray:
        """The file's bytes, verified."""

    def path_of(self, sha256: str) -> Path:
        """Where the bytes with this digest lie."""

    def add(self, card: Card, files: Mapping[str, Sequence[fs.Buffer]], *, above: int = 0) -> Card:
        """Register a checkpoint under a version above `above`."""

    def amend(self, card: Card) -> Card:
        """Add baselines and notes to a registered card."""


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


class Registry:
    """The cards of the catalogue, the installed plugins, the user's store and the working folder."""

    def __init__(self, host: Host, store: Shelf, *, catalogue: Path | None = None, folder: Path | None = None) -> None:
        """`catalogue` is found beside the package and `folder` is the working folder where they aren't given."""
        self.host = host
        self.store = store
        self.catalogue = catalogue or find_catalogue()
        self.folder = folder or Path.cwd()
        self._plugin_problems: dict[str, str] = {}

    @property
    def problems(self) -> list[str]:
        """What is wrong with the cards that plugins ship, one message each; the other cards are not affected."""
        _ = self._shipped
        return list(self._plugin_problems.values())

    def cards(self, pattern: str = "*", task: str | None = None, modality: str | None = None) -> list[Entry]:
        """The entries whose name matches the shell pattern, every version of them, in natural order.

        Raises `CardError` with file and line for a malformed catalogue, project registry or manifest.
        """
        return [
            entry
            for entry in self._entries()
            if fnmatchcase(entry.card.full_name if "@" in pattern else entry.card.name, pattern)
            and (not task or task in (entry.card.task_name, self.task_id(entry.card)))
            and (not modality or modality == entry.card.modality)
        ]

    def task_id(self, card: Card) -> str:
        """The full id of a card's task, which older cards don't state: its own plugin's, else the only one's."""
        if not card.task or "/" in card.task:
            return card.task
        holders = {one.plugin for one in self.host.all("task") if one.spec.name == card.task}
        return f"{card.plugin if card.plugin in holders or len(holders) != 1 else min(holders)}/{card.task}"

    def lookup(self, name: str) -> Entry:
        """The entry that `name`, `name@3` or `name@sha256:prefix` means, whether it can be loaded here or not.

        Raises `UnknownName` with the nearest names, and `AmbiguousName` when two layers disagree about it or when a
        folder of that name lies in the working folder.
        """
        reference = parse_reference(name)
        entries = self._entries()
        matches = [entry for entry in entries if reference.matches(entry.card)]
        if not matches:
            raise self._unknown(reference, entries)
        newest = max(entry.card.version or 0 for entry in matches)
        several = reference.digest_prefix and len({entry.card.digest for entry in matches}) > 1
        chosen = [entry for entry in matches if several or entry.card.version == newest]
        self._refuse_folder(reference, chosen[0])
        if len(chosen) > 1:
            raise _conflict(reference, chosen)
        return chosen[0]

    def find(self, name: str) -> Entry:
        """`lookup` for somebody who wants to load it.

        Raises `MissingPlugin`, or `PluginError` with the reason, where the plugin that builds the model isn't active.
        """
        entry = self.lookup(name)
        plugin = entry.card.plugin
        record = next((record for record in self.host.records if record.name == plugin), None)
        if plugin in self.host.packages():
            return entry
        if record is None:
            raise MissingPlugin(plugin, entry.card.full_name)
        raise PluginError(
            f"{entry.card.full_name} needs {plugin}, which is {record.state}: {record.reason}",
            hint="see: zoo plugin list",
        )

    def register(self, card: Card, files: Mapping[str, Sequence[fs.Buffer]]) -> Card:
        """Add a checkpoint to the user's store, under a version that its name has in no layer yet.

        What a run registered already isn't registered again by the same run: a resume after a kill finds its card.
        """
        for stored in self.store.cards():
            if stored.name == card.name and stored.same_run(card):
                return stored
        elsewhere = [entry.card.version or 0 for entry in self._entries() if entry.card.name == card.name]
        return self.store.add(card, files, above=max(elsewhere, default=0))

    def amend(self, card: Card) -> Card:
        """Add baselines and notes to a card in the user's store; its bytes, figures and identity stay."""
        return self.store.amend(card)

    def read(self, entry: Entry, path: str) -> bytearray:
        """The bytes of one file of the checkpoint, checked in full against the card.

        Raises `CardError` for a file the card doesn't list, `DiskError` for one that isn't here, `DigestMismatch`.
        """
        file = entry.card.file(path)
        if self.store.has(file):
            return self.store.read(file)
        return read_verified(self._shipped_file(entry, file), file)

    def verify(self, entry: Entry) -> list[str]:
        """Hash every file of the checkpoint; gives one sentence for each that is missing or isn't what it was."""
        problems = []
        for file in entry.card.files:
            try:
                place = self.store.path_of(file.sha256) if self.store.has(file) else self._shipped_file(entry, file)
                digest, size = fs.digest_file(place)
            except StoreError as failure:
                problems.append(failure.message)
                continue
            if (digest, size) != (file.sha256, file.size):
                problems.append(_mismatch(place, file, digest, size))
        return problems

    @cached_property
    def _places(self) -> dict[str, tuple[Path, ...]]:
        """Folders of every active plugin's package."""
        return {plugin: package_folders(package) for plugin, package in self.host.packages().items()}

    @cached_property
    def _listed(self) -> list[Entry]:
        """The catalogue's entries."""
        return self._from_file(self.catalogue, "catalogue")

    @cached_property
    def _shipped(self) -> list[Entry]:
        """The entries that plugins ship; what is wrong with one plugin's cards is noted and stays with that plugin."""
        entries = []
        for plugin, folders in sorted(self._places.items()):
            for path in sorted(path for folder in folders for path in (folder / "cards").glob("*.yaml")):
                try:
                    card = read_card(path)
                except StoreError as failure:
                    self._plugin_problems.setdefault(f"plugin {plugin}", f"{plugin}: {failure.message}")
                    continue
                entries.append(Entry(card=card, layer=f"plugin {plugin}", where=str(path), packages=folders))
        return entries

    @cached_property
    def _project(self) -> list[Entry]:
        """The entries of the working folder's own registry."""
        path = self.folder / CATALOGUE
        if not present(path) or (present(self.catalogue) and path.samefile(self.catalogue)):
            return []
        return self._from_file(path, "project")

    def _from_file(self, path: Path, layer: str) -> list[Entry]:
        return [Entry(card=card, layer=layer, where=str(path)) for card in read_registry(path)]

    def _entries(self) -> list[Entry]:
        """All entries, one for each checkpoint, in natural order; the store is asked each time, as a run adds to it."""
        stored = [Entry(card=card, layer="store", where="") for card in self.store.cards()]
        by_name: dict[tuple[str, int | None], list[Entry]] = {}
        for entry in [*self._listed, *self._shipped, *stored, *self._project]:
            rivals = by_name.setdefault((entry.card.name, entry.card.version), [])
            packages = entry.packages or self._places.get(entry.card.plugin, ())
            for index, rival in enumerate(rivals):
                if rival.card.same_checkpoint(entry.card):
                    both = tuple(dict.fromkeys(rival.packages + packages))
                    rivals[index] = replace(rival, packages=both)
                    break
            else:
                rivals.append(replace(entry, packages=packages))
        ordered = sorted(by_name.items(), key=lambda item: (natural_key(item[0][0]), item[0][1] or 0))
        return [self._judged(entry, rivals) for _, rivals in ordered for entry in rivals]

    def _judged(self, entry: Entry, rivals: Sequence[Entry]) -> Entry:
        """The entry with what keeps it from being loaded."""
        why = (
            self._inactive(entry.card.plugin)
            or self._plugin_problems.get(entry.layer, "")
            or self._absent(entry)
            or (f"differs between {' and '.join(rival.layer for rival in rivals)}" if len(rivals) > 1 else "")
        )
        return replace(entry, available=not why, why=why) if why else entry

    def _inactive(self, plugin: str) -> str:
        if plugin in self._places:
            return ""
        for record in self.host.records:
            if record.name == plugin:
                return f"{plugin} is {record.state}: {record.reason}"
        return f"needs {plugin}: pip install {plugin}"

    def _absent(self, entry: Entry) -> str:
        """Which file is nowhere to be found; looks at names only."""
        for file in entry.card.files:
            if not self.store.has(file) and not any(present(place) for place in _candidates(entry, file)):
                return f"{file.path} is not on this machine"
        return ""

    def _shipped_file(self, entry: Entry, file: FileEntry) -> Path:
        """Where a package ships the file. Raises `DiskError` where none does."""
        candidates = _candidates(entry, file)
        for place in candidates:
            if present(place):
                return place
        looked = ", ".join(["the store", *map(str, candidates)])
        raise DiskError(f"{entry.card.full_name}: {file.path} is not on this machine", hint=f"looked in {looked}")

    def _refuse_folder(self, reference: Reference, entry: Entry) -> None:
        name = reference.name
        if str(reference) == name and (self.folder / name).is_dir():
            raise AmbiguousName(
                f"{name!r} is a registered checkpoint and a folder here",
                hint=f"write ./{name} for the folder, {entry.card.full_name} for the checkpoint",
            )

    def _unknown(self, reference: Reference, entries: Iterable[Entry]) -> UnknownName:
        names = sorted({entry.card.name for entry in entries}, key=natural_key)
        same = [entry.card for entry in entries if entry.card.name == reference.name]
        if same:
            versions = ", ".join(str(card.version) for card in same)
            hint = f"{reference.name} has the versions {versions}"
        elif (self.folder / reference.name).is_dir():
            hint = f"write ./{reference.name} for the folder of that name"
        else:
            hint = "; ".join([nearest(reference.name, names), *self.problems])
        return UnknownName("checkpoint", str(reference), names, hint=hint)


def read_verified(path: Path, entry: FileEntry) -> bytearray:
    """The file's bytes, which are those on the card. Raises `DigestMismatch`, `DiskError`, `CorruptFile`."""
    hint = "the file was changed or damaged; nothing was loaded"
    try:
        buffer = fs.read_into(path, limit=entry.size)
    except CorruptFile as error:
        raise DigestMismatch(f"{error.message} by the card", hint=hint) from None
    digest = fs.digest_of(buffer)
    if (digest, len(buffer)) != (entry.sha256, entry.size):
        raise DigestMismatch(_mismatch(path, entry, digest, len(buffer)), hint=hint)
    return buffer


def package_folders(package: str) -> tuple[Path, ...]:
    """Folders of a top-level package, found without importing it; none where there is no such package."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ()
    return tuple(Path(folder) for folder in (spec.submodule_search_locations or ())) if spec else ()


def _candidates(entry: Entry, file: FileEntry) -> list[Path]:
    """Where packages may ship the file; both names are flat by the card's rules."""
    return [folder / "checkpoints" / entry.card.name / file.path for folder in entry.packages]


def _mismatch(path: Path, file: FileEntry, digest: str, size: int) -> str:
    return f"{path}: expected {file.size} bytes with sha256 {file.sha256}, found {size} with {digest}"


def _conflict(reference: Reference, entries: Sequence[Entry]) -> AmbiguousName:
    shown = " and ".join(
        f"{entry.card.full_name} of {entry.layer}{f' ({entry.where})' if entry.where else ''}" for entry in entries
    )
    digests = dict.fromkeys(entry.card.digest[:16] for entry in entries)
    ways = " or ".join(f"{reference.name}@sha256:{digest}" for digest in digests)
    hint = (
        f"write {ways}"
        if len(digests) == len(entries)
        else "they share their weights: give one of them another version"
    )
    return AmbiguousName(f"{reference} means different checkpoints: {shown}", hint=hint)
