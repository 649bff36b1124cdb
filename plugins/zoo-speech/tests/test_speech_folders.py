"""Folders as they lie on real disks: hidden files, strange names, no permission, and things beside those that are read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.configs.data import LabelledRecordings, Recordings, TranscribedRecordings
from zoo_speech.datasets.readers import read_labelled_recordings, read_recordings, read_transcribed_recordings

from zoo_core import DataError
from zoo_core.data import SplitData

WHOLE = {"validation_fraction": 0, "test_fraction": 0}
NOBODY = 65534


def fill(folder: Path, names: Sequence[str]) -> Path:
    """Recordings of their own content each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        samples = np.zeros(80, np.float32)
        samples[0] = sum(os.fsencode(folder / name)) / 32768
        (folder / name).write_bytes(wav_bytes(samples, 8000))
    return folder


def plain(path: Path | str) -> SplitData:
    return read_recordings(Recordings(path=str(path), validation=0))


def transcribed(path: Path | str, **settings: Any) -> SplitData:
    return read_transcribed_recordings(TranscribedRecordings(path=str(path), **settings))


def labelled(path: Path | str, **settings: Any) -> SplitData:
    return read_labelled_recordings(LabelledRecordings(path=str(path), **settings))


READERS = [plain, transcribed, labelled]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that may not be looked into, not even by root, who is somebody else for as long."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        Path(place).chmod(0o755)
        folder = fill(Path(place) / "closed" / "inner", ["a.wav"]).parent
        folder.chmod(0)
        if user == 0:
            os.seteuid(NOBODY)
        yield folder
        os.seteuid(user)
        folder.chmod(0o700)


# ---- names


def test_names_that_are_not_utf8_are_refused_when_they_are_read(tmp_path: Path) -> None:
    strange = os.fsdecode(b"caf\xe9")
    fill(tmp_path / "classes" / "tea", ["a.wav", "b.wav"])
    fill(tmp_path / "classes" / strange, ["a.wav", "b.wav"])
    for split in ("speaker", "label"):
        with pytest.raises(DataError, match="the name isn't UTF-8") as caught:
            labelled(tmp_path / "classes", split=split)
        assert caught.value.hint == "rename it" and r"caf\udce9" in str(caught.value)
    fill(tmp_path / strange, ["a.wav"])
    for read in READERS:
        with pytest.raises(DataError, match="the name isn't UTF-8"):
            read(tmp_path / strange)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nobodyhere/x", "~nobodyhere/x: Could not determine home"),
        ("~nobodyhere/*.wav", r"~nobodyhere/\*\.wav: Could not determine home"),
        ("x" * 5_000, "can't be read: File name too long"),
        ("y*/" + "x" * 5_000, "can't be read: File name too long"),
        ("a\0b", "can't be read: embedded null byte"),
    ],
)
def test_paths_that_can_not_be_are_refused(read: Any, path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_patterns_that_can_not_be_are_refused(read: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\*\*\.wav: not a pattern that can be followed: "):
        read(tmp_path / "**.wav")


@pytest.mark.parametrize("read", READERS)
def test_folders_without_permission_are_refused(read: Any, closed: Path) -> None:
    for path in (closed, closed / "inner", closed / "inner" / "a.wav", closed / "inner" / "t.csv"):
        with pytest.raises(DataError, match=r"closed.*: can't be read: Permission denied"):
            read(path)
    with pytest.raises(DataError, match="closed"):
        read(closed / "*" / "a.wav")


# ---- hidden files


def test_hidden_files_are_never_meant(tmp_path: Path) -> None:
    fill(tmp_path / "yes", ["1.wav", "2.wav"])
    for name in ("._1.wav", ".DS_Store", "._1.txt"):
        (tmp_path / "yes" / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / ".Trashes").mkdir()
    (tmp_path / ".Trashes" / "3.wav").write_bytes(b"")
    for path in (tmp_path, tmp_path / "**" / "*.wav", tmp_path / "yes" / "*", tmp_path / "*" / "?*.wav"):
        assert [sample.name[-9:] for sample in plain(path).samples("train")] == ["yes/1.wav", "yes/2.wav"]


def test_a_pattern_may_start_in_a_hidden_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / ".cache" / "a", ["1.wav"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (tmp_path / ".cache" / "*" / "*.wav", ".cache/*/*.wav", "~/.cache/**/*.wav"):
        assert len(plain(path).samples("train")) == 1


def chapter(folder: Path, names: Sequence[str]) -> Path:
    """A chapter of LibriSpeech with a line for each stem of the names."""
    fill(folder, names)
    stems = sorted({Path(name).stem for name in names})
    (folder / "7-1.trans.txt").write_text("".join(f"{stem} WORD\n" for stem in stems))
    return folder


def test_hidden_transcripts_are_not_read(tmp_path: Path) -> None:
    chapter(tmp_path, ["7-1-0.wav", "7-1-1.wav"])
    (tmp_path / "._7-1.trans.txt").write_bytes(b"\0\5\x16\7")
    assert len(transcribed(tmp_path, **WHOLE).samples("train")) == 2


# ---- what lies beside


def test_recordings_beside_class_folders_are_told(tmp_path: Path) -> None:
    for label in ("no", "yes"):
        fill(tmp_path / label, ["1.wav", "2.wav"])
    assert labelled(tmp_path, **WHOLE).notices == ("samples by class (train): no 2, yes 2",)
    fill(tmp_path, [f"{n}.wav" for n in range(4)])
    (tmp_path / "README.md").write_text("x")
    notice, _ = labelled(tmp_path, **WHOLE).notices
    assert notice == f"5 left out: beside the folders of classes (first: {tmp_path}/0.wav)"


def test_classes_may_look_hidden_and_recordings_are_known_by_content(tmp_path: Path) -> None:
    for label in ("no", "_unknown_", "_background_noise_"):
        fill(tmp_path / label, ["1.wav", "2.wav"])
    fill(tmp_path / "no", ["3.sound"])
    (tmp_path / "no" / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "no" / "Thumbs.db").write_bytes(b"x")
    data = labelled(tmp_path, **WHOLE)
    assert data.labels == ("_unknown_", "no") and len(data.samples("train")) == 5
    assert data.notices[:-1] == (
        f"1 left out: no class (first: {tmp_path}/_background_noise_)",
        f"1 left out: hidden, or left by a system (first: {tmp_path}/no/Thumbs.db)",
        f"1 are recordings by content, whatever their ending (first: {tmp_path}/no/3.sound)",
        f"1 left out: no recordings by ending or content (first: {tmp_path}/no/photo.png)",
    )


def test_folders_and_recordings_beside_the_splits_are_told(tmp_path: Path) -> None:
    for part in ("train", "test", "holdout"):
        for label in ("no", "yes"):
            fill(tmp_path / part / label, ["1.wav", "2.wav"])
    fill(tmp_path, ["loose.wav"])
    data = labelled(tmp_path, validation_fraction=0)
    assert data.splits() == ("train", "test")
    left, counted = data.notices
    assert left == f"2 left out: beside the splits (first: {tmp_path}/holdout)"
    assert counted == "samples by class (train/test): no 2/2, yes 2/2"


def test_splits_are_known_by_any_of_their_words(tmp_path: Path) -> None:
    for part in ("Training", "TEST", "Dev"):
        for label in ("no", "yes"):
            fill(tmp_path / part / label, ["1.wav", "2.wav"])
    data = labelled(tmp_path)
    assert (data.splits(), data.labels) == (("validation", "test", "train"), ("no", "yes"))


def test_splits_without_one_to_train_on(tmp_path: Path) -> None:
    for label in ("no", "yes"):
        fill(tmp_path / "test" / label, ["1.wav", "2.wav"])
    data = labelled(tmp_path, **WHOLE)
    assert (len(data.samples("train")), data.labels) == (4, ("no", "yes"))
    fill(tmp_path / "dev" / "no", ["1.wav"])
    with pytest.raises(DataError, match="no folder to train on beside validation, test"):
        labelled(tmp_path)


def test_two_recordings_of_one_line_are_both_read(tmp_path: Path) -> None:
    chapter(tmp_path, ["7-1-0.wav", "7-1-0.flac", "7-1-1.wav"])
    names = [Path(sample.name).name for sample in transcribed(tmp_path, **WHOLE).samples("train")]
    assert names == ["7-1-0.flac", "7-1-0.wav", "7-1-1.wav"]


def test_texts_may_have_endings_in_capitals(tmp_path: Path) -> None:
    fill(tmp_path, ["X0.WAV", "X1.wav"])
    (tmp_path / "X0.TXT").write_text("zero")
    (tmp_path / "X1.txt").write_text("one")
    data = transcribed(tmp_path, **WHOLE)
    assert [sample.text for sample in data.samples("train")] == ["zero", "one"]  # type: ignore[attr-defined]


def test_tables_beside_the_folder_of_their_recordings_are_read(tmp_path: Path) -> None:
    """As most corpora ship: clips/ and a table for each split."""
    fill(tmp_path / "clips", [f"{number}.wav" for number in range(6)])
    for number, name in enumerate(("train", "dev", "test")):
        rows = [
            f'{{"path": "clips/{2 * number + one}.wav", "label": "{label}"}}' for one, label in enumerate(("no", "yes"))
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    (tmp_path / "README.md").write_text("x")
    data = labelled(tmp_path)
    assert data.labels == ("no", "yes") and {split: len(data.samples(split)) for split in data.splits()} == {
        "validation": 2, "test": 2, "train": 2,
    }  # fmt: skip


def test_what_is_evaluated_is_not_split(tmp_path: Path) -> None:
    for number in range(5):
        fill(tmp_path / "no", [f"{number}.wav"])
    data = labelled(tmp_path, split_rule="none")
    assert data.splits() == ("all",) and len(data.samples("all")) == 5 and data.labels == ("no",)
    assert read_recordings(Recordings(path=str(tmp_path), split_rule="none")).splits() == ("all",)


def test_every_class_has_its_share_and_every_speaker_one_split(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number}.wav").write_bytes(wav_bytes(np.full(80, number / 200, np.float32), 8000))
    rows = ["path;label;speaker"] + [f"{n}.wav;{'rare' if n % 10 == 0 else 'often'};s{n // 4}" for n in range(100)]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    data = labelled(tmp_path, split_rule="stratified")
    homes = [{sample.name.split("/")[-1] for sample in data.samples(split)} for split in data.splits()]
    speakers = [{int(name.split(".")[0]) // 4 for name in names} for names in homes]
    assert sum(map(len, speakers)) == 25 and all(any(int(n.split(".")[0]) % 10 == 0 for n in names) for names in homes)
    other = labelled(tmp_path, split_rule="stratified", split_seed=2)
    assert [sample.name for sample in other.samples("test")] != [sample.name for sample in data.samples("test")]
