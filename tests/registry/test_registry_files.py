"""Reading and writing the files that hold registries."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from zoo_core.errors import CardError, CorruptFile, DiskError
from zoo_core.registry.card import Card
from zoo_core.registry.catalogue import MAX_BYTES, find_catalogue, read_registry, write_registry
from zoo_core.registry.records import FileEntry
from zoo_core.storage import fs


def card(name: str = "toy.words", version: int | None = 1, content: bytes = b"weights", **changes: Any) -> Card:
    entry = FileEntry(path="model.safetensors", sha256=fs.digest_of(content), size=len(content))
    return Card(name=name, version=version, plugin="zoo-toy", model="zoo-toy/toy", files=(entry,), **changes)


def test_a_catalogue_is_written_sorted_and_the_same_every_time(tmp_path: Path) -> None:
    cards = [card("b_10"), card("b_2", 2), card("b_2"), card("a")]
    write_registry(tmp_path / "one.yaml", cards)
    write_registry(tmp_path / "two.yaml", [*cards[::-1], cards[0]])
    assert (tmp_path / "one.yaml").read_bytes() == (tmp_path / "two.yaml").read_bytes()
    assert [one.full_name for one in read_registry(tmp_path / "one.yaml")] == ["a@1", "b_2@1", "b_2@2", "b_10@1"]
    assert sorted(read_registry(tmp_path / "one.yaml"), key=repr) == sorted(cards, key=repr)


def test_what_is_no_catalogue_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    write_registry(path, [card("kept")])
    before = path.read_bytes()
    with pytest.raises(CardError, match="two different"):
        write_registry(path, [card(content=b"a"), card(content=b"b")])
    with pytest.raises(CardError, match="no version"):
        write_registry(path, [card(version=None)])
    with pytest.raises(CardError, match="more than"):
        write_registry(path, [card(notes="x" * (MAX_BYTES))])
    with pytest.raises(CardError, match="surrogate"):
        write_registry(path, [card(labels=("\ud800",))])
    assert path.read_bytes() == before


def test_row_36_a_catalogue_of_a_future_format_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_bytes(b"schema_version: 3\nnews: 1\n")
    with pytest.raises(CardError, match="newer zoo-core"):
        write_registry(path, [card()])
    assert path.read_bytes() == b"schema_version: 3\nnews: 1\n"


def test_the_official_catalogue_is_found_and_valid() -> None:
    path = find_catalogue()
    assert path.name == "registry.yaml"
    for one in read_registry(path):
        assert one.version is not None


def test_what_is_no_small_regular_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    with pytest.raises(DiskError):
        read_registry(path)
    path.symlink_to("/etc/hostname")
    with pytest.raises(DiskError):
        read_registry(path)
    path.unlink()
    path.write_bytes(b"#" * MAX_BYTES + b"#")
    with pytest.raises(CorruptFile):
        read_registry(path)


def test_a_strangers_file_beside_an_installed_package_is_not_the_catalogue(tmp_path: Path) -> None:
    package = tmp_path / "zoo_core"
    package.mkdir()
    (tmp_path / "registry.yaml").write_bytes(b"{}")
    assert find_catalogue(package) == package / "registry.yaml"
    (tmp_path / "pyproject.toml").write_bytes(b"")
    assert find_catalogue(package) == tmp_path / "registry.yaml"
    (tmp_path / "registry.yaml").unlink()
    assert find_catalogue(package) == package / "registry.yaml"


def test_reading_fifty_cards_is_fast(tmp_path: Path) -> None:
    config = {f"field_{index}": index for index in range(60)}
    recipe = {
        part: {f"setting_{index}": "word" for index in range(12)} for part in ("model", "task", "data", "training")
    }
    path = tmp_path / "registry.yaml"
    write_registry(path, [card(f"toy_{index}", config=config, recipe=recipe) for index in range(50)])
    times = []
    for _ in range(5):
        started = time.process_time()
        assert len(read_registry(path)) == 50
        times.append(time.process_time() - started)
    assert min(times) < 0.05


def test_a_catalogue_of_hundreds_of_cards_is_read_and_one_of_any_size_is_not(tmp_path: Path) -> None:
    recipe = {part: {f"setting_{index}": "a longer word" for index in range(30)} for part in ("model", "task", "data")}
    path = tmp_path / "registry.yaml"
    write_registry(path, [card(f"toy_{number}", recipe=recipe) for number in range(400)])
    assert path.stat().st_size > 1 << 20
    assert len(read_registry(path)) == 400
    path.write_bytes(path.read_bytes() + b"#" * (8 << 20))
    with pytest.raises(CorruptFile, match="more than"):
        read_registry(path)
