"""Readers of the user's images: tables, Parquet as Hugging Face writes it, IDX files and torchvision's data sets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numbered_images import fill, number_of, png
from zoo_vision.configs.data import Images, LabelledImages, TorchvisionSet
from zoo_vision.datasets.idx import dump_idx, parse_idx, read_idx
from zoo_vision.datasets.readers import read_images, read_labelled_images
from zoo_vision.datasets.torchvision_sets import KNOWN, REFUSED, read_torchvision

from zoo_core import DataError, UnknownName
from zoo_core.data import SplitData


def numbers(data: SplitData) -> dict[str, list[int]]:
    return {split: [number_of(sample) for sample in data.samples(split)] for split in data.splits()}


def everything(found: Mapping[str, Sequence[int]]) -> list[int]:
    return sorted(number for values in found.values() for number in values)


def labelled(root: Path | str, **settings: Any) -> SplitData:
    return read_labelled_images(LabelledImages(path=str(root), **settings))


# ---- tables


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_tables_name_files_from_their_own_folder(suffix: str, tmp_path: Path) -> None:
    fill(tmp_path / "p", range(10))
    rows = [{"path": f"p/{n:04}.png" if n else str(tmp_path / "p" / "0000.png"), "label": n % 2} for n in range(10)]
    table = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), table)
    elif suffix == ".jsonl":
        table.write_text("\n".join(map(json.dumps, rows)))
    else:
        sign = "," if suffix == ".csv" else "\t"
        table.write_text(f"path{sign}label\n" + "".join(f"{r['path']}{sign}{r['label']}\n" for r in rows))
    data = labelled(table, validation_fraction=0, test_fraction=0, labels=("even", "odd"))
    assert numbers(data)["train"] == list(range(10)) and data.labels == ("even", "odd")
    assert [sample.label for sample in data.samples("train")][:2] == ["even", "odd"]
    assert labelled(table, validation_fraction=0, test_fraction=0).labels == ("0", "1")


def test_bad_rows_of_tables_are_named(tmp_path: Path) -> None:
    fill(tmp_path, [1])
    table = tmp_path / "t.csv"
    for body, message in [
        ("0001.png,\n", r"t\.csv:2: the label is empty"),
        (",x\n", r"t\.csv:2: the path is empty"),
        ("0002.png,x\n", r"0002\.png: no such file.* \(1 of 1 images of .* are bad\)"),
        ("../../../../../../../../dev/zero,x\n", "found a pipe, a socket or a device"),
    ]:
        table.write_text("path,label\n" + body)
        with pytest.raises(DataError, match=message):
            labelled(table)
    table.write_text("file,label\n0001.png,x\n")
    with pytest.raises(DataError, match="no column with the image among file, label"):
        labelled(table)
    table.write_text("path,label\n0001.png,2\n")
    with pytest.raises(DataError, match="label 2, but there are only 2 names"):
        labelled(table, labels=("a", "b"))


def hugging_face(path: Path, values: Sequence[Any], labels: Sequence[Any], names: Sequence[str] = ()) -> Path:
    table = pa.table({"image": list(values), "label": list(labels)})
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def test_parquet_with_bytes_is_read_as_hugging_face_writes_it(tmp_path: Path) -> None:
    whole = {"validation_fraction": 0, "test_fraction": 0}
    images = [{"bytes": png(n), "path": f"{n}.png"} for n in range(40)]
    numbered = [n % 2 for n in range(40)]
    named = labelled(hugging_face(tmp_path / "a.parquet", images, numbered, ("neg", "pos")), **whole)
    assert named.labels == ("neg", "pos") and numbers(named) == {"train": list(range(40))}
    assert named.samples("train")[3].label == "pos" and named.samples("train")[3].name.endswith("a.parquet: row 4")
    plain = labelled(hugging_face(tmp_path / "b.parquet", [png(n) for n in range(40)], numbered), **whole)
    assert plain.labels == ("0", "1") and numbers(plain) == numbers(named)
    texts = labelled(hugging_face(tmp_path / "c.parquet", images, [f"c{n}" for n in numbered]), **whole)
    assert texts.labels == ("c0", "c1")
    split = numbers(labelled(f"{tmp_path}/[bc].parquet", labels=("c0", "c1"), image_column="image"))
    assert sum(map(len, split.values())) == 80 and not set(split["train"]) & set(split["test"])
    assert numbers(read_images(Images(path=str(tmp_path / "a.parquet"), validation=0))) == numbers(named)


def test_bad_parquet_is_named(tmp_path: Path) -> None:
    bad = hugging_face(tmp_path / "a.parquet", [png(1), b"no image"], ["x", "y"])
    with pytest.raises(DataError, match=r"a\.parquet: row 2: not an image.* \(1 of 2 images of .* are bad\)"):
        labelled(bad)
    none = hugging_face(tmp_path / "b.parquet", [{"bytes": png(1), "path": ""}, {"bytes": None, "path": "x"}], [0, 1])
    with pytest.raises(DataError, match=r"b\.parquet: row 2: no bytes of an image"):
        labelled(none)
    with pytest.raises(DataError, match="label is a name or a whole number, found float"):
        labelled(hugging_face(tmp_path / "c.parquet", [png(1)], [0.5]))
    with pytest.raises(DataError, match="no column 'labels'"):
        labelled(bad, label_column="labels")
    with pytest.raises(DataError, match="label 7, but there are only 2 names"):
        labelled(hugging_face(tmp_path / "d.parquet", [png(1)], [7], ("a", "b")))
    (tmp_path / "e.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match="not readable as Parquet"):
        labelled(tmp_path / "e.parquet")


# ---- IDX and torchvision


def write_idx(folder: Path, *, suffix: str = "", train: int = 60, test: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", pixels), (f"{part}-labels-idx1-ubyte", labels)):
            data = dump_idx(array)
            (folder / (name + suffix)).write_bytes(gzip.compress(data) if suffix else data)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_have_their_own_test_split(suffix: str, tmp_path: Path) -> None:
    data = labelled(write_idx(tmp_path, suffix=suffix))
    sizes = {split: len(data.samples(split)) for split in data.splits()}
    assert sizes["test"] == 20 and sizes["train"] + sizes["validation"] == 60 and sizes["validation"] > 0
    assert data.labels == tuple("0123456789")
    sample = data.samples("test")[13]
    assert sample.label == "3" and sample.image.shape == (28, 28, 1) and "t10k" in sample.name
    expected = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert (sample.image[:, :, 0] == expected[13]).all() and sample.image.flags.writeable
    named = labelled(tmp_path, labels=tuple("abcdefghij"))
    assert named.samples("test")[13].label == "d" and named.digest() != data.digest()
    with pytest.raises(DataError, match="label 9, but only 3 names"):
        labelled(tmp_path, labels=("a", "b", "c"))
    plain = read_images(Images(path=str(tmp_path), validation=0))
    assert len(plain.samples("train")) == 60 and "t10k" in plain.notices[0]


def test_idx_files_that_lie_are_refused(tmp_path: Path) -> None:
    good = dump_idx(np.zeros((2, 3, 3), np.uint8))
    for data, message in [
        (good[:-1], "2 x 3 x 3 numbers promised in 18 bytes, 17 found"),
        (good + b"\0", "19 found"),
        (b"\1" + good[1:], "not an IDX file"),
        (good[:2] + b"\x0d" + good[3:], "not an IDX file"),
        (good[:3] + b"\2" + good[4:], "not an IDX file"),
        (good[:4] + b"\xff" * 12, "more than"),
        (b"", "not an IDX file"),
    ]:
        with pytest.raises(DataError, match=message):
            parse_idx(data, dimensions=3, where="x")
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(dump_idx(np.zeros(59, np.uint8)))
    with pytest.raises(DataError, match="59 labels for 60 images"):
        labelled(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="the file with its labels is missing"):
        labelled(tmp_path)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(101):
            file.write(bytes(1_000_000))
    with pytest.raises(DataError, match="unfolds to more than"):
        read_idx(path, dimensions=3)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="can't be unpacked"):
        read_idx(path, dimensions=3)


def test_idx_keeps_whole_numbers() -> None:
    array = np.array([[1, -2], [3, 2**31 - 1]], dtype=np.int32)
    assert (parse_idx(dump_idx(array), dimensions=2, where="x") == array).all()


def test_a_torchvision_set_is_read_from_its_files(tmp_path: Path) -> None:
    write_idx(tmp_path / "FashionMNIST" / "raw")
    data = read_torchvision(TorchvisionSet(set="FashionMNIST", root=str(tmp_path)))
    assert data.labels[0] == "T-shirt/top" and data.labels[9] == "Ankle boot" and len(data.samples("test")) == 20
    assert len(data.samples("train")) + len(data.samples("validation")) == 60
    sample = data.samples("test")[13]
    expected = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert sample.label == "Dress" and (sample.image[:, :, 0] == expected[13]).all()
    fewer = read_torchvision(TorchvisionSet(set="FashionMNIST", root=str(tmp_path), train_samples=9))
    assert len(fewer.samples("train")) == 9 and fewer.digest() == data.digest()


def test_a_torchvision_set_of_files_is_decoded_by_us(tmp_path: Path) -> None:
    for number in range(30):
        fill(tmp_path / "eurosat" / "2750" / ("Forest", "River")[number % 2], [number])
    data = read_torchvision(TorchvisionSet(set="EuroSAT", root=str(tmp_path), test_fraction=0.3))
    assert data.labels == ("Forest", "River") and everything(numbers(data)) == list(range(30))
    (tmp_path / "eurosat" / "2750" / "Forest" / "0000.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0000\.png: not an image.* \(1 of 30 images of .* are bad\)"):
        read_torchvision(TorchvisionSet(set="EuroSAT", root=str(tmp_path)))


def test_torchvision_sets_that_would_unpickle_are_refused(tmp_path: Path) -> None:
    for name in REFUSED:
        with pytest.raises(DataError, match=f"torchvision's {name} is not read: .*(pickle|torch.load)"):
            read_torchvision(TorchvisionSet(set=name, root=str(tmp_path)))
    with pytest.raises(UnknownName, match="unknown torchvision data set 'FashionMist'") as caught:
        read_torchvision(TorchvisionSet(set="FashionMist", root=str(tmp_path)))
    assert "FashionMNIST" in caught.value.hint
    with pytest.raises(DataError, match="torchvision can't read FashionMNIST: Dataset not found") as missing:
        read_torchvision(TorchvisionSet(set="FashionMNIST", root=str(tmp_path)))
    assert "download: true" in missing.value.hint
    old = tmp_path / "MNIST" / "processed" / "training.pt"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"\x80\x02pickle")
    with pytest.raises(DataError, match=r"training\.pt: left by an old torchvision, which would unpickle it"):
        read_torchvision(TorchvisionSet(set="MNIST", root=str(tmp_path)))


def test_the_allowed_sets_exist_and_their_modules_unpickle_nothing_but_the_old_cache() -> None:
    import inspect

    from torchvision import datasets

    for name in KNOWN:
        code = inspect.getsource(inspect.getmodule(getattr(datasets, name)))
        calls = code.count("pickle.") + code.count("loadmat(") + code.count("np.load(") + code.count("torch.load(")
        assert calls == (1 if name in ("MNIST", "FashionMNIST", "KMNIST") else 0), name
    for name in REFUSED:
        code = inspect.getsource(inspect.getmodule(getattr(datasets, name)))
        assert "pickle" in code or "torch.load(" in code
