"""A run that is killed without warning goes on to the same bits, whatever is drawn at random in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from speech_toys import registered_whisper
from zoo_speech.audio.audio import wav_bytes

from zoo_core import load_recipe, open_zoo, train
from zoo_core.testing import final_digest, killed_run, state

MODEL = """\
model:
  name: wav2vec2_tiny
  conv_widths: [8, 8, 8, 8, 8, 8, 8]
  hidden_size: 16
  num_layers: 2
  num_heads: 2
  intermediate_size: 32
  position_kernel: 8
  position_groups: 4
  codes: 8
  code_size: 8
  dropout: 0.1
  attention_dropout: 0.1
  layer_drop: 0.2
optimizer: {name: adamw, lr: 1.0e-3}
"""
WHISPER = "whisper_tiny_en.random"
TRAINING = "batch_size: 4, steps: 20, save_every: 2, evaluate_every: 10, device: cpu, extras: 'off'"
RECIPES = {
    "ctc": f"""\
name: wav2vec2_tiny.killed
{MODEL}
task:
  name: ctc-speech-recognition
  mask_probability: 0.1
  mask_length: 3
  augment: {{speeds: [0.9, 1.0, 1.1], noise: 0.5, gain: 6.0}}
data: {{name: transcribed-speech, path: SPOKEN, validation_fraction: 0.2, test_fraction: 0.0}}
training: {{{TRAINING}, batch_cost: 60000, accumulation: 2, ema_decay: 0.9, workers: 1}}
""",
    "wav2vec2": f"""\
name: wav2vec2_tiny.unheard
{MODEL}
preprocessor: {{text: none}}
task: {{name: wav2vec2-pretraining, mask_length: 3, distractors: 5, crop_seconds: 0.6, temperature: [2.0, 0.5, 0.9]}}
data: {{name: speech, path: SPOKEN, validation: 0.2}}
training: {{{TRAINING}}}
""",
}
RECIPES["whisper"] = f"""\
name: whisper_tiny_en.killed
init: {WHISPER}
task:
  name: automatic-speech-recognition
  augment: {{speeds: [0.9, 1.0, 1.1], noise: 0.5, gain: 6.0}}
  spec_augment: {{frequency_masks: 2, time_masks: 2}}
model: {{dropout: 0.1}}
data: {{name: transcribed-speech, path: SPOKEN, validation_fraction: 0.2, test_fraction: 0.0}}
optimizer: {{name: adamw, lr: 1.0e-3}}
training: {{{TRAINING}, accumulation: 2}}
"""
WORDS = ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second to one and a half of noise each, and a few words."""
    folder = tmp_path_factory.mktemp("spoken")
    draws = np.random.default_rng(0)
    for number in range(20):
        noise = 0.1 * draws.standard_normal(int(draws.integers(8_000, 24_000)))
        (folder / f"{number}.wav").write_bytes(wav_bytes(noise, 16_000))
        (folder / f"{number}.txt").write_text(" ".join(draws.choice(WORDS, 1 + number % 2)))
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(name: str, spoken: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPES[name].replace("SPOKEN", str(spoken)))
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    registered_whisper(WHISPER, tmp_path, zoo)
    # Whoever decodes the recordings can't change the result either.
    train(load_recipe(recipe, ["training.workers=0"], zoo.host), folder=tmp_path / "whole", zoo=zoo)
    folder = tmp_path / "killed"
    assert 6 < killed_run(recipe, folder, home=tmp_path / "home", after=7, threads=torch.get_num_threads()) < 20, (
        "in the middle of an epoch"
    )
    train(load_recipe(recipe, [], zoo.host), folder=folder, resume=True, zoo=zoo)
    assert final_digest(folder) == final_digest(tmp_path / "whole")
    tensors = state.newest(folder / "checkpoints")[1]
    kinds = {name.partition(".")[0] for name in tensors}
    assert kinds == ({"model", "ema", "optimizer"} if name == "ctc" else {"model", "optimizer"})
