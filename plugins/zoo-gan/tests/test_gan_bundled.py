"""The generator that comes with the plugin samples right after installation, offline, and makes what it is asked for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo_core import Loaded, export, load, open_checkpoint, open_zoo
from zoo_core.testing import Entry

NAME = "r3gan_nano.fashion_classes"


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    zoo = open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})
    found = zoo.registry.find(NAME)
    assert not zoo.registry.verify(found)
    return found


@pytest.fixture(scope="module")
def generator(entry: Entry, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(NAME, zoo=open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))}))


def test_it_is_small_and_says_what_its_scores_were_measured_with(entry: Entry) -> None:
    assert sum(file.size for file in entry.card.files) < 3 << 20
    reference = open_checkpoint("resnet_nano.fashion", open_zoo().registry).reference
    assert {metric.measured_with for metric in entry.card.metrics} == {reference}
    by_name = {metric.name: metric for metric in entry.card.metrics}
    fid = by_name["fid"]
    assert fid.baselines["real images"] < fid.value < fid.baselines["untrained generator"] / 5


def test_samples_are_functions_of_their_seeds(generator: Loaded) -> None:
    first, again, other = generator.predict([3, "3", 4], label="Bag")
    assert first == again != other
    with Image.open(io.BytesIO(first["image"].data)) as image:
        assert image.size == (28, 28) and np.asarray(image).std() > 10


def test_the_zoos_classifier_sees_the_classes_that_were_asked_for(generator: Loaded, tmp_path: Path) -> None:
    answers = generator.predict([str(number) for number in range(60)])
    images = []
    for answer in answers:
        with Image.open(io.BytesIO(answer["image"].data)) as image:
            images.append(np.asarray(image)[:, :, None])
    seen = load("resnet_nano.fashion", zoo=open_zoo({"ZOO_HOME": str(tmp_path)})).predict(images)
    right = np.mean([found["label"] == answer["label"] for found, answer in zip(seen, answers, strict=True)])
    # 0.91 over the whole test split; 60 draws of it are hardly ever below 0.75.
    assert right >= 0.75


def test_its_generator_alone_is_exported_as_a_program(entry: Entry, tmp_path: Path) -> None:
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    folder = export(NAME, tmp_path / "out", format="torch-program", zoo=zoo)
    record = json.loads((folder / "program.json").read_text())
    assert record["largest_difference"] <= 1e-6 * record["largest_output"]
    assert set(record["inputs"]) == {"latents", "labels"}
    # The critic has as many parameters again.
    assert (folder / "program.pt2").stat().st_size < 0.8 * sum(file.size for file in entry.card.files)
