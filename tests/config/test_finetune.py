"""What a fine-tuning run takes over from the checkpoint it starts from, and says of what it doesn't."""

from __future__ import annotations

from pathlib import Path

from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import load, train
from zoo_core.config.finetune import changed_settings, finetune_recipe
from zoo_core.config.recipe import load_recipe


def test_settings_of_the_task_and_its_loss_are_the_checkpoints_and_changed_ones_are_told(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path / "home")
    smoothed = {**recipe("single", steps=2), "loss": {"name": "cross-entropy", "label_smoothing": 0.2}}
    card = train(smoothed, folder=tmp_path / "first", zoo=zoo).card
    assert card is not None
    task = "point-classification"
    tuned = finetune_recipe(card.name, task, "points", {}, ["steps=1", "batch_size=16"], zoo.host, zoo.registry)
    assert tuned.loss is not None and tuned.loss.config.label_smoothing == 0.2
    assert changed_settings(card, tuned, zoo.host) == []
    assert load(card.name, zoo=zoo).task.config == tuned.task.config

    overrides = ["steps=1", "batch_size=16", "loss.label_smoothing=0.1"]
    changed = finetune_recipe(
        card.name, task, "points", {}, overrides, zoo.host, zoo.registry, register_as="toy_tiny.b"
    )
    assert changed.loss is not None and changed.loss.config.label_smoothing == 0.1
    tuned_card = train(changed.to_data(), folder=tmp_path / "second", zoo=zoo).card
    said = f"loss.label_smoothing: 0.2 in {card.full_name}, 0.1 here"
    assert said in (tmp_path / "second" / "log.txt").read_text()
    assert tuned_card is not None and said in tuned_card.notes


def test_another_task_inherits_nothing(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path / "home")
    card = train(recipe("adversarial", steps=2), folder=tmp_path / "run", zoo=zoo).card
    assert card is not None
    assert changed_settings(card, load_recipe(recipe("single"), (), zoo.host), zoo.host) == []
