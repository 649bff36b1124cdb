"""Folders stand for the files below them, for tasks that take files, and for those only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from zoo_core.cli.artifacts import OVERVIEW, ArtifactWriter, keep_artifacts
from zoo_core.contract.answers import File
from zoo_core.errors import DataError
from zoo_core.storage.paths import expand, list_files, resolve_path


def test_a_folder_stands_for_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.WAV", "a.wav", "deep/c.wav", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = list(expand([str(tmp_path), "x"], (".wav",)))
    assert found == [str(tmp_path / "a.wav"), str(tmp_path / "b.WAV"), str(tmp_path / "deep" / "c.wav"), "x"]
    assert list(expand([str(tmp_path), 7], ())) == [str(tmp_path), 7]


def test_a_folder_without_such_files_is_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file in it ends in \.wav, \.flac"):
        list(expand([tmp_path], (".wav", ".flac")))


def test_hidden_files_are_never_meant(tmp_path: Path) -> None:
    for name in ("a.wav", "._a.wav", ".Trashes/b.wav", "deep/.c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list(expand([str(tmp_path)], (".wav",))) == [str(tmp_path / "a.wav")]


def test_folders_that_can_not_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(folder: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match="can't be read: Permission denied"):
        list_files(tmp_path, (".wav",))


def test_what_can_not_be_a_path_is_left_to_the_task(tmp_path: Path) -> None:
    items = ["x" * 5_000, "a\0b", "~nobodyhere", str(tmp_path / "none")]
    assert list(expand(items, (".wav",))) == items


def test_places_are_expanded_and_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").write_bytes(b"")
    assert resolve_path("~") == tmp_path and resolve_path("~/none") == tmp_path / "none"
    assert resolve_path("~/file/none") == tmp_path / "file" / "none"
    for path, message in (
        ("~nobodyhere/x", "~nobodyhere/x: Could not determine home"),
        ("x" * 5_000, "can't be read: File name too long"),
        ("a\0b", "can't be read: embedded null byte"),
        (os.fsdecode(b"caf\xe9"), "the name isn't UTF-8"),
    ):
        with pytest.raises(DataError, match=message):
            resolve_path(path)


def test_files_in_answers_are_kept_and_their_paths_shown(tmp_path: Path) -> None:
    answers = [("one", {"label": "a", "heard": File(".wav", b"1")}), ("two", {"parts": [File(".txt", b"2"), 5]})]
    kept = list(ArtifactWriter(tmp_path / "out", lambda answers: {}).keep(answers))
    assert kept == [
        ("one", {"label": "a", "heard": str(tmp_path / "out" / "0001-heard.wav")}),
        ("two", {"parts": [str(tmp_path / "out" / "0002-parts-0001.txt"), 5]}),
    ]
    assert (tmp_path / "out" / "0002-parts-0001.txt").read_bytes() == b"2"


def test_answers_without_files_leave_no_folder(tmp_path: Path) -> None:
    keeper = ArtifactWriter(tmp_path / "out", lambda answers: {})
    assert list(keeper.keep([("x", {"label": "a"}), ("y", {"label": "b"})])) == [
        ("x", {"label": "a"}),
        ("y", {"label": "b"}),
    ]
    assert not (tmp_path / "out").exists() and keeper.overviews == []


def test_an_overview_shows_the_first_answers_and_never_a_single_one(tmp_path: Path) -> None:
    keeper = ArtifactWriter(tmp_path / "out", lambda answers: {"all.txt": b"".join(a["part"].data for a in answers)})
    list(keeper.keep((str(n), {"part": File(".txt", b"%d," % n)}) for n in range(OVERVIEW + 6)))
    assert keeper.overviews == [tmp_path / "out" / "all.txt"]
    assert keeper.overviews[0].read_bytes() == b"".join(b"%d," % n for n in range(OVERVIEW))
    assert len(list((tmp_path / "out").glob("*-part.txt"))) == OVERVIEW + 6
    list(keeper.keep([("one", {"part": File(".txt", b"1")})]))
    assert keeper.overviews == []


def test_what_an_evaluation_leaves_is_kept_under_its_own_name(tmp_path: Path) -> None:
    keep_artifacts({"confusion.png": b"1", "samples.txt": b"2"}, tmp_path / "deep" / "out")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "deep" / "out").iterdir()}
    assert kept == {"confusion.png": b"1", "samples.txt": b"2"}
