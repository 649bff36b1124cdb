"""Readers of the user's images: what is found is checked, split without leaks and handed over undecoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from zoo_core import DataError, printable
from zoo_core.data import (
    AllFaults,
    Fault,
    Faults,
    ImageHeader,
    ImageProblem,
    Policy,
    SplitOptions,
    TableOptions,
    check_file,
    class_notices,
    expanded,
    image_header,
    image_problem,
    is_pattern,
    listed_twice,
    lookalikes,
    settle_faults,
    sorted_labels,
    tables_by_split,
)
from zoo_vision.configs.data import Images, LabelledImages
from zoo_vision.datasets.catalog import ImageData, divided, subset
from zoo_vision.datasets.folders import (
    WHOLE,
    Found,
    idx_files,
    images_of,
    labelled_folder,
    labelled_idx,
    plain_folder,
    plain_idx,
    tables_in,
)
from zoo_vision.datasets.storage import FileStorage, ImageSequence
from zoo_vision.datasets.tables import Columns, read_tabled_images


class Shares(Policy, Protocol):
    """What a configuration says about splits, besides."""

    @property
    def split_rule(self) -> Literal["hash", "stratified", "none"]:
        """How splits are made."""

    @property
    def split_seed(self) -> int:
        """Chooses among those that the rule can make."""

    @property
    def validation_fraction(self) -> float:
        """Share of the validation split where it is made."""

    @property
    def test_fraction(self) -> float:
        """Share of the test split where it is made."""

    @property
    def train_samples(self) -> int | None:
        """Size of the training split, if it is to be smaller."""

    @property
    def subset_seed(self) -> int:
        """Chooses the smaller one's samples."""


def read_images(config: Images) -> ImageData:
    """Images of the user's files as `Image`, with a share held out for validation."""
    found = _plain(config.path, config)
    checked, notices = check(found, config, where=config.path)
    splits = divided(checked[WHOLE], config, config.validation, 0.0)
    return ImageData(config.path, splits, read=[checked[WHOLE]], notices=found.notices + notices)


def read_labelled_images(config: LabelledImages) -> ImageData:
    """Images of the user's files as `LabelledImage`. Raises `DataError`, naming the image, for unknown labels."""
    if config.path:
        found = _labelled(config.path, config)
    else:
        splits: dict[str, ImageSequence] = {}
        notices: tuple[str, ...] = ()
        faults: tuple[Fault, ...] = ()
        for split, path in (("train", config.train), ("validation", config.validation), ("test", config.test)):
            if path:
                part = _labelled(path, config)
                if set(part.splits) != {WHOLE}:
                    raise DataError(f"{path}: it has splits of its own", hint="give it as path, not as train")
                splits[split] = part.splits[WHOLE]
                notices += part.notices
                faults += part.faults
        found = Found(splits, notices, faults)
    return assemble(config.path or config.train, found, config.labels, config)


def assemble(name: str, found: Found, labels: Sequence[str], config: Shares) -> ImageData:
    """Labelled data of what was found: checked, the missing splits made by hash, the training split cut to size."""
    checked, notices = check(found, config, labels, where=name)
    known = tuple(labels) or sorted_labels(label for images in checked.values() for label in set(images.labels()))
    options = SplitOptions(split_rule=config.split_rule, split_seed=config.split_seed)
    if len(known) < 2 and options.split_rule != "none":
        raise DataError(f"{name}: every label is {known[0]!r}; two are needed to tell apart")
    splits = {split: images for split, images in checked.items() if split != WHOLE}
    if "validation" not in splits and (not splits or options.split_rule != "none"):
        test = 0.0 if splits else config.test_fraction
        whole = checked[WHOLE] if WHOLE in checked else splits.pop("train")
        splits = {**divided(whole, options, config.validation_fraction, test), **splits}
        notices += class_notices({split: images.labels() for split, images in splits.items()})
    if "train" in splits:
        splits["train"] = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    told = (*found.notices, *notices, *lookalikes(known), *_twice(checked.values()))
    return ImageData(name, splits, known, read=checked.values(), notices=told)


def _twice(read: Iterable[ImageSequence]) -> tuple[str, ...]:
    """Notices of copies, and of copies that have different labels."""
    found: dict[str, list[tuple[str, str]]] = {}
    for images in read:
        for place, (key, label) in enumerate(zip(images.digests(), images.labels(), strict=True)):
            found.setdefault(key, []).append((images.name(place), label))
    return listed_twice(found)


def check(
    found: Found, policy: Policy, labels: Sequence[str] = (), *, where: str
) -> tuple[dict[str, ImageSequence], tuple[str, ...]]:
    """The splits without their bad images, and what was left out; a label is bad that is none of `labels`, where given.

    With `bad: error` every header is read, with `bad: skip` every image decoded. Raises `DataError` for bad images, or
    for more of them than `max_bad` allows.
    """
    faults = Faults()
    for fault in found.faults:
        faults.add(*fault)
    kept: dict[str, ImageSequence] = {}
    seen: list[tuple[str, ImageHeader]] = []
    for split, images in found.splits.items():
        good = []
        for place, label in enumerate(images.labels() or [""] * len(images)):
            source, name = images.source(place), images.name(place)
            if labels and label not in labels:
                faults.add(name, f"label {label!r} is not one of {', '.join(labels)}")
                continue
            look = None if isinstance(source, np.ndarray) else image_header(source)
            problem = look if isinstance(look, ImageProblem) else None
            if isinstance(look, ImageHeader) and not isinstance(source, np.ndarray):
                seen.append((name, look))
                problem = image_problem(source) if policy.bad == "skip" else None
            if problem:
                said = problem.reason if policy.bad == "skip" else problem.message.removeprefix(f"{name}: ")
                faults.add(name, said, problem.hint)
            else:
                good.append(place)
        kept[split] = images if len(good) == len(images) else images.take(good)
    left = settle_faults(faults, sum(map(len, kept.values())), policy, what="images", where=where)
    return kept, (*left, *_converted(seen))


def _converted(seen: Sequence[tuple[str, ImageHeader]]) -> tuple[str, ...]:
    """Notices of what decoding leaves out of images that it reads."""
    animated = [name for name, header in seen if header.animated]
    deep = [name for name, header in seen if header.deep]
    notices = []
    if animated:
        notices.append(f"{len(animated):,} with several frames: the first is read (first: {printable(animated[0])})")
    if deep:
        scale = "0 to 65,535 become 0 to 255, or 0 to 4,095 where no pixel is brighter"
        notices.append(f"{len(deep):,} of 16-bit grey: {scale} (first: {printable(deep[0])})")
    if colours := [name for name, header in seen if header.deep_colour]:
        kept = "the upper 8 of each channel are kept"
        notices.append(f"{len(colours):,} of 16-bit colour: {kept} (first: {printable(colours[0])})")
    return tuple(notices)


def _labelled(path: str, config: LabelledImages) -> Found:
    place = expanded(path)
    if idx_files(place):
        return labelled_idx(place, config.labels)
    if place.is_dir() and not tables_in(path):
        return labelled_folder(place)
    columns = Columns(config.image_column, config.label_column, config.group_column)
    return _tabled(tables_by_split(_tables(path)), columns, config.labels, config)


def _plain(path: str, config: Images) -> Found:
    place = expanded(path)
    if idx_files(place):
        return plain_idx(place)
    if place.is_dir() and not tables_in(path):
        return plain_folder(place)
    if images := images_of(path):
        return Found({WHOLE: ImageSequence(FileStorage(map(str, images)))})
    return _tabled({WHOLE: _tables(path)}, Columns(config.image_column), (), config)


def _tabled(
    parts: Mapping[str, Sequence[Path]], columns: Columns, names: Sequence[str], options: TableOptions
) -> Found:
    faults = AllFaults()
    splits = {split: read_tabled_images(part, columns, names, options, faults) for split, part in parts.items()}
    return Found(splits, tuple(faults.notices), tuple(faults.all))


def _tables(path: str) -> list[Path]:
    tables = tables_in(path)
    if tables:
        return tables
    place = expanded(path)
    if not is_pattern(path):
        check_file(place)
    raise DataError(f"{path}: neither images nor tables there", hint="tables end in .csv, .tsv, .jsonl or .parquet")
