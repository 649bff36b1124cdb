"""Readers of the user's recordings: tables, folders and patterns; splits without leaks, bad rows by policy."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.configs.data import LabelledRecordings, NamedSpeech, Recordings, SpokenLanguage, TranscribedRecordings
from zoo_speech.datasets.manifests import NAMES
from zoo_speech.datasets.readers import read_labelled_recordings, read_recordings, read_transcribed_recordings
from zoo_speech.datasets.samples import Clip, Recording

from zoo_core import DataError, UnknownName, open_zoo
from zoo_core.contract import to_data
from zoo_core.data import SplitData, joined_groups
from zoo_core.testing import finetune_recipe, open_data


def sound(number: int) -> bytes:
    """Ten milliseconds that say their number in their first sample."""
    samples = np.zeros(80, np.float32)
    samples[0] = number / 32768
    return wav_bytes(samples, 8000)


def number_of(sample: Any) -> int:
    return round(float(sample.waveform.samples[0]) * 32768)


def fill(folder: Path, numbers: Sequence[int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:04}.wav").write_bytes(sound(number))
    return folder


def numbers(data: SplitData) -> dict[str, list[int]]:
    return {split: [number_of(sample) for sample in data.samples(split)] for split in data.splits()}


def table(folder: Path, count: int = 100, speakers: int = 10, name: str = "all.jsonl") -> Path:
    """Recordings with texts, by speakers in turn, and their manifest."""
    fill(folder / "wav", range(count))
    rows = [
        {"path": f"wav/{n:04}.wav", "text": f"number {n}", "speaker": f"s{n % speakers}", "language": "en"}
        for n in range(count)
    ]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def transcribed(path: Path | str, **settings: Any) -> SplitData:
    return read_transcribed_recordings(TranscribedRecordings(path=str(path), **settings))


def labelled(path: Path | str, **settings: Any) -> SplitData:
    return read_labelled_recordings(LabelledRecordings(path=str(path), **settings))


def two_classes(root: Path, count: int = 200) -> Path:
    fill(root / "yes", range(0, count, 2))
    fill(root / "no", range(1, count, 2))
    return root


# ---- tables


def test_a_table_is_split_by_speaker_and_no_speaker_is_in_two_splits(tmp_path: Path) -> None:
    data = transcribed(table(tmp_path, 200, 20))
    speakers = {split: {sample.speaker for sample in data.samples(split)} for split in data.splits()}
    assert list(speakers) == ["train", "validation", "test"] and all(speakers.values())
    assert sum(map(len, speakers.values())) == 20 == len(set.union(*speakers.values()))
    found = numbers(data)
    assert sorted(number for values in found.values() for number in values) == list(range(200))
    sample = data.samples("train")[0]
    assert sample.text == f"number {number_of(sample)}" and sample.language == "en"
    (notice,) = data.notices
    assert notice.startswith("split by speaker: ") and " in validation" in notice


def test_splits_and_digest_do_not_depend_on_the_place(tmp_path: Path) -> None:
    one, other = transcribed(table(tmp_path / "a")), transcribed(table(tmp_path / "b" / "c"))
    assert numbers(one) == numbers(other) and one.digest() == other.digest() and len(one.digest()) == 64
    text = (tmp_path / "a" / "all.jsonl").read_text()
    (tmp_path / "a" / "all.jsonl").write_text(text.replace('number 7"', 'number seven"'))
    (tmp_path / "b" / "c" / "wav" / "0003.wav").write_bytes(sound(900))
    retold, replaced = transcribed(tmp_path / "a" / "all.jsonl"), transcribed(tmp_path / "b" / "c" / "all.jsonl")
    assert len({one.digest(), retold.digest(), replaced.digest()}) == 3


def test_few_speakers_still_make_every_split(tmp_path: Path) -> None:
    data = transcribed(table(tmp_path, 30, 3))
    assert [len({sample.speaker for sample in data.samples(split)}) for split in data.splits()] == [1, 1, 1]
    with pytest.raises(DataError, match="split 'validation' is empty: 1 speaker for 3 splits"):
        transcribed(table(tmp_path / "one", 9, 1))
    with pytest.raises(DataError, match="split 'test' is empty: 2 speakers for 3 splits") as caught:
        transcribed(table(tmp_path / "two", 9, 2))
    assert caught.value.hint == "data.split=recording splits by recording; data.test_fraction=0 does without it"
    with pytest.raises(DataError, match="split 'test' is empty: 2 recordings for 3 splits") as caught:
        transcribed(table(tmp_path / "few", 2, 1), split="recording")
    assert caught.value.hint == "data.test_fraction=0 does without it"
    assert list(numbers(transcribed(tmp_path / "two" / "all.jsonl", test_fraction=0))) == ["train", "validation"]
    assert len(numbers(transcribed(tmp_path / "one" / "all.jsonl", split="recording"))) == 3


def test_speakers_who_are_not_all_known_count_for_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, 200, 20)
    path.write_text(path.read_text().replace('"speaker": "s3"', '"speaker": ""'))
    data = transcribed(path)
    assert data.notices == ("10 of 200 recordings without a speaker: split by recording",)
    assert len({sample.speaker for sample in data.samples("train")}) == 20


def test_a_recording_of_two_speakers_keeps_them_together() -> None:
    assert joined_groups(["k1", "k2", "k1", "k3", "k4", "k4"], ["b", "b", "a", "c", "", ""]) == [
        "a",
        "a",
        "a",
        "c",
        "k4",
        "k4",
    ]


@pytest.mark.parametrize(
    "names", [("audio_filepath", "text"), ("path", "sentence"), ("file_name", "transcription"), ("wav", "transcript")]
)
def test_columns_are_found_by_the_names_that_others_give_them(tmp_path: Path, names: tuple[str, str]) -> None:
    fill(tmp_path, [1, 2])
    (tmp_path / "t.tsv").write_text(
        f"{names[0]}\tother\t{names[1]}\n0001.wav\tx\thello  there\n0002.wav\ty\tgood day\n"
    )
    data = transcribed(tmp_path / "t.tsv", validation_fraction=0, test_fraction=0, language="en")
    assert [(number_of(s), s.text, s.language, s.speaker) for s in data.samples("train")] == [
        (1, "hello there", "en", ""),
        (2, "good day", "en", ""),
    ]


def test_columns_can_be_given_and_are_missed_by_name(tmp_path: Path) -> None:
    fill(tmp_path, [1])
    (tmp_path / "t.csv").write_text("text,clip,words,who\nwrong,0001.wav,right,me\n")
    path = tmp_path / "t.csv"
    none = {"validation_fraction": 0, "test_fraction": 0}
    data = transcribed(path, audio_column="clip", text_column="words", speaker_column="who", **none)
    assert [(s.text, s.speaker) for s in data.samples("train")] == [("right", "me")]
    with pytest.raises(DataError, match=r"t\.csv: no column 'clop'") as caught:
        transcribed(path, audio_column="clop")
    assert "clip" in caught.value.hint
    with pytest.raises(DataError, match=r"t\.csv: no column with the audio among text, clip, words, who") as caught:
        transcribed(path)
    assert "audio_column" in caught.value.hint and all(name in caught.value.hint for name in NAMES["audio"])


def test_paths_are_relative_to_the_table_or_to_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "clips", [5])
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\tlocale\nab\t0005.wav\tfive\tde\n")
    monkeypatch.chdir("/")
    with pytest.raises(DataError, match=r"train\.tsv:2: .*0005\.wav: no such file"):
        transcribed(tmp_path / "train.tsv")
    config = TranscribedRecordings(train=f"{tmp_path}/train.tsv", root=f"{tmp_path}/clips", validation_fraction=0)
    (sample,) = read_transcribed_recordings(config).samples("train")
    assert (number_of(sample), sample.text, sample.speaker, sample.language) == (5, "five", "ab", "de")


def test_parquet_holds_paths_or_bytes(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    fill(tmp_path, [0, 1])
    none = {"validation_fraction": 0, "test_fraction": 0}
    pq.write_table(pa.table({"path": ["0000.wav", "0001.wav"], "text": ["a", "b"]}), tmp_path / "paths.parquet")
    structs = [{"bytes": sound(n), "path": None} for n in range(40)]
    pq.write_table(pa.table({"audio": structs, "sentence": [f"t {n}" for n in range(40)]}), tmp_path / "bytes.parquet")
    assert numbers(transcribed(tmp_path / "paths.parquet", **none)) == {"train": [0, 1]}
    data = transcribed(tmp_path / "bytes.parquet", **none)
    assert numbers(data) == {"train": list(range(40))} and data.samples("train")[39].text == "t 39" and data.digest()
    assert len(numbers(transcribed(tmp_path / "bytes.parquet", validation_fraction=0.3))["validation"]) > 2
    structs[3] = {"bytes": None, "path": "x.wav"}
    pq.write_table(pa.table({"audio": structs, "sentence": ["t"] * 40}), tmp_path / "bytes.parquet")
    with pytest.raises(DataError, match=r"bytes\.parquet: row 4: no bytes of a recording"):
        transcribed(tmp_path / "bytes.parquet")


def test_bad_tables_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for content, message in (("{no\n", "x.jsonl:1: not valid JSON"), ("", "no rows"), ("[1]\n", "an object")):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            transcribed(path)
    with pytest.raises(DataError, match="no such file"):
        transcribed(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="neither a folder nor a table"):
        transcribed(fill(tmp_path / "w", [1]) / "0001.wav")


# ---- folders


def test_recordings_beside_their_texts(tmp_path: Path) -> None:
    for number in range(40):
        fill(tmp_path / f"d{number % 3}", [number])
        (tmp_path / f"d{number % 3}" / f"{number:04}.txt").write_text(f" say\n{number}\n")
    data = transcribed(tmp_path)
    for split in data.splits():
        assert all(sample.text == f"say {number_of(sample)}" for sample in data.samples(split))
    fill(tmp_path, [99])
    with pytest.raises(
        DataError, match=r"0099\.wav: no text, 0099\.txt is missing \(1 of 41 recordings of .* are bad\)"
    ):
        transcribed(tmp_path)
    skipped = transcribed(tmp_path, bad="skip")
    assert any("1 of 41 recordings" in notice and "0099.wav" in notice for notice in skipped.notices)


def librispeech(root: Path, part: str, speaker: int, start: int) -> None:
    folder = fill(root / part / str(speaker) / "7", [])
    lines = []
    for number in range(start, start + 4):
        (folder / f"{speaker}-7-{number:04}.wav").write_bytes(sound(number))
        lines.append(f"{speaker}-7-{number:04} NUMBER {number}\n")
    (folder / f"{speaker}-7.trans.txt").write_text("".join(lines))


def test_librispeech_folders_have_their_speakers_and_splits(tmp_path: Path) -> None:
    for part, speaker, start in (
        ("train-clean-100", 11, 0),
        ("train-other", 12, 4),
        ("dev-clean", 13, 8),
        ("test", 14, 12),
    ):
        librispeech(tmp_path, part, speaker, start)
    data = transcribed(tmp_path)
    assert numbers(data) == {"train": list(range(8)), "validation": [8, 9, 10, 11], "test": [12, 13, 14, 15]}
    assert {sample.speaker for sample in data.samples("train")} == {"11", "12"}
    assert data.samples("test")[1].text == "NUMBER 13"
    assert data.notices == (f"2 folders are one split, train (first: {tmp_path}/train-clean-100)",)
    alone = transcribed(tmp_path / "train-clean-100", split="recording", test_fraction=0, validation_fraction=0.4)
    assert sorted(n for values in numbers(alone).values() for n in values) == [0, 1, 2, 3]
    (tmp_path / "test" / "14" / "7" / "14-7-0013.wav").unlink()
    with pytest.raises(DataError, match=r"14-7\.trans\.txt:2: no recording '14-7-0013' beside it"):
        transcribed(tmp_path)
    with pytest.raises(DataError, match="it has splits of its own"):
        read_transcribed_recordings(TranscribedRecordings(train=str(tmp_path)))


def test_a_folder_with_metadata_is_its_table(tmp_path: Path) -> None:
    fill(tmp_path / "data", [3])
    (tmp_path / "metadata.csv").write_text("file_name,transcription\ndata/0003.wav,three\n")
    assert numbers(transcribed(tmp_path, validation_fraction=0, test_fraction=0)) == {"train": [3]}


def test_a_folder_for_each_class_is_split_by_content(tmp_path: Path) -> None:
    data = labelled(two_classes(tmp_path / "a"))
    found = numbers(data)
    assert list(found) == ["train", "validation", "test"] and data.labels == ("no", "yes")
    assert sorted(number for values in found.values() for number in values) == list(range(200))
    assert all(5 < len(found[split]) < 40 for split in ("validation", "test"))
    for split in data.splits():
        assert all(sample.label == ("yes", "no")[number_of(sample) % 2] for sample in data.samples(split))
    for path in sorted((tmp_path / "a").rglob("*.wav")):
        path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    doubled = {split: set(values) for split, values in numbers(labelled(tmp_path / "a")).items()}
    assert sum(map(len, doubled.values())) == 200 == len(set.union(*doubled.values()))


def test_speech_commands_speakers_and_noise(tmp_path: Path) -> None:
    for label, start in (("yes", 0), ("no", 50)):
        folder = fill(tmp_path / label, [])
        for number in range(50):
            (folder / f"{number // 5:08x}_nohash_{number % 5}.wav").write_bytes(sound(start + number))
    fill(tmp_path / "_background_noise_", [500])
    data = labelled(tmp_path)
    speakers = {split: {n % 50 // 5 for n in found} for split, found in numbers(data).items()}
    assert sum(map(len, speakers.values())) == 10 == len(set.union(*speakers.values()))
    assert (
        data.labels == ("no", "yes")
        and data.notices[0] == f"1 left out: no class (first: {tmp_path}/_background_noise_)"
    )


def test_labels_are_checked(tmp_path: Path) -> None:
    two_classes(tmp_path, 8)
    assert labelled(tmp_path, labels=("yes", "no")).labels == ("yes", "no")
    with pytest.raises(DataError, match=r"0001\.wav: label 'no' is not one of yes, maybe"):
        labelled(tmp_path, labels=("yes", "maybe"))
    with pytest.raises(DataError, match="expected one subfolder for each class, found none"):
        labelled(tmp_path / "yes")
    (tmp_path / "t.csv").write_text("path,label\nyes/0000.wav,10\nno/0001.wav,9\nno/0003.wav,\n")
    with pytest.raises(DataError, match=r"t\.csv:4: .*the label is empty \(1 of 3"):
        labelled(tmp_path / "t.csv")
    none = {"validation_fraction": 0, "test_fraction": 0}
    assert labelled(tmp_path / "t.csv", bad="skip", max_bad=0.5, **none).labels == ("9", "10")


def test_recordings_without_labels_come_from_folders_patterns_tables_and_files(tmp_path: Path) -> None:
    two_classes(tmp_path / "calls", 20)
    (tmp_path / "calls" / ".hidden").mkdir()
    (tmp_path / "calls" / ".hidden" / "x.wav").write_bytes(b"")
    (tmp_path / "list.csv").write_text("path\ncalls/yes/0004.wav\n")

    def read(path: str, validation: float = 0) -> SplitData:
        return read_recordings(Recordings(path=f"{tmp_path}/{path}", validation=validation))

    data = read("calls")
    assert sorted(numbers(data)["train"]) == list(range(20)) and isinstance(data.samples("train")[0], Recording)
    assert numbers(read("calls/**/*5.wav")) == {"train": [5, 15]}
    assert numbers(read("list.csv")) == numbers(read("calls/yes/0004.wav")) == {"train": [4]}
    assert len(read("calls", 0.2).samples("validation")) >= 1
    for path, message in (("none", "no such file"), ("calls/*.mp3", "neither recordings nor tables")):
        with pytest.raises(DataError, match=message):
            read(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings there"):
        read("empty")


# ---- bad recordings


def test_one_error_names_every_bad_row(tmp_path: Path) -> None:
    path = table(tmp_path, 100)
    (tmp_path / "wav" / "0003.wav").write_bytes(b"no sound at all")
    (tmp_path / "wav" / "0005.wav").unlink()
    path.write_text(path.read_text().replace('"number 7"', '" "'))
    os.mkfifo(tmp_path / "wav" / "pipe.wav")
    with pytest.raises(
        DataError, match=r"^3 of 100 recordings of .* are bad:\n.*all\.jsonl:4: .*0003\.wav: .*\n.*:6: .*\n.*:8: .*"
    ) as caught:
        transcribed(path)
    assert "bad=skip" in caught.value.hint
    data = transcribed(path, bad="skip")
    assert sorted(n for values in numbers(data).values() for n in values) == [
        n for n in range(100) if n not in (3, 5, 7)
    ]
    assert data.notices[0].startswith("3 of 100 recordings of ") and "all.jsonl:4" in data.notices[0]
    with pytest.raises(DataError, match=r"3 of 100 recordings of .* are bad, more than the share of 0\.02"):
        transcribed(path, bad="skip", max_bad=0.02)
    with pytest.raises(DataError, match=r"pipe\.wav: expected a regular file, found a pipe, a socket or a device"):
        read_recordings(Recordings(path=f"{tmp_path}/wav/pipe.wav"))


# ---- what they give


def test_samples_are_lazy_sliced_and_go_to_workers(tmp_path: Path) -> None:
    data = labelled(two_classes(tmp_path, 40), validation_fraction=0, test_fraction=0)
    for path in tmp_path.rglob("*.wav"):
        path.unlink()
    with multiprocessing.get_context("spawn").Pool(1) as worker:
        (train,) = worker.map(list, [data.samples("train")])
    assert [sample.label for sample in train[18:22]] == ["no", "no", "yes", "yes"]
    train = data.samples("train")
    assert data.splits() == ("train",) and len(train) == 40
    assert [sample.label for sample in train[18:22]] == ["no", "no", "yes", "yes"]
    assert len(train[::10][1:]) == 3
    with pytest.raises(DataError, match=r"0001\.wav: no such file"):
        _ = train[0].waveform
    with pytest.raises(IndexError):
        train[40]
    with pytest.raises(UnknownName, match="unknown split 'test'"):
        data.samples("test")


def test_a_packed_recording_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recordings.tar"
    path.write_bytes(b"head" + sound(5) + sound(6))
    size = len(sound(5))
    sample = Recording(Clip(path, 4 + size, size), text="six", speaker="me", name="a/x.wav")
    assert number_of(sample) == 6 and sample.name == "a/x.wav"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"recordings\.tar: it ends within a/x\.wav"):
        _ = sample.waveform


def test_subsets_are_nested_seeded_and_leave_the_digest_alone(tmp_path: Path) -> None:
    two_classes(tmp_path)

    def train(count: int, seed: int = 0) -> list[int]:
        return numbers(labelled(tmp_path, train_samples=count, subset_seed=seed))["train"]

    assert train(40)[:20] == train(20) and len(set(train(40))) == 40 and train(20) != train(20, seed=1)
    assert labelled(tmp_path, train_samples=20).digest() == labelled(tmp_path).digest()
    with pytest.raises(DataError, match="train_samples is 201, the training split has"):
        train(201)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TranscribedRecordings(), "exactly one"),
        (lambda: TranscribedRecordings(path="a", train="b"), "exactly one"),
        (lambda: TranscribedRecordings(path="a", test="b"), "path is split by itself"),
        (lambda: TranscribedRecordings(path="a", test_fraction=0.5, validation_fraction=0.5), "at most 0.9"),
        (lambda: LabelledRecordings(path="a", labels=("x",)), "at least two"),
        (lambda: LabelledRecordings(path="a", labels=("x", "y", "x")), "all different"),
        (lambda: LabelledRecordings(path="a", max_bad=1.0), "at least 0 and below 1"),
        (lambda: Recordings(path=""), "at least 1 character"),
        (lambda: Recordings(path="a", validation=float("nan")), "from 0 to 0.9"),
        (lambda: NamedSpeech(train_samples=0), "at least 1"),
        (lambda: SpokenLanguage(train_samples=-1), "at least 1"),
    ],
)
def test_contradictory_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_column_of_groups_takes_the_place_of_speakers(tmp_path: Path) -> None:
    fill(tmp_path / "wav", range(40))
    rows = [f"wav/{n:04}.wav,{('a', 'b')[n % 2]},s{n % 3},call {n // 4}" for n in range(40)]
    (tmp_path / "all.csv").write_text("\n".join(["path,label,speaker,call", *rows]))
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    recipe = finetune_recipe(
        "wav2vec2_nano.languages", "audio-classification", str(tmp_path / "all.csv"), {"group": "call"}, [],
        zoo.host, zoo.registry,
    )  # fmt: skip
    data = open_data(recipe.data.provided, recipe.data.config, zoo.host)
    calls = [{number // 4 for number in found} for found in numbers(data).values()]
    assert sum(map(len, calls)) == 10 and all(calls)
    assert "split by call: 8 groups of 32 in train, 1 groups of 4 in validation, 1 groups of 4 in test" in data.notices
    plain = read_recordings(Recordings(path=str(tmp_path / "all.csv"), group_column="call", validation=0.2))
    assert sum(len({number // 4 for number in found}) for found in numbers(plain).values()) == 10
    assert "group_column" not in to_data(TranscribedRecordings(path="x"))
    with pytest.raises(ValueError, match="group_column: expected none beside split: label"):
        LabelledRecordings(path="x", split="label", group_column="call")
