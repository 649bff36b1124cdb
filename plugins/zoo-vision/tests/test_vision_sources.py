"""The named data sets: prepared the same everywhere, split without leaks, pinned, and repaired when damaged."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from zoo_vision.configs.data import Subset
from zoo_vision.datasets import catalog, sources
from zoo_vision.datasets.catalog import read_digits, read_prepared
from zoo_vision.datasets.idx import dump_idx, parse_idx
from zoo_vision.datasets.sources import base_emoji, joined_copies, series, shrunk, spread

from zoo_core import DataError
from zoo_core.data import Fetcher, PreparedFiles, SplitData
from zoo_core.testing import fs


class Shelf:
    """A client that has one package of each kind."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members = members
        self.asked: list[str] = []

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        raise AssertionError(requirement)

    def debian(self, package: str, folder: Path) -> None:
        self._pack(package, folder / "files.tar", "w:")

    def npm(self, package: str, folder: Path) -> None:
        self._pack(package, folder / "a.tgz", "w:gz")

    def _pack(self, package: str, path: Path, mode: str) -> None:
        self.asked.append(package)
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name, content in self.members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def clothes(train: int = 240, test: int = 20) -> dict[str, bytes]:
    """Stand-ins for the four official files: images of 3×3 pixels that say their number."""
    files = {}
    for part, count in (("train", train), ("t10k", test)):
        pixels = np.zeros((count, 3, 3), np.uint8)
        pixels[:, 0, 0], pixels[:, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
        files[f"{part}-images-idx3-ubyte.gz"] = dump_idx(pixels)
        files[f"{part}-labels-idx1-ubyte.gz"] = dump_idx((np.arange(count) % 10).astype(np.uint8))
    return files


@pytest.fixture
def shelf() -> Shelf:
    root = "usr/share/datasets/fashion-mnist/"
    return Shelf({root + name: gzip.compress(content) for name, content in clothes().items()})


PINS = {name: fs.digest_of(content) for name, content in sources.fashion_mnist(clothes()).items()}
"""What comes out of the stand-ins."""


@pytest.fixture
def fetcher(tmp_path: Path, shelf: Shelf) -> Fetcher:
    return Fetcher(tmp_path, lambda line: None, client=shelf)


def clothes_of(root: Path, **settings: Any) -> SplitData:
    prepared = PreparedFiles.find("fashion-mnist", {"fashion-mnist": PINS}, root)
    return read_prepared(Subset(**settings), prepared, dimensions=3)


def test_a_fetched_data_set_is_read_and_not_fetched_again(fetcher: Fetcher, shelf: Shelf) -> None:
    fetcher.prepare("fashion-mnist", PINS, sources.fetch_fashion_mnist)
    read = clothes_of(fetcher.root)
    assert {split: len(read.samples(split)) for split in read.splits()} == {"train": 220, "validation": 20, "test": 20}
    assert read.labels == sources.LABELS["fashion-mnist"] and read.labels[9] == "Ankle boot"
    seen = []
    for split in read.splits():
        for sample in read.samples(split):
            number = int(sample.image[0, 0, 0]) * 256 + int(sample.image[0, 1, 0])
            assert sample.label == read.labels[number % 10] and sample.image.shape == (3, 3, 1)
            seen.append(number if split != "test" else number + 1000)
    assert sorted(seen) == [*range(240), *range(1000, 1020)]
    assert sorted(sample.label for sample in read.samples("validation")) == sorted(read.labels * 2)
    fewer = clothes_of(fetcher.root, train_samples=30)
    assert len(fewer.samples("train")) == 30 and fewer.digest() == read.digest()
    fetcher.prepare("fashion-mnist", PINS, sources.fetch_fashion_mnist)
    assert shelf.asked == ["dataset-fashion-mnist"]


def png(number: int, *, side: int = 64, mode: str = "RGBA") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, len(mode)), dtype=np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_emoji_are_prepared_by_category_and_variants_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LABELS", {"emoji": ("People", "Things")})
    table = []
    members: dict[str, bytes] = {}
    for number in range(40):
        image = f"1f6{number:02x}.png"
        skins = {tone: {"image": f"1f6{number:02x}-{tone}.png"} for tone in ("1f3fb", "1f3ff")} if number % 2 else {}
        table.append({"image": image, "category": ("Things", "People")[number % 2], "skin_variations": skins})
        for name in (image, *(variant["image"] for variant in skins.values())):
            members[f"package/img/google/64/{name}"] = png(len(members), mode="RGB" if number == 3 else "RGBA")
    table += [{"image": f"2b5{number}.png", "category": "Things"} for number in range(10)]
    members |= {f"package/img/google/64/2b5{number}.png": png(1000) for number in range(10)}  # copies
    table.append({"image": "2a00.png", "category": "Component"})
    members |= {"package/img/google/64/2a00.png": png(2000), "package/img/google/64/unlisted.png": png(2001)}
    members |= {"package/emoji.json": json.dumps(table).encode(), "package/README.md": b"no"}
    kept = sources.fetch_emoji(Fetcher(Path(), lambda line: None, client=Shelf(members)), "emoji")
    tones: list[set[bytes]] = []
    for split in ("train", "validation", "test"):
        pixels = parse_idx(kept[f"{split}-images.idx"], dimensions=4, where="x")
        labels = parse_idx(kept[f"{split}-labels.idx"], dimensions=1, where="x")
        assert pixels.shape[1:] == (64, 64, 4) and len(pixels) == len(labels) > 0 and (labels == 0).sum() % 3 == 0
        tones.append({image.tobytes() for image in pixels})
    assert sum(map(len, tones)) == len(set.union(*tones)) == 81  # 80 and one of the copies
    assert sum(len(kept[f"{split}-labels.idx"]) - 8 for split in ("train", "validation", "test")) == 90


def test_stamps_are_packed_in_their_own_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "LABELS", {"stamps": ("animals", "food")})
    monkeypatch.setattr(catalog, "LABELS", {"stamps": ("animals", "food")})
    names = [f"{('animals', 'food')[n % 2]}/kind/{chr(97 + n // 26)}{chr(97 + n % 26)}x.png" for n in range(70)]
    root = "usr/share/tuxpaint/stamps/"
    members = {root + name: png(n, side=20 + n) for n, name in enumerate(names)}
    members |= {root + "sports/ball.png": png(900), root + "animals/cat.svg": b"<svg/>"}
    kept = sources.fetch_stamps(Fetcher(Path(), lambda line: None, client=Shelf(members)), "stamps")
    (tmp_path / "stamps").mkdir()
    for name, content in kept.items():
        (tmp_path / "stamps" / name).write_bytes(content)
    pins = {name: fs.digest_of(content) for name, content in kept.items()}
    read = read_prepared(Subset(), PreparedFiles.find("stamps", {"stamps": pins}, tmp_path), dimensions=1)
    found = {sample.image.shape[0]: sample for split in read.splits() for sample in read.samples(split)}
    assert sorted(found) == list(range(20, 90)) and len(read.samples("test")) == 14
    for n in (0, 33, 69):
        sample = found[20 + n]
        expected = np.asarray(Pillow.open(io.BytesIO(png(n, side=20 + n))))
        assert (sample.image == expected).all() and sample.label == ("animals", "food")[n % 2]


def test_classes_that_are_new_at_the_source_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"usr/share/tuxpaint/stamps/birds/{chr(97 + n)}{chr(98 + n)}.png": png(n, side=9) for n in range(40)}
    with pytest.raises(DataError, match="stamps: other classes at the source than expected: birds"):
        sources.fetch_stamps(Fetcher(Path(), lambda line: None, client=Shelf(members)), "stamps")


@pytest.mark.parametrize(
    "variants",
    [
        ("1F3C3", "1F3C3-1F3FB", "1F3C3-200D-2640-FE0F", "1F3C3-1F3FF-200D-2642-FE0F-200D-27A1-FE0F"),
        ("1F468-200D-1F33E", "1F469-1F3FD-200D-1F33E", "1F9D1-200D-1F33E"),
        ("1F468", "1F469-200D-1F9B0", "1F9D1-1F3FB-200D-1F9B3"),
        ("1F934", "1F478-1F3FB", "1FAC5"),
        ("1F46B", "1F46C-1F3FB", "1F469-1F3FB-200D-1F91D-200D-1F468-1F3FF", "1F9D1-200D-1F91D-200D-1F9D1"),
        ("1F48F", "1F469-200D-2764-FE0F-200D-1F48B-200D-1F468"),
        ("1F46A", "1F468-200D-1F469-200D-1F467-200D-1F466"),
        ("1F91D", "1FAF1-1F3FB-200D-1FAF2-1F3FC"),
    ],
)
def test_variants_of_an_emoji_have_one_base(variants: tuple[str, ...]) -> None:
    assert len({base_emoji(code) for code in variants}) == 1


def test_different_emoji_have_different_bases() -> None:
    codes = ("1F3C3", "1F9D1-200D-1F33E", "1F9D1-200D-1F373", "1F9D1", "27A1-FE0F", "2640-FE0F", "2642-FE0F", "1F3FB")
    flags = ("1F1E9-1F1EA", "1F1EA-1F1F8", "0031-FE0F-20E3", "0032-FE0F-20E3")
    assert len({base_emoji(code) for code in codes + flags}) == len(codes + flags)


def test_stamps_of_a_series_belong_together() -> None:
    same = ("a/b/Dog_left.png", "a/b/dog-2_mirror.png", "a/b/dog.png")
    other = ("a/c/dog.png", "a/b/hotdog.png", "a/b/1.png", "a/b/2.png", "a/b/a_filled.png", "a/b/b_filled.png")
    assert len({series(path) for path in same}) == 1
    assert len({series(path) for path in (same[0], *other)}) == 1 + len(other)


def test_groups_stay_together_and_classes_keep_their_shares() -> None:
    groups = [f"group {number // 3}" for number in range(600)]
    labels = ["rare" if number < 60 else "common" for number in range(600)]
    splits = spread(groups, labels, validation=0.1, test=0.2)
    assert sorted(place for places in splits.values() for place in places) == list(range(600)) and splits[
        "test"
    ] == sorted(splits["test"])
    found = {split: {groups[place] for place in places} for split, places in splits.items()}
    assert sum(map(len, found.values())) == 200
    assert [sum(labels[p] == "rare" for p in splits[split]) for split in ("validation", "test")] == [6, 12]
    assert 52 <= len(splits["validation"]) - 6 <= 54 and 106 <= len(splits["test"]) - 12 <= 108
    large = spread(["all"] * 10, ["x"] * 10, validation=0.1, test=0.2)
    assert large["train"] == list(range(10))


def test_groups_that_share_a_image_become_one() -> None:
    one, two = np.zeros((1, 1, 4), np.uint8), np.ones((1, 1, 4), np.uint8)
    records = [sources.Record(g, "x", p) for g, p in (("c", one), ("a", two), ("b", one), ("b", two), ("d", one + 7))]
    assert joined_copies(records) == ["a", "a", "a", "a", "d"]


def test_shrinking_averages_by_opacity_and_leaves_small_images_alone() -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:2, :2] = (100, 0, 0, 255)
    pixels[0, 0] = (200, 0, 0, 255)
    pixels[2:, :2, 3] = 255
    pixels[2, 0] = (40, 40, 40, 255)
    pixels[0, 2] = (10, 20, 30, 128)
    small = shrunk(pixels, 3)
    assert (
        small.shape == (2, 3, 4)
        and small[0, 0].tolist() == [125, 0, 0, 255]
        and small[1, 0].tolist() == [10] * 3 + [255]
    )
    assert small[0, 1].tolist() == [10, 20, 30, 32] and small[1, 2].tolist() == [0, 0, 0, 0]
    assert shrunk(pixels, 6) is pixels and shrunk(np.zeros((513, 9, 4), np.uint8), 256).shape == (171, 3, 4)


def test_digits_come_with_scikit_learn_and_have_a_fixed_split() -> None:
    read = read_digits(Subset())
    sizes = {split: len(read.samples(split)) for split in read.splits()}
    assert sum(sizes.values()) == 1797 and sizes == {"train": 1259, "validation": 179, "test": 359}
    first = read.samples("train")[0]
    assert first.image.shape == (8, 8, 1) and first.label in read.labels == tuple("0123456789")
    assert max(int(sample.image.max()) for sample in read.samples("test")) == 255
    assert read.digest() == read_digits(Subset(train_samples=100)).digest()
    assert read.digest().startswith("9538b3066998")


def test_listing_the_data_sets_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, zoo_vision.specs.data; print([m for m in ('torch', 'numpy', 'PIL', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
