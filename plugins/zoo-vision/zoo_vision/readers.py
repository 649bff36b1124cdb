"""Readers of the user's pictures: what is found is checked, split without leaks and handed over undecoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from zoo_core.data.images import Header, Problem, header_of, picture_problem
from zoo_core.data.kinds import RASTER_SUFFIXES as SUFFIXES
from zoo_core.errors import DataError, printable
from zoo_core.inputs import expanded
from zoo_core.splits import in_order
from zoo_core.tables import check_file, tables_by_split
from zoo_vision.data import ImageData, by_hash, subset
from zoo_vision.data_configs import Images, LabelledImages
from zoo_vision.folders import (
    WHOLE,
    Found,
    find_files,
    idx_files,
    is_pattern,
    labelled_folder,
    labelled_idx,
    plain_folder,
    plain_idx,
    tables_in,
)
from zoo_vision.holders import Files, Pictures
from zoo_vision.picture_tables import read_pictures


class Policy(Protocol):
    """What a configuration says about bad pictures."""

    @property
    def bad(self) -> str:
        """`error` or `skip`."""

    @property
    def max_bad(self) -> float:
        """Share up to which `skip` goes on."""


class Shares(Policy, Protocol):
    """What a configuration says about splits, besides."""

    @property
    def validation_fraction(self) -> float:
        """Share of the validation split where it is made by hash."""

    @property
    def test_fraction(self) -> float:
        """Share of the test split where it is made by hash."""

    @property
    def train_samples(self) -> int | None:
        """Size of the training split, if it is to be smaller."""

    @property
    def subset_seed(self) -> int:
        """Chooses the smaller one's samples."""


def read_images(config: Images) -> ImageData:
    """Pictures of the user's files as `Image`, with a share held out for validation."""
    found = _plain(config.path, config.image_column)
    checked, notices = check(found.splits, config, where=config.path)
    splits = by_hash(checked[WHOLE], config.validation, 0.0)
    return ImageData(config.path, splits, read=[checked[WHOLE]], notices=found.notices + notices)


def read_labelled_images(config: LabelledImages) -> ImageData:
    """Pictures of the user's files as `LabelledImage`. Raises `DataError`, naming the picture, for unknown labels."""
    if config.path:
        found = _labelled(config.path, config)
    else:
        splits: dict[str, Pictures] = {}
        notices: tuple[str, ...] = ()
        for split, path in (("train", config.train), ("validation", config.validation), ("test", config.test)):
            if path:
                part = _labelled(path, config)
                if set(part.splits) != {WHOLE}:
                    raise DataError(f"{path}: it has splits of its own", hint="give it as path, not as train")
                splits[split] = part.splits[WHOLE]
                notices += part.notices
        found = Found(splits, notices)
    return assemble(config.path or config.train, found, config.labels, config)


def assemble(name: str, found: Found, labels: Sequence[str], config: Shares) -> ImageData:
    """Labelled data of what was found: checked, the missing splits made by hash, the training split cut to size."""
    checked, notices = check(found.splits, config, where=name)
    for pictures in checked.values():
        _check_labels(pictures, labels)
    known = tuple(labels) or in_order(label for pictures in checked.values() for label in set(pictures.labels()))
    if len(known) < 2:
        raise DataError(f"{name}: every label is {known[0]!r}; two are needed to tell apart")
    if WHOLE in checked:
        splits = by_hash(checked[WHOLE], config.validation_fraction, config.test_fraction)
    elif "validation" in checked:
        splits = dict(checked)
    else:
        splits = {**by_hash(checked["train"], config.validation_fraction, 0.0), **checked_only(checked, "test")}
    splits["train"] = subset(splits["train"], config.train_samples, config.subset_seed, where=name)
    return ImageData(name, splits, known, read=checked.values(), notices=found.notices + notices)


def checked_only(splits: Mapping[str, Pictures], name: str) -> dict[str, Pictures]:
    """The one split, where there is one."""
    return {name: splits[name]} if name in splits else {}


class _BadOne(NamedTuple):
    split: str
    place: int
    name: str
    problem: Problem


def check(splits: Mapping[str, Pictures], policy: Policy, *, where: str) -> tuple[dict[str, Pictures], tuple[str, ...]]:
    """The splits without their bad pictures, and what was left out.

    With `bad: error` every header is read, with `bad: skip` every picture decoded. Raises `DataError` for a bad picture,
    or for more of them than `max_bad` allows.
    """
    found: list[_BadOne] = []
    seen: list[tuple[str, Header]] = []
    for split, pictures in splits.items():
        for place in range(len(pictures)):
            source = pictures.source(place)
            if isinstance(source, np.ndarray):
                continue
            look = header_of(source)
            problem = look if isinstance(look, Problem) else None
            if isinstance(look, Header):
                seen.append((pictures.name(place), look))
                problem = picture_problem(source) if policy.bad == "skip" else None
            if problem:
                found.append(_BadOne(split, place, pictures.name(place), problem))
    total = sum(map(len, splits.values()))
    told = _converted(seen)
    if not found:
        return dict(splits), told
    if policy.bad == "error":
        raise _first(found[0], f"{len(found):,} of {total:,} pictures are bad")
    if len(found) > policy.max_bad * total:
        counts = f"{len(found):,} of {total:,} pictures are bad"
        raise _first(found[0], f"{counts}, more than the share of {policy.max_bad} that max_bad allows")
    left = {split: {one.place for one in found if one.split == split} for split in splits}
    kept = {
        split: pictures.take(place for place in range(len(pictures)) if place not in left[split])
        for split, pictures in splits.items()
    }
    return kept, (f"{len(found):,} of {total:,} pictures of {printable(where)} left out: {_reasons(found)}", *told)


def _converted(seen: Sequence[tuple[str, Header]]) -> tuple[str, ...]:
    """Notices of what decoding leaves out of pictures that it reads."""
    animated = [name for name, header in seen if header.animated]
    deep = [name for name, header in seen if header.deep]
    notices = []
    if animated:
        notices.append(f"{len(animated):,} with several frames: the first is read (first: {printable(animated[0])})")
    if deep:
        scale = "0 to 65,535 become 0 to 255, or 0 to 4,095 where no pixel is brighter"
        notices.append(f"{len(deep):,} of 16-bit grey: {scale} (first: {printable(deep[0])})")
    return tuple(notices)


def _first(bad: _BadOne, counts: str) -> DataError:
    message = bad.problem.message.removeprefix(f"{bad.name}: ")
    hint = "\n".join(filter(None, (bad.problem.hint, "bad: skip leaves bad pictures out, up to the share max_bad")))
    return DataError(f"{bad.name}: {message} ({counts})", hint=hint)


def _reasons(found: Sequence[_BadOne]) -> str:
    counts = Counter(one.problem.reason for one in found)
    first = {one.problem.reason: printable(one.name) for one in reversed(found)}
    return ", ".join(f"{count:,} {reason} (first: {first[reason]})" for reason, count in counts.most_common())


def _check_labels(pictures: Pictures, labels: Sequence[str]) -> None:
    if not labels:
        return
    for place, label in enumerate(pictures.labels()):
        if label not in labels:
            raise DataError(f"{pictures.name(place)}: label {label!r} is not one of {', '.join(labels)}")


def _labelled(path: str, config: LabelledImages) -> Found:
    place = expanded(path)
    if idx_files(place):
        return labelled_idx(place, config.labels)
    if place.is_dir() and not tables_in(path):
        return labelled_folder(place)
    columns = (config.image_column, config.label_column, config.labels)
    return Found({split: read_pictures(part, *columns) for split, part in tables_by_split(_tables(path)).items()})


def _plain(path: str, image_column: str) -> Found:
    place = expanded(path)
    if idx_files(place):
        return plain_idx(place)
    if place.is_dir() and not tables_in(path):
        return plain_folder(place)
    pictures = find_files(path, SUFFIXES) if is_pattern(path) else _itself(place)
    if pictures:
        return Found({WHOLE: Pictures(Files(map(str, pictures)))})
    return Found({WHOLE: read_pictures(_tables(path), image_column, "", ())})


def _itself(place: Path) -> Iterable[Path]:
    return [place] if place.name.lower().endswith(SUFFIXES) else []


def _tables(path: str) -> list[Path]:
    tables = tables_in(path)
    if tables:
        return tables
    place = expanded(path)
    if not is_pattern(path):
        check_file(place)
    raise DataError(f"{path}: neither pictures nor tables there", hint="tables end in .csv, .tsv, .jsonl or .parquet")
