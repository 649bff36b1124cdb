"""Readers of the user's images: folders and patterns; splits without leaks, bad files by policy."""

from __future__ import annotations

import os
import shutil
import struct
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered_images import fill, number_of, png
from PIL import Image as Pillow
from zoo_vision.configs.data import Images, LabelledImages, Subset, TorchvisionSet
from zoo_vision.datasets.readers import read_images, read_labelled_images
from zoo_vision.datasets.samples import Image, LabelledImage

from zoo_core import DataError, UnknownName, open_zoo
from zoo_core.data import SplitData
from zoo_core.testing import finetune_recipe, open_data


def two_classes(root: Path, count: int = 200) -> Path:
    fill(root / "cat", range(0, count, 2))
    fill(root / "dog", range(1, count, 2))
    return root


def numbers(data: SplitData) -> dict[str, list[int]]:
    return {split: [number_of(sample) for sample in data.samples(split)] for split in data.splits()}


def everything(found: Mapping[str, Sequence[int]]) -> list[int]:
    return sorted(number for values in found.values() for number in values)


def labelled(root: Path | str, **settings: Any) -> SplitData:
    return read_labelled_images(LabelledImages(path=str(root), **settings))


# ---- folders


def test_a_folder_for_each_class_is_split_by_content(tmp_path: Path) -> None:
    data = labelled(two_classes(tmp_path / "a"))
    found = numbers(data)
    assert list(found) == ["train", "validation", "test"] and data.labels == ("cat", "dog")
    assert everything(found) == list(range(200))
    assert 5 < len(found["validation"]) < 40 and 5 < len(found["test"]) < 40
    for split in found:
        assert all(sample.label == ("cat", "dog")[number_of(sample) % 2] for sample in data.samples(split))
        assert found[split] == sorted(found[split], key=lambda number: (number % 2, number))
    moved = labelled(two_classes(tmp_path / "elsewhere"))
    assert numbers(moved) == found and moved.digest() == data.digest() and len(data.digest()) == 64


def test_copies_land_in_one_split_under_any_name(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for path in sorted(tmp_path.rglob("*.png")):
        path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    found = {split: set(values) for split, values in numbers(labelled(tmp_path)).items()}
    assert sum(map(len, found.values())) == 200 == len(set.union(*found.values()))


def test_a_label_is_read_without_decoding_and_slices_stay_lazy(tmp_path: Path) -> None:
    data = labelled(two_classes(tmp_path, 40), validation_fraction=0, test_fraction=0)
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    train = data.samples("train")
    assert data.splits() == ("train",) and len(train) == 40
    assert [sample.label for sample in train[18:22]] == ["cat", "cat", "dog", "dog"]
    assert isinstance(train[-1], LabelledImage) and train[-1].label == "dog" and len(train[::10][1:]) == 3
    with pytest.raises(DataError, match=r"0000\.png: no such file"):
        _ = train[0].image
    with pytest.raises(IndexError):
        train[40]


def test_train_val_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for split, start in (("train", 0), ("val", 100), ("test", 200)):
        fill(tmp_path / split / "b", range(start, start + 4))
        fill(tmp_path / split / "a" / "deeper", range(start + 50, start + 52))
    fill(tmp_path / "extra" / "a", [900])
    (tmp_path / "train" / "b" / "notes\x1b.txt").write_text("hello")
    data = labelled(tmp_path)
    assert numbers(data) == {
        "train": [50, 51, 0, 1, 2, 3],
        "validation": [150, 151, 100, 101, 102, 103],
        "test": [250, 251, 200, 201, 202, 203],
    }
    assert data.notices == (
        f"1 left out: beside the splits (first: {tmp_path}/extra)",
        f"1 left out: no images by ending or content (first: {tmp_path}/train/b/notes\\x1b.txt)",
        "samples by class (train/validation/test): a 2/2/2, b 4/4/4",
    )
    (tmp_path / "val").rename(tmp_path / "other")
    assert set(labelled(tmp_path, validation_fraction=0.5).splits()) == {"train", "validation", "test"}
    fill(tmp_path / "valid" / "a", [1])
    (tmp_path / "other").rename(tmp_path / "validation")
    both = labelled(tmp_path)
    assert numbers(both)["validation"] == [1, 150, 151, 100, 101, 102, 103]
    assert f"2 folders are one split, validation (first: {tmp_path}/valid)" in both.notices


@pytest.mark.parametrize("names", [("training", "testing"), ("Train", "Test"), ("train", "eval")])
def test_splits_in_any_of_their_words_are_never_classes(names: tuple[str, str], tmp_path: Path) -> None:
    for start, name in enumerate(names):
        for label in ("cat", "dog"):
            fill(tmp_path / name / label, [start])
    data = labelled(tmp_path, validation_fraction=0)
    assert sorted(data.splits()) == ["test", "train"] and data.labels == ("cat", "dog")


def test_a_class_without_a_image_in_validation_is_told(tmp_path: Path) -> None:
    fill(tmp_path / "train" / unicodedata.normalize("NFC", "café"), [1, 2])
    fill(tmp_path / "train" / "__other__", [3, 4])
    fill(tmp_path / "val" / unicodedata.normalize("NFD", "café"), [5, 6])
    fill(tmp_path / "val" / "__other__", [])
    data = labelled(tmp_path)
    assert data.labels == ("__other__", "café") and numbers(data) == {"train": [3, 4, 1, 2], "validation": [5, 6]}
    assert data.notices == (
        "1 of 2 classes without images in validation: __other__",
        "samples by class (train/validation): __other__ 2/0, café 2/2",
        "no sample in validation of: __other__",
    )


def test_images_are_known_by_content_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    two_classes(tmp_path, 20)
    (tmp_path / "cat" / "photo.jfif").write_bytes(png(100))
    (tmp_path / "cat" / "scan.dat").write_bytes(png(101))
    (tmp_path / "cat" / "sound.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40))
    for name in ("._0000.png", "Thumbs.db"):
        (tmp_path / "dog" / name).write_bytes(b"\0\5\x16\7")
    data = labelled(tmp_path, validation_fraction=0, test_fraction=0)
    assert everything(numbers(data)) == [*range(20), 100, 101]
    assert data.notices[:3] == (
        f"1 are images by content, whatever their ending (first: {tmp_path}/cat/scan.dat)",
        f"1 left out: no images by ending or content (first: {tmp_path}/cat/sound.wav)",
        f"2 left out: hidden, or left by a system (first: {tmp_path}/dog/._0000.png)",
    )
    assert read_images(Images(path=str(tmp_path))).notices == data.notices[:3]
    everywhere = read_images(Images(path=f"{tmp_path}/**/*.png", validation=0))
    assert everything(numbers(everywhere)) == list(range(20))


def test_splits_can_be_given_one_by_one(tmp_path: Path) -> None:
    for split, start in (("x", 0), ("y", 100)):
        fill(tmp_path / split / "a", [start])
        fill(tmp_path / split / "b", [start + 1])
    data = read_labelled_images(
        LabelledImages(train=f"{tmp_path}/x", validation=f"{tmp_path}/y", test=f"{tmp_path}/y", labels=("b", "a"))
    )
    assert numbers(data) == {"train": [0, 1], "validation": [100, 101], "test": [100, 101]}
    assert data.labels == ("b", "a")


def test_tables_in_a_folder_are_the_splits_that_they_are_named_for(tmp_path: Path) -> None:
    two_classes(tmp_path / "photos", 20)
    (tmp_path / "tables").mkdir()
    for split, chosen in (("train", range(14)), ("test", range(14, 20))):
        found = [path for path in sorted((tmp_path / "photos").rglob("*.png")) if int(path.stem) in chosen]
        rows = "".join(f"{path},{path.parent.name}\n" for path in found)
        (tmp_path / "tables" / f"{split}.csv").write_text("path,label\n" + rows)
    data = numbers(read_labelled_images(LabelledImages(path=str(tmp_path / "tables"))))
    assert sorted(data["test"]) == list(range(14, 20))
    assert sorted(data["train"] + data["validation"]) == list(range(14))


def test_tables_beside_a_folder_of_images_are_its_splits(tmp_path: Path) -> None:
    fill(tmp_path / "images", range(6))
    for split, chosen in (("train", range(4)), ("Test", range(4, 6))):
        rows = "".join(f"images/{number:04}.png,{'cat' if number % 2 else 'dog'}\n" for number in chosen)
        (tmp_path / f"{split}.csv").write_text("path,label\n" + rows)
    data = labelled(tmp_path, validation_fraction=0)
    assert numbers(data) == {"train": [0, 1, 2, 3], "test": [4, 5]} and data.labels == ("cat", "dog")


def test_folders_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        labelled(tmp_path / "nowhere")
    with pytest.raises(DataError, match="expected one subfolder for each class, found none"):
        labelled(fill(tmp_path / "flat", [1, 2]))
    fill(tmp_path / "one" / "only", range(9))
    with pytest.raises(DataError, match="every label is 'only'"):
        labelled(tmp_path / "one")
    (tmp_path / "one" / "empty").mkdir()
    with pytest.raises(DataError, match="every label is 'only'"):
        labelled(tmp_path / "one")
    with pytest.raises(DataError, match="hollow: no images in the folders of classes"):
        labelled(fill(tmp_path / "hollow" / "a", []).parent)
    with pytest.raises(DataError, match=r"cat.0000\.png: label 'cat' is not one of dog, cow"):
        labelled(two_classes(tmp_path / "two"), labels=("dog", "cow"))
    with pytest.raises(DataError, match="neither images nor tables"):
        labelled(f"{tmp_path}/two/*.csv")


def test_links_are_followed_to_files_and_to_class_folders_but_not_around(tmp_path: Path) -> None:
    fill(tmp_path / "real", [5, 6])
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "link.png").symlink_to(tmp_path / "real" / "0005.png")
    (tmp_path / "set" / "a" / "loop").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "real")
    data = labelled(tmp_path / "set", validation_fraction=0, test_fraction=0)
    assert numbers(data) == {"train": [5, 5, 6]} and data.digest()


def test_subsets_are_nested_seeded_and_leave_the_digest_alone(tmp_path: Path) -> None:
    two_classes(tmp_path)

    def train(count: int | None, seed: int = 0) -> list[int]:
        return numbers(labelled(tmp_path, train_samples=count, subset_seed=seed))["train"]

    assert train(40)[:20] == train(20) and len(set(train(40))) == 40 and train(20) != train(20, seed=1)
    assert labelled(tmp_path, train_samples=20).digest() == labelled(tmp_path).digest()
    with pytest.raises(DataError, match="train_samples is 201, the training split has"):
        train(201)


def test_the_digest_follows_bytes_and_labels(tmp_path: Path) -> None:
    before = labelled(two_classes(tmp_path, 40)).digest()
    first = tmp_path / "cat" / "0000.png"
    first.rename(tmp_path / "dog" / "0000.png")
    relabelled = labelled(tmp_path).digest()
    (tmp_path / "dog" / "0000.png").write_bytes(png(999))
    assert len({before, relabelled, labelled(tmp_path).digest()}) == 3


def test_copies_and_labels_that_look_alike_are_told(tmp_path: Path) -> None:
    fill(tmp_path / "Cat", [1, 2, 3])
    fill(tmp_path / "cat", [4, 5, 3])
    shutil.copy(tmp_path / "cat" / "0004.png", tmp_path / "cat" / "copy.png")
    notices = labelled(tmp_path).notices
    assert any("that occur more than once, and share a split: 2 (first" in notice for notice in notices)
    assert any("that occur with different labels: 1 ('Cat' at " in notice for notice in notices)
    assert "labels that look alike are different classes: 'Cat', 'cat'" in notices


def test_every_class_can_have_its_share_of_every_split(tmp_path: Path) -> None:
    fill(tmp_path / "often", range(90))
    fill(tmp_path / "seldom", range(100, 110))
    data = labelled(tmp_path, split_rule="stratified")
    counts = {split: [image.label for image in data.samples(split)].count("seldom") for split in data.splits()}
    assert counts == {"train": 8, "validation": 1, "test": 1} and everything(numbers(data))[-1] == 109
    assert "samples by class (train/validation/test): often 72/9/9, seldom 8/1/1" in data.notices
    again = labelled(tmp_path, split_rule="stratified", split_seed=1)
    assert numbers(again) != numbers(data) and len(again.samples("test")) == 10


def test_a_folder_for_evaluation_stays_whole_and_may_have_one_class(tmp_path: Path) -> None:
    fill(tmp_path / "cat", range(7))
    data = labelled(tmp_path, split_rule="none")
    assert numbers(data) == {"all": list(range(7))}


def test_unlabelled_images_for_evaluation_stay_whole_too(tmp_path: Path) -> None:
    data = read_images(Images(path=str(fill(tmp_path, range(4))), split_rule="none"))
    assert numbers(data) == {"all": [0, 1, 2, 3]}


def messy(folder: Path) -> Path:
    """A table of 40 images of ten films, with semicolons, in cp1252, four of whose rows are bad."""
    fill(folder, range(40))
    rows = [f"{number:04}.png;{('café', 'bar')[number % 2]};film {number // 4}" for number in range(40)]
    rows[3], rows[5], rows[7] = ";bar;film 0", "0005.png;;film 1", "0007.png;bar"
    rows[9] = "0009.png;pub;film 2"
    (folder / "table.csv").write_bytes("\r\n".join(["path;label;film", *rows]).encode("cp1252"))
    return folder / "table.csv"


def test_a_messy_table_lists_every_bad_row_with_its_line(tmp_path: Path) -> None:
    path = messy(tmp_path)
    with pytest.raises(DataError) as caught:
        labelled(path, labels=("bar", "café"))
    assert caught.value.message.splitlines() == [
        f"4 of 40 images of {path} are bad:",
        f"  {path}:5: the path is empty",
        f"  {path}:7: the label is empty",
        f"  {path}:9: 3 fields expected as in the header, found 2",
        f"  {tmp_path}/0009.png: label 'pub' is not one of bar, café",
    ]


def test_a_messy_table_is_read_but_for_its_bad_rows_and_no_film_crosses(tmp_path: Path) -> None:
    path = messy(tmp_path)
    for rule in ("hash", "stratified"):
        data = labelled(path, bad="skip", max_bad=0.5, group_column="film", split_rule=rule)
        films = [{number // 4 for number in found} for found in numbers(data).values()]
        assert sum(map(len, films)) == 10 and len(everything(numbers(data))) == 37
    assert data.notices[0] == f"{path}: not UTF-8, read as cp1252; encoding= names another"
    assert data.labels == ("bar", "café", "pub") and data.notices[1].startswith("3 of 40 images")


def test_few_images_leave_no_split_empty(tmp_path: Path) -> None:
    assert {split: len(found) for split, found in numbers(labelled(two_classes(tmp_path, 6))).items()} == {
        "train": 4, "validation": 1, "test": 1
    }  # fmt: skip


# ---- bad files


def spoil(root: Path) -> None:
    (root / "cat" / "0000.png").write_bytes(b"no image at all")
    (root / "dog" / "0001.png").write_bytes(png(1)[:60])
    os.mkfifo(root / "dog" / "pipe.png")


def test_one_error_names_the_bad_files_and_counts_them(tmp_path: Path) -> None:
    spoil(two_classes(tmp_path, 100))
    with pytest.raises(DataError, match=r"2 of 101 images of .* are bad:\n  .*cat/0000\.png: not an image") as caught:
        labelled(tmp_path)
    assert (
        "pipe.png: expected a regular file, found a pipe, a socket or a device" in caught.value.message
        and "bad=skip" in caught.value.hint
    )
    with pytest.raises(
        DataError,
        match=r"pipe\.png: expected a regular file, found a pipe, a socket or a device.* \(1 of 51 images of .* are bad\)",
    ):
        read_images(Images(path=f"{tmp_path}/dog"))


def test_skipping_decodes_all_and_tells_what_it_left_out(tmp_path: Path) -> None:
    spoil(two_classes(tmp_path, 100))
    data = labelled(tmp_path, bad="skip")
    assert everything(numbers(data)) == list(range(2, 100))
    left, _ = data.notices
    assert left.startswith("3 of 101 images of ") and "1 not an image (" in left
    assert "1 truncated (" in left and "1 missing or no ordinary file (" in left
    with pytest.raises(DataError, match=r"3 of 101 images of .* bad, more than the share of 0\.02 that max_bad allows"):
        labelled(tmp_path, bad="skip", max_bad=0.02)


def test_frames_and_bits_that_are_not_kept_are_told(tmp_path: Path) -> None:
    two_classes(tmp_path, 20)
    frames = [Pillow.new("L", (4, 4), shade) for shade in range(3)]
    frames[0].save(tmp_path / "cat" / "moving.gif", save_all=True, append_images=frames[1:])
    Pillow.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / "dog" / "deep.png")
    for bad in ("error", "skip"):
        several, deep, *_ = labelled(tmp_path, bad=bad).notices
        assert several.startswith("1 with several frames: the first is read (first: ") and "moving.gif" in several
        assert deep.startswith("1 of 16-bit grey: 0 to 65,535 become 0 to 255, or 0 to 4,095") and "deep.png" in deep


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_colours_of_16_bits_are_told_once_with_a_count(kind: int, channels: int, tmp_path: Path) -> None:
    two_classes(tmp_path, 20)
    for name in ("first.png", "second.png"):
        (tmp_path / "cat" / name).write_bytes(png_of_16_bits(kind, channels))
    (told,) = (notice for notice in labelled(tmp_path).notices if "16-bit" in notice)
    assert told.startswith("2 of 16-bit colour: the upper 8 of each channel are kept (first: ") and "first.png" in told


def test_a_table_of_metadata_beside_classes_is_named_and_read_on_demand(tmp_path: Path) -> None:
    two_classes(tmp_path, 20)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    rows = [f"{name},{'odd' if number % 2 else 'even'}" for number, name in enumerate(names)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,parity", *rows]) + "\n")
    (tmp_path / "README.md").write_text("images")
    told = [notice for notice in labelled(tmp_path).notices if "left out" in notice]
    assert told[0].startswith("1 left out: a table beside the folders of classes; give it as the data to read its")
    assert "metadata.csv" in told[0] and "README.md" in told[1]
    found = labelled(tmp_path / "metadata.csv", image_column="file_name", label_column="parity")
    assert set(found.labels) == {"odd", "even"}


def png_of_16_bits(kind: int, channels: int) -> bytes:
    """4 x 4 pixels; Pillow writes no such files. `kind` is PNG's colour type."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(range(8 * channels)) for _ in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_all_bad_is_never_skipped(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 2 images of .* are bad"):
        labelled(tmp_path, bad="skip", max_bad=0.99)


# ---- images without labels


def test_images_come_from_folders_patterns_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_classes(tmp_path / "photos", 20)
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"photos/cat/{n:04}.png\n" for n in range(0, 20, 2)))
    monkeypatch.chdir(tmp_path)
    whole = read_images(Images(path="photos", validation=0))
    assert sorted(numbers(whole)["train"]) == list(range(20)) and whole.labels == ()
    assert type(whole.samples("train")[0]) is Image and whole.splits() == ("train",)
    assert numbers(read_images(Images(path="photos/**/*4.png", validation=0))) == {"train": [4, 14]}
    assert numbers(read_images(Images(path="list.csv", validation=0))) == {"train": list(range(0, 20, 2))}
    assert numbers(read_images(Images(path="photos/cat/0004.png", validation=0))) == {"train": [4]}
    with pytest.raises(DataError, match="no images there"):
        read_images(Images(path=str(fill(tmp_path / "none", []))))
    (tmp_path / "a[1].png").write_bytes(png(77))
    assert numbers(read_images(Images(path="a[1].png", validation=0))) == {"train": [77]}


def test_a_share_is_held_out_by_content(tmp_path: Path) -> None:
    fill(tmp_path, range(300))
    found = numbers(read_images(Images(path=str(tmp_path), validation=0.2)))
    assert everything(found) == list(range(300)) and 30 < len(found["validation"]) < 90
    few = read_images(Images(path=str(fill(tmp_path / "few", [0])), validation=1e-9))
    with pytest.raises(DataError, match="split 'validation' is empty"):
        few.samples("validation")
    with pytest.raises(UnknownName, match="unknown split 'test'"):
        few.samples("test")


# ---- settings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelledImages(), "exactly one"),
        (lambda: LabelledImages(path="a", train="b"), "exactly one"),
        (lambda: LabelledImages(path="a", test="b"), "path is split by itself"),
        (lambda: LabelledImages(path="a", labels=("x",)), "at least two"),
        (lambda: LabelledImages(path="a", labels=("x", "y", "x")), "all different"),
        (lambda: LabelledImages(path="a", test_fraction=float("nan")), "from 0 to 0.9"),
        (lambda: LabelledImages(path="a", test_fraction=0.5, validation_fraction=0.5), "at most 0.9"),
        (lambda: LabelledImages(path="a", max_bad=1.0), "at least 0 and below 1"),
        (lambda: Images(path=""), "at least 1 character"),
        (lambda: Images(path="a", validation=1.0), "from 0 to 0.9"),
        (lambda: Images(path="a", max_bad=-0.1), "at least 0 and below 1"),
        (lambda: TorchvisionSet(set="", root="x"), "set: expected at least 1 character"),
        (lambda: TorchvisionSet(set="x", root="x", validation_fraction=2), "from 0 to 0.9"),
        (lambda: Subset(train_samples=0), "at least 1"),
    ],
)
def test_contradictory_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_column_of_groups_keeps_images_without_labels_together_too(tmp_path: Path) -> None:
    path = messy(tmp_path)
    data = read_images(Images(path=str(path), group_column="film", validation=0.2, bad="skip", max_bad=0.5))
    films = [{number // 4 for number in found} for found in numbers(data).values()]
    assert sum(map(len, films)) == 10 and all(films)
    with pytest.raises(DataError, match="no column 'fim'") as caught:
        read_images(Images(path=str(path), group_column="fim"))
    assert "film" in caught.value.hint
    fill(tmp_path / "folder", range(4))
    with pytest.raises(
        DataError, match="none of the images has a group, as column 'film' is empty or no table was read"
    ):
        read_images(Images(path=str(tmp_path / "folder"), group_column="film"))


def test_a_recipe_asks_for_groups_of_images(tmp_path: Path) -> None:
    fill(tmp_path, range(40))
    rows = [f"{number:04}.png,{('a', 'b')[number % 2]},film {number // 4}" for number in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,film", *rows]))
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    recipe = finetune_recipe(
        "resnet_nano.fashion", "image-classification", str(tmp_path / "table.csv"), {}, ["data.group_column=film"],
        zoo.host, zoo.registry,
    )  # fmt: skip
    data = open_data(recipe.data.provided, recipe.data.config, zoo.host)
    films = [{number // 4 for number in found} for found in numbers(data).values()]
    assert recipe.data.config.split_rule == "stratified" and sum(map(len, films)) == 10 and all(films)
    assert any(notice.startswith("split by film: 8 groups of 32 in train") for notice in data.notices)
