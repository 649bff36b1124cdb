"""Opens a checkpoint by name or by folder: its card, its verified tensors, its preprocessor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.contract.config import present_names
from zoo_core.contract.schema import dump_yaml, parse_yaml, to_data
from zoo_core.contract.schema import from_data as typed
from zoo_core.errors import CardError, CorruptFile, StoreError, UnknownName, UsageError
from zoo_core.models import deltas
from zoo_core.plugins.host import Part, PluginHost, RegisteredComponent
from zoo_core.registry.card import WEIGHTS, Card, card_to_data, looks_like_path, parse_card
from zoo_core.registry.layers import Entry
from zoo_core.registry.records import AdapterRecord, FileEntry
from zoo_core.registry.registry import DEEPEST, Registry
from zoo_core.registry.store import read_verified
from zoo_core.storage import fs, tensors
from zoo_core.storage.paths import RECIPE, expanded

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.contract.preprocessor import CompositePreprocessor, Preprocessor
    from zoo_core.models.adapters import Adapter

CARD = "card.yaml"
"""Name of the card in a checkpoint folder."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A card and a way to its bytes, which are checked before they are used."""

    card: Card
    read: Callable[[str], bytearray]
    registry: Registry | None = None
    """Where the base of a delta is looked up."""

    @classmethod
    def of(cls, entry: Entry, registry: Registry) -> Checkpoint:
        """The checkpoint of an entry of the registry."""
        return cls(card=entry.card, read=lambda path: registry.read(entry, path), registry=registry)

    @property
    def reference(self) -> str:
        """`name@sha256:<digest of the weights>`, for lineage."""
        return f"{self.card.name}@sha256:{self.card.weights.sha256}"

    def tensors(self) -> dict[str, Tensor]:
        """The weights, those of a delta merged with its base; every byte is the one that was registered.

        Raises `UnknownName` where the base of a delta isn't here.
        """
        return self._tensors(DEEPEST)

    def _tensors(self, depth: int) -> dict[str, Tensor]:
        card = self.card
        own = tensors.load(self.read(WEIGHTS), where=f"{card.full_name}: {WEIGHTS}")
        if card.adapter is None:
            return own
        if self.registry is None:
            raise UsageError(f"{card.full_name} is a delta on {card.base}", hint="open it by open_checkpoint")
        if not depth:
            raise CardError(f"{card.full_name}: more than {DEEPEST} deltas lie on one another")
        base = tensors.widened(Checkpoint.of(self.registry.base_of(card), self.registry)._tensors(depth - 1))
        laid_out = deltas.laid_out(base, card.adapter.renamed, card.adapter.dropped)
        return adapter_of(card.adapter, self.registry.host).merge(laid_out, own)

    def preprocessor(self, host: PluginHost) -> Preprocessor | None:
        """The preprocessor that travels with the weights."""
        if not self.card.preprocessor:
            return None
        provided = family_of(self.card, host)
        files = {name: bytes(self.read(name)) for name in self.card.preprocessor}
        if provided.parts:
            return _composite(files, {name: part.provided for name, part in provided.parts.items()}, host)
        cls: type[Preprocessor] = host.resolve(provided.spec.preprocessor, provided)
        return cls.from_files(files)


def family_of(card: Card, host: PluginHost) -> RegisteredComponent:
    """The family of a card's model, with the parts that this one is put together from. Raises as `PluginHost.find` does."""
    provided = host.find("model", card.model)
    if not card.parts:
        return provided
    parts = {}
    for name, record in card.parts.items():
        family = host.find("model", record.model)
        values = present_names(family.config, record.config)
        parts[name] = Part(family, typed(family.config, values, where=f"{card.full_name}: {name}"))
    return replace(provided, parts=parts)


def _composite(
    files: Mapping[str, bytes], families: Mapping[str, RegisteredComponent], host: PluginHost
) -> CompositePreprocessor:
    from zoo_core.contract.preprocessor import CompositePreprocessor

    classes = {
        name: host.resolve(one.spec.preprocessor, one) for name, one in families.items() if one.spec.preprocessor
    }
    return CompositePreprocessor.of_files(files, classes)


def adapter_of(record: AdapterRecord, host: PluginHost) -> Adapter:
    """The adapter that a card names, with its settings. Raises `MissingPlugin` where its plugin isn't here."""
    provided = host.find("adapter", record.name)
    config = typed(provided.config, dict(record.settings), where=f"adapter {record.name}", error=CardError)
    adapter: Adapter = host.resolve(provided.spec.target, provided)(config)
    return adapter


def open_checkpoint(name_or_path: str, registry: Registry) -> Checkpoint:
    """The checkpoint of a registry name, or of a folder that holds a card. A path works wherever a name does.

    Raises `UnknownName`, `AmbiguousName`, `MissingPlugin`; `CardError` or `CorruptFile` for a folder that isn't one.
    """
    if looks_like_path(name_or_path) and not registry.is_name(name_or_path):
        return open_folder(expanded(name_or_path.removeprefix("file:")), registry)
    try:
        entry = registry.find(name_or_path)
    except UnknownName as unknown:
        if any(name_or_path in family.spec.checkpoints for family in registry.host.all("model")):
            # Nothing is downloaded unless somebody says so.
            raise UsageError(f"{name_or_path} is not on this machine", hint=f"zoo import {name_or_path}") from unknown
        raise
    return Checkpoint.of(entry, registry)


def open_folder(folder: Path, registry: Registry | None = None) -> Checkpoint:
    """The checkpoint in a folder: a card and the files it lists. A run's folder answers with the checkpoint it made.

    Tensors of a delta take the `registry` that has its base.
    """
    place = card_folder(folder)
    if place is None and (folder / RECIPE).is_file():
        raise UsageError(f"{folder} is a run that isn't finished", hint=f"go on with it: zoo resume {folder}")
    if place is None:
        raise CorruptFile(f"{folder} holds no {CARD}", hint="zoo import FOLDER reads the folders of other libraries")
    folder, path = place, place / CARD
    document = parse_yaml(fs.read_bytes(path, limit=1 << 20), where=str(path), error=CardError)
    card = parse_card(document.data, document.where, document.lines)

    def read(name: str) -> bytearray:
        entry = next((file for file in card.files if file.path == name), None)
        if entry is None:
            raise StoreError(f"{path}: the card lists no file {name}")
        return read_verified(folder / name, entry)

    return Checkpoint(card=card, read=read, registry=registry)


def card_folder(folder: Path) -> Path | None:
    """The folder of the card that a checkpoint's or a run's folder holds; None where it holds none."""
    return next((place for place in (folder / "model", folder) if (place / CARD).is_file()), None)


def pack(
    card: Card, weights: Mapping[str, Tensor], others: Mapping[str, bytes]
) -> tuple[Card, dict[str, Sequence[fs.Buffer]]]:
    """The files of a checkpoint and its card with their digests; `others` are the preprocessor's files."""
    # The digest of a delta's weights says what they are a delta on, too.
    metadata = {"base": card.base, "adapter": json.dumps(to_data(card.adapter), sort_keys=True)} if card.base else None
    files: dict[str, Sequence[fs.Buffer]] = {WEIGHTS: tensors.dump(weights, metadata)}
    files.update({name: [data] for name, data in others.items()})
    entries = tuple(
        FileEntry(path=name, sha256=fs.digest_of(*chunks), size=sum(memoryview(c).nbytes for c in chunks))
        for name, chunks in files.items()
    )
    return replace(card, files=entries, preprocessor=tuple(sorted(others))), files


def write_folder(parent: Path, name: str, card: Card, files: Mapping[str, Sequence[fs.Buffer]]) -> Path:
    """Commit a checkpoint folder that `open_folder` reads."""
    text = dump_yaml(card_to_data(card)).encode()
    return fs.commit_folder(parent, name, {**files, CARD: [text]})


def rewrite_card(folder: Path, card: Card) -> None:
    """Put the card of a checkpoint folder in the place of the one there, whose files it must list."""
    fs.write_file(folder / CARD, dump_yaml(card_to_data(card)).encode())
