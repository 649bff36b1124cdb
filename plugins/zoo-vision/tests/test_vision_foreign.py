"""Folders whose small print changes the answer: read as timm and Transformers read them, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.models import PretrainedCfg
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ImageClassificationPipeline,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)
from transformers.utils import logging
from zoo_vision.interop.fields import PIXELS, PRETRAINED, VIT

from zoo_core import Loaded, UsageError, Zoo, ZooError, export, import_folder, load, open_zoo
from zoo_core.contract import FieldRules, as_task


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "noise.png"
    # Of the size that the model reads: two libraries resize a pixel apart.
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return path


def written(folder: Path, config: dict[str, Any], **pixels: Any) -> Path:
    """A tiny random model of theirs as they save it; `pixels` are fields of its preprocessor."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = ViTForImageClassification(ViTConfig(**sizes, image_size=16, patch_size=8, **config))
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **pixels}))
    return folder


def imported(folder: Path, zoo: Zoo, family: str = "vit") -> Loaded:
    name = f"{family}_tiny.theirs"
    import_folder(folder, model=family, name=name, zoo=zoo)
    return load(name, zoo=zoo)


def theirs(folder: Path, image: Path) -> dict[str, float]:
    """The numbers that their pipeline gives, by label."""
    pipeline = ImageClassificationPipeline(
        model=AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32),
        image_processor=AutoImageProcessor.from_pretrained(folder),
    )
    return {row["label"]: row["score"] for row in pipeline(str(image), top_k=9)}


@pytest.mark.parametrize(
    ("config", "task", "field"),
    [
        ({"id2label": {0: "cat", 1: "dog", 2: "cow"}}, "image-classification", "scores"),
        ({"num_labels": 2}, "image-classification", "scores"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "image-multi-label", "scores"),
        ({"num_labels": 1}, "image-multi-label", "scores"),
        ({"num_labels": 1, "problem_type": "regression"}, "image-regression", "values"),
        ({"num_labels": 2, "problem_type": "regression"}, "image-regression", "values"),
    ],
)
def test_a_classifier_answers_as_its_kind_of_problem_asks(
    config: dict[str, Any], task: str, field: str, image: Path, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", {**config, "layer_norm_eps": 1e-6})
    ours = imported(folder, zoo)
    assert ours.card.task == f"zoo-vision/{task}"
    answer = ours.predict([image])[0]
    expected = theirs(folder, image)
    assert answer[field] == pytest.approx(expected, abs=1e-5)
    if len(expected) == 1 and field == "values":
        assert answer["value"] == pytest.approx(expected["LABEL_0"], abs=1e-5)
    out = export("vit_tiny.theirs", tmp_path / "out", zoo=zoo)
    assert theirs(out, image) == pytest.approx(expected, abs=1e-5)
    again = imported(out, zoo, "timm")
    assert again.card.task == ours.card.task and again.predict([image])[0][field] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "pixels",
    [
        {"rescale_factor": 1 / 127.5},
        {"rescale_factor": 1 / 255, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
        {"rescale_factor": 0.5, "image_mean": [60, 61, 62], "image_std": [30, 31, 32]},
    ],
)
def test_pixels_are_scaled_by_the_factor_of_the_folder(
    pixels: dict[str, Any], image: Path, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", {"num_labels": 3}, **pixels)
    ours = imported(folder, zoo)
    assert ours.predict([image])[0]["scores"] == pytest.approx(theirs(folder, image), abs=1e-5)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("preprocessor_config.json", {"do_rescale": False}, r"do_rescale: expected true, found false"),
        ("preprocessor_config.json", {"do_normalize": False}, r"do_normalize: expected true, found false"),
        ("preprocessor_config.json", {"do_resize": False}, r"do_resize: expected true, found false"),
        ("preprocessor_config.json", {"rescale_factor": 0}, r"rescale_factor: expected 0.0039.*, found 0"),
        ("preprocessor_config.json", {"rescale_factor": "x"}, r'rescale_factor: expected 0.0039.*, found "x"'),
        ("preprocessor_config.json", {"image_mean": 0.5}, r"image_mean: expected a number for each channel, found 0.5"),
        ("preprocessor_config.json", {"do_pad": True}, r"do_pad: expected null, found true"),
        ("config.json", {"problem_type": "ranking"}, r'problem_type: expected one of .*, found "ranking"'),
        ("config.json", {"quantization_config": {"bits": 8}}, r"quantization_config: expected null"),
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}, r"config.json: auto_map: expected a class"),
    ],
)
def test_fields_that_change_the_answer_are_refused_by_name(
    file: str, changes: dict[str, Any], message: str, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", {"num_labels": 3})
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    with pytest.raises(ZooError, match=message):
        imported(folder, zoo)


def test_fields_that_nobody_knows_are_named_on_the_card(zoo: Zoo, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", {"num_labels": 3}, sharpen=True)
    assert imported(folder, zoo).card.notes == "preprocessor_config.json: unknown fields are left out: sharpen"


def test_what_isnt_trained_here_says_so_and_what_to_do(zoo: Zoo, tmp_path: Path) -> None:
    ours = imported(written(tmp_path / "theirs", {"num_labels": 1, "problem_type": "regression"}), zoo)
    with pytest.raises(UsageError, match=r"image-regression has nothing to train[^\n]*\n.*--task image-classification"):
        as_task(ours.task_spec.name, ours.task)


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (VIT, ViTConfig().to_dict()),
        (PIXELS, ViTImageProcessor().to_dict()),
        (PRETRAINED, [field.name for field in fields(PretrainedCfg)]),
    ],
)
def test_every_field_that_the_libraries_write_is_known(rules: FieldRules, names: Any) -> None:
    """A new version of a library that adds a field fails here, and somebody decides what the field means."""
    known = {*rules.read, *rules.fixed, *rules.harmless, *rules.advice}
    assert {name for name in names if name not in known and not name.startswith("_")} == set()
