"""Muon beside AdamW on every Transformer that is shipped, from recipes as users write them, and after a stop."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from speech_toys import registered_whisper, tone
from zoo_speech.audio.audio import wav_bytes

from zoo_core import Zoo, open_zoo, resume, train
from zoo_core.contract.events import SilentReporter
from zoo_core.runs.folder import final_digest
from zoo_core.training import state
from zoo_core.training.signals import Interrupted

SMALL = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}
LABELS = ("high", "low")
WORDS = ("the", "cat", "sat", "on", "mat", "and", "looked", "at", "moon", "over", "sea", "while", "it", "rained")
OTHERS = {
    "bert_tiny": "*.bias|*norm*|*embeddings*",
    "gpt2_tiny": "*.bias|*ln_*|*wte*|*wpe*",
    "marian_tiny": "*.bias|*norm*|*shared*",
    "vit_nano": "*.bias|*norm*|*embed*|*token",
    "wav2vec2_nano": "*.bias|*norm*|*conv*|*masked_spec*|quantizer.*",
    "whisper_tiny_en": "*.bias|*norm*|*conv*|*embed_*",
}
"""Patterns of what AdamW trains of a family: all that is no matrix of a hidden layer."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, pairs and recordings, a few of each, and a zoo with a recogniser of random weights."""
    root = tmp_path_factory.mktemp("files")
    lines = [" ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 9)) for number in range(1, 60)]
    (root / "lines.txt").write_text("\n\n".join(lines))
    (root / "pairs.csv").write_text("source,target\n" + "\n".join(f"{line},{line.upper()}" for line in lines))
    for label in LABELS:
        (root / "tones" / label).mkdir(parents=True)
        for number in range(6):
            (root / "tones" / label / f"{number}.wav").write_bytes(wav_bytes(tone(label, number), 16_000))
    registered_whisper("whisper_tiny_en.tones", root, open_zoo({"ZOO_HOME": str(root / "home")}))
    return root


@pytest.fixture(scope="module")
def zoo(home: Path) -> Zoo:
    return open_zoo({"ZOO_HOME": str(home / "home")})


def sections(model: str, home: Path) -> dict[str, Any]:
    """Model, task and data of a recipe."""
    text = {"vocab_size": 300, "max_length": 16}
    return {
        "bert_tiny": {
            "model": {"name": model, **SMALL, "max_length": 16}, "preprocessor": text, "task": {"name": "fill-mask"},
            "data": {"name": "text", "path": str(home / "lines.txt")},
        },
        "gpt2_tiny": {
            "model": {"name": model, "hidden_size": 16, "num_layers": 1, "num_heads": 2, "max_length": 16}, "preprocessor": text,
            "task": {"name": "text-generation"}, "data": {"name": "text", "path": str(home / "lines.txt")},
        },
        "marian_tiny": {
            "model": {"name": model, **SMALL, "max_length": 16}, "preprocessor": text, "task": {"name": "translation"},
            "data": {"name": "parallel-text", "path": str(home / "pairs.csv")},
        },
        "vit_nano": {
            "model": {"name": model, "patch_size": 4, "depth": 1}, "preprocessor": {"img_size": 8, "in_chans": 1},
            "task": {"name": "masked-image-modeling"}, "data": {"name": "digits", "train_samples": 64},
        },
        "wav2vec2_nano": {
            "model": {"name": model, **SMALL}, "preprocessor": {"text": "none"},
            "task": {"name": "wav2vec2-pretraining", "crop_seconds": 0.5, "distractors": 5},
            "data": {"name": "speech", "path": str(home / "tones")},
        },
        "whisper_tiny_en": {
            "init": "whisper_tiny_en.tones", "model": {"max_frames": 100}, "task": {"name": "audio-classification"},
            "data": {"name": "labelled-speech", "path": str(home / "tones")},
        },
    }[model]  # fmt: skip


def recipe(model: str, home: Path, **training: Any) -> dict[str, Any]:
    groups = [{"match": OTHERS[model], "name": "adamw", "lr": 3e-4, "weight_decay": 0}, {"match": "*", "name": "muon"}]
    return {
        "name": f"{model}.muon",
        **sections(model, home),
        "optimizer": {"groups": groups},
        "training": {"steps": 2, "batch_size": 4, "evaluate_samples": 8, "extras": "off", **training},
    }


@pytest.mark.parametrize("model", OTHERS)
def test_every_shipped_transformer_trains_with_both(model: str, home: Path, zoo: Zoo, tmp_path: Path) -> None:
    result = train(recipe(model, home), folder=tmp_path / "run", zoo=zoo)
    assert result.steps == 2 and math.isfinite(result.metrics["loss"])
    facts, tensors, _ = state.newest(tmp_path / "run" / "checkpoints")
    assert set(facts.optimizers) == {"main.0", "main.1"}
    momenta = [tensor for name, tensor in tensors.items() if name.startswith("optimizer.main.1.")]
    assert len(momenta) >= 4 and all(tensor.ndim == 2 and tensor.isfinite().all() for tensor in momenta)
    assert "lr" in json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0]).get("train", {"lr": 0})


class Stop(SilentReporter):
    """Asks for a stop after the first step."""

    def logged(self, step: int, steps: int, metrics: Mapping[str, float], rate: float, seconds_left: float) -> None:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_run_goes_on_to_the_same_bits(home: Path, zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("bert_tiny", home, steps=4, accumulation=2, log_every=1)
    train(made, folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=Stop())
    resume(tmp_path / "cut", zoo=zoo)
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")
