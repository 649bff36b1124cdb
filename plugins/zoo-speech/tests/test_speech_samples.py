"""Samples: whatever a caller has becomes the same waveform, words need no decoding, and messages number the input."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from zoo_speech.audio.audio import Waveform, wav_bytes
from zoo_speech.datasets.samples import Recording, recording_of

from zoo_core import DataError

RATE = 16_000
EXACT = np.random.default_rng(0).integers(-20_000, 20_000, 4000).astype(np.int16)
EXACT_FLOATS: npt.NDArray[np.float32] = (EXACT / np.float32(32768)).astype(np.float32)
SOUND = wav_bytes(EXACT / 32768, RATE)


def test_every_form_of_a_recording_gives_the_same_waveform(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(SOUND)
    exact = EXACT_FLOATS
    wide = np.stack([exact, exact], 1)
    forms = [
        Recording(path),
        Recording(path, text="one"),
        path,
        str(path),
        SOUND,
        bytearray(SOUND),
        exact,
        exact.astype(np.float64),
        EXACT,
        EXACT.astype(">i2"),
        EXACT.astype(np.int32) << 16,
        wide,
        wide.T,
        torch.from_numpy(exact),
        torch.from_numpy(exact)[None].requires_grad_(),
        torch.from_numpy(EXACT),
        (exact, RATE),
        (torch.from_numpy(exact), np.int64(RATE)),
        Waveform(exact, RATE),
        {"array": exact, "sampling_rate": RATE, "path": "gone.wav"},
        {"bytes": SOUND, "path": None},
        {"bytes": None, "path": str(path)},
    ]
    for form in forms:
        samples, rate = recording_of(form, 0).waveform
        assert rate == RATE and samples.dtype == np.float32 and (samples == exact).all(), type(form)
    assert recording_of((exact, 8000), 0).waveform.rate == 8000
    assert recording_of({"bytes": b"\xfa" * 800, "path": "a.g722"}, 0).waveform.rate == RATE


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (7, "expected a recording, found int"),
        (None, "found NoneType"),
        ([0.1, 0.2], "found list"),
        ("no/such.wav", "no/such.wav: no such file"),
        ("~nobody-here/such.wav", "no such file"),
        ("nul\0.wav", "can't be read"),
        (b"no", "not a recording that can be read"),
        (b"", "the file is empty"),
        (np.zeros(0), "without samples"),
        (np.zeros((9, 2, 9)), r"expected \(N,\), \(N, C\) or \(C, N\), found \(9, 2, 9\)"),
        (np.zeros((2, 2)), r"\(N, C\) or \(C, N\), found \(2, 2\)"),
        (np.zeros((20, 20)), r"found \(20, 20\)"),
        (np.array(1.0), r"found \(\)"),
        (np.zeros(9, np.int64), "int64 can't be taken for samples"),
        (np.zeros(9, bool), "bool can't"),
        (np.zeros((9, 2), complex), "complex128 can't"),
        (np.array(["a"]), "can't be taken"),
        (np.array([0, np.nan]), "found up to nan"),
        (np.array([0, 1e300]), "found up to inf"),
        (np.full((2, 50), [[np.inf], [-np.inf]]), "found up to nan"),
        (np.array([0.0, -20000.0]), "found up to 20000"),
        ((np.zeros(9), 0), "must be a whole number from 1,000 to 384,000 Hz, found 0"),
        ((np.zeros(9), True), "found True"),
        ((np.zeros(9), 16000.5), "found 16000.5"),
        ((np.zeros(9), float("nan")), "found nan"),
        ((np.zeros(9), "16000"), "found '16000'"),
        ((RATE, np.zeros(9)), r"a pair \(array, rate\), found \(int, ndarray\)"),
        ({"array": np.zeros(9)}, 'without its "sampling_rate"'),
        ({"array": [0.1], "sampling_rate": RATE, "path": "x"}, "a mapping that is no recording .'array': list"),
        ({}, "nothing in it"),
        (torch.zeros(9, dtype=torch.int64), "int64 can't"),
        (torch.eye(20).to_sparse(), "a torch.sparse_coo tensor of torch.float32 on cpu can't be taken for samples"),
        (torch.empty(9, device="meta"), "on meta can't be taken"),
        (torch.zeros(9).to_mkldnn(), "torch.float32 on cpu can't"),
    ],
)
def test_what_is_no_recording_is_named_by_its_number(item: object, message: str) -> None:
    with pytest.raises(DataError, match=r"^input 3: .*" + message):
        _ = recording_of(item, 2).waveform


def test_words_labels_and_lengths_need_no_decoding(tmp_path: Path) -> None:
    sample = Recording(tmp_path / "missing.wav", text="hello", speaker="joe", language="en")
    assert (sample.text, sample.speaker, sample.language) == ("hello", "joe", "en") and "missing.wav" in repr(sample)
    assert Recording(b"", label="dog").label == "dog" and Recording(b"", text="a").speaker == ""
    for read in (attrgetter("waveform"), attrgetter("seconds")):
        with pytest.raises(DataError, match=r"missing\.wav: no such file"):
            read(sample)
    with pytest.raises(DataError, match="row 4: not a recording"):
        _ = Recording(b"no", name="row 4").waveform
    assert Recording(SOUND).seconds == len(EXACT) / RATE == Recording(Waveform(EXACT_FLOATS, RATE)).seconds
    assert Recording(SOUND[:-1500] + b"\xff" * 1500).seconds == len(EXACT) / RATE


def test_samples_travel_to_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(SOUND)
    sample = Recording(path, text="one")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        assert other.submit(attrgetter("text"), sample).result() == "one"
        assert (other.submit(attrgetter("waveform"), sample).result().samples == sample.waveform.samples).all()
