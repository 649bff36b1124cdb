"""Folders stand for the files below them, for tasks that take files, and for those only."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_core.cli.files import OVERVIEW, Keeper, keep_artifacts
from zoo_core.errors import DataError
from zoo_core.inputs import expand
from zoo_core.training.task import File


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


def test_files_in_answers_are_kept_and_their_paths_shown(tmp_path: Path) -> None:
    answers = [("one", {"label": "a", "heard": File(".wav", b"1")}), ("two", {"parts": [File(".txt", b"2"), 5]})]
    kept = list(Keeper(tmp_path / "out", lambda answers: {}).keep(answers))
    assert kept == [
        ("one", {"label": "a", "heard": str(tmp_path / "out" / "0001-heard.wav")}),
        ("two", {"parts": [str(tmp_path / "out" / "0002-parts-0001.txt"), 5]}),
    ]
    assert (tmp_path / "out" / "0002-parts-0001.txt").read_bytes() == b"2"


def test_answers_without_files_leave_no_folder(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "out", lambda answers: {})
    assert list(keeper.keep([("x", {"label": "a"}), ("y", {"label": "b"})])) == [
        ("x", {"label": "a"}),
        ("y", {"label": "b"}),
    ]
    assert not (tmp_path / "out").exists() and keeper.overviews == []


def test_an_overview_shows_the_first_answers_and_never_a_single_one(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "out", lambda answers: {"all.txt": b"".join(a["part"].data for a in answers)})
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
