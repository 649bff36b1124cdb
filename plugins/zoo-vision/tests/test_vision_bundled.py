"""What comes with the plugin works right after installation, with an empty home and no network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from zoo_vision.preprocessor import ImagePreprocessor

from zoo_core import UsageError, Zoo, create_model, export, load, open_zoo, train

NAME = "resnet_nano.fashion"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def trouser() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Two legs below a waist, drawn by hand."""
    image = np.zeros((28, 28), dtype=np.uint8)
    image[2:8, 9:19] = 200
    image[8:26, 9:13] = 200
    image[8:26, 15:19] = 200
    return image


def test_the_bundled_classifier_knows_trousers_and_says_where_it_looked(zoo: Zoo) -> None:
    loaded = load(NAME, zoo=zoo)
    answer = loaded.predict(trouser(), top_k=2, explain="gradients")
    assert answer["label"] == "Trouser" and answer["score"] > 0.5 and len(answer["scores"]) == 2
    assert Image.open(io.BytesIO(answer["explanation"].data)).format == "PNG"
    # A colour image of another size, as a user has it.
    colour = Image.fromarray(trouser()).resize((200, 260)).convert("RGB")
    assert loaded.predict(colour)["label"] == "Trouser"


def test_its_card_states_data_split_seed_and_baselines(zoo: Zoo) -> None:
    card = zoo.registry.find(NAME).card
    accuracy = next(metric for metric in card.metrics if metric.name == "accuracy")
    assert (accuracy.split, accuracy.samples, accuracy.seed) == ("test", 10_000, 0)
    assert accuracy.value > 0.91 > accuracy.baselines["linear on pixels"] > accuracy.baselines["majority"]
    assert zoo.registry.verify(zoo.registry.find(NAME)) == []
    assert sum(file.size for file in card.files) <= 3 << 20


def test_another_head_other_channels_and_feature_maps_from_its_weights(zoo: Zoo) -> None:
    model = create_model(NAME, pretrained=True, num_classes=5, in_chans=3, zoo=zoo)
    assert set(model.zoo_adaptation.initialised) == {"fc.weight", "fc.bias"}  # type: ignore[union-attr]
    assert model.zoo_adaptation.resized == ("conv1.weight",)  # type: ignore[union-attr]
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 28, 28)).shape == (1, 5)
        maps = create_model(NAME, pretrained=True, features_only=True, zoo=zoo)(torch.zeros(1, 1, 28, 28))
    assert [tuple(part.shape[1:]) for part in maps][-1] == (160, 4, 4)


def photos(root: Path) -> Path:
    draw = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(0, 256, (120, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


def test_colour_photos_on_a_small_grey_checkpoint_are_told_of(zoo: Zoo, tmp_path: Path) -> None:
    recipe = {
        "init": NAME,
        "task": {"name": "image-classification"},
        "data": {"name": "labelled-image", "path": str(photos(tmp_path / "photos")), "test_fraction": 0},
        "training": {"steps": 1, "batch_size": 4},
    }
    train({**recipe, "name": "resnet_nano.grey"}, folder=tmp_path / "grey", zoo=zoo)
    notes = zoo.registry.find("resnet_nano.grey").card.notes.splitlines()
    assert [note for note in notes if "image" in note] == [
        "colours are read as grey: 24 of 24 images looked at have some",
        "25% of an image's area is cut off at its edges, on average",
        "images of 160 x 120 pixels are reduced to 28 x 28",
    ]
    larger = {"in_chans": 3, "img_size": 32, "crop_mode": "squash"}
    train({**recipe, "name": "resnet_nano.colour", "preprocessor": larger}, folder=tmp_path / "colour", zoo=zoo)
    assert "image" not in zoo.registry.find("resnet_nano.colour").card.notes
    reader = load("resnet_nano.colour", zoo=zoo).task.preprocessor
    assert isinstance(reader, ImagePreprocessor) and len(reader.mean) == 3 and 0.4 < min(reader.mean) < 0.6


def test_labels_it_knows_by_name_keep_their_rows(zoo: Zoo) -> None:
    whole = create_model(NAME, pretrained=True, zoo=zoo)
    part = create_model(NAME, pretrained=True, labels=("Bag", "Trouser", "hat"), zoo=zoo)
    assert torch.equal(part.fc.weight[:2], whole.fc.weight[[8, 1]])  # type: ignore[index, union-attr]


def test_its_small_stem_is_refused_on_export_with_the_way_out(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no other library has a network like that") as caught:
        export(NAME, tmp_path / "out", zoo=zoo)
    assert "stem=standard" in caught.value.hint and not (tmp_path / "out").exists()


def test_a_checkpoint_that_a_package_ships_is_not_fetched_unasked_but_named_with_the_command(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match=r"tf_efficientnet_lite0\.in1k is not on this machine") as caught:
        load("tf_efficientnet_lite0.in1k", zoo=zoo)
    assert caught.value.hint == "zoo import tf_efficientnet_lite0.in1k"


def test_it_is_exported_as_a_program_of_bytes_of_pixels(zoo: Zoo, tmp_path: Path) -> None:
    folder = export(NAME, tmp_path / "out", format="torch-program", zoo=zoo)
    assert {path.name for path in folder.iterdir()} == {"program.pt2", "program.json", "image.json"}
    record = json.loads((folder / "program.json").read_text())
    assert record["largest_difference"] <= 1e-6 * record["largest_output"]
    assert record["inputs"] == {"images": {"dtype": "uint8", "shape": [None, 1, 28, 28]}}
    assert record["labels"][9] == "Ankle boot"
    # What a task keeps of its preprocessor isn't left as a trace.
    assert load(NAME, zoo=zoo).predict(torch.zeros(28, 28, 1, dtype=torch.uint8).numpy())["score"] > 0
