"""What a recipe may set of the speech data sets; free of torch and numpy."""

from __future__ import annotations

from typing import Annotated, Literal

from zoo_core.contract import Interval, MinLen, PositiveInt
from zoo_core.data import BadSamples, ClassNames, GroupColumn, SplitSource, SplitWhole, Subset, TableOptions


class RecordedTables(BadSamples, TableOptions, GroupColumn):
    """Where tables have recordings."""

    audio_column: str = ""
    """Column with the recordings' paths in tables, or with their bytes in .parquet; found by its usual names if empty."""
    root: str = ""
    """Folder that relative paths in tables start at, instead of the table's own."""


class Recordings(SplitWhole, RecordedTables):
    """Recordings without labels from the user's files. Relative paths start at the working folder."""

    path: Annotated[str, MinLen(1)]
    """A recording, a folder (every recording below it), a pattern like `calls/**/*.wav`, or a table."""


class TranscribedRecordings(SplitSource, Subset, RecordedTables):
    """Recordings with what is said in them. Give `path`, which is split unless it has splits of its own, or give the splits."""

    path: str = ""
    """A table; a folder of tables, whose names may tell the splits, as train.csv and test.csv; a folder of recordings beside
    .txt files of the same name, of LibriSpeech's chapters with their .trans.txt files, or with one of these below train, dev
    and test."""
    text_column: str = ""
    """Column with what is said; found by its usual names if empty."""
    speaker_column: str = ""
    """Column with who speaks; found by its usual names if empty, and need not be there."""
    language_column: str = ""
    """Column with the language; found by its usual names if empty, and need not be there."""
    language: str = ""
    """Language of all recordings that no column tells it of."""
    split: Literal["speaker", "recording"] = "speaker"
    """`speaker`: no speaker is in two of the splits made here, where all speakers are known; `recording`: only copies
    stay together. `group_column` takes its place."""


class LabelledRecordings(SplitSource, ClassNames, Subset, RecordedTables):
    """Labelled recordings. Give `path`, which is split unless it has splits of its own, or give the splits."""

    path: str = ""
    """A folder with a folder for each class, or with such folders below train, val and test; a table; or a folder of tables,
    whose names may tell the splits, as train.csv and test.csv."""
    label_column: str = ""
    """Column with the name of the class; found by its usual names if empty."""
    speaker_column: str = ""
    """Column with who speaks; found by its usual names if empty, and need not be there."""
    split: Literal["speaker", "label", "recording"] = "speaker"
    """`speaker`: no speaker is in two of the splits made here, where all speakers are known; `label`: no label is, for
    voices that aren't trained on; `recording`: only copies stay together. `group_column` takes the place of `speaker`."""

    def check(self) -> None:
        """Labels that are for one split each leave nothing to group."""
        super().check()
        self.require("group_column", "none beside split: label", not self.group_column or self.split != "label")


class NamedSpeech(Subset):
    """How much of a named data set to train on."""

    languages: tuple[str, ...] = ()
    """Only these languages, by their ISO 639 codes; empty for all."""


class SpokenLanguage(NamedSpeech):
    """Which languages to tell apart, and by whose voices they are tested."""

    fewest: int = 100
    """Languages with fewer recordings to train on are left out."""
    test: Literal["recordings", "prompts", "voices"] = "recordings"
    """`recordings`: others by the same voices, most languages having one or two, so that telling voices apart is enough;
    `prompts`: telephone prompts, whose voices and line are not trained on, of languages that the other sources have;
    `voices`: each language's smaller sources, the largest alone being trained on, so that its sound misleads; languages
    with one source are left out."""


class Voices(NamedSpeech):
    """How many recordings of a voice are used."""

    fewest: Annotated[int, Interval(ge=2)] = 8
    """Voices with fewer recordings are left out."""
    most: PositiveInt = 60
    """Recordings of one voice that are used, drawn evenly, so that none dominates."""

    def check(self) -> None:
        """Two recordings of a voice can be compared."""
        super().check()
        self.require("fewest", f"at most {self.most}, which is most", self.fewest <= self.most)
