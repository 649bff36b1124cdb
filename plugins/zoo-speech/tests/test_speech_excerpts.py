"""Parts of recordings that tables name: the part is heard with its text, or the column is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_speech.audio.audio import Waveform, wav_bytes
from zoo_speech.configs.data import LabelledRecordings, Recordings, TranscribedRecordings
from zoo_speech.configs.models import SpeechReaderConfig
from zoo_speech.datasets.readers import read_labelled_recordings, read_recordings, read_transcribed_recordings
from zoo_speech.datasets.samples import Recording
from zoo_speech.preprocessor import SpeechReader

from zoo_core import DataError

RATE = 8_000
SOUND = np.random.default_rng(0).normal(0, 0.1, 4 * RATE)


def table(folder: Path, rows: list[dict[str, Any]], suffix: str = ".jsonl") -> str:
    (folder / "long.wav").write_bytes(wav_bytes(SOUND, RATE))
    path = folder / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps({"audio_filepath": "long.wav", "text": "a", **row}) + "\n" for row in rows))
    else:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(["audio_filepath", "text", *columns])]
        lines += [",".join(["long.wav", "a", *(str(row.get(name, "")) for name in columns)]) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    return str(path)


def read(path: str, **settings: Any) -> list[Any]:
    data = read_transcribed_recordings(TranscribedRecordings(train=path, validation=path, **settings))
    return list(data.samples("train"))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("bad", ["error", "skip"])
@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"offset": 0.0, "duration": 2.0}, (0, 2)),
        ({"offset": 1.5, "duration": 2.0}, (1.5, 3.5)),
        ({"offset": 3.0}, (3, 4)),
        ({"start": 1.0, "end": 2.5}, (1, 2.5)),
        ({"begin_time": 1.0, "end_time": 2.5}, (1, 2.5)),
        ({"start_time": 1.0, "end": 2.5, "duration": 1.5}, (1, 2.5)),
        ({"end": 0.5}, (0, 0.5)),
        ({"duration": 4.0}, (0, 4)),
        ({"duration": 3.99}, (0, 4)),
    ],
)
def test_the_part_is_given_to_training(
    row: dict[str, float], part: tuple[float, float], bad: Any, suffix: str, tmp_path: Path
) -> None:
    sample = read(table(tmp_path, [row], suffix), bad=bad)[0]
    first, last = (round(second * RATE) for second in part)
    assert sample.seconds == pytest.approx(part[1] - part[0]) and len(sample.waveform.samples) == last - first
    assert np.abs(sample.waveform.samples - SOUND[first:last]).max() < 1e-4
    heard = SpeechReader(SpeechReaderConfig(sampling_rate=RATE, text="none"), None).waveform(sample, 0)
    assert len(heard) == last - first


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"duration": 2.0}, r"duration is 2 s, the recording has 4\.00 s"),
        ({"offset": 3.0, "duration": 2.0}, r"duration: a part up to second 5, the recording has 4\.00 s"),
        ({"offset": 9.0}, "offset: a part up to second 9"),
        ({"start": 1000, "end": 2000}, "end: a part up to second 1000"),
        ({"start": 2.0, "end": 1.0}, r"end: the part ends at second 1, where it begins or before \(2\)"),
        ({"offset": 1.0, "start": 2.0}, "offset and start say different things: 1 and 2 s"),
        ({"start": 1.0, "end": 2.0, "duration": 3.0}, "end and duration say different things"),
        ({"offset": "noon", "duration": 2.0}, "offset 'noon' is no number of seconds"),
        ({"offset": -1.0}, "offset .* is no number of seconds"),
        ({"duration": "nan"}, "duration 'nan' is no number of seconds"),
    ],
)
def test_what_is_no_part_is_named_by_its_column(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = table(tmp_path, [row])
    with pytest.raises(DataError, match=r"rows\.jsonl:1.*" + message):
        read(path)
    left = read(table(tmp_path, [row, {"offset": 1.0}]), bad="skip", max_bad=0.6)
    assert len(left) == 1 and left[0].seconds == 3.0


def test_parts_of_one_recording_stay_together_and_count_in_the_digest(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    halves = [{"offset": 0.0, "duration": 2.0, "text": "a"}, {"offset": 2.0, "duration": 2.0, "text": "b"}]
    whole = [{"text": "a"}, {"text": "b"}]
    digests = set()
    for rows in (halves, halves[::-1], whole, [{**row, "duration": 4.0} for row in whole]):
        path = table(tmp_path, rows)
        digests.add(read_transcribed_recordings(TranscribedRecordings(train=path, validation=path)).digest())
    assert len(digests) == 3, "the length of a whole recording tells nothing new"
    with pytest.raises(DataError, match="is empty"):  # as all lie in one recording
        read_transcribed_recordings(TranscribedRecordings(path=table(tmp_path, halves)))


def test_parts_of_recordings_with_labels_and_without(tmp_path: Path) -> None:
    rows = [{"offset": 0.0, "duration": 2.0, "label": "a"}, {"offset": 2.0, "duration": 1.0, "label": "b"}]
    path = table(tmp_path, rows)
    labelled = read_labelled_recordings(LabelledRecordings(train=path, validation=path))
    assert [one.seconds for one in labelled.samples("train")] == [2.0, 1.0]
    plain = read_recordings(Recordings(path=path, validation=0.0))
    assert [len(one.waveform.samples) for one in plain.samples("train")] == [2 * RATE, RATE]


def test_parts_of_one_recording_are_no_copies(tmp_path: Path) -> None:
    rows = [{"offset": float(start), "duration": 1.0, "label": "ab"[start % 2]} for start in range(4)]

    def told(found: list[dict[str, Any]]) -> str:
        path = table(tmp_path, found)
        return "; ".join(read_labelled_recordings(LabelledRecordings(train=path, validation=rest)).notices)

    (tmp_path / "rest").mkdir()
    rest = table(tmp_path / "rest", [{"label": "a", "offset": 0.5, "duration": 0.5}, {"label": "b", "offset": 2.5}])
    assert "occur" not in told(rows)
    assert "more than once: 1 (first" in told([*rows, rows[0]])
    assert "with different labels: 1 ('a' at" in told([*rows, {**rows[0], "label": "b"}])
    assert "more than once: 1 (first" in told([{"label": "a"}, {"label": "b"}, {"label": "a", "duration": 4.0}])


def test_recordings_in_memory_have_no_part() -> None:
    assert Recording(Waveform(SOUND.astype(np.float32), RATE)).seconds == 4.0
