"""The data sets that plugins name: pinned, told of, found where they were fetched and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_core.config.components import open_data
from zoo_core.contract.specs import DataSpec, SampleType
from zoo_core.data.fetch import Fetcher, PreparedFiles
from zoo_core.errors import DataError, DigestMismatch
from zoo_core.plugins.fetched import fetch_data, fetched_parts
from zoo_core.plugins.host import PluginHost, RegisteredComponent
from zoo_core.storage import fs

HOST = PluginHost()
DATA = {provided.id: provided for provided in HOST.all("data")}


@pytest.mark.parametrize("provided", DATA.values(), ids=DATA)
def test_a_data_set_tells_its_source_and_licence_and_is_pinned(provided: RegisteredComponent) -> None:
    spec = provided.spec
    assert callable(HOST.resolve(spec.target, provided)) and provided.config and (spec.modality or spec.samples is None)
    parts = fetched_parts(provided, HOST)
    assert not parts or (spec.license and spec.source)
    for part in parts:
        assert callable(HOST.resolve(part.spec.fetch, part))
        assert all(len(sha256) == 64 for sha256 in part.spec.files.values())


@pytest.mark.parametrize("provided", [one for one in DATA.values() if fetched_parts(one, HOST)], ids=lambda one: one.id)
def test_a_data_set_that_was_not_fetched_says_how(
    provided: RegisteredComponent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    with pytest.raises(DataError, match="is not on this machine") as caught:
        open_data(provided, provided.config(), HOST)
    assert caught.value.hint == f"zoo data fetch {provided.spec.name}"


def test_files_are_prepared_once_and_again_where_they_are_damaged(tmp_path: Path) -> None:
    asked: list[str] = []

    def make(fetcher: Fetcher, name: str) -> dict[str, bytes]:
        asked.append(name)
        return {"train.jsonl": b'{"text": "a"}\n'}

    pins = {"train.jsonl": fs.digest_of(b'{"text": "a"}\n')}
    fetcher = Fetcher(tmp_path, lambda line: None)
    for _ in range(2):
        fetcher.prepare("words", pins, make)
    found = PreparedFiles.find("view", {"words": pins}, tmp_path)
    assert asked == ["words"] and list(found.rows("words/train.jsonl", "text")) == [{"text": "a"}]
    found.files["words/train.jsonl"].write_bytes(b"x")
    with pytest.raises(DigestMismatch, match=r"train\.jsonl: not the file that data set 'words'") as caught:
        PreparedFiles.find("view", {"words": pins}, tmp_path)
    assert caught.value.hint == "zoo data fetch view"
    fetcher.prepare("words", pins, make)
    assert asked == ["words", "words"] and PreparedFiles.find("view", {"words": pins}, tmp_path)
    with pytest.raises(DigestMismatch, match=r"new/other\.jsonl: what was prepared"):
        fetcher.prepare("new", {"other.jsonl": "0" * 64}, make)
    assert not (tmp_path / "new").exists()


def test_a_view_is_fetched_by_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provided, names = DATA["zoo-speech/spoken-digits"], list[str]()
    monkeypatch.setattr(Fetcher, "prepare", lambda self, name, files, make: names.append(name))
    fetch_data(provided, HOST, Fetcher(tmp_path, lambda line: None))
    assert names == [*(f"asterisk-{code}" for code in ("en", "es", "fr", "it", "ru")), "tuxpaint-speech"]


def test_files_and_what_fetches_them_go_together() -> None:
    for given in ({"files": {"a": "0"}}, {"fetch": "a:b"}, {"files": {"a": "0"}, "fetch": "a:b", "parts": ("x",)}):
        with pytest.raises(ValueError, match="expected files together with fetch, or parts"):
            DataSpec(name="x", summary="", target="a:b", samples=SampleType(name="text", fields=("text",)), **given)  # type: ignore[arg-type]
