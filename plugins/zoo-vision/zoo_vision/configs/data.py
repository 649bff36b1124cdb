"""What a recipe may set of the image data sets; free of torch."""

from __future__ import annotations

from typing import Annotated

from zoo_core.contract import MinLen
from zoo_core.data import (
    BadSamples,
    ClassNames,
    GroupColumn,
    SplitShares,
    SplitSource,
    SplitWhole,
    Subset,
    TableOptions,
)

__all__ = ["Images", "LabelledImages", "Subset", "TorchvisionSet"]


class Images(SplitWhole, BadSamples, TableOptions, GroupColumn):
    """Images without labels from the user's files. Relative paths start at the working folder."""

    path: Annotated[str, MinLen(1)]
    """A folder (every image below it), a pattern like `photos/**/*.jpg`, a table or a folder of IDX files."""
    image_column: str = ""
    """Column with the images' paths in tables (`path` by default) or with their bytes in .parquet (`image`)."""


class LabelledImages(SplitSource, ClassNames, Subset, BadSamples, TableOptions):
    """Labelled images. Give `path`, which is split unless it has splits of its own, or give the splits."""

    path: str = ""
    """A folder with a folder for each class, or with such folders below train, val and test; a table; a folder of tables,
    whose names may tell the splits; IDX files."""
    image_column: str = ""
    """Column with the images' paths in tables (`path` by default) or with their bytes in .parquet (`image`)."""
    label_column: str = "label"
    """Column with the name or the number of the class."""
    group_column: str = ""
    """Column of tables with what an image belongs to, like its film; no group is in two of the splits made here."""


class TorchvisionSet(SplitShares, Subset, BadSamples):
    """A data set as torchvision knows it."""

    set: Annotated[str, MinLen(1)]
    """Name of its class in torchvision.datasets, for instance `Food101`; those that would unpickle are refused."""
    root: Annotated[str, MinLen(1)]
    """Folder that torchvision keeps it in."""
    download: bool = False
    """Whether torchvision may download it into `root`."""
