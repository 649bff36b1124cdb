from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
import time
from pathlib import Path

import pytest
from store_content import CARD, NEW, OLD, found, whole

from zoo_core.errors import CardError, DiskError, StoreError, UnknownName, UsageError
from zoo_core.registry.records import FileEntry, Metric
from zoo_core.registry.store import Store
from zoo_core.storage import fs
from zoo_core.storage.paths import home
from zoo_core.testing.faults import NOBODY, installed


def test_adding_gives_the_next_version_and_nothing_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "zoo")
    assert store.cards() == []
    first = store.add(CARD, OLD)
    assert (first.full_name, [entry.path for entry in first.files]) == ("toy_tiny.digits@1", sorted(OLD))
    assert store.add(CARD, OLD) == first
    assert store.add(CARD, dict(reversed(OLD.items()))) == first
    assert store.add(dataclasses.replace(CARD, version=9), OLD) == first
    second = store.add(CARD, NEW)
    assert second.version == 2
    assert store.add(CARD, OLD) == first
    third = store.add(dataclasses.replace(CARD, summary="another word"), NEW)
    assert third.version == 3
    assert [card.version for card in store.cards()] == [1, 2, 3]
    assert len([path for path in (tmp_path / "zoo" / "objects").rglob("*") if path.is_file()]) == 3


def test_numbers_that_are_taken_elsewhere_are_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.add(CARD, OLD, above=4).version == 5
    assert store.add(CARD, NEW, above=3).version == 6
    assert store.add(CARD, OLD, above=9).version == 5, "what is there already keeps its number"


def test_a_card_comes_back_as_it_was_added(tmp_path: Path) -> None:
    card = dataclasses.replace(
        CARD,
        summary="é \u202e \x1b[2J",
        config={"sizes": (1, 2), "rate": 1e-5, "big": 2**60},
        labels=("no", "yes"),
        metrics=(Metric(name="loss", value=float("nan"), data="digits", split="test", samples=10),),
    )
    added = Store(tmp_path).add(card, NEW)
    assert repr(Store(tmp_path).get("toy_tiny.digits")) == repr(added), "nan is not equal to itself"
    assert (added.config["rate"], added.labels, added.metrics[0].samples) == (1e-5, ("no", "yes"), 10)
    assert Store(tmp_path).add(card, NEW).version == 1
    text = (tmp_path / "manifests" / "toy_tiny.digits" / "1.json").read_text()
    data = json.loads(text)
    assert data["schema_version"] == 1
    assert text == json.dumps(data, sort_keys=True, indent=1) + "\n"


def test_names_are_found_by_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cards = [store.add(CARD, {"model.safetensors": [bytes([n])]}) for n in range(17)]
    again = store.add(dataclasses.replace(CARD, summary="again"), {"model.safetensors": [b"\x03"]})
    assert store.get("toy_tiny.digits") == again
    assert store.get("toy_tiny.digits@11") == cards[10]
    assert [card.version for card in store.cards()] == list(range(1, 19))
    for reference, hint in [
        ("toy_tiny.digit", "did you mean toy_tiny.digits?"),
        ("toy_tiny.digits@19", "did you mean toy_tiny.digits@"),
    ]:
        with pytest.raises(UnknownName) as caught:
            store.get(reference)
        assert hint in caught.value.hint
    with pytest.raises(UsageError):
        store.get("../../etc/passwd")
    with pytest.raises(UsageError, match="by version"):
        store.get(f"toy_tiny.digits@sha256:{cards[5].digest[:12]}")
    with pytest.raises(UnknownName, match="there are none"):
        Store(tmp_path / "nowhere").get("toy_tiny.digits")


@pytest.mark.parametrize("bad", ["", "..", "../up", "/etc/passwd", "a/b", "nul\0", "x" * 300])
def test_bad_file_names_are_refused_before_anything_is_written(bad: str, tmp_path: Path) -> None:
    with pytest.raises(CardError, match="path"):
        Store(tmp_path / "zoo").add(CARD, {bad: [b"x"]})
    assert not (tmp_path / "zoo").exists()


def test_cards_that_could_not_be_read_back_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    store, listed = Store(tmp_path / "zoo"), FileEntry(path="vocabulary.json", sha256="0" * 64, size=1)
    preprocessor = (listed.path,)
    with pytest.raises(CardError, match="not among the files"):
        store.add(dataclasses.replace(CARD, files=(listed,), preprocessor=preprocessor), {"model.safetensors": [b"x"]})
    with pytest.raises(CardError, match="not plain data"):
        store.add(dataclasses.replace(CARD, config={"a": {1, 2}}), NEW)
    with pytest.raises(CardError, match="more than"):
        store.add(dataclasses.replace(CARD, notes="x" * (5 << 20)), NEW)
    assert not (tmp_path / "zoo").exists()


def test_what_is_no_digest_has_no_place(tmp_path: Path) -> None:
    for bad in ["", "ab", "A" * 64, "g" * 64, "../" * 22, "a" * 65]:
        with pytest.raises(CardError, match="not a sha256"):
            Store(tmp_path).path_of(bad)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_modes_follow_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        card = Store(tmp_path / "zoo").add(CARD, NEW)
    finally:
        os.umask(before)
    paths = [tmp_path / "zoo", tmp_path / "zoo/manifests/toy_tiny.digits/1.json"]
    paths.append(Store(tmp_path / "zoo").path_of(card.digest))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    assert modes == [0o777 & ~mask, 0o644 & ~mask, 0o444 & ~mask]


def test_home_is_where_the_user_says() -> None:
    assert home({"ZOO_HOME": "/a/zoo", "XDG_DATA_HOME": "/b", "HOME": "/c"}) == Path("/a/zoo")
    assert home({"ZOO_HOME": "", "XDG_DATA_HOME": "/b", "HOME": "/c"}) == Path("/b/zoo")
    assert home({"XDG_DATA_HOME": "relative", "HOME": "/c"}) == Path("/c/.local/share/zoo")
    assert home({"HOME": "/c"}) == Path("/c/.local/share/zoo")
    assert home({"ZOO_HOME": "relative"}).is_absolute()


def _overwrite(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


GOOD = {"schema_version": 1, "name": CARD.name, "version": 1, "plugin": "zoo-toy", "model": "zoo-toy/toy", "files": []}
BAD_MANIFESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a manifest"),
    "torn": (json.dumps(GOOD).encode()[:-20], "not a manifest"),
    "not UTF-8": (b"\xff\xfe\x00", "not a manifest"),
    "list": (b"[]", "expected"),
    "key twice": (b'{"name":"a","name":"b"}', "occurs twice"),
    "nested deeply": (b"[" * 100_000 + b"]" * 100_000, "not a manifest"),
    "too large": (b" " * (5 << 20), "more than the"),
    "unknown key": (json.dumps({**GOOD, "nmae": "x"}).encode(), "nmae"),
    "another name": (json.dumps({**GOOD, "name": "other"}).encode(), "it holds other@1, not toy_tiny.digits@1"),
    "another version": (json.dumps({**GOOD, "version": 2}).encode(), "it holds toy_tiny.digits@2, not"),
    "no version": (json.dumps({**GOOD, "version": None}).encode(), "it holds toy_tiny.digits, not|version"),
    "path outside": (
        json.dumps({**GOOD, "files": [{"path": "../../x", "sha256": "0" * 64, "size": 1}]}).encode(),
        "path",
    ),
    "upper-case digest": (
        json.dumps({**GOOD, "files": [{"path": "x", "sha256": "A" * 64, "size": 1}]}).encode(),
        "sha256",
    ),
    "negative size": (
        json.dumps({**GOOD, "files": [{"path": "x", "sha256": "0" * 64, "size": -1}]}).encode(),
        "size",
    ),
    "newer": (json.dumps({**GOOD, "schema_version": 3, "new": {}}).encode(), "newer zoo-core"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_damaged_manifest_is_named_and_hides_nothing_else(case: str, tmp_path: Path) -> None:
    content, reason = BAD_MANIFESTS[case]
    store = Store(tmp_path)
    other = store.add(dataclasses.replace(CARD, name="other"), OLD)
    folder = tmp_path / "manifests" / CARD.name
    folder.mkdir()
    (folder / "1.json").write_bytes(content)
    started = time.monotonic()
    with pytest.raises(StoreError, match=reason) as caught:
        store.get(CARD.name)
    assert str(folder / "1.json") in caught.value.message
    assert store.cards() == [other]
    (problem,) = store.damaged()
    assert str(folder / "1.json") in problem
    assert time.monotonic() - started < 0.5


def test_a_damaged_manifest_keeps_its_version_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(CARD, OLD)
    _overwrite(tmp_path / "manifests" / CARD.name / "1.json", b"torn")
    assert store.add(CARD, OLD).version == 2
    with pytest.raises(CardError):
        store.get("toy_tiny.digits@1")


def test_a_store_of_the_future_can_be_read_but_not_added_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, OLD)
    folder = tmp_path / "manifests" / "newer"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps({**GOOD, "name": "newer", "schema_version": 3, "new": {}}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CardError, match=r"can be read but not added to.*newer zoo-core") as caught:
        store.add(CARD, NEW)
    assert "upgrade" in caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before
    assert store.get(CARD.name) == card
    assert store.read(card.weights) == whole(OLD)["model.safetensors"]


def test_a_read_only_store_can_be_read(tmp_path: Path) -> None:
    card = Store(tmp_path).add(CARD, OLD)

    class ReadOnly(fs.System):
        def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
            if flags & (os.O_WRONLY | os.O_CREAT):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return super().open(path, flags, mode)

        def mkdir(self, path: Path) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with installed(ReadOnly()):
        assert found(Store(tmp_path)) == {card.full_name: whole(OLD)}
        with pytest.raises(DiskError, match="read-only"):
            Store(tmp_path).add(CARD, NEW)


def test_stray_files_are_no_checkpoints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    card = store.add(CARD, OLD)
    folder = tmp_path / "manifests"
    for stray in [
        "README",
        "UPPER/1.json",
        f"{CARD.name}/01.json",
        f"{CARD.name}/0.json",
        f"{CARD.name}/notes.txt",
        f"{CARD.name}/7.json.bak",
    ]:
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_text("x")
    (folder / CARD.name / f".tmp-{'0' * 8}-{NOBODY}-{'0' * 16}").write_text("x")
    assert store.cards() == [card]
    assert store.damaged() == []
