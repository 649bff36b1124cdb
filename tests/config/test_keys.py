"""Keys that have another name now are read from recipes, overrides, cards and run folders, and never written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from zoo_gan.tasks.image_generation import ImageGeneration

from zoo_core.api import create_model, load, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.config import aliases
from zoo_core.contract.schema import from_data, to_data
from zoo_core.errors import RecipeError
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight.identity import files_digest
from zoo_core.registry.zoo import open_zoo
from zoo_core.testing import Interrupted

HOST = PluginHost.discover({})
GAN = {
    "name": "dcgan_tiny.keys",
    "model": {"name": "dcgan_tiny", "width": 4, "latent_dim": 4, "classes": 10},
    "preprocessor": {"image_size": 8, "channels": 1},
    "task": {"name": "class-conditional-image-generation"},
    "data": {"name": "zoo-vision/digits", "train_samples": 32},
    "loss": {"name": "gan-hinge"},
    "training": {"steps": 4, "batch_size": 16, "save_every": 1, "extras": "off"},
}
TEXT = """\
name: bert_tiny.keys
model:
  name: bert_tiny
  layers: 1
  heads: {heads}
  feed_forward: 8
task: {{name: fill-mask}}
data: {{name: tweets-unlabelled}}
training: {{steps: 2}}
"""


def renamed() -> list[Any]:
    """Every class of a component with renamed fields, with the values of a small one."""
    classes = {}
    for kind in ("model", "task", "data", "loss", "optimizer"):
        for one in HOST.all(kind):
            for place in ("config", "preprocessor_config", "predict"):
                cls = getattr(one, place, None)
                if isinstance(cls, type) and aliases(cls):
                    classes[f"{one.id}.{place}"] = cls
    return [pytest.param(cls, id=name) for name, cls in classes.items()]


@pytest.mark.parametrize("cls", renamed())
def test_every_renamed_field_is_read_by_its_other_name_and_written_by_its_own(cls: Any) -> None:
    values = to_data(cls())
    for old, new in aliases(cls).items():
        assert old not in values and new in values
        by_old = {old if key == new else key: value for key, value in values.items()}
        assert to_data(from_data(cls, by_old, where="x")) == values
        with pytest.raises(RecipeError, match=f"{old}: given twice, also as {new}"):
            from_data(cls, {**values, old: values[new]}, where="x")


def test_the_keys_of_our_own_models_are_the_fields_words() -> None:
    known = {old: new for param in renamed() for old, new in aliases(param.values[0]).items()}
    assert known.items() >= {
        "top": "top_k", "layers": "num_layers", "heads": "num_heads", "feed_forward": "intermediate_size",
        "channels": "in_channels", "classes": "num_classes", "depth": "num_layers",
    }.items()  # fmt: skip


def test_a_recipe_and_its_overrides_may_use_other_names(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT.format(heads=2))
    model = load_recipe(path, [], HOST).model
    assert model is not None and model.overrides == {"num_layers": 1, "num_heads": 2, "intermediate_size": 8}
    for override in ("model.layers=3", "layers=3", "model.num_layers=3", "num_layers=3"):
        resolved = load_recipe(path, [override], HOST)
        assert resolved.model is not None and resolved.model.config().num_layers == 3
        assert "layers" not in resolved.to_data()["model"]
    path.write_text(TEXT.format(heads=0))
    with pytest.raises(RecipeError, match=r"recipe.yaml:5: model.num_heads: expected at least 1, found 0"):
        load_recipe(path, [], HOST)


def test_models_are_built_by_other_names() -> None:
    pair: Any = create_model("dcgan_tiny", channels=1, classes=3, image_size=8)
    assert pair.classes == 3 and pair.sample_shape == (1, 8, 8)


def test_a_run_that_was_started_with_other_names_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    folder = tmp_path / "run"
    step, calls = ImageGeneration.step, []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 7:
            raise Interrupted(143, "stopped by the test")
        return step(self, *arguments)

    monkeypatch.setattr(ImageGeneration, "step", interrupted)
    with pytest.raises(Interrupted):
        train(GAN, folder=folder, zoo=zoo)
    monkeypatch.setattr(ImageGeneration, "step", step)
    with_earlier_names(folder)
    card = train(GAN, folder=folder, resume=True, zoo=zoo).card
    assert card is not None and card.config["in_channels"] == 1 and card.config["num_classes"] == 10
    assert "channels" not in card.config and card.recipe is not None and "channels" not in card.recipe["preprocessor"]
    assert load(card.full_name, zoo=zoo).task.model.classes == 10


def with_earlier_names(folder: Path) -> None:
    """Write a run's folder as the zoo did when its keys had other names."""
    settings = folder / "preprocessor" / "picture.json"
    values = json.loads(settings.read_text())
    values["channels"] = values.pop("in_channels")
    settings.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    body = json.loads((folder / "identity.json").read_text())
    body["recipe"]["model"]["classes"] = body["recipe"]["model"].pop("num_classes")
    body["recipe"]["preprocessor"]["channels"] = body["recipe"]["preprocessor"].pop("in_channels")
    body["preprocessor"] = files_digest({settings.name: settings.read_bytes()})
    (folder / "identity.json").write_text(json.dumps(body))
