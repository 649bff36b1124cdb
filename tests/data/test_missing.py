"""What stands for no value in a table is no class, whatever is classified, unless the user says that it is a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from zoo_nlp.configs.data import LabelledFiles
from zoo_nlp.datasets.readers import read_labelled_text
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.configs.data import LabelledRecordings
from zoo_speech.datasets.readers import read_labelled_recordings
from zoo_vision.configs.data import LabelledImages
from zoo_vision.datasets.readers import read_labelled_images

from zoo_core.errors import DataError

MARKERS = ("N/A", "null")
READERS: dict[str, tuple[str, Callable[[Any], Any], type[Any]]] = {
    "text": ("text", read_labelled_text, LabelledFiles),
    "image": ("path", read_labelled_images, LabelledImages),
    "speech": ("path", read_labelled_recordings, LabelledRecordings),
}


def written(folder: Path, modality: str) -> Path:
    """A table of twelve good samples and one with each marker as its label, and the files that it names."""
    draws = np.random.default_rng(0)
    rows = [READERS[modality][0] + ",label"]
    for number, label in enumerate([*["good", "bad"] * 6, *MARKERS]):
        name = f"sample {number}"
        if modality == "image":
            name = f"{number}.png"
            Image.fromarray(draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / name)
        elif modality == "speech":
            name = f"{number}.wav"
            (folder / name).write_bytes(wav_bytes(0.1 * draws.standard_normal(8_000), 16_000))
        rows.append(f"{name},{label}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    return folder / "mine.csv"


@pytest.mark.parametrize("modality", READERS)
def test_a_missing_label_is_no_class(modality: str, tmp_path: Path) -> None:
    table = str(written(tmp_path, modality))
    _, read, config = READERS[modality]
    with pytest.raises(DataError) as caught:
        read(config(path=table))
    assert all(
        f"the label is missing ({marker}); data.missing=[] takes it as it is" in str(caught.value) for marker in MARKERS
    )
    assert "mine.csv:14" in str(caught.value) and "mine.csv:15" in str(caught.value)
    assert set(read(config(path=table, bad="skip", max_bad=0.2)).labels) == {"bad", "good"}
    assert set(read(config(path=table, missing=())).labels) == {"bad", "good", *MARKERS}
