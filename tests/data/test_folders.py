"""Folders as they lie on real disks: splits, classes and files are found, and what is left out is counted."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from zoo_core.data.folders import WantedFiles, class_folders, files_below
from zoo_core.errors import DataError

WANTED = WantedFiles(
    noun="notes", suffixes=(".note",), content=lambda head: head.startswith(b"NOTE"), no_classes=("_noise_",)
)


def fill(folder: Path, *names: str, content: bytes = b"NOTE") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)
    return folder


def two_classes(root: Path) -> Path:
    for label in ("cat", "dog"):
        fill(root / label, "0.note", "1.note")
    return root


def found(root: Path) -> dict[str, dict[str, int]]:
    """Files by class by split."""
    counts: dict[str, dict[str, int]] = {}
    for split, files in class_folders(root, WANTED).splits.items():
        for file in files:
            counts.setdefault(split, {}).setdefault(file.label, 0)
            counts[split][file.label] += 1
    return counts


def notices(root: Path) -> list[str]:
    return [notice.replace(f"{root}/", "") for notice in class_folders(root, WANTED).notices]


BOTH = {"cat": 2, "dog": 2}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), ["test", "train", "validation"]),
        (("training", "testing"), ["test", "train"]),
        (("Train", "Test"), ["test", "train"]),
        (("TRAIN", "Dev", "eval"), ["train", "validation", "test"]),
        (("train", "valid"), ["train", "validation"]),
        (("Training Set", "Validation Set"), ["train", "validation"]),
    ],
)
def test_folders_of_splits_are_never_classes(names: Sequence[str], splits: list[str], tmp_path: Path) -> None:
    for name in names:
        two_classes(tmp_path / name)
    assert sorted(found(tmp_path)) == sorted(splits) and all(part == BOTH for part in found(tmp_path).values())
    assert notices(tmp_path) == []


def test_one_split_is_the_whole_and_several_need_one_to_train_on(tmp_path: Path) -> None:
    two_classes(tmp_path / "test")
    assert found(tmp_path) == {"": BOTH}
    two_classes(tmp_path / "val")
    with pytest.raises(DataError, match="no folder to train on beside test, validation"):
        class_folders(tmp_path, WANTED)


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    for vehicle in ("bus", "train"):
        fill(tmp_path / vehicle, "0.note")
    assert found(tmp_path) == {"": {"bus": 1, "train": 1}}


def test_a_split_without_classes_is_left_out(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    fill(tmp_path / "test", "0.note", "1.note")
    fill(tmp_path, "README.md", content=b"")
    assert found(tmp_path) == {"train": BOTH} and notices(tmp_path) == ["2 left out: beside the splits (first: test)"]


def test_two_folders_of_one_split_are_read_together(tmp_path: Path) -> None:
    for name in ("train-clean", "train-other", "test"):
        two_classes(tmp_path / name)
    assert found(tmp_path) == {"test": BOTH, "train": {"cat": 4, "dog": 4}}
    assert notices(tmp_path) == ["2 folders are one split, train (first: train-clean)"]


def test_classes_may_look_hidden_but_systems_leave_none(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for name in ("__other__", "_unknown_", ".git", "__MACOSX", "@eaDir", "_noise_"):
        fill(tmp_path / name, "0.note")
    fill(tmp_path / "cat", "._0.note", ".DS_Store", "Thumbs.db", "desktop.ini")
    assert found(tmp_path) == {"": {"__other__": 1, "_unknown_": 1, **BOTH}}
    assert notices(tmp_path) == [
        "7 left out: hidden, or left by a system (first: .git)",
        "1 left out: no class (first: _noise_)",
    ]


def test_two_spellings_of_a_name_are_one_class(tmp_path: Path) -> None:
    for part, form in (("train", "NFC"), ("val", "NFD")):
        fill(tmp_path / part / unicodedata.normalize(form, "café"), "0.note")
        fill(tmp_path / part / "tea", "0.note")
    assert found(tmp_path) == {part: {"café": 1, "tea": 1} for part in ("train", "validation")}


def test_an_empty_class_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    fill(tmp_path / "val" / "cat", "0.note")
    fill(tmp_path / "val" / "dog")
    assert found(tmp_path) == {"train": BOTH, "validation": {"cat": 1}}
    assert notices(tmp_path) == ["1 of 2 classes without notes in validation: dog"]
    fill(tmp_path / "val" / "bird", "0.note")
    assert notices(tmp_path) == [
        "1 of 3 classes without notes in train: bird",
        "1 of 3 classes without notes in validation: dog",
    ]


def test_a_split_without_files_is_left_out_unless_it_is_to_train_on(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    fill(tmp_path / "val" / "cat")
    assert found(tmp_path) == {"train": BOTH}
    assert notices(tmp_path) == ["2 of 2 classes without notes in validation: cat, dog"]
    for file in (tmp_path / "train").rglob("*.note"):
        file.unlink()
    fill(tmp_path / "val" / "cat", "0.note")
    with pytest.raises(DataError, match="no notes in the folders of classes of train"):
        class_folders(tmp_path, WANTED)


def test_files_are_known_by_content_where_their_ending_says_nothing(tmp_path: Path) -> None:
    two_classes(tmp_path)
    fill(tmp_path / "cat", "plain", "other.txt")
    fill(tmp_path / "dog", "caption.txt", "data.json", content=b"{}")
    fill(tmp_path / "dog", "UPPER.NOTE")
    os.mkfifo(tmp_path / "dog" / "pipe")
    assert found(tmp_path) == {"": {"cat": 4, "dog": 3}}
    assert notices(tmp_path) == [
        "2 are notes by content, whatever their ending (first: cat/other.txt)",
        "3 left out: no notes by ending or content (first: dog/caption.txt)",
    ]


def test_linked_folders_are_entered_inside_the_root_once_and_told_otherwise(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "root")
    outside = fill(tmp_path / "outside" / "deep", "2.note").parent
    fill(tmp_path / "outside", "1.note")
    fill(root / "shared" / "more", "3.note")
    (root / "bird").symlink_to(outside)  # a class may lie anywhere, with what is below it
    (root / "bird" / "again").symlink_to(outside / "deep")
    (root / "cat" / "loop").symlink_to(root / "cat")
    (root / "cat" / "more").symlink_to(root / "shared" / "more")
    (root / "dog" / "away").symlink_to(outside)
    (root / "dog" / "file.note").symlink_to(outside / "1.note")
    (root / "dog" / "nowhere").symlink_to(tmp_path / "nowhere")
    (root / "dog" / "self").symlink_to(root / "dog" / "self")
    assert found(root) == {"": {"bird": 2, "cat": 3, "dog": 3, "shared": 1}}
    assert sorted(notices(root)) == [
        "1 left out: a linked folder that leads elsewhere (first: dog/away)",
        "2 left out: a linked folder that is read already (first: bird/again)",
        "2 left out: no notes by ending or content (first: dog/nowhere)",
    ]


def test_links_that_multiply_are_read_once_each(tmp_path: Path) -> None:
    """Two links to the next level in each of thirty are a thousand million paths."""
    root = two_classes(tmp_path)
    for level in range(30):
        fill(root / "cat" / f"level{level}", f"{level}.note")
        for name in ("a", "b"):
            (root / "cat" / f"level{level}" / name).symlink_to(root / "cat" / f"level{(level + 1) % 30}")
    assert found(root)[""]["cat"] == 32


def test_nesting_has_no_end_but_the_system_s(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    deep = root / "cat"
    for _ in range(200):
        deep = deep / "x"
    fill(deep, "last.note")
    assert found(root)[""]["cat"] == 3


def test_files_come_in_the_order_of_their_paths_whatever_the_disk_says(tmp_path: Path) -> None:
    for name in ("b.note", "a.note", "a/2.note", "a/10.note", "c/1.note"):
        fill((tmp_path / name).parent, Path(name).name)
    files, told = files_below(tmp_path, WANTED)
    assert [path.removeprefix(f"{tmp_path}/") for path in files] == [
        *("a/10.note", "a/2.note", "a.note", "b.note", "c/1.note")
    ]
    assert told == ()


def test_what_is_no_folder_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one subfolder for each class, found none"):
        class_folders(fill(tmp_path / "flat", "0.note"), WANTED)
    with pytest.raises(DataError, match=r"no notes there\nthey end in \.note"):
        files_below(fill(tmp_path / "none", "0.txt", content=b""), WANTED)
    with pytest.raises(DataError, match="nothing: can't be read: No such file"):
        class_folders(tmp_path / "nothing", WANTED)


def test_names_that_would_steer_the_terminal_are_escaped_in_notices(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    fill(root / "cat", "\x1b[2J\u202e.txt", content=b"")
    fill(root / "\x1b[31mred")
    assert not any(character in "".join(notices(root)) for character in "\x1b\u202e")
