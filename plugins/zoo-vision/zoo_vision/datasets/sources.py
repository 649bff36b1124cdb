"""Where the named image data sets come from, and how their prepared files are made: the same bytes on every machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo_core import DataError
from zoo_core.data import Array, Fetcher, joined_groups, read_image
from zoo_vision.datasets.idx import dump_idx, parse_idx

LABELS: Mapping[str, tuple[str, ...]] = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "emoji": (
        "Activities",
        "Animals & Nature",
        "Flags",
        "Food & Drink",
        "Objects",
        "People & Body",
        "Smileys & Emotion",
        "Symbols",
        "Travel & Places",
    ),
    "stamps": ("animals", "food", "household", "plants", "seasonal", "symbols", "town", "vehicles"),
}
"""Classes by data set, in the order of their numbers."""

FEWEST = 30
"""A class of emoji or stamps with fewer images is left out."""

LONGEST = 256
"""Pixels of the longer side of a prepared stamp at most."""


class Record(NamedTuple):
    """An image on its way into a prepared file."""

    group: str
    """Images of one group stay in one split."""
    label: str
    pixels: Array


def fetch_fashion_mnist(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """The Debian package's IDX files, unpacked; 500 images of each class of the training part become validation."""
    root = "usr/share/datasets/fashion-mnist/"
    members = fetcher.debian("dataset-fashion-mnist", select=[root + "*.gz"])
    return fashion_mnist({path.removeprefix(root): gzip.decompress(data) for path, data in members.items()})


def fetch_emoji(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """The npm package's emoji of 64 pixels with their categories."""
    folder, table = "package/img/google/64/", "package/emoji.json"
    members = fetcher.npm("emoji-datasource-google@16.0.0", select=[folder + "*.png", table])
    images = {path.removeprefix(folder): data for path, data in members.items() if path.startswith(folder)}
    return _files(emoji(json.loads(members[table]), images), name, _stacked)


def fetch_stamps(fetcher: Fetcher, name: str) -> dict[str, bytes]:
    """The Debian package's PNG stamps, made small."""
    root = "usr/share/tuxpaint/stamps/"
    members = fetcher.debian("tuxpaint-stamps-default", select=[root + "*.png"])
    return _files(stamps({path.removeprefix(root): data for path, data in members.items()}), name, _packed)


def fashion_mnist(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Prepared files of the four official ones, unpacked: the test part as it is, the training part in two.

    In every class the twelfth part goes to validation: those whose pixels have the least sha256.
    """
    pixels = {part: _idx(files, f"{part}-images-idx3-ubyte.gz", 3) for part in ("train", "t10k")}
    labels = {part: _idx(files, f"{part}-labels-idx1-ubyte.gz", 1) for part in ("train", "t10k")}
    places = spread(
        [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels["train"]],
        [str(label) for label in labels["train"]],
        validation=1 / 12,
        test=0,
    )
    chosen = {
        "train": ("train", places["train"]),
        "validation": ("train", places["validation"]),
        "test": ("t10k", list(range(len(pixels["t10k"])))),
    }
    prepared = {}
    for split, (part, numbers) in chosen.items():
        prepared[f"{split}-images.idx"] = dump_idx(pixels[part][numbers])
        prepared[f"{split}-labels.idx"] = dump_idx(labels[part][numbers])
    return prepared


def emoji(table: Sequence[Mapping[str, Any]], images: Mapping[str, bytes]) -> list[Record]:
    """Emoji and their skin-tone variants in the order of their names; the group is the emoji without person or tone."""
    labels: dict[str, str] = {}
    for entry in table:
        for variant in (entry, *entry.get("skin_variations", {}).values()):
            labels[variant["image"]] = entry["category"]
    return [
        Record(base_emoji(PurePosixPath(name).stem), labels[name], _rgba(data, name))
        for name, data in sorted(images.items())
        if name in labels
    ]


def stamps(images: Mapping[str, bytes]) -> list[Record]:
    """Stamps in the order of their paths; stamps of a series (`left` and `right`, 1 and 2) make a group."""
    return [
        Record(series(path), path.split("/")[0], shrunk(_rgba(data, path), LONGEST))
        for path, data in sorted(images.items())
    ]


_PERSON = "1f9d1"
_SAME = {
    **dict.fromkeys(("1f468", "1f469"), _PERSON),  # man, woman
    **dict.fromkeys(("1f466", "1f467"), "1f9d2"),  # boy, girl: child
    **dict.fromkeys(("1f474", "1f475"), "1f9d3"),  # old man, old woman: old person
    **dict.fromkeys(("1f934", "1f478"), "1fac5"),  # prince, princess: person with crown
    "1f936": "1f385",  # Mrs. Claus: Santa Claus
    "1f483": "1f57a",  # dancers
}
_MARKS = re.compile("1f3f[b-f]|200d|fe0f|2640|2642|1f9b[0-3]|27a1")
"""Skin tones, joiners, signs for woman and man, hair, the arrow of those that face right."""
_COUPLES = {
    frozenset({_PERSON, "2764", "1f48b"}): "1f48f",
    frozenset({_PERSON, "2764"}): "1f491",
    frozenset({_PERSON, "1f91d"}): "1f46b",
    frozenset({"1f46c"}): "1f46b",
    frozenset({"1f46d"}): "1f46b",
    frozenset({"1faf1", "1faf2"}): "1f91d",  # right hand, left hand: handshake
    frozenset({_PERSON, "1f9d2"}): "1f46a",
}


def base_emoji(code: str) -> str:
    """What an emoji has in common with its variants by skin, gender, hair, direction and family.

    `code` has its code points in hex with `-` between them. A lone arrow or sign is its own base.
    """
    points = code.lower().split("-")
    kept = frozenset(_SAME.get(point, point) for point in points if not _MARKS.fullmatch(point))
    return _COUPLES.get(kept) or "-".join(sorted(kept or points))


def series(path: str) -> str:
    """What the paths of a series of stamps have in common: folders, and the name without numbers, sides and sizes."""
    folder, _, name = path.rpartition("/")
    words = re.split(r"[_\W\d]+", name.removesuffix(".png").lower())
    sides = {"left", "right", "mirror", "small", "large", "front", "back"}
    kept = [word for word in words if word and word not in sides]
    return f"{folder}/{'_'.join(kept)}" if kept else path


def shrunk(pixels: Array, longest: int) -> Array:
    """RGBA made smaller by the least whole factor that makes both sides `longest` at most, each pixel a block's mean.

    Colours count by their opacity. Whole numbers throughout, so that every machine gets the same.
    """
    factor = -(-max(pixels.shape[:2]) // longest)
    if factor == 1:
        return pixels
    height, width = (-(-side // factor) for side in pixels.shape[:2])
    padded = np.zeros((height * factor, width * factor, 4), dtype=np.int64)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    padded[:, :, :3] *= padded[:, :, 3:]
    sums = padded.reshape(height, factor, width, factor, 4).sum(axis=(1, 3))
    opacity = sums[:, :, 3:]
    colours = (2 * sums[:, :, :3] + opacity) // np.maximum(2 * opacity, 1)
    area = factor * factor
    alpha = (2 * opacity + area) // (2 * area)
    small: Array = np.concatenate([colours, alpha], axis=2).astype(np.uint8)
    return small


def spread(groups: Sequence[str], labels: Sequence[str], *, validation: float, test: float) -> dict[str, list[int]]:
    """Places by split: of every class about these shares, in the order of the sha256 of their groups.

    A group stays together and counts for the class of its first member; one that is larger than what a split still lacks
    goes on to the next.
    """
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    sizes = Counter(labels[places[0]] for places in members.values() for _ in places)
    due = {
        (split, label): round(share * size)
        for split, share in (("test", test), ("validation", validation))
        for label, size in sizes.items()
    }
    splits: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for group in sorted(members, key=lambda group: hashlib.sha256(group.encode()).digest()):
        label = labels[members[group][0]]
        split = next((split for split in ("test", "validation") if due[split, label] >= len(members[group])), "train")
        if split != "train":
            due[split, label] -= len(members[group])
        splits[split] += members[group]
    return {split: sorted(places) for split, places in splits.items()}


def joined_copies(records: Sequence[Record]) -> list[str]:
    """The group of each record, groups that share an image being made one."""
    keys = [hashlib.sha256(record.pixels.tobytes()).hexdigest() for record in records]
    return joined_groups(keys, [record.group for record in records])


def _split_records(records: Iterable[Record], name: str) -> dict[str, list[Record]]:
    """Records by split; classes that are too small left out."""
    whole = list(records)
    counts = Counter(record.label for record in whole)
    kept = [record for record in whole if counts[record.label] >= FEWEST]
    if {record.label for record in kept} != set(LABELS[name]):
        found = ", ".join(sorted({record.label for record in kept}))
        raise DataError(f"{name}: other classes at the source than expected: {found}")
    places = spread(joined_copies(kept), [record.label for record in kept], validation=0.1, test=0.2)
    return {split: [kept[place] for place in numbers] for split, numbers in places.items()}


def _files(found: Iterable[Record], name: str, pixels: Any) -> dict[str, bytes]:
    prepared: dict[str, bytes] = {}
    for split, records in _split_records(found, name).items():
        numbers = np.array([LABELS[name].index(record.label) for record in records], dtype=np.uint8)
        prepared[f"{split}-labels.idx"] = dump_idx(numbers)
        prepared |= {f"{split}-{part}.idx": data for part, data in pixels(records).items()}
    return prepared


def _stacked(records: Sequence[Record]) -> dict[str, bytes]:
    return {"images": dump_idx(np.stack([record.pixels for record in records]))}


def _packed(records: Sequence[Record]) -> dict[str, bytes]:
    shapes = np.array([record.pixels.shape for record in records], dtype=np.int32)
    return {
        "images": dump_idx(np.concatenate([record.pixels.ravel() for record in records])),
        "sizes": dump_idx(shapes),
    }


def _rgba(data: bytes, name: str) -> Array:
    pixels = read_image(data, name=name)
    if pixels.shape[2] == 4:
        return pixels
    colours = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return np.concatenate([colours, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=2)


def _idx(files: Mapping[str, bytes], name: str, dimensions: int) -> npt.NDArray[Any]:
    if name not in files:
        raise DataError(f"fashion-mnist: {name} is missing at the source")
    return parse_idx(files[name], dimensions=dimensions, where=name)
