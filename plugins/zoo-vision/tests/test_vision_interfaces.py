"""A backbone of somebody else's plugin, as its author writes it, trains, answers and explains with zoo-vision's tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from zoo_core import PluginError, UnknownName, Zoo, create_model, load, load_recipe, open_zoo, train
from zoo_core.testing import on_path, write_plugin

PLUGIN = '''
from dataclasses import dataclass
from zoo_core import ModelSpec, hookimpl

zoo_api = (2, 0)

@dataclass(frozen=True, kw_only=True)
class BirdNetConfig:
    """A small convolutional network."""
    width: int = 16
    in_chans: int = 3

@hookimpl
def zoo_models():
    return [ModelSpec(name="birdnet", summary="birds", target="zoo_birds.model:BirdNet", config=BirdNetConfig,
                      sizes={"tiny": {"width": 16}, "small": {"width": 48}},
                      offers="OFFER", head=("classifier.",), layers=r"blocks\\.(\\d+)\\.")]
'''
MODEL = """
from torch import nn

class BirdNet(nn.Module):
    def __init__(self, config, head):
        super().__init__()
        self.num_features = config.width
        self.blocks = nn.ModuleList([nn.Conv2d(config.in_chans, config.width, 3, 2), nn.Conv2d(config.width, config.width, 3, 2)])
        self.classifier = nn.Linear(config.width, head.labels) if head.labels else nn.Identity()

    def forward(self, images):
        for block in self.blocks:
            images = block(images).relu()
        return self.classifier(images.mean((2, 3)))
"""


def zoo_with(site: Path, home: Path, plugin: str = PLUGIN, model: str = MODEL) -> Zoo:
    write_plugin(site, "zoo-birds", plugin.replace("OFFER", "image-encoder"), modules={"model.py": model})
    return open_zoo({"ZOO_HOME": str(home)})


def recipe(**changes: Any) -> dict[str, Any]:
    return {
        "name": "birdnet_tiny.digits", "model": {"name": "birdnet_tiny"}, "task": {"name": "image-classification"},
        "data": {"name": "digits", "train_samples": 256}, "preprocessor": {"img_size": 16, "in_chans": 1},
        "optimizer": {"lr": 0.02},
        "training": {"steps": 60, "batch_size": 32, "device": "cpu", "baselines": "off", "freeze": []}, **changes,
    }  # fmt: skip


def test_a_backbone_of_another_plugin_is_trained_and_answers(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with on_path(site):
        zoo = zoo_with(site, tmp_path / "home")
        result = train(recipe(), folder=tmp_path / "run", zoo=zoo)
        assert result.metrics["accuracy"] > 0.3, "ten classes"
        loaded = load("birdnet_tiny.digits", zoo=zoo)
        image = torch.zeros(16, 16, dtype=torch.uint8).numpy()
        (answer,) = loaded.predict([image], explain="gradients")
        assert set(answer["scores"]) == set(map(str, range(10))) and answer["explanation"].data.startswith(b"\x89PNG")
        embedded = load("birdnet_tiny.digits", task="image-feature-extraction", zoo=zoo).predict([image])
        assert len(embedded[0]["embedding"]) == 16
        assert create_model("birdnet_small", num_labels=3, task="image-classification", zoo=zoo).num_features == 48
        frozen = recipe()
        frozen["training"]["freeze"], frozen["training"]["steps"] = ["backbone"], 2
        train(frozen, folder=tmp_path / "frozen", zoo=zoo)


def test_a_model_that_does_not_keep_what_it_offers_is_named_before_the_first_step(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with on_path(site):
        zoo = zoo_with(site, tmp_path / "home", model=MODEL.replace("self.num_features = config.width", "pass"))
        with pytest.raises(
            PluginError, match=r"needs image-encoder: zoo-birds/birdnet: expected forward.*without num_features"
        ):
            train(recipe(), folder=tmp_path / "run", zoo=zoo)


def test_an_interface_that_nobody_declares_is_named_and_costs_the_others_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with on_path(site):
        zoo = zoo_with(site, tmp_path / "home", plugin=PLUGIN.replace("OFFER", "bird-encoder"))
        assert any("zoo-birds/birdnet: what it offers isn't here" in warning for warning in zoo.host.warnings)
        with pytest.raises(UnknownName, match=r"bird-encoder|image-classification") as caught:
            zoo.host.find("interface", "bird-encoder")
        assert "image-encoder" in str(caught.value)
        assert load_recipe("resnet_nano_fashion", [], zoo.host).task.id == "zoo-vision/image-classification"
