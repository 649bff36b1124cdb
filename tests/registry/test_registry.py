from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from zoo_core.contract.schema import dump_yaml
from zoo_core.errors import (
    AmbiguousName,
    CardError,
    DigestMismatch,
    DiskError,
    MissingPlugin,
    PluginError,
    UnknownName,
    UsageError,
)
from zoo_core.registry.card import Card, card_to_data
from zoo_core.registry.catalogue import write_registry
from zoo_core.registry.layers import Damaged
from zoo_core.registry.records import FileEntry
from zoo_core.registry.registry import Registry, package_folders
from zoo_core.registry.store import read_verified
from zoo_core.storage import fs


@dataclass(frozen=True)
class State:
    name: str
    state: str = "active"
    reason: str = ""


@dataclass
class Plugins:
    """A plugin host with nothing but names."""

    records: list[State] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict)

    def all(self, kind: str) -> list[object]:
        return []

    def packages(self) -> Mapping[str, str]:
        return {record.name: self.modules[record.name] for record in self.records if record.state == "active"}


@dataclass
class FolderStore:
    """A store that keeps each file under its digest in one folder."""

    root: Path
    registered: list[Card] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)

    def scan(self) -> tuple[list[Card], list[Damaged]]:
        return list(self.registered), self.damaged

    def has(self, entry: FileEntry) -> bool:
        return self.path_of(entry.sha256).exists()

    def read(self, entry: FileEntry) -> bytearray:
        return read_verified(self.path_of(entry.sha256), entry)

    def path_of(self, sha256: str) -> Path:
        return self.root / sha256

    def put(self, *contents: bytes) -> None:
        for content in contents:
            self.path_of(fs.digest_of(content)).write_bytes(content)


def card(name: str = "toy.words", version: int | None = 1, content: bytes = b"weights", **changes: object) -> Card:
    entry = FileEntry(path="model.safetensors", sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    base = Card(name=name, version=version, plugin="zoo-toy", model="zoo-toy/toy", files=(entry,))
    return replace(base, **changes)  # type: ignore[arg-type]


class World:
    """A catalogue, a plugin package, a store and a working folder, all in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.catalogue = root / "catalogue" / "registry.yaml"
        self.folder = root / "work"
        self.package = root / "site" / "toy_package"
        self.store = FolderStore(root / "store")
        self.host = Plugins([State("zoo-toy")], {"zoo-toy": "toy_package"})
        for folder in (self.catalogue.parent, self.folder, self.store.root, self.package / "cards"):
            folder.mkdir(parents=True)
        (self.package / "__init__.py").write_bytes(b"raise RuntimeError('imported')\n")
        write_registry(self.catalogue, [])

    def catalogued(self, *cards: Card) -> None:
        write_registry(self.catalogue, cards)

    def shipped(self, one: Card, *contents: bytes) -> None:
        (self.package / "cards" / f"{one.name}.yaml").write_bytes(dump_yaml(card_to_data(one)).encode())
        folder = self.package / "checkpoints" / one.name
        folder.mkdir(parents=True, exist_ok=True)
        for entry, content in zip(one.files, contents, strict=True):
            (folder / entry.path).write_bytes(content)

    def projected(self, *cards: Card) -> None:
        write_registry(self.folder / "registry.yaml", cards)

    @property
    def registry(self) -> Registry:
        return Registry(self.host, self.store, catalogue=self.catalogue, folder=self.folder)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path)
    monkeypatch.syspath_prepend(str(made.package.parent))
    yield made
    assert "toy_package" not in sys.modules


# Layers


def test_every_layer_is_seen_and_sorted_naturally(world: World) -> None:
    world.catalogued(card("toy_10"), card("toy_2", 2))
    world.shipped(card("toy_3"), b"weights")
    world.store.registered += [card("toy_1"), card("toy_2", 1)]
    world.projected(card("toy_4"))
    found = [(entry.card.full_name, entry.layer) for entry in world.registry.cards()]
    assert found == [
        ("toy_1@1", "store"),
        ("toy_2@1", "store"),
        ("toy_2@2", "catalogue"),
        ("toy_3@1", "plugin zoo-toy"),
        ("toy_4@1", "project"),
        ("toy_10@1", "catalogue"),
    ]


def test_cards_are_filtered_by_pattern_task_and_modality(world: World) -> None:
    world.catalogued(
        card("a_1", task="sort", modality="numbers"), card("a_2", 3, task="count"), card("b", modality="numbers")
    )

    def names(*arguments: str, **filters: str) -> list[str]:
        return [entry.card.name for entry in world.registry.cards(*arguments, **filters)]

    assert names("a_*") == ["a_1", "a_2"]
    assert names("a_1") == ["a_1"]
    assert names("*@3") == ["a_2"]
    assert names(task="sort") == ["a_1"]
    assert names(modality="numbers") == ["a_1", "b"]
    assert names("a*", modality="numbers") == ["a_1"]
    assert names("A_*") == names(task="none") == []


def test_one_checkpoint_in_several_layers_is_one_entry(world: World) -> None:
    world.catalogued(card())
    world.shipped(card(summary="the same"), b"weights")
    world.store.registered.append(card())
    world.projected(card())
    (entry,) = world.registry.cards()
    assert entry.layer == "catalogue"
    assert entry.available
    assert world.registry.read(entry, "model.safetensors") == b"weights"


def test_the_catalogue_is_not_read_again_as_the_project(world: World) -> None:
    world.catalogued(card())
    registry = Registry(world.host, world.store, catalogue=world.catalogue, folder=world.catalogue.parent)
    assert [entry.layer for entry in registry.cards()] == ["catalogue"]


def test_what_a_run_adds_to_the_store_is_seen_at_once(world: World) -> None:
    registry = world.registry
    assert registry.cards() == []
    world.store.registered.append(card())
    assert registry.find("toy.words").layer == "store"


def test_the_package_of_a_card_is_not_imported_but_its_files_are_found(world: World) -> None:
    world.shipped(card(), b"weights")
    entry = world.registry.find("toy.words")
    assert entry.where == str(world.package / "cards" / "toy.words.yaml")
    assert world.registry.read(entry, "model.safetensors") == b"weights"


def test_a_checkpoint_may_be_shipped_by_another_package_than_its_model(world: World) -> None:
    world.package = world.package.with_name("weights_package")
    (world.package / "cards").mkdir(parents=True)
    world.shipped(card(), b"weights")
    world.host = Plugins([State("zoo-toy"), State("w")], {"zoo-toy": "toy_package", "w": "weights_package"})
    assert world.registry.read(world.registry.find("toy.words"), "model.safetensors") == b"weights"


def test_a_package_ships_older_versions_beside_the_newest(world: World) -> None:
    world.shipped(replace(card(version=2, content=b"newer"), summary="newer"), b"newer")
    older = world.package / "checkpoints" / "toy.words@1"
    older.mkdir()
    (older / "model.safetensors").write_bytes(b"weights")
    world.catalogued(card(), card(version=2, content=b"newer", summary="newer"))
    registry = world.registry
    for name, content in (("toy.words", b"newer"), ("toy.words@2", b"newer"), ("toy.words@1", b"weights")):
        entry = registry.find(name)
        assert entry.available and registry.read(entry, "model.safetensors") == content
        assert registry.verify(entry) == []


def test_no_such_package_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert package_folders("no_such_package_anywhere") == ()
    assert package_folders("sys") == ()
    monkeypatch.setitem(sys.modules, "half_made", type(sys)("half_made"))
    assert package_folders("half_made") == ()


# Availability


@pytest.mark.parametrize(
    ("records", "why", "error"),
    [
        ([], "needs zoo-toy: pip install zoo-toy", MissingPlugin),
        (
            [State("zoo-toy", "disabled", "ZOO_DISABLE_PLUGINS")],
            "zoo-toy is disabled: ZOO_DISABLE_PLUGINS",
            PluginError,
        ),
        ([State("zoo-toy", "broken", "No module named x")], "zoo-toy is broken: No module named x", PluginError),
    ],
)
def test_a_card_without_its_plugin_is_listed_with_the_reason(
    world: World, records: list[State], why: str, error: type[PluginError]
) -> None:
    world.catalogued(card())
    world.host.records = [State("zoo-other", "broken", "not our business"), *records]
    (entry,) = world.registry.cards()
    assert (entry.available, entry.why) == (False, why)
    assert world.registry.lookup("toy.words").card == card()
    with pytest.raises(error) as caught:
        world.registry.find("toy.words")
    assert type(caught.value) is error
    assert "toy.words@1" in caught.value.message
    assert "zoo-toy" in caught.value.message


def test_row_34_a_missing_file_is_listed_named_and_verified(world: World) -> None:
    two = replace(card(), files=(*card().files, FileEntry(path="words.json", sha256="1" * 64, size=3)))
    world.catalogued(two)
    world.store.put(b"weights")
    (entry,) = world.registry.cards()
    assert (entry.available, entry.why) == (False, "words.json is not on this machine")
    assert world.registry.read(world.registry.find("toy.words"), "model.safetensors") == b"weights"
    with pytest.raises(DiskError, match=r"toy\.words@1: words\.json is not on this machine") as caught:
        world.registry.read(entry, "words.json")
    assert str(world.package / "checkpoints" / "toy.words" / "words.json") in caught.value.hint
    assert world.registry.verify(entry) == ["toy.words@1: words.json is not on this machine"]
    with pytest.raises(CardError, match="no file 'other'"):
        world.registry.read(entry, "other")


# Names


def test_a_bare_name_is_the_newest_of_the_layer_that_first_holds_it(world: World) -> None:
    world.catalogued(card(version=9, content=b"nine"), card(version=8, content=b"eight"))
    world.store.registered += [card(version=10, content=b"ten"), card(version=2, content=b"two")]
    world.store.put(b"nine", b"eight", b"ten", b"two")
    registry = world.registry
    assert registry.find("toy.words").card.version == registry.find("catalogue/toy.words").card.version == 9
    assert registry.find("toy.words@10").layer == registry.find("store/toy.words").layer == "store"
    assert [(registry.names().use(e), e.card.version) for e in registry.usual()] == [
        ("toy.words", 9),
        ("toy.words@10", 10),
    ]
    assert registry.use(registry.find("toy.words@10").card) == "toy.words@10"
    assert "is a name of the catalogue" in registry.owned_elsewhere("toy.words") and not registry.owned_elsewhere("a")
    two = card(version=2, content=b"two")
    assert registry.find(f"toy.words@sha256:{two.digest[:8]}").card == two


def test_row_33_two_layers_that_disagree_are_shown_marked_and_refused_by_name(world: World) -> None:
    ours, theirs = card(content=b"ours"), card(content=b"theirs")
    world.catalogued(ours, card("fine"))
    world.store.registered.append(theirs)
    world.store.put(b"ours", b"theirs", b"weights")
    registry = world.registry
    listed = [(entry.card.name, entry.layer, entry.why) for entry in registry.cards()]
    assert listed == [
        ("fine", "catalogue", ""),
        ("toy.words", "catalogue", ""),
        ("toy.words", "store", "differs from the toy.words@1 of catalogue"),
    ]
    assert registry.find("toy.words").layer == "catalogue"
    with pytest.raises(AmbiguousName) as caught:
        registry.find("toy.words@1")
    assert f"catalogue ({world.catalogue})" in caught.value.message
    assert "store" in caught.value.message
    assert f"toy.words@sha256:{theirs.digest[:16]}" in caught.value.hint
    assert registry.find(f"toy.words@sha256:{theirs.digest[:16]}").layer == "store"
    assert registry.read(registry.find(f"toy.words@sha256:{ours.digest}"), "model.safetensors") == b"ours"


def test_digits_that_fit_several_checkpoints_are_refused(world: World) -> None:
    entries = [FileEntry(path="model.safetensors", sha256="01234567" + digit * 56, size=1) for digit in "ab"]
    world.catalogued(
        card(files=(entries[0],)), card(version=2, files=(entries[1],)), card(version=3, files=(entries[1],))
    )
    with pytest.raises(
        AmbiguousName, match=r"toy\.words@sha256:01234567 means different checkpoints: toy\.words@1 of "
    ):
        world.registry.find("toy.words@sha256:01234567")
    assert world.registry.find("toy.words@sha256:01234567a").card.version == 1
    assert world.registry.find("toy.words@sha256:01234567b").card.version == 3


def test_row_33_equal_weights_with_other_labels_are_another_checkpoint(world: World) -> None:
    world.catalogued(card(labels=("a", "b")))
    world.store.registered.append(card(labels=("b", "a")))
    for name in ("toy.words@1", f"toy.words@sha256:{card().digest}"):
        with pytest.raises(AmbiguousName) as caught:
            world.registry.find(name)
        assert caught.value.hint == "write catalogue/toy.words@1 or store/toy.words@1"
    assert world.registry.find("catalogue/toy.words@1").card.labels == ("a", "b")
    assert world.registry.find("store/toy.words@1").card.labels == ("b", "a")


def test_an_old_conflict_does_not_stand_in_the_way_of_a_newer_version(world: World) -> None:
    world.catalogued(card(content=b"ours"), card(version=2))
    world.store.registered.append(card(content=b"theirs"))
    assert world.registry.find("toy.words").card.version == 2


def test_an_unknown_name_comes_with_the_nearest(world: World) -> None:
    world.catalogued(card("bert_tiny.words"), card("other"))
    with pytest.raises(UnknownName, match=r"unknown checkpoint 'bert_tiny\.word'") as caught:
        world.registry.find("bert_tiny.word")
    assert caught.value.hint == "did you mean bert_tiny.words?"
    with pytest.raises(UnknownName) as caught:
        world.registry.find("other@7")
    assert caught.value.hint == "other has the versions 1"


def test_a_path_is_not_a_name(world: World) -> None:
    for text in ("./toy", "a/b", "~"):
        with pytest.raises(UsageError):
            world.registry.find(text)


def test_a_word_that_is_a_checkpoint_and_a_folder_is_refused(world: World) -> None:
    world.catalogued(card("toy"))
    (world.folder / "toy").mkdir()
    (world.folder / "else").mkdir()
    with pytest.raises(AmbiguousName) as caught:
        world.registry.find("toy")
    assert caught.value.hint == "write ./toy for the folder, toy@1 for the checkpoint"
    assert world.registry.find("toy@1").card.name == "toy"
    with pytest.raises(UnknownName) as unknown:
        world.registry.find("else")
    assert unknown.value.hint == "write ./else for the folder of that name"


# Broken files


def test_a_malformed_card_of_a_plugin_stays_with_that_plugin(world: World) -> None:
    world.catalogued(card("fine"))
    world.shipped(card("shipped"), b"weights")
    world.store.put(b"weights")
    bad = world.package / "cards" / "bad.yaml"
    bad.write_bytes(b"name: x\nname: y\n")
    registry = world.registry
    found = {entry.card.name: entry for entry in registry.cards()}
    assert found["fine"].available and found["shipped"].available
    assert len(registry.problems) == 1 and registry.problems[0].startswith(f"zoo-toy: {bad}:2")
    with pytest.raises(UnknownName) as caught:
        registry.find("bad")
    assert f"{bad}:2" in caught.value.hint


def test_a_card_of_a_plugin_without_version_or_of_a_future_format_is_malformed(world: World) -> None:
    world.shipped(card(version=None), b"weights")
    assert "version" in world.registry.problems[0]
    (world.package / "cards" / "toy.words.yaml").write_bytes(b"schema_version: 99\n")
    assert "newer zoo-core" in world.registry.problems[0]


@pytest.mark.parametrize("content", [b"models: [1]\n", b"\xff", b"a: &a [*a]", b"schema_version: 3"])
def test_a_malformed_file_of_the_user_costs_only_itself(world: World, content: bytes) -> None:
    world.catalogued(card())
    (world.folder / "registry.yaml").write_bytes(content)
    assert [entry.layer for entry in world.registry.cards()] == ["catalogue"]
    (problem,) = world.registry.problems
    assert re.search(r"registry\.yaml:1: ", problem)


def test_a_malformed_card_of_the_users_file_costs_only_itself(world: World) -> None:
    world.projected(card("fine"), card("other", version=7))
    path = world.folder / "registry.yaml"
    path.write_text(path.read_text().replace("version: 7", "version: 123456789012"))
    registry = world.registry
    assert [entry.card.name for entry in registry.cards()] == ["fine"]
    assert re.search(r"registry\.yaml:\d+: .*expected from 1 to 999,999,999", registry.problems[0])


# Bytes


@pytest.mark.parametrize("place", ["store", "package"])
def test_a_changed_file_is_never_handed_out(world: World, place: str) -> None:
    world.shipped(card(), b"weights")
    path = world.package / "checkpoints" / "toy.words" / "model.safetensors"
    if place == "store":
        world.store.put(b"weights")
        path = world.store.path_of(card().digest)
    registry = world.registry
    entry = registry.find("toy.words")
    assert registry.verify(entry) == []
    for content in (b"weightz", b"weight", b"weights\0", b""):
        path.write_bytes(content)
        with pytest.raises(DigestMismatch) as caught:
            registry.read(entry, "model.safetensors")
        if len(content) > 7:  # not even read
            assert "8 bytes, more than the 7 that are allowed here" in caught.value.message
            continue
        for part in (str(path), card().digest, fs.digest_of(content), "7 bytes", f"found {len(content)}"):
            assert part in caught.value.message
        assert registry.verify(entry) == [caught.value.message]


def test_a_link_out_of_the_package_is_not_followed(world: World, tmp_path: Path) -> None:
    world.shipped(card(), b"weights")
    path = world.package / "checkpoints" / "toy.words" / "model.safetensors"
    (tmp_path / "outside").write_bytes(b"weights")
    path.unlink()
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(DiskError):
        world.registry.read(world.registry.find("toy.words"), "model.safetensors")
