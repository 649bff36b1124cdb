"""What the registry asks of the plugin host and of the user's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from zoo_core.registry.card import Card, FileEntry
from zoo_core.registry.layers import Damaged
from zoo_core.storage import fs


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


class StoreProtocol(Protocol):
    """What the registry asks of the user's store."""

    @property
    def root(self) -> Path:
        """Folder that holds it, and the user's aliases."""

    def scan(self) -> tuple[list[Card], list[Damaged]]:
        """All registered cards, and what can't be read."""

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

    def probe(self) -> None:
        """Raise `DiskError` where nothing could be added."""

    def remove(self, name: str, version: int) -> None:
        """Take a checkpoint out."""
