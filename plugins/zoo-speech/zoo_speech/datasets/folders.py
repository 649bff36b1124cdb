"""Finds recordings in the user's folders: beside their texts, in LibriSpeech's chapters, below a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo_core import DataError
from zoo_core.data import (
    UNSPLIT,
    Faults,
    Listed,
    Parts,
    Tally,
    WantedFiles,
    files_below,
    is_pattern,
    kind_of,
    list_files,
    matching_files,
    read_lines,
    resolve_path,
    split_folders,
    tables_at,
    tables_of_folder,
)
from zoo_core.data import class_folders as below_class_folders
from zoo_speech.audio.containers import SUFFIXES
from zoo_speech.datasets.samples import Recording

Found = tuple[Parts, Sequence[str]]
"""Recordings by split, and what there is to tell of how they were found."""

_CHAPTER = ".trans.txt"
_COMMAND = re.compile(r"([0-9a-f]{8})_nohash_\d+")
"""Names of Speech Commands' files, which begin with the speaker."""


def tables_of(path: str) -> list[Path]:
    """The tables that a path speaks of: itself, those of a pattern, or those that describe what lies in a folder."""
    return tables_at(path, tables_of_folder)


def recordings_of(path: str) -> list[Path]:
    """The recordings that a path names by itself or by a pattern; none for a folder. Raises `DataError` for a pattern
    that finds neither recordings nor tables."""
    if not is_pattern(path):
        place = resolve_path(path)
        return [] if place.is_dir() or not place.name.lower().endswith(SUFFIXES) else [place]
    files = _recordings(matching_files(path))
    if not files:
        raise DataError(f"{path}: neither recordings nor tables there")
    return files


def recordings_below(folder: Path, faults: Faults) -> Found:
    """Every recording below a folder. Raises `DataError` where there is none."""
    files, notices = files_below(folder, _RECORDINGS)
    return {UNSPLIT: [listed(Recording(Path(file))) for file in files]}, notices


def transcripts(folder: Path, faults: Faults) -> Found:
    """Recordings below a folder with their texts, from `x.txt` beside `x.flac` or from LibriSpeech's `.trans.txt` files,
    by the folder's splits.

    What has no counterpart goes to `faults`: a recording without a text, or a line without a recording.
    """
    tally = Tally()
    parts = split_folders(folder, tally, lambda folder: True)
    found: Parts = {split: [] for split in parts}
    for split, places in parts.items():
        for place in places:
            files = list_files(place, SUFFIXES)
            texts = list_files(place, (*SUFFIXES, ".txt"))
            chapters = [path for path in texts if path.name.lower().endswith(_CHAPTER)]
            spoken = _chapters(files, chapters, faults) if chapters else _beside(files, faults)
            found[split] += map(listed, spoken)
    return found, tally.notices()


def class_folders(folder: Path, faults: Faults) -> Found:
    """Recordings below a folder for each class, by the folder's splits. Raises `DataError`."""
    found = below_class_folders(folder, _RECORDINGS)
    return {split: [listed(_labelled(*file)) for file in files] for split, files in found.splits.items()}, found.notices


def listed(one: Recording) -> Listed:
    """A recording as a reader finds it."""
    return Listed(one, one.name, one.label)


def _labelled(path: str, label: str) -> Recording:
    file = Path(path)
    command = _COMMAND.fullmatch(file.stem)
    return Recording(file, label=label, speaker=command[1] if command else "")


def _is_sound(head: bytes) -> bool:
    kind = kind_of(head)
    return kind is not None and kind.sound


_RECORDINGS = WantedFiles(noun="recordings", suffixes=SUFFIXES, content=_is_sound, no_classes=("_background_noise_",))
"""Speech Commands keeps noise to mix in beside its words."""


def _beside(files: Sequence[Path], faults: Faults) -> Iterator[Recording]:
    for file in files:
        texts = (file.with_suffix(".txt"), file.with_suffix(".TXT"))
        text = next((text for text in texts if text.is_file()), None)
        if text:
            yield Recording(file, text=" ".join(" ".join(read_lines(text)).split()))
        else:
            faults.add(str(file), f"no text, {texts[0].name} is missing", _HINT)


def _chapters(files: Sequence[Path], chapters: Sequence[Path], faults: Faults) -> Iterator[Recording]:
    """LibriSpeech: `1272-128104.trans.txt` has a line `1272-128104-0000 TEXT` for each recording beside it.

    The first of the three numbers is the speaker.
    """
    recordings: dict[tuple[Path, str], list[Path]] = {}
    for file in files:  # one may be there as .flac and as .wav
        recordings.setdefault((file.parent, file.stem), []).append(file)
    for chapter in chapters:
        for line, content in enumerate(read_lines(chapter), start=1):
            name, _, text = content.strip().partition(" ")
            if not name:
                continue
            found = recordings.pop((chapter.parent, name), [])
            if not found:
                faults.add(f"{chapter}:{line}", f"no recording {name!r} beside it")
            for file in found:
                yield Recording(file, text=" ".join(text.split()), speaker=name.split("-")[0])
    for file in (file for files in recordings.values() for file in files):
        faults.add(str(file), "no text in a .trans.txt beside it", _HINT)


_HINT = "give texts beside the recordings, or a table with paths and texts"


def _recordings(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if file.name.lower().endswith(SUFFIXES)]
