"""Files of cards: where the official catalogue lies, and how a list of cards is read and rendered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zoo_core.contract.schema import Document, dump_yaml, locate, parse_yaml
from zoo_core.errors import CardError, DiskError, StoreError
from zoo_core.registry.card import Card, card_to_data, check_schema_version, natural_key, parse_registered
from zoo_core.storage import fs

CATALOGUE = "registry.yaml"
"""Name of the catalogue, and of a project's own list of cards."""

MAX_BYTES = 8 << 20
"""The largest list of cards: some 1,900 of the size that runs write, which take a few seconds to read."""

_HEADER = "# Cards of checkpoints, written by `zoo`. Digests are computed from the files and never typed.\n"


def find_catalogue(package: Path = Path(__file__).parent.parent) -> Path:
    """The official catalogue: inside the package in a wheel, one folder up in a checkout."""
    above = package.parent / CATALOGUE
    # In site-packages a file of that name one folder up would be somebody else's.
    return above if (package.parent / "pyproject.toml").is_file() and above.is_file() else package / CATALOGUE


def read_registry(path: Path) -> list[Card]:
    """The cards of a `registry.yaml`. Raises `CardError` with file and line, `DiskError`, `CorruptFile`."""
    return parse_registry(read_document(path))


def read_cards(path: Path) -> tuple[list[Card], list[str]]:
    """The cards of a `registry.yaml` that can be read, and what is wrong with each of the others."""
    try:
        found = list(parse_each(read_document(path)))
    except StoreError as failure:
        return [], [failure.message]
    cards = [card for card in found if isinstance(card, Card)]
    return cards, [failure.message for failure in found if isinstance(failure, CardError)]


def read_card(path: Path) -> Card:
    """The registered card in a file of its own. Raises `CardError` with file and line, `DiskError`, `CorruptFile`."""
    return parse_registered(read_document(path))


def write_registry(path: Path, cards: Iterable[Card]) -> None:
    """Render a catalogue: sorted, the same bytes for the same cards.

    Raises `CardError` for two checkpoints of one name and version, a card without version, more than fits in a file,
    and when the file there is of a newer format; `DiskError`.
    """
    unique: dict[str, Card] = {}
    for card in sorted(cards, key=lambda card: (natural_key(card.name), card.version or 0)):
        if card.version is None:
            raise CardError(f"{path}: {card.name} has no version", hint="register it first")
        if not unique.setdefault(card.full_name, card).same_checkpoint(card):
            raise CardError(f"{path}: two different checkpoints are called {card.full_name}")
    if present(path) and isinstance(there := read_document(path).data, Mapping):
        check_schema_version(there, str(path))
    models = [
        {key: value for key, value in card_to_data(card).items() if key != "schema_version"} for card in unique.values()
    ]
    try:
        version = max((card.schema_version for card in unique.values()), default=1)
        text = (_HEADER + dump_yaml({"schema_version": version, "models": models})).encode()
    except ValueError as failure:
        raise CardError(f"{path}: {failure}") from None
    if len(text) > MAX_BYTES:
        raise CardError(f"{path}: {len(unique)} cards take {len(text)} bytes, more than the {MAX_BYTES} allowed")
    fs.write_file(path, text)


def parse_registry(document: Document) -> list[Card]:
    """The cards of a document of the form `{schema_version: 1, models: [card, ...]}`.

    A card that is repeated counts once. Raises `CardError` with file and line for whatever breaks the schema, and for
    two different checkpoints of one name and version.
    """
    cards = []
    for card in parse_each(document):
        if isinstance(card, CardError):
            raise card
        cards.append(card)
    return cards


def parse_each(document: Document) -> Iterator[Card | CardError]:
    """`parse_registry` with what is wrong with a card in its place; raises `CardError` where there is no list of cards."""
    data, where, lines = document.data, document.where, document.lines
    if not isinstance(data, Mapping):
        raise CardError(f"{where}: expected a mapping with the key models", hint="an empty one reads: models: []")
    check_schema_version(data, where, lines)
    for key in data:
        if key not in ("schema_version", "models"):
            raise CardError(f"{locate(where, (key,), lines)}: unknown key", hint="valid: models, schema_version")
    if not isinstance(data.get("models", []), list):
        raise CardError(f"{locate(where, ('models',), lines)}: expected a list of cards")
    cards: dict[str, tuple[Card, int]] = {}
    for index in range(len(data.get("models", []))):
        try:
            card = parse_registered(document, ("models", index))
        except CardError as failure:
            yield failure
            continue
        line = lines.get(("models", index), 0)
        first, first_line = cards.setdefault(card.full_name, (card, line))
        if first is card:
            yield card
        elif not first.same_checkpoint(card):
            place = locate(where, ("models", index), lines)
            hint = "give one of them another version"
            yield CardError(f"{place}: differs from the {card.full_name} on line {first_line}", hint=hint)


def read_document(path: Path) -> Document:
    """A file of cards as plain data with line numbers."""
    return parse_yaml(fs.read_bytes(path, limit=MAX_BYTES), where=str(path), error=CardError, limit=MAX_BYTES)


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder. Raises `DiskError` for one that can't be read."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as failure:
        hint = "check its owner and mode; what is in it is left out"
        raise DiskError(f"{folder}: {failure.strerror or failure}", hint=hint) from failure


def present(path: Path) -> bool:
    """Whether there is something; a folder that may not be searched holds nothing for us."""
    try:
        return path.exists()
    except OSError:
        return False
