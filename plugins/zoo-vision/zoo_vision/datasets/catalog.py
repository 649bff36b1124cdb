"""The named data sets as they lie prepared in the data folder, or come with a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo_core.data import SPLITS, PreparedFiles, SplitData, draw_subset, lines_of, sorted_labels
from zoo_vision.configs.data import Subset
from zoo_vision.datasets.idx import read_idx
from zoo_vision.datasets.samples import Image, LabelledImage, of_arrays, of_ragged
from zoo_vision.datasets.sources import LABELS, spread


def read_prepared(config: Subset, prepared: PreparedFiles, dimensions: int) -> SplitData:
    """Labelled images of IDX files: of one size, (N, H, W) or (N, H, W, C), or one after the other with a file of their sizes."""
    splits = {split: _idx_split(prepared, split, dimensions) for split in SPLITS}
    return _labelled(prepared.name, splits, LABELS[prepared.name], config)


def read_digits(config: Subset) -> SplitData:
    """scikit-learn's 1,797 handwritten digits, 8×8 grey; part of the package, so that nothing is fetched."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    pixels = (raw.images.astype(np.int64) * 255 // 16).astype(np.uint8)
    labels = [str(number) for number in raw.target]
    whole = of_arrays(pixels, labels, "digits")
    places = spread([image.key for image in whole], labels, validation=0.1, test=0.2)
    splits = {split: [whole[place] for place in places[split]] for split in SPLITS}
    return _labelled("digits", splits, sorted_labels(labels), config)


def line_of(image: Image) -> str:
    """What a digest of images takes of one: its content and its label."""
    return f"{image.key} {getattr(image, 'label', '')}"


def _idx_split(prepared: PreparedFiles, split: str, dimensions: int) -> list[LabelledImage]:
    def array(part: str, dimensions: int) -> npt.NDArray[Any]:
        return read_idx(prepared.files[f"{prepared.name}/{split}-{part}.idx"], dimensions=dimensions)

    labels = [LABELS[prepared.name][number] for number in array("labels", 1)]
    pixels, where = array("images", dimensions), f"{prepared.name} {split}"
    return of_ragged(pixels, array("sizes", 2), labels, where) if dimensions == 1 else of_arrays(pixels, labels, where)


def _labelled(name: str, splits: Mapping[str, list[LabelledImage]], labels: Sequence[str], config: Subset) -> SplitData:
    train = draw_subset(splits["train"], config, lambda image: image.key, where=name)
    return SplitData(name, {**splits, "train": train}, lines_of(splits.values(), line_of), labels)
