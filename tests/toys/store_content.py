"""What the tests of a store put in it, and how they look at what it holds."""

from zoo_core.registry.card import Card
from zoo_core.registry.store import Store

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
