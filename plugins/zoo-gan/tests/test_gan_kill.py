"""A run that is killed without warning goes on to the same bits: both networks, their averages and both optimizers."""

from __future__ import annotations

from pathlib import Path

from zoo_core import load_recipe, open_zoo, train
from zoo_core.testing import final_digest, killed_run, state

RECIPE = """\
name: dcgan_tiny.killed
model: {name: dcgan_tiny, width: 8, latent_dim: 8, num_classes: 10}
preprocessor: {image_size: 8, in_channels: 1}
task:
  name: class-conditional-image-generation
  critics: 2
  r1: 0.1
  r1_every: 3
  path_length: 0.1
  path_length_every: 4
  augment: translation,cutout
  noise: 0.1
data: {name: digits, train_samples: 96}
loss: {name: gan-hinge}
optimizer: {name: adam, lr: 1.0e-3}
optimizers:
  generator: {name: adamw, lr: 2.0e-3}
training: {steps: 90, batch_size: 16, accumulation: 2, ema_decay: 0.9, save_every: 2, evaluate_every: 45, extras: "off"}
"""


def test_a_killed_run_ends_with_the_bits_of_an_undisturbed_one(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    train(load_recipe(recipe, [], zoo.host), folder=tmp_path / "whole", zoo=zoo)
    folder = tmp_path / "killed"
    first = killed_run(recipe, folder, home=tmp_path / "home", after=1)
    second = killed_run(recipe, folder, home=tmp_path / "home", after=first + 1)
    assert 0 < first < second < 90
    train(load_recipe(recipe, [], zoo.host), folder=folder, resume=True, zoo=zoo)
    assert final_digest(folder) == final_digest(tmp_path / "whole")
    tensors = state.newest(folder / "checkpoints")[1]
    kinds = {name.partition(".")[0] for name in tensors}
    assert kinds == {"model", "ema", "optimizer"}
    assert {name.split(".")[1] for name in tensors if name.startswith("optimizer.")} == {"discriminator", "generator"}
    assert {"model.path_lengths"} <= set(tensors)
