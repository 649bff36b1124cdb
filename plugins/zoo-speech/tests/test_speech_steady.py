"""A classifier of languages names none where nobody can be speaking, and every other one answers as it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.audio.steady import may_be_speech

from zoo_core import load, open_zoo

RATE = 16_000
DRAWS = np.random.default_rng(0)
TIMES = np.arange(3 * RATE) / RATE
WHITE = 0.1 * DRAWS.standard_normal(len(TIMES))
STEADY = {
    "digital silence": np.zeros(len(TIMES)),
    "white noise": WHITE,
    "pink noise": np.convolve(WHITE, np.ones(40) / 40, "same"),
    "hum of 50 Hz": 0.3 * np.sin(2 * np.pi * 50 * TIMES),
    "hum with harmonics and hiss": 0.3 * np.sin(2 * np.pi * 50 * TIMES)
    + 0.1 * np.sin(2 * np.pi * 150 * TIMES)
    + WHITE / 10,
    "a click in noise": WHITE + (np.abs(TIMES - 1.5) < 0.002) * 0.8,
}
# Syllables: a voice of 120 Hz that comes and goes four times a second.
VOICE = 0.2 * np.sign(np.sin(2 * np.pi * 120 * TIMES)) * np.clip(np.sin(2 * np.pi * 4 * TIMES), 0, 1)


@pytest.mark.parametrize("kind", STEADY)
@pytest.mark.parametrize("loudness", [0.01, 1.0])
def test_steady_sound_is_no_speech(kind: str, loudness: float) -> None:
    assert not may_be_speech((loudness * STEADY[kind]).astype(np.float32), RATE)


def test_syllables_may_be_speech_wherever_they_are() -> None:
    assert may_be_speech(VOICE.astype(np.float32), RATE)
    assert may_be_speech((VOICE + WHITE / 5).astype(np.float32), RATE), "also in some noise"
    hour = np.tile(WHITE / 100, 40).astype(np.float32)  # two minutes
    assert not may_be_speech(hour, RATE)
    hour[70 * RATE : 73 * RATE] += VOICE.astype(np.float32)
    assert may_be_speech(hour, RATE)
    assert not may_be_speech(np.ones(100, np.float32), RATE), "shorter than a frame"


def test_the_bundled_identifier_names_no_language_where_nobody_speaks(tmp_path: Path) -> None:
    loaded = load("wav2vec2_nano.languages", zoo=open_zoo({"ZOO_HOME": str(tmp_path)}))
    files = [*STEADY.values(), VOICE]
    for number, samples in enumerate(files):
        (tmp_path / f"{number}.wav").write_bytes(wav_bytes(samples.astype(np.float32), RATE))
    answers = loaded.predict([str(tmp_path / f"{number}.wav") for number in range(len(files))], top_k=2)
    for answer in answers[:-1]:
        assert answer == {"label": "", "score": 0.0, "scores": {}, "no_speech": 1.0}
    assert answers[-1]["label"] in answers[-1]["scores"] and "no_speech" not in answers[-1]
    assert answers[-1]["language_name"] and len(answers[-1]["scores"]) == 2
    assert loaded.predict(str(tmp_path / "1.wav"), plot=True)["plot"].data
