"""Models of somebody else's plugin, as its author writes them, learn and answer with zoo-speech's tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from speech_toys import tone
from zoo_speech.audio.audio import wav_bytes

from zoo_core import PluginError, UsageError, Zoo, load, open_zoo, train
from zoo_core.testing import on_path, write_plugin

PLUGIN = '''
from dataclasses import dataclass
from zoo_core import ModelSpec, hookimpl

zoo_api = (2, 0)

@dataclass(frozen=True, kw_only=True)
class EarConfig:
    """One convolution."""
    width: int = 16

@dataclass(frozen=True, kw_only=True)
class SpellerConfig:
    """One convolution."""
    vocab_size: int = 8

@hookimpl
def zoo_models():
    return [ModelSpec(name="ear", summary="hears", target="zoo_ears.model:Ear", config=EarConfig, sizes={"tiny": {}},
                      offers="speech-encoder", head=("classifier.",)),
            ModelSpec(name="speller", summary="writes", target="zoo_ears.model:Speller", config=SpellerConfig, sizes={"tiny": {}},
                      offers="speech-frames")]
'''
MODEL = """
from torch import nn

class Ear(nn.Module):
    def __init__(self, config, head):
        super().__init__()
        self.num_features = config.width
        self.hear = nn.Conv1d(1, config.width, 64, 32)
        self.classifier = nn.Linear(config.width, head.labels) if head.task == "audio-classification" else nn.Identity()

    def forward(self, samples, lengths):
        return self.classifier(self.hear(samples[:, None]).relu().mean(2))

class Speller(nn.Module):
    hop = 160

    def __init__(self, config, head):
        super().__init__()
        self.hear, self.write = nn.Conv1d(1, 16, self.hop, self.hop), nn.Conv1d(16, config.vocab_size, 1)

    def forward(self, samples, lengths):
        return self.write(self.hear(samples[:, None]).relu()).transpose(1, 2), lengths // self.hop
"""


@contextmanager
def zoo_with(folder: Path, model: str = MODEL) -> Iterator[Zoo]:
    write_plugin(folder / "site", "zoo-ears", PLUGIN, modules={"model.py": model})
    for label, text in (("low", "oo"), ("high", "ii")):
        (folder / "tones" / label).mkdir(parents=True)
        for number in range(8):
            (folder / "tones" / label / f"{number}.wav").write_bytes(wav_bytes(tone(label, number), 16_000))
            (folder / "tones" / label / f"{number}.txt").write_text(text)
    with on_path(folder / "site"):
        yield open_zoo({"ZOO_HOME": str(folder / "home")})


def recipe(folder: Path, model: str, task: str, reader: str, **of_task: Any) -> dict[str, Any]:
    return {
        "name": f"{model}.{task.replace('-', '_')}", "model": {"name": model}, "task": {"name": task, **of_task},
        "data": {"name": reader, "path": str(folder / "tones"), "validation_fraction": 0.25, "test_fraction": 0.25},
        "optimizer": {"lr": 0.03},
        "training": {"steps": 30, "batch_size": 6, "device": "cpu", "baselines": "off", "extras": "off"},
    }  # fmt: skip


def test_a_model_that_gives_features_and_logits_classifies_and_embeds(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "ear_tiny", "audio-classification", "labelled-speech")
        assert train(asked, folder=tmp_path / "run", zoo=zoo).metrics["accuracy"] > 0.6
        heard = str(tmp_path / "tones" / "low" / "0.wav")
        assert load("ear_tiny.audio_classification", zoo=zoo).predict(heard)["label"] == "low"
        embedded = load("ear_tiny.audio_classification", task="speech-feature-extraction", zoo=zoo).predict(heard)
        assert len(embedded["embedding"]) == 16


def test_a_model_that_gives_features_tells_voices(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "ear_tiny", "speaker-verification", "labelled-speech")
        assert "eer" in train(asked, folder=tmp_path / "run", zoo=zoo).metrics
        one, other = (str(tmp_path / "tones" / name / "1.wav") for name in ("low", "high"))
        (answer,) = load("ear_tiny.speaker_verification", zoo=zoo).predict([one], against=other)
        assert len(answer["embedding"]) == 16 and answer["score"] < 1


def test_a_model_of_frames_writes_and_says_when(tmp_path: Path) -> None:
    with zoo_with(tmp_path) as zoo:
        asked = recipe(tmp_path, "speller_tiny", "ctc-speech-recognition", "transcribed-speech")
        assert "cer" in train(asked, folder=tmp_path / "run", zoo=zoo).metrics
        loaded = load("speller_tiny.ctc_speech_recognition", zoo=zoo)
        assert "segments" in loaded.predict(str(tmp_path / "tones" / "low" / "0.wav"), timestamps=True)
        asked["task"]["mask_probability"] = 0.1
        with pytest.raises(UsageError, match="a Speller can't hide frames while training"):
            train(asked, folder=tmp_path / "hidden", zoo=zoo)


@pytest.mark.parametrize(
    ("wrong", "model", "task", "reader", "told"),
    [
        (("samples, lengths):\n        return self.c", "samples):\n        return self.c"),
         "ear_tiny", "audio-classification", "labelled-speech",
         r"zoo-speech/audio-classification needs speech-encoder: zoo-ears/ear: expected forward.*an Ear without forward"),
        (("head.task ==", "head.task !="), "ear_tiny", "speaker-verification", "labelled-speech",
         r"Ear.forward: expected features \(6, 16\), found \(6, 2\)"),
        (("config.vocab_size", "config.vocab_size + 1"), "speller_tiny", "ctc-speech-recognition", "transcribed-speech",
         r"Speller.forward: expected logits \(6, T, 3\) and frames \(6,\), found \(\(6, 50, 4\), \(6,\)\)"),
    ],
    ids=["arguments", "features", "frames"],
)  # fmt: skip
def test_what_a_model_does_not_keep_is_named_before_the_first_step(
    wrong: tuple[str, str], model: str, task: str, reader: str, told: str, tmp_path: Path
) -> None:
    assert wrong[0] in MODEL
    with zoo_with(tmp_path, MODEL.replace(*wrong)) as zoo, pytest.raises(PluginError, match=told):
        train(recipe(tmp_path, model, task, reader), folder=tmp_path / "run", zoo=zoo)
