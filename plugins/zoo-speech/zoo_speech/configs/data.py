"""What a recipe may set of the speech data sets; free of torch and numpy."""

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
class Recordings(SplitOptions, TableOptions):
    """Recordings without labels from the user's files. Relative paths start at the working folder."""

    path: str
    """A recording, a folder (every recording below it), a pattern like `calls/**/*.wav`, or a table."""
    audio_column: str = ""
    """Column with the recordings' paths in tables, or with their bytes in .parquet; found by its usual names if empty."""
    root: str = ""
    """Folder that relative paths in tables start at, instead of the table's own."""
    validation: float = 0.05
    """Share that is held out, copies staying together; 0 for none."""
    bad: Literal["error", "skip"] = "error"
    """`error`: one bad row or header ends the run before it starts; `skip`: decode all once and leave out what is bad."""
    max_bad: float = 0.05
    """The share of bad recordings up to which `bad: skip` goes on."""

    def __post_init__(self) -> None:
        """Refuse an empty path and shares out of range."""
        if not self.path:
            raise ValueError("path: give a folder, a pattern or a table")
        check_share("validation", self.validation)
        check_bad(self.max_bad)
        check_table(self)


@dataclass(frozen=True, kw_only=True)
class TranscribedRecordings(SplitOptions, TableOptions):
    """Recordings with what is said in them. Give `path`, which is split unless it has splits of its own, or give the splits."""

    path: str = ""
    """A table; a folder of tables, whose names may tell the splits, as train.csv and test.csv; a folder of recordings beside
    .txt files of the same name, of LibriSpeech's chapters with their .trans.txt files, or with one of these below train, dev
    and test."""
    train: str = ""
    """Table or folder of the training split, instead of `path`."""
    validation: str = ""
    """The same for the validation split; without it, one is taken from the training split."""
    test: str = ""
    """The same for the test split; may be left out."""
    audio_column: str = ""
    """Column with the recordings' paths in tables, or with their bytes in .parquet; found by its usual names if empty."""
    text_column: str = ""
    """Column with what is said; found by its usual names if empty."""
    speaker_column: str = ""
    """Column with who speaks; found by its usual names if empty, and need not be there."""
    language_column: str = ""
    """Column with the language; found by its usual names if empty, and need not be there."""
    language: str = ""
    """Language of all recordings that no column tells it of."""
    root: str = ""
    """Folder that relative paths in tables start at, instead of the table's own."""
    split: Literal["speaker", "recording"] = "speaker"
    """`speaker`: no speaker is in two of the splits made here, where all speakers are known; `recording`: only copies
    stay together."""
    validation_fraction: float = 0.1
    """Share of the validation split where it is made."""
    test_fraction: float = 0.1
    """Share of the test split where it is made."""
    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""
    bad: Literal["error", "skip"] = "error"
    """`error`: one bad row or header ends the run before it starts; `skip`: decode all once and leave out what is bad."""
    max_bad: float = 0.05
    """The share of bad recordings up to which `bad: skip` goes on."""

    def __post_init__(self) -> None:
        """Refuse paths and shares that contradict each other."""
        check_paths(self.path, self.train, self.validation, self.test)
        check_shares(self.validation_fraction, self.test_fraction)
        check_subset(self.train_samples)
        check_bad(self.max_bad)
        check_table(self)


@dataclass(frozen=True, kw_only=True)
class LabelledRecordings(SplitOptions, TableOptions):
    """Labelled recordings. Give `path`, which is split unless it has splits of its own, or give the splits."""

    path: str = ""
    """A folder with a folder for each class, or with such folders below train, val and test; a table; or a folder of tables,
    whose names may tell the splits, as train.csv and test.csv."""
    train: str = ""
    """Folder of classes or table of the training split, instead of `path`."""
    validation: str = ""
    """The same for the validation split; without it, one is taken from the training split."""
    test: str = ""
    """The same for the test split; may be left out."""
    audio_column: str = ""
    """Column with the recordings' paths in tables, or with their bytes in .parquet; found by its usual names if empty."""
    label_column: str = ""
    """Column with the name of the class; found by its usual names if empty."""
    speaker_column: str = ""
    """Column with who speaks; found by its usual names if empty, and need not be there."""
    root: str = ""
    """Folder that relative paths in tables start at, instead of the table's own."""
    labels: tuple[str, ...] = ()
    """The classes in the order of their numbers, any other being an error; empty: those that occur, sorted."""
    split: Literal["speaker", "label", "recording"] = "speaker"
    """`speaker`: no speaker is in two of the splits made here, where all speakers are known; `label`: no label is, for
    voices that aren't trained on; `recording`: only copies stay together."""
    validation_fraction: float = 0.1
    """Share of the validation split where it is made."""
    test_fraction: float = 0.1
    """Share of the test split where it is made."""
    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""
    bad: Literal["error", "skip"] = "error"
    """`error`: one bad row or header ends the run before it starts; `skip`: decode all once and leave out what is bad."""
    max_bad: float = 0.05
    """The share of bad recordings up to which `bad: skip` goes on."""

    def __post_init__(self) -> None:
        """Refuse paths, shares and labels that contradict each other."""
        check_paths(self.path, self.train, self.validation, self.test)
        check_shares(self.validation_fraction, self.test_fraction)
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            raise ValueError("labels: at least two, all different")
        check_subset(self.train_samples)
        check_bad(self.max_bad)
        check_table(self)


@dataclass(frozen=True, kw_only=True)
class Subset:
    """How much of a named data set to train on."""

    languages: tuple[str, ...] = ()
    """Only these languages, by their ISO 639 codes; empty for all."""
    train_samples: int | None = None
    """Train on so many samples only, drawn evenly; a larger number contains a smaller one's samples."""
    subset_seed: int = 0
    """Chooses which samples `train_samples` keeps."""

    def __post_init__(self) -> None:
        """Refuse an empty training split."""
        check_subset(self.train_samples)


@dataclass(frozen=True, kw_only=True)
class SpokenLanguage(Subset):
    """Which languages to tell apart, and by whose voices they are tested."""

    fewest: int = 100
    """Languages with fewer recordings to train on are left out."""
    test: Literal["recordings", "prompts", "voices"] = "recordings"
    """`recordings`: others by the same voices, most languages having one or two, so that telling voices apart is enough;
    `prompts`: telephone prompts, whose voices and line are not trained on, of languages that the other sources have;
    `voices`: each language's smaller sources, the largest alone being trained on, so that its sound misleads; languages
    with one source are left out."""


@dataclass(frozen=True, kw_only=True)
class Voices(Subset):
    """How many recordings of a voice are used."""

    fewest: int = 8
    """Voices with fewer recordings are left out."""
    most: int = 60
    """Recordings of one voice that are used, drawn evenly, so that none dominates."""

    def __post_init__(self) -> None:
        """Raises `FieldError` for voices of which no two can be compared."""
        super().__post_init__()
        if not 2 <= self.fewest <= self.most:
            raise ValueError(f"fewest: from 2 to most, {self.most}, found {self.fewest}")
