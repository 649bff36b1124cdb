"""Readers of the user's recordings: what is found is checked, split without leaks and handed over undecoded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from zoo_core import DataError
from zoo_core.data import (
    UNSPLIT,
    Listed,
    Parts,
    SplitData,
    SplitReader,
    check_file,
    resolve_path,
    suffix_of,
    tables_by_split,
)
from zoo_speech.audio.audio import check_audio, read_audio
from zoo_speech.audio.containers import SUFFIXES
from zoo_speech.configs.data import LabelledRecordings, Recordings, TranscribedRecordings
from zoo_speech.datasets.catalog import line_of
from zoo_speech.datasets.folders import (
    Found,
    class_folders,
    listed,
    recordings_below,
    recordings_of,
    tables_of,
    transcripts,
)
from zoo_speech.datasets.manifests import read_manifests
from zoo_speech.datasets.samples import Recording


def read_recordings(config: Recordings) -> SplitData:
    """Recordings of the user's files, with a share held out for validation."""
    return PlainReader(config).read()


def read_transcribed_recordings(config: TranscribedRecordings) -> SplitData:
    """Recordings of the user's files with their texts. Raises `DataError`, naming file and line, for rows without one."""
    return TranscribedReader(config).read()


def read_labelled_recordings(config: LabelledRecordings) -> SplitData:
    """Recordings of the user's files with their classes. Raises `DataError`, naming the row, for unknown labels."""
    return LabelledReader(config).read()


class RecordingReader(SplitReader):
    """Looks into recordings: with `bad: error` at every header, with `bad: skip` at all samples."""

    plural = "recordings"
    needed: ClassVar[str] = ""
    """What a sample can't be without."""

    @abstractmethod
    def columns(self) -> Mapping[str, str]:
        """The columns that the user gave, by role; empty for the usual ones."""

    @abstractmethod
    def below(self, folder: Path) -> Found:
        """The recordings of a folder without tables."""

    def find(self, path: str) -> Parts:
        """Recordings of tables or of a folder."""
        if tables := tables_of(path):
            return {split: list(self.tabled(part)) for split, part in tables_by_split(tables).items()}
        found, notices = self.below(_folder(path))
        self.notices += notices
        return found

    def tabled(self, tables: Sequence[Path]) -> Iterable[Listed]:
        """Recordings of tables."""
        columns = {**self.columns(), "group": self.group_column}
        return read_manifests(tables, columns, self.config.root, self.config, self.faults)

    def line(self, sample: Recording) -> str:
        """Its content, and what is known of it."""
        return line_of(sample)

    def twin_key(self, sample: Recording) -> str:
        """Its file, and which part of it is meant: other parts of one file share a split, but are no copies."""
        part = sample.part
        return sample.key if part is None or part.whole else f"{sample.key} {part.begin} {part.end}"

    def look(self, one: Listed) -> bool:
        """Whether a recording is good, and has what it can't be without."""
        recording = one.sample
        if self.needed and not getattr(recording, self.needed):
            self.faults.add(one.name, f"the {self.needed} is empty")
            return False
        try:
            reads = check_audio if self.config.bad == "error" else read_audio
            seconds = reads(recording.source, name=one.name).seconds
            if recording.part is None:
                return True
            if seconds is None:  # the header doesn't tell
                seconds = read_audio(recording.source, name=one.name).seconds
            message, hint = recording.part.fault(seconds)
        except DataError as error:
            message, hint = error.message.removeprefix(f"{one.name}: "), error.hint
        if message:
            self.faults.add(one.name, message, hint)
        return not message


class PlainReader(RecordingReader):
    """Reads recordings of which nothing is known."""

    def columns(self) -> Mapping[str, str]:
        """The recordings'."""
        return {"audio": self.config.audio_column}

    def find(self, path: str) -> Parts:
        """Recordings that are named, or those of tables or of a folder."""
        if tables := tables_of(path):
            return {UNSPLIT: list(self.tabled(tables))}
        files = recordings_of(path)
        return {UNSPLIT: [listed(Recording(file)) for file in files]} if files else super().find(path)

    def below(self, folder: Path) -> Found:
        """All of them."""
        return recordings_below(folder, self.faults)


class SpokenReader(RecordingReader):
    """Reads recordings whose speakers are known, or not, and splits them accordingly."""

    def groups(self, whole: Sequence[Listed]) -> list[str]:
        """What the column of groups says, or else speakers or labels; none where one isn't known, as who is sometimes
        named could be on both sides."""
        if self.group_column:
            return super().groups(whole)
        groups = [getattr(one.sample, self.config.split, "") for one in whole]
        unknown = groups.count("")
        if unknown and any(groups):
            self.notices.append(f"{unknown:,} of {len(whole):,} recordings without a speaker: split by recording")
        return [""] * len(groups) if unknown else groups

    def told_of(self, made: Parts, groups: Sequence[str]) -> tuple[str, ...]:
        """How many speakers each split has. Raises `DataError` for a split that nothing came into, before anybody trains for it."""
        if self.group_column:
            return ()
        by, names = self.config.split, set(filter(None, groups))
        if empty := next((split for split, rows in made.items() if not rows), ""):
            what, count = (by, len(names)) if names else ("recording", len(groups))
            ways = ["data.split=recording splits by recording"] if names and by == "speaker" else []
            if empty != "train":
                ways.append(f"data.{empty}_fraction=0 does without it")
            shared = f"{count:,} {what}{'s' * (count != 1)} for {len(made)} splits"
            raise DataError(
                f"{self.name}: split {empty!r} is empty: {shared}", hint="; ".join(ways) or "give more data"
            )
        if not names:
            return ()
        counts = (f"{len({getattr(one.sample, by) for one in rows}):,} in {split}" for split, rows in made.items())
        return (f"split by {by}: {', '.join(counts)}",)


class TranscribedReader(SpokenReader):
    """Reads recordings with what is said in them."""

    needed = "text"

    def columns(self) -> Mapping[str, str]:
        """Text, speaker and language beside the recordings."""
        roles = ("audio", "text", "speaker", "language")
        return {role: getattr(self.config, f"{role}_column") for role in roles}

    def find(self, path: str) -> Parts:
        """Their language is that of the configuration where nothing tells."""
        parts = super().find(path)
        for one in (one for rows in parts.values() for one in rows):
            one.sample.language = one.sample.language or self.config.language
        return parts

    def below(self, folder: Path) -> Found:
        """Recordings beside their texts."""
        return transcripts(folder, self.faults)


class LabelledReader(SpokenReader):
    """Reads recordings and their classes."""

    needed = "label"

    def columns(self) -> Mapping[str, str]:
        """Label and speaker beside the recordings."""
        return {role: getattr(self.config, f"{role}_column") for role in ("audio", "label", "speaker")}

    def strata(self, rows: Sequence[Listed]) -> list[str]:
        """Labels, unless they are what is split by."""
        return [] if self.config.split == "label" else super().strata(rows)

    def split(self, found: Parts, classes: Sequence[str] = ()) -> SplitData:
        """Labels of which some are trained on and others tested have no common numbers."""
        data = super().split(found, classes)
        data.labels = () if self.config.split == "label" else data.labels
        return data

    def below(self, folder: Path) -> Found:
        """A folder for each class."""
        return class_folders(folder, self.faults)


def _folder(path: str) -> Path:
    place = resolve_path(path)
    if place.is_dir():
        return place
    check_file(place)
    kinds = f"recordings end in {', '.join(SUFFIXES)}" if suffix_of(place) else ""
    raise DataError(
        f"{path}: neither a folder nor a table", hint=f"tables end in .csv, .tsv, .jsonl or .parquet; {kinds}"
    )
