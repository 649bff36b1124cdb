"""What a recipe may set of the image data sets; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoo_core.data import (
    SplitOptions,
    TableOptions,
    check_bad,
    check_paths,
    check_share,
    check_shares,
    check_subset,
    check_table,
)


@dataclass(frozen=True, kw_only=True)
class Images(SplitOptions, TableOptions):
    """Images without labels from the user's files. Relative paths start at the working folder."""

    path: str
    """A folder (every image below it), a pattern like `photos/**/*.jpg`, a table or a folder of IDX files."""
    image_column: str = ""
    """Column with the images' paths in tables (`path` by default) or with their bytes in .parquet (`image`)."""
    validation: float = 0.05
    """Share that is held out, copies staying together; 0 for none."""
    bad: Literal["error", "skip"] = "error"
    """`error`: one bad header ends the run before it starts; `skip`: decode all once and leave out what is bad."""
    max_bad: float = 0.05
    """The share of bad images up to which `bad: skip` goes on."""

    def __post_init__(self) -> None:
        """Refuse an empty path and shares out of range."""
        if not self.path:
            raise ValueError("path: give a folder, a pattern or a table")
        check_share("validation", self.validation)
        check_table(self)
        check_bad(self.max_bad)


@dataclass(frozen=True, kw_only=True)
class LabelledImages(SplitOptions, TableOptions):
    """Labelled images. Give `path`, which is split unless it has splits of its own, or give the splits."""

    path: str = ""
    """A folder with a folder for each class, or with such folders below train, val and test; a table; a folder of tables,
    whose names may tell the splits; IDX files."""
    train: str = ""
    """Folder of classes or table of the training split, instead of `path`."""
    validation: str = ""
    """The same for the validation split; without it, one is taken from the training split."""
    test: str = ""
    """The same for the test split; may be left out."""
    image_column: str = ""
    """Column with the images' paths in tables (`path` by default) or with their bytes in .parquet (`image`)."""
    label_column: str = "label"
    """Column with the name or the number of the class."""
    group_column: str = ""
    """Column of tables with what an image belongs to, like its film; no group is in two of the splits made here."""
    labels: tuple[str, ...] = ()
    """The classes in the order of their numbers, any other being an error; empty: those that occur, sorted."""
    validation_fraction: float = 0.1
    """Share of the validation split where it is made."""
    test_fraction: float = 0.1
    """Share of the test split where it is made."""
    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""
    bad: Literal["error", "skip"] = "error"
    """`error`: one bad header ends the run before it starts; `skip`: decode all once and leave out what is bad."""
    max_bad: float = 0.05
    """The share of bad images up to which `bad: skip` goes on."""

    def __post_init__(self) -> None:
        """Refuse paths, shares and labels that contradict each other."""
        check_paths(self.path, self.train, self.validation, self.test)
        check_shares(self.validation_fraction, self.test_fraction)
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            raise ValueError("labels: at least two, all different")
        check_subset(self.train_samples)
        check_table(self)
        check_bad(self.max_bad)


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet(SplitOptions):
    """A data set as torchvision knows it."""

    set: str
    """Name of its class in torchvision.datasets, for instance `Food101`; those that would unpickle are refused."""
    root: str
    """Folder that torchvision keeps it in."""
    download: bool = False
    """Whether torchvision may download it into `root`."""
    validation_fraction: float = 0.1
    """Share of the training split that is held out where the data set has no validation split."""
    test_fraction: float = 0.1
    """The same for the test split."""
    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""
    bad: Literal["error", "skip"] = "error"
    """`error`: one bad header ends the run before it starts; `skip`: decode all once and leave out what is bad."""
    max_bad: float = 0.05
    """The share of bad images up to which `bad: skip` goes on."""

    def __post_init__(self) -> None:
        """Refuse empty names and shares out of range."""
        if not self.set or not self.root:
            raise ValueError("set and root: give the data set's class name and its folder")
        check_shares(self.validation_fraction, self.test_fraction)
        check_subset(self.train_samples)
        check_bad(self.max_bad)


@dataclass(frozen=True, kw_only=True)
class Subset:
    """How much of a named data set to train on."""

    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""

    def __post_init__(self) -> None:
        """Refuse an empty training split."""
        check_subset(self.train_samples)
