"""What exists: the cards of all layers under one roof, found by name, with a verified way to their bytes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from zoo_core.errors import AmbiguousName, DiskError, MissingPlugin, PluginError, StoreError, UnknownName, nearest
from zoo_core.plugins.host import PluginHost
from zoo_core.registry.aliases import read_aliases
from zoo_core.registry.card import Card, Reference, natural_key, parse_reference
from zoo_core.registry.catalogue import CATALOGUE as CATALOGUE_FILE
from zoo_core.registry.catalogue import find_catalogue, present, read_card, read_cards
from zoo_core.registry.layers import CATALOGUE, PROJECT, STORE, Entry, Names
from zoo_core.registry.records import FileEntry
from zoo_core.registry.store import Store, problem_of, read_verified
from zoo_core.storage import fs

DEEPEST = 8
"""Most deltas between a checkpoint and the whole model that it goes back to."""


class Registry:
    """The cards of the catalogue, the installed plugins, the user's store and the working folder."""

    def __init__(
        self, host: PluginHost, store: Store, *, catalogue: Path | None = None, folder: Path | None = None
    ) -> None:
        """`catalogue` is found beside the package and `folder` is the working folder where they aren't given."""
        self.host = host
        self.store = store
        self.catalogue = catalogue or find_catalogue()
        self.folder = folder or Path.cwd()
        self.notes: list[str] = []
        """What whoever looked names up should know of the answers, one line each."""

    @property
    def problems(self) -> list[str]:
        """What is wrong with cards, one message each: those of the files, of plugins, of the store. The others go on."""
        return [*self.card_problems, *(damaged.message for damaged in self.store.scan()[1])]

    @property
    def card_problems(self) -> list[str]:
        """What is wrong with the cards of the files and of plugins."""
        plugins = [f"{plugin}: {message}" for plugin, (_, messages) in self._shipped.items() for message in messages]
        return [*self.file_problems, *plugins]

    @property
    def file_problems(self) -> list[str]:
        """What is wrong with the cards of the catalogue and of the working folder's registry."""
        return [*self._listed[1], *self._project[1]]

    def cards(self, pattern: str = "*", task: str | None = None, modality: str | None = None) -> list[Entry]:
        """The entries whose name matches the shell pattern, every version of them, in natural order."""
        return self._filtered(self._entries(self.store.scan()[0]), pattern, task, modality)

    def usual(self, pattern: str = "*", task: str | None = None, modality: str | None = None) -> list[Entry]:
        """Those of them that bare names mean, and the newest of the user's own that they don't; all can be loaded."""
        return self._filtered(self.names().usual(), pattern, task, modality)

    def names(self) -> Names:
        """All entries and what each name means; the store is asked each time, as a run adds to it."""
        cards, damaged = self.store.scan()
        return Names(self._entries(cards), damaged, read_aliases(self.store.root))

    def use(self, card: Card) -> str:
        """What to type to ask for a registered checkpoint of the user's: its bare name where that means it."""
        names = self.names()
        same = (e for e in names.entries if e.card.version == card.version and e.card.same_checkpoint(card))
        return next(map(names.use, same), card.full_name)

    def owned_elsewhere(self, name: str) -> str:
        """What whoever registers a checkpoint under the name of another layer's should know; empty for the user's own."""
        layers = sorted(self.names().owners(name) - {STORE, PROJECT})
        if not layers:
            return ""
        return (
            f"{name} is a name of the {' and '.join(layers)}: what is registered gets the next version and is asked for "
            f"as {name}@VERSION; {name} alone stays what it is (zoo alias moves it)"
        )

    def is_name(self, text: str) -> bool:
        """Whether `text` asks for something by the plugin or the layer it is in, `plugin/name`, and is no path."""
        place, slash, rest = text.partition("/")
        known = {CATALOGUE, STORE, PROJECT, *(record.name for record in self.host.records)}
        if not slash or "/" in rest or place not in known:
            return False
        if (self.folder / text).exists():
            raise AmbiguousName(f"{text!r} is a name and a path", hint=f"write ./{text} for the path")
        return True

    def _filtered(self, entries: Iterable[Entry], pattern: str, task: str | None, modality: str | None) -> list[Entry]:
        return [
            entry
            for entry in entries
            if fnmatchcase(entry.card.full_name if "@" in pattern else entry.card.name, pattern)
            and (not task or task in (entry.card.task_name, self.task_id(entry.card)))
            and (not modality or modality in (entry.card.modality, self.modality(entry.card)))
        ]

    def task_id(self, card: Card) -> str:
        """The full id of a card's task, which older cards don't state: its own plugin's, else the only one's."""
        if not card.task or "/" in card.task:
            return card.task
        holders = {one.plugin for one in self.host.all("task") if one.spec.name == card.task}
        return f"{card.plugin if card.plugin in holders or len(holders) != 1 else min(holders)}/{card.task}"

    def modality(self, card: Card) -> str:
        """What a card's model reads, in the word of its plugin; an older card may have another one."""
        return next((one.spec.modality for one in self.host.all("model") if one.id == card.model), card.modality)

    def lookup(self, name: str) -> Entry:
        """The entry that `name`, `name@3` or `name@sha256:prefix` means, whether it can be loaded here or not.

        Raises `UnknownName` with the nearest names, `CardError` for a damaged manifest, and `AmbiguousName` when two
        layers disagree about it or when a folder of that name lies in the working folder.
        """
        reference = parse_reference(name)
        names = self.names()
        chosen = names.meant(reference)
        if not chosen:
            raise self._unknown(reference, names)
        self._refuse_folder(reference, chosen[0])
        if len(chosen) > 1:
            raise _conflict(reference, chosen)
        if (note := names.skipped(reference)) and note not in self.notes:
            self.notes.append(note)
        return chosen[0]

    def find(self, name: str) -> Entry:
        """`lookup` for somebody who wants to load it.

        Raises `MissingPlugin`, or `PluginError` with the reason, where the plugin that builds the model isn't active.
        """
        entry = self.lookup(name)
        idle = [plugin for plugin in entry.card.plugins if plugin not in self.host.packages()]
        if not idle:
            return entry
        record = next((record for record in self.host.records if record.name == idle[0]), None)
        if record is None:
            raise MissingPlugin(idle[0], entry.card.full_name)
        raise PluginError(
            f"{entry.card.full_name} needs {idle[0]}, which is {record.state}: {record.reason}",
            hint="see: zoo plugin list",
        )

    def base_of(self, card: Card) -> Entry:
        """The checkpoint that a delta needs, whatever it is called here. Raises `UnknownName` where there is none."""
        entry = base_among(self.names().entries, card)
        if entry is None:
            hint = f"{card.full_name} is a delta on it: register it again, by zoo import FOLDER or from where it came"
            raise UnknownName("checkpoint", card.base, [], hint=hint)
        return entry

    def register(self, card: Card, files: Mapping[str, Sequence[fs.Buffer]]) -> Card:
        """Add a checkpoint to the user's store, under a version that its name has in no layer yet.

        What a run registered already isn't registered again by the same run: a resume after a kill finds its card.
        """
        for stored in self.store.scan()[0]:
            if stored.name == card.name and stored.same_run(card):
                return stored
        elsewhere = [entry.card.version or 0 for entry in self.names().held(Reference(name=card.name))]
        return self.store.add(card, files, above=max(elsewhere, default=0))

    def probe(self) -> None:
        """Raise `DiskError` where the user's store can't be written to."""
        self.store.probe()

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
        """Hash every file of the checkpoint, and of the base of a delta; gives one sentence for each that is missing or isn't
        what it was."""
        own = [problem for file in entry.card.files if (problem := self._problem_of(entry, file))]
        return [*own, *self.verify_base(entry.card)]

    def verify_base(self, card: Card, depth: int = DEEPEST) -> list[str]:
        """`verify` of what a delta is a delta on; nothing for a whole checkpoint."""
        if not card.base:
            return []
        base = base_among(self.names().entries, card)
        if base is None or not depth:
            return [absent_base(card)]
        own = [problem for file in base.card.files if (problem := self._problem_of(base, file))]
        return [*own, *self.verify_base(base.card, depth - 1)]

    def _problem_of(self, entry: Entry, file: FileEntry) -> str:
        try:
            stored = self.store.has(file)
            return problem_of(self.store.path_of(file.sha256) if stored else self._shipped_file(entry, file), file)
        except StoreError as failure:
            return failure.message

    @cached_property
    def _places(self) -> dict[str, tuple[Path, ...]]:
        """Folders of every active plugin's package."""
        return {plugin: package_folders(package) for plugin, package in self.host.packages().items()}

    @cached_property
    def _listed(self) -> tuple[list[Card], list[str]]:
        """The catalogue's cards, and what is wrong with others."""
        return read_cards(self.catalogue)

    @cached_property
    def _shipped(self) -> dict[str, tuple[list[tuple[Card, str]], list[str]]]:
        """By plugin: the cards it ships, each with its file, and what is wrong with others."""
        found = {}
        for plugin, folders in sorted(self._places.items()):
            cards, problems = [], []
            for path in sorted(path for folder in folders for path in (folder / "cards").glob("*.yaml")):
                try:
                    cards.append((read_card(path), str(path)))
                except StoreError as failure:
                    problems.append(failure.message)
            found[plugin] = (cards, problems)
        return found

    @cached_property
    def _project(self) -> tuple[list[Card], list[str]]:
        """The cards of the working folder's own registry, and what is wrong with others."""
        path = self.folder / CATALOGUE_FILE
        if not present(path) or (present(self.catalogue) and path.samefile(self.catalogue)):
            return [], []
        return read_cards(path)

    def _all(self, stored: Iterable[Card]) -> Iterator[Entry]:
        """Every card of every layer, in the order of the layers."""
        for card in self._listed[0]:
            yield Entry(card=card, layer=CATALOGUE, where=str(self.catalogue))
        for plugin, (cards, _) in self._shipped.items():
            for card, where in cards:
                yield Entry(card=card, layer=f"plugin {plugin}", where=where, packages=self._places[plugin])
        for card in stored:
            yield Entry(card=card, layer=STORE, where="")
        for card in self._project[0]:
            yield Entry(card=card, layer=PROJECT, where=str(self.folder / CATALOGUE_FILE))

    def _entries(self, stored: Iterable[Card]) -> list[Entry]:
        """All entries, one for each checkpoint, in natural order."""
        by_name: dict[tuple[str, int | None], list[Entry]] = {}
        for entry in self._all(stored):
            same_name = by_name.setdefault((entry.card.name, entry.card.version), [])
            packages = entry.packages or self._places.get(entry.card.plugin, ())
            for index, one in enumerate(same_name):
                if one.card.same_checkpoint(entry.card):
                    both = tuple(dict.fromkeys(one.packages + packages))
                    same_name[index] = replace(one, packages=both)
                    break
            else:
                same_name.append(replace(entry, packages=packages))
        ordered = sorted(by_name.items(), key=lambda item: (natural_key(item[0][0]), item[0][1] or 0))
        names = Names([entry for _, same_name in ordered for entry in same_name])
        judged = [self._judged(entry, names.held(Reference(name=entry.card.name))) for entry in names.entries]
        return [_with_base(entry, judged) if entry.card.base else entry for entry in judged]

    def _judged(self, entry: Entry, held: Sequence[Entry]) -> Entry:
        """The entry with what keeps it from being loaded; `held` are the entries that its name may mean."""
        first = next((one for one in held if one.card.full_name == entry.card.full_name), entry)
        differs = first is not entry and entry in held
        why = (
            next(filter(None, map(self._inactive, entry.card.plugins)), "")
            or self._absent(entry)
            or (f"differs from the {entry.card.full_name} of {first.layer}" if differs else "")
        )
        return replace(entry, available=not why, why=why) if why else entry

    def _inactive(self, plugin: str) -> str:
        if plugin in self._places:
            return ""
        for record in self.host.records:
            if record.name == plugin:
                return f"{plugin} is {record.state}: {record.reason}"
        return f"needs {plugin}: pip install {plugin}"

    def here(self, entry: Entry) -> bool:
        """Whether any of the checkpoint's files is on this machine."""
        return any(self.store.has(file) or any(map(present, _candidates(entry, file))) for file in entry.card.files)

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

    def _unknown(self, reference: Reference, known: Names) -> UnknownName:
        names = sorted({entry.card.name for entry in known.entries}, key=natural_key)
        same = [entry for entry in known.entries if entry.card.name == reference.name]
        if same and (reference.version is not None or reference.digest_prefix) and not reference.place:
            mine = ", ".join(str(entry.card.version) for entry in same if not known.foreign(entry))
            hint = "; ".join(
                [
                    f"{reference.name} has the versions {mine}",
                    *(f"{e.layer} has {known.use(e)}" for e in same if known.foreign(e)),
                ]
            )
        elif same:
            hint = f"there is {', '.join(known.use(entry) for entry in same)}"
        elif (self.folder / reference.name).is_dir():
            hint = f"write ./{reference.name} for the folder of that name"
        else:
            hint = "; ".join([nearest(reference.name, names), *self.problems])
        return UnknownName("checkpoint", str(reference), names, hint=hint)


def package_folders(package: str) -> tuple[Path, ...]:
    """Folders of a top-level package, found without importing it; none where there is no such package."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ()
    return tuple(Path(folder) for folder in (spec.submodule_search_locations or ())) if spec else ()


def base_among(entries: Sequence[Entry], card: Card) -> Entry | None:
    """The entry of a delta's base: of its digest, one that can be loaded and goes by the same name before any other."""
    name, _, digest = card.base.partition("@sha256:")
    found = [entry for entry in entries if digest and entry.card.digest == digest]
    return max(found, key=lambda entry: (entry.available, entry.card.name == name), default=None)


def absent_base(card: Card) -> str:
    """What is wrong with a delta whose base is gone."""
    return f"{card.full_name}: its base {card.base} is not on this machine"


def _with_base(entry: Entry, entries: Sequence[Entry]) -> Entry:
    """A delta with what keeps its base from being loaded."""
    below = entry
    for _ in range(DEEPEST):
        if not (entry.available and below.card.base):
            break
        base = base_among(entries, below.card)
        if base is None:
            why = f"its base {below.card.base.partition('@')[0]} is not on this machine"
            return replace(entry, available=False, why=why)
        if not base.available:
            return replace(entry, available=False, why=f"its base {base.card.full_name} can't be loaded: {base.why}")
        below = base
    return entry


def _candidates(entry: Entry, file: FileEntry) -> list[Path]:
    """Where packages may ship the file, an older version in a folder of its own; all names are flat by the card's rules."""
    names = (entry.card.full_name, entry.card.name)
    return [folder / "checkpoints" / name / file.path for folder in entry.packages for name in names]


def _conflict(reference: Reference, entries: Sequence[Entry]) -> AmbiguousName:
    shown = " and ".join(
        f"{entry.card.full_name} of {entry.layer}{f' ({entry.where})' if entry.where else ''}" for entry in entries
    )
    digests = dict.fromkeys(entry.card.digest[:16] for entry in entries)
    ways = " or ".join(f"{reference.name}@sha256:{digest}" for digest in digests)
    if len(digests) < len(entries):
        ways = " or ".join(f"{entry.place}/{entry.card.full_name}" for entry in entries)
    hint = f"write {ways}"
    return AmbiguousName(f"{reference} means different checkpoints: {shown}", hint=hint)
