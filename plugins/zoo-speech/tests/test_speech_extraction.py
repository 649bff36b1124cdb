"""Embeddings of recordings: the mean over their own frames, the frames themselves, and what is refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config
from zoo_speech.configs.tasks import EmbeddingOptions
from zoo_speech.models import wav2vec2
from zoo_speech.preprocessor import SpeechReader
from zoo_speech.tasks.feature_extraction import FeatureExtraction

from zoo_core import DataError, UsageError, load, open_zoo, train
from zoo_core.contract import File, Head, TaskContext, as_task

SMALL: dict[str, Any] = {
    "conv_widths": (8,) * 7, "hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32, "position_kernel": 8,
    "position_groups": 4, "codes": 8, "code_size": 8,
}  # fmt: skip


def noise(seconds: float, seed: int) -> np.ndarray[Any, Any]:
    draws = np.random.default_rng(seed).standard_normal(max(1, round(16_000 * seconds)))
    return (0.1 * draws).astype(np.float32)


@pytest.fixture(scope="module")
def task() -> FeatureExtraction:
    torch.manual_seed(0)
    reader = SpeechReader(SpeechReaderConfig(text="none", max_seconds=2.0), None)
    model = wav2vec2.build(Wav2Vec2Config(**SMALL), Head(task="speech-feature-extraction"))
    return FeatureExtraction(None, TaskContext(model=model.eval(), preprocessor=reader))


def test_an_embedding_is_the_mean_of_a_recordings_own_frames(task: FeatureExtraction) -> None:
    sounds = [noise(seconds, seed) for seed, seconds in enumerate((0.2, 1.9, 0.01, 1.0))]
    together = task.predict(sounds, EmbeddingOptions(frames=True, normalize=False))
    for sound, answer in zip(sounds, together, strict=True):
        (alone,) = task.predict([sound], EmbeddingOptions(frames=True, normalize=False))
        file = answer["frames"]
        assert isinstance(file, File) and file.suffix == ".npy"
        frames = np.load(BytesIO(file.data), allow_pickle=False)
        assert frames.dtype == np.float32 and frames.shape == (max(1, (len(sound) - 400) // 320 + 1), 16)
        assert answer["embedding"] == pytest.approx(frames.mean(0).tolist(), abs=1e-5)
        assert answer["embedding"] == pytest.approx(alone["embedding"], abs=1e-5)
        assert np.allclose(np.load(BytesIO(alone["frames"].data)), frames, atol=1e-5)
    (unit,) = task.predict(sounds[:1], EmbeddingOptions())
    assert list(unit) == ["embedding"] and np.linalg.norm(unit["embedding"]) == pytest.approx(1.0, abs=1e-5)


def test_what_cannot_be_embedded_is_refused(task: FeatureExtraction) -> None:
    with pytest.raises(DataError, match="input 2: longer than 2 s"):
        task.predict([noise(0.1, 0), noise(2.1, 0)], EmbeddingOptions())
    cut, whole = task.predict([noise(2.1, 0), noise(2.1, 0)[:32_000]], EmbeddingOptions(truncate=True))
    assert cut["embedding"] == pytest.approx(whole["embedding"], abs=1e-6)
    with pytest.raises(DataError, match=r"input 1: none\.wav: no such file"):
        task.predict(["none.wav"], EmbeddingOptions())
    with pytest.raises(UsageError, match="nothing to train"):
        as_task("speech-feature-extraction", task)
    with pytest.raises(UsageError, match="expected WaveformPreprocessor"):
        FeatureExtraction(None, TaskContext(model=torch.nn.Linear(1, 1), preprocessor=None))


def test_a_pretrained_checkpoint_embeds_although_it_answers_nothing_itself(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.wav").write_bytes(wav_bytes(noise(0.6, number), 16_000))
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    recipe = {
        "name": "wav2vec2_tiny.noise",
        "model": {"name": "wav2vec2_tiny", **{key: SMALL[key] for key in ("conv_widths", "hidden_size", "num_layers")}},
        "preprocessor": {"text": "none"},
        "task": {"name": "wav2vec2-pretraining", "distractors": 2},
        "data": {"name": "speech", "path": str(tmp_path), "validation": 0.0},
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "training": {"steps": 1, "batch_size": 2, "extras": "off"},
    }
    train(recipe, folder=tmp_path / "run", zoo=zoo)
    loaded = load("wav2vec2_tiny.noise", task="speech-feature-extraction", zoo=zoo)
    answer = loaded.predict(str(tmp_path / "0.wav"))
    assert len(answer["embedding"]) == 16
    assert loaded.predict([tmp_path / "0.wav", tmp_path / "1.wav"])[0]["embedding"] == pytest.approx(
        answer["embedding"], abs=1e-5
    )
    with pytest.raises(UsageError, match="no head for speaker-verification"):
        load("wav2vec2_tiny.noise", task="speaker-verification", zoo=zoo)
