"""What users take away from their store, and which version a bare name means: never a byte that somebody refers to."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from zoo_toys.runs import toy_zoo

from zoo_core import collect_garbage, remove, set_alias
from zoo_core.api import list_models
from zoo_core.cli.keep import alias
from zoo_core.cli.session import Session
from zoo_core.errors import CardError, StoreError, UnknownName, UsageError
from zoo_core.registry.aliases import history, read_aliases, write_alias
from zoo_core.registry.card import Card
from zoo_core.registry.catalogue import write_registry
from zoo_core.registry.records import FileEntry
from zoo_core.registry.store import Store
from zoo_core.registry.upkeep import alias_history, collect, remove_all
from zoo_core.registry.zoo import Zoo
from zoo_core.storage import fs
from zoo_core.testing.faults import Scenario, every_failure, every_kill
from zoo_core.testing.power import every_power_loss

BLANK = Card(name="mlp_tiny.digits", plugin="zoo-toys", model="zoo-toys/mlp", files=())
HOUR = 3600.0


def files(weights: bytes) -> dict[str, list[bytes]]:
    return {"model.safetensors": [weights], "vocabulary.json": [b"{}\n"]}


def aged(store: Store) -> None:
    """Make every object two hours old."""
    for path in (store.root / "objects").rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 2 * HOUR))


def whole(store: Store) -> set[str]:
    """The names of all checkpoints, each of which is there with every byte."""
    cards = store.cards()
    assert [problem for card in cards for problem in store.verify(card)] == []
    return {card.full_name for card in cards}


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """A zoo with `mlp_tiny.digits@1` in the catalogue and in its store, and @2 and @3 of the user's own."""
    zoo = toy_zoo(tmp_path / "home")
    store = Store(tmp_path / "home")
    first = store.add(BLANK, files(b"one"))
    write_registry(tmp_path / "home" / "registry.yaml", [first])
    for weights in (b"two", b"three"):
        store.add(BLANK, files(weights))
    return zoo


def means(zoo: Zoo, name: str = BLANK.name) -> str:
    return zoo.registry.lookup(name).card.full_name


# ---------------------------------------------------------------------------------------------- aliases


def test_an_alias_moves_a_bare_name_and_keeps_its_history(zoo: Zoo) -> None:
    assert means(zoo) == "mlp_tiny.digits@1" and list_models(zoo=zoo) == ["mlp_tiny.digits", "mlp_tiny.digits@3"]
    set_alias(BLANK.name, 2, zoo=zoo)
    assert means(zoo) == "mlp_tiny.digits@2" and means(zoo, "mlp_tiny.digits@1") == "mlp_tiny.digits@1"
    assert list_models(zoo=zoo) == ["mlp_tiny.digits", "mlp_tiny.digits@3"]
    set_alias(BLANK.name, 3, zoo=zoo)
    assert means(zoo) == "mlp_tiny.digits@3" and means(zoo, "catalogue/mlp_tiny.digits") == "mlp_tiny.digits@1"
    set_alias(BLANK.name, None, zoo=zoo)
    assert means(zoo) == "mlp_tiny.digits@1"
    assert [alias.version for alias in alias_history(BLANK.name, zoo=zoo)] == [2, 3, None]


def test_an_alias_of_what_is_not_there_is_refused(zoo: Zoo) -> None:
    with pytest.raises(UnknownName, match=r"mlp_tiny\.digits@9"):
        set_alias(BLANK.name, 9, zoo=zoo)
    with pytest.raises(UsageError, match="more than a name"):
        set_alias("mlp_tiny.digits@2", 1, zoo=zoo)
    assert alias_history(BLANK.name, zoo=zoo) == []


def test_an_alias_of_what_has_gone_is_an_error_and_not_another_version(zoo: Zoo) -> None:
    set_alias(BLANK.name, 2, zoo=zoo)
    Store(zoo.registry.store.root).remove(BLANK.name, 2)
    with pytest.raises(StoreError, match=r"stands for mlp_tiny\.digits@2 by an alias") as caught:
        means(zoo)
    assert "zoo alias mlp_tiny.digits --clear" in caught.value.hint
    assert means(zoo, "mlp_tiny.digits@1") == "mlp_tiny.digits@1"


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 9}', '{"schema_version": 1, "name": "other.one"}'])
def test_a_damaged_alias_is_an_error_for_its_name_alone(zoo: Zoo, content: str) -> None:
    path = zoo.registry.store.root / "aliases" / BLANK.name / "1.json"
    fs.make_folder(path.parent)
    path.write_text(content)
    with pytest.raises(CardError, match=r"1\.json"):
        means(zoo)
    assert means(zoo, "mlp_tiny.digits@2") == "mlp_tiny.digits@2"
    set_alias(BLANK.name, 2, zoo=zoo)
    assert means(zoo) == "mlp_tiny.digits@2"


class SetAlias(Scenario):
    def prepare(self, folder: Path) -> None:
        write_alias(folder, "toy.words", 1, "a" * 64)

    def act(self, folder: Path) -> None:
        write_alias(folder, "toy.words", 2, "b" * 64)

    def check(self, folder: Path, finished: bool) -> str:
        found = read_aliases(folder)["toy.words"]
        version = found if isinstance(found, StoreError) else found.version
        known = [alias.version for alias in history(folder, "toy.words")]
        return "" if version in ((2,) if finished else (1, 2)) and known[0] == 1 else f"{version} {known}"


# ---------------------------------------------------------------------------------------------- removing


def test_a_removed_version_is_gone_and_its_number_is_never_used_again(zoo: Zoo) -> None:
    remove("mlp_tiny.digits@3", zoo=zoo)
    with pytest.raises(UnknownName):
        means(zoo, "mlp_tiny.digits@3")
    card = zoo.registry.register(BLANK, files(b"four"))
    assert card.full_name == "mlp_tiny.digits@4"
    with pytest.raises(UnknownName, match=r"mlp_tiny\.digits@3"):
        remove("mlp_tiny.digits@3", zoo=zoo)


def test_what_is_referred_to_is_kept_unless_the_user_says_so(zoo: Zoo) -> None:
    store = Store(zoo.registry.store.root)
    two = zoo.registry.lookup("mlp_tiny.digits@2").card
    child = replace(BLANK, name="mlp_tiny.child", parent=f"{two.name}@sha256:{two.digest}")
    store.add(child, files(b"child"))
    set_alias(BLANK.name, 2, zoo=zoo)
    with pytest.raises(UsageError) as caught:
        remove("mlp_tiny.digits@2", zoo=zoo)
    assert "stands for it by an alias; mlp_tiny.child@1 was derived from it" in caught.value.message
    assert caught.value.hint.endswith("zoo rm mlp_tiny.digits@2 --force")
    remove("mlp_tiny.digits@2", force=True, zoo=zoo)
    assert means(zoo) == "mlp_tiny.digits@1"


def test_only_what_is_in_the_users_store_can_be_removed(zoo: Zoo) -> None:
    write_registry(zoo.registry.store.root / "registry.yaml", [replace(BLANK, version=7), replace(BLANK, version=1)])
    zoo = toy_zoo(zoo.registry.store.root)
    with pytest.raises(UsageError, match=r"mlp_tiny\.digits@7 is of the catalogue"):
        remove("mlp_tiny.digits@7", zoo=zoo)
    for name in ("mlp_tiny.digits", "zoo-toys/mlp_tiny.digits@1"):
        with pytest.raises(UsageError, match="which version of the store's"):
            remove(name, zoo=zoo)


def test_several_are_removed_or_none_of_them(zoo: Zoo) -> None:
    before = whole(zoo.registry.store)
    for bad, error in (("mlp_tiny.digits@9", UnknownName), ("mlp_tiny.none@1", UnknownName), ("a b", UsageError)):
        with pytest.raises(error):
            remove_all(["mlp_tiny.digits@3", bad], zoo=zoo)
        assert whole(zoo.registry.store) == before
    set_alias("mlp_tiny.digits", 3, zoo=zoo)
    with pytest.raises(UsageError, match="still in use"):
        remove_all(["mlp_tiny.digits@2", "mlp_tiny.digits@3"], zoo=zoo)
    assert whole(zoo.registry.store) == before
    remove_all(["mlp_tiny.digits@2", "mlp_tiny.digits@3", "mlp_tiny.digits@2"], force=True, zoo=zoo)
    assert before - whole(zoo.registry.store) == {"mlp_tiny.digits@2", "mlp_tiny.digits@3"}
    assert means(zoo) == "mlp_tiny.digits@1" and zoo.registry.names().aliases == {}


def test_a_name_without_a_version_is_answered_with_those_there_are(zoo: Zoo) -> None:
    with pytest.raises(UsageError) as refused:
        remove("mlp_tiny.digits", zoo=zoo)
    assert refused.value.hint.endswith("zoo rm mlp_tiny.digits@2 or zoo rm mlp_tiny.digits@3")
    with pytest.raises(UsageError) as refused:
        remove("mlp_tiny.none", zoo=zoo)
    assert refused.value.hint == "your store has no mlp_tiny.none"


def test_an_alias_that_is_no_version_is_refused_in_words() -> None:
    session = Session({}, io.StringIO(), io.StringIO(), io.StringIO())
    with pytest.raises(
        UsageError, match=r"expected the number of a version of mlp_tiny\.digits, found 'mood'"
    ) as refused:
        alias(Namespace(name="mlp_tiny.digits", version="mood", clear=False), session)
    assert "zoo alias mlp_tiny.digits 2" in refused.value.hint


def test_a_damaged_manifest_can_be_removed(zoo: Zoo) -> None:
    path = zoo.registry.store.root / "manifests" / BLANK.name / "3.json"
    path.write_text("{")
    with pytest.raises(CardError, match=r"3\.json") as caught:
        zoo.registry.lookup("mlp_tiny.digits@3")
    assert "mlp_tiny.digits@3 means it" in caught.value.hint
    remove("mlp_tiny.digits@3", zoo=zoo)
    assert zoo.registry.problems == []


class Remove(Scenario):
    def prepare(self, folder: Path) -> None:
        for weights in (b"one", b"two"):
            Store(folder / "zoo").add(BLANK, files(weights))

    def act(self, folder: Path) -> None:
        store = Store(folder / "zoo")
        if (store.root / "manifests" / BLANK.name / "2.json").exists():
            store.remove(BLANK.name, 2)

    def check(self, folder: Path, finished: bool) -> str:
        there = whole(Store(folder / "zoo"))
        left = {"mlp_tiny.digits@1"}
        return "" if there == left or (there == left | {"mlp_tiny.digits@2"} and not finished) else f"{there}"


# ---------------------------------------------------------------------------------------------- garbage


def objects(zoo: Zoo) -> int:
    return sum(path.is_file() for path in (zoo.registry.store.root / "objects").rglob("*"))


def test_bytes_that_nothing_refers_to_are_freed_and_no_others(zoo: Zoo) -> None:
    store = Store(zoo.registry.store.root)
    remove("mlp_tiny.digits@2", zoo=zoo)
    assert collect_garbage(zoo=zoo).objects == 0, "it may belong to a registration under way"
    aged(store)
    dry = collect_garbage(dry_run=True, zoo=zoo)
    assert (dry.objects, dry.size) == (1, 3) and objects(zoo) == 4
    assert collect_garbage(zoo=zoo) == dry and objects(zoo) == 3
    assert whole(store) == {"mlp_tiny.digits@1", "mlp_tiny.digits@3"}
    assert collect_garbage(zoo=zoo).objects == 0


def test_what_only_the_catalogue_refers_to_is_kept(zoo: Zoo) -> None:
    Store(zoo.registry.store.root).remove(BLANK.name, 1)
    aged(Store(zoo.registry.store.root))
    assert collect_garbage(zoo=zoo).objects == 0
    assert zoo.registry.verify(zoo.registry.lookup(BLANK.name)) == []


def test_nothing_is_freed_while_a_reference_can_not_be_read(zoo: Zoo) -> None:
    root = zoo.registry.store.root
    aged(Store(root))
    (root / "manifests" / BLANK.name / "2.json").write_text("{")
    with pytest.raises(StoreError, match="nothing is removed while a manifest can't be read"):
        collect_garbage(zoo=zoo)
    (root / "manifests" / BLANK.name / "2.json").unlink()
    (root / "registry.yaml").write_text("models: [1]")
    with pytest.raises(StoreError, match="nothing is removed while a card can't be read"):
        collect_garbage(zoo=toy_zoo(root))
    assert objects(zoo) == 4


def test_bytes_that_are_used_again_are_young_again(zoo: Zoo) -> None:
    """A registration that finds its bytes there, old and without a reference, keeps them whatever is collected."""
    store = Store(zoo.registry.store.root)
    remove("mlp_tiny.digits@2", zoo=zoo)
    aged(store)
    store._put(store.add(BLANK, files(b"two")).file("model.safetensors"), [b"two"])
    store.remove(BLANK.name, 4)
    assert collect(store, frozenset(), grace=HOUR, dry_run=False) == {}


class Racing(Store):
    """One in which a collection takes each object right after it was found to be there."""

    def _intact(self, entry: FileEntry) -> bool:
        found = super()._intact(entry)
        if found:
            self.path_of(entry.sha256).unlink()
            self._verified.clear()
        return found


def test_an_object_that_is_collected_while_it_is_registered_is_written_again(tmp_path: Path) -> None:
    first = Store(tmp_path).add(BLANK, files(b"again"))
    assert Racing(tmp_path).add(BLANK, files(b"again")) == first
    assert all(Store(tmp_path).has(entry) for entry in first.files)


def test_collecting_beside_registrations_loses_nothing(tmp_path: Path) -> None:
    """The same bytes are removed, grow old and are registered again while somebody collects without a pause."""
    store, stop = Store(tmp_path), threading.Event()
    freed: list[str] = []

    def collecting() -> None:
        while not stop.is_set():
            freed.extend(collect(Store(tmp_path), frozenset(), grace=HOUR, dry_run=False))

    collector = threading.Thread(target=collecting)
    collector.start()
    try:
        for number in range(1, 61):
            card = store.add(BLANK, files(b"again"))
            assert whole(store) == {f"mlp_tiny.digits@{number}"}
            aged(store)
            store.remove(BLANK.name, number)
            while number % 3 == 0 and store.has(card.weights) and collector.is_alive():
                pass
    finally:
        stop.set()
        collector.join()
    assert freed.count(card.digest) >= 20


class Collect(Scenario):
    """Two of three versions are gone; the file that all three share must stay."""

    def prepare(self, folder: Path) -> None:
        store = Store(folder / "zoo")
        for weights in (b"one", b"two", b"three"):
            store.add(BLANK, files(weights))
        for version in (2, 3):
            store.remove(BLANK.name, version)

    def act(self, folder: Path) -> None:
        collect(Store(folder / "zoo"), frozenset(), grace=0.0, dry_run=False)

    def check(self, folder: Path, finished: bool) -> str:
        store = Store(folder / "zoo")
        found = len([path for path in (store.root / "objects").rglob("*") if path.is_file()])
        there = whole(store)
        return "" if there == {"mlp_tiny.digits@1"} and (found == 2 or not finished) else f"{there}, {found} files"


class CollectEverything(Collect):
    """Positive control: one that takes what is referred to as well."""

    def act(self, folder: Path) -> None:
        for path in (folder / "zoo" / "objects").rglob("*"):
            if path.is_file():
                fs.remove_file(path)


SCENARIOS = [SetAlias(), Remove(), Collect()]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: type(one).__name__)
def test_killed_at_every_operation_nothing_is_lost(scenario: Scenario, tmp_path: Path) -> None:
    for tally in (every_kill(scenario, tmp_path / "kill"), every_power_loss(scenario, tmp_path / "power")):
        print(tally)
        assert tally.clean, str(tally)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: type(one).__name__)
def test_a_failure_at_every_operation_is_an_error_and_nothing_is_lost(scenario: Scenario, tmp_path: Path) -> None:
    tally = every_failure(scenario, tmp_path, error=5)
    assert tally.clean, str(tally)


def test_the_check_would_see_a_loss(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        every_kill(CollectEverything(), tmp_path)


def test_the_file_of_an_alias_is_as_documented(zoo: Zoo) -> None:
    set_alias(BLANK.name, 2, zoo=zoo)
    data = json.loads((zoo.registry.store.root / "aliases" / BLANK.name / "1.json").read_bytes())
    assert data.pop("set_at").endswith("+00:00")
    two = zoo.registry.lookup("mlp_tiny.digits@2").card
    assert data == {"schema_version": 1, "name": BLANK.name, "version": 2, "sha256": two.digest}
