"""What a generator is asked: seeds, walks, images to find; and what stands beside its scores."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from zoo_gan.evaluation import scores
from zoo_gan.sampling import Interpolation, between, parse_request, project, seeded_latents

from zoo_core import DataError, Loaded, TaskContext, UsageError, Zoo, evaluate, load, open_checkpoint, open_zoo, train
from zoo_core.cli import main
from zoo_core.contract import File

DIGITS: dict[str, Any] = {
    "name": "dcgan_tiny.digits",
    "model": {"name": "dcgan_tiny", "width": 8, "latent_dim": 8},
    "preprocessor": {"image_size": 8, "in_channels": 1},
    "task": {"name": "image-generation"},
    "data": {"name": "digits", "train_samples": 96},
    "optimizer": {"name": "adam", "lr": 5.0e-3},
    "training": {"steps": 40, "batch_size": 32, "evaluate_every": 20, "extras": "off"},
}
CLASSES: dict[str, Any] = {
    **DIGITS,
    "name": "dcgan_tiny.classes",
    "model": {**DIGITS["model"], "num_classes": 10},
    "task": {"name": "class-conditional-image-generation"},
}
SCORES = {"fid", "kid", "precision", "recall"}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """With a generator, a conditional one, and the run folders of both."""
    root = tmp_path_factory.mktemp("sampling")
    zoo = open_zoo({"ZOO_HOME": str(root / "home")})
    for recipe in ({**DIGITS, "training": {**DIGITS["training"], "extras": "auto"}}, CLASSES):
        train(recipe, folder=root / recipe["name"], zoo=zoo)
    return zoo


@pytest.fixture(scope="module")
def home(zoo: Zoo) -> Path:
    """Where the run folders are, beside the store."""
    return zoo.registry.store.root.parent


@pytest.fixture(scope="module")
def generator(zoo: Zoo) -> Loaded:
    return load("dcgan_tiny.digits", zoo=zoo)


def pixels(file: File) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(file.data)))


# ------------------------------------------------------------------------------------------ what an input asks for


@pytest.mark.parametrize(
    ("item", "meant"),
    [("7", 17), (7, 17), ("3..7", Interpolation(13, 17)), ("7..3", Interpolation(17, 13)), ("-1", None), ("7.png", None),
     (True, None), ("3..", None), ("3...7", None), ("1.5", None)],
)  # fmt: skip
def test_numbers_walks_and_anything_else(item: Any, meant: Any) -> None:
    assert parse_request(item, 10) == meant


def test_a_walk_goes_along_the_arc_by_hand() -> None:
    first, last = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    path = between(first, last, 3)
    half = 0.5**0.5
    torch.testing.assert_close(path, torch.tensor([[2.0, 0.0], [2 * half, half], [0.0, 1.0]]))
    # Where there is no arc, a straight line: to itself, and to the opposite.
    torch.testing.assert_close(between(first, first, 2), torch.stack((first, first)))
    assert bool(between(first, -first, 5).isfinite().all())


def test_a_projection_finds_the_latent_of_a_generator_that_can_be_inverted() -> None:
    matrix = torch.randn(16, 3, generator=torch.Generator().manual_seed(1)) / 4

    def linear(latents: Tensor, labels: Tensor | None) -> Tensor:
        shift = 0.0 if labels is None else labels.float().view(-1, 1, 1, 1)
        return (latents @ matrix.T).view(-1, 1, 4, 4) + shift

    wanted = torch.tensor([[0.9, -1.2, 0.6]])
    asks: dict[str, Any] = {"starts": 2, "iterations": 200, "seed": 0}
    found = project(linear, linear(wanted, None)[0], 3, (), **asks)
    torch.testing.assert_close(found.latent, wanted[0], atol=0.05, rtol=0.0)
    assert found.after < 1e-3 < found.before and found.label is None
    again = project(linear, linear(wanted, None)[0], 3, (), **asks)
    assert torch.equal(found.latent, again.latent)
    untouched = project(linear, linear(wanted, None)[0], 3, (), **{**asks, "iterations": 0})
    assert untouched.after == pytest.approx(untouched.before) == pytest.approx(found.before)
    shifted = linear(wanted, torch.tensor([4]))[0]
    assert project(linear, shifted, 3, (0, 4, 8), **asks).label == 4


# ------------------------------------------------------------------------------------------ answers


def test_inputs_of_all_kinds_are_answered_in_their_order(generator: Loaded) -> None:
    third, walk, given, zeroth = generator.predict(["3", "3..5", generator.preprocessor and _image(generator), "0"])
    assert set(third) == set(zeroth) == {"image"} and third != zeroth
    assert set(walk) == {"image", "animation"}
    assert set(given) == {"image", "difference", "random_difference", "latent"}
    assert generator.predict(["3"])[0] == third == generator.predict(["1"], seed=2)[0]


def _image(generator: Loaded) -> np.ndarray[Any, Any]:
    """What the generator makes of some latent."""
    return pixels(generator.predict(["11"])[0]["image"])[:, :, None]


def test_a_walk_starts_and_ends_at_the_samples_of_its_seeds(generator: Loaded) -> None:
    (walk,) = generator.predict(["3..5"], frames=4)
    first, last = (pixels(answer["image"]) for answer in generator.predict(["3", "5"]))
    strip = pixels(walk["image"])
    side = 8 * 8 + 2
    assert strip.shape == (side + 2, 4 * side + 2, 3)
    # Eight screen pixels a pixel, two between frames: the middle of each.
    for place, image in ((0, first), (3, last)):
        shown = strip[6 : 6 + 64 : 8, 2 + place * side + 4 : 2 + place * side + 64 : 8, 0]
        assert np.array_equal(shown, image)
    moving = Image.open(io.BytesIO(walk["animation"].data))
    assert moving.format == "WEBP" and moving.n_frames == 6  # type: ignore[attr-defined]  # there and back


def test_projecting_a_generated_image_comes_nearer_than_random_latents(generator: Loaded) -> None:
    (found,) = generator.predict([_image(generator)], iterations=60)
    assert found["difference"] < 0.5 * found["random_difference"]
    assert len(found["latent"]) == 8
    assert not generator.model.training and all(p.requires_grad for p in generator.model.parameters())
    assert all(p.grad is None for p in generator.model.parameters())


def test_a_conditional_generator_names_the_class_of_a_image_and_of_a_walk(zoo: Zoo) -> None:
    loaded = load("dcgan_tiny.classes", zoo=zoo)
    target = pixels(loaded.predict(["5"], label="7")[0]["image"])[:, :, None]
    (found,) = loaded.predict([target], starts=1, iterations=20)
    assert found["label"] in loaded.labels
    assert loaded.predict([target], starts=1, iterations=2, label="4")[0]["label"] == "4"
    assert [answer["label"] for answer in loaded.predict(["5", "1..9"])] == ["5", "1"]


def test_what_is_no_image_and_settings_that_can_not_be_are_refused(generator: Loaded) -> None:
    with pytest.raises(DataError, match="'nowhere' is no number, no walk and no file") as caught:
        generator.predict(["nowhere"])
    assert "3..7" in caught.value.hint
    for setting in ({"frames": 1}, {"iterations": -1}, {"starts": 0}, {"starts": 257}):
        with pytest.raises(UsageError, match=next(iter(setting))):
            generator.predict(["0"], **setting)


def test_the_command_line_makes_samples_and_a_grid(
    zoo: Zoo, home: Path, generator: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("ZOO_HOME", str(home / "home"))
    out = tmp_path / "made"
    assert main(["predict", "dcgan_tiny.digits", "--num", "5", "--seed", "2", "--output", str(out), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["input"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert Path(rows[1]["image"]).read_bytes() == generator.predict(["3"])[0]["image"].data
    assert len(list(out.glob("*-image.png"))) == 5
    # Five images of 8 pixels, eightfold, with gaps of 2, in one row of white.
    with Image.open(out / "grid.png") as grid:
        assert grid.size == (5 * 66 + 2, 66 + 2)
    assert main(["predict", "dcgan_tiny.digits", "--num", "2", "--output", str(tmp_path / "more")]) == 0
    assert f"all together: {tmp_path / 'more' / 'grid.png'}" in capsys.readouterr().err
    assert main(["show", "dcgan_tiny.digits"]) == 0
    assert "zoo predict dcgan_tiny.digits --num 16" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ beside the scores


def test_a_run_leaves_grids_their_animation_and_curves(home: Path) -> None:
    kept = {path.name for path in (home / "dcgan_tiny.digits" / "artifacts").iterdir()}
    assert {"000000020-validation-samples.png", "000000040-validation-samples.png", "000000040-training.webp"} <= kept
    with Image.open(home / "dcgan_tiny.digits" / "artifacts" / "000000040-training.webp") as moving:
        assert moving.n_frames == 2  # type: ignore[attr-defined]
    rows = (home / "dcgan_tiny.digits" / "metrics.jsonl").read_text()
    for name in ("discriminate/loss", "generate/loss", "discriminate/grad_norm", "generate/grad_norm", '"fid"'):
        assert name in rows


def test_the_network_that_scores_were_measured_with_is_named_beside_them(
    zoo: Zoo, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    task = {**DIGITS["task"], "features": "resnet_nano.fashion"}
    recipe = {
        **DIGITS,
        "name": "dcgan_tiny.judged",
        "task": task,
        "training": {"steps": 1, "batch_size": 32, "extras": "off"},
    }
    result = train(recipe, folder=tmp_path / "run", zoo=zoo)
    reference = open_checkpoint("resnet_nano.fashion", zoo.registry).reference
    assert reference.startswith("resnet_nano.fashion@sha256:")
    assert result.card is not None
    assert {metric.name: metric.measured_with for metric in result.card.metrics} == dict.fromkeys(SCORES, reference)
    metrics, *_ = evaluate("dcgan_tiny.judged", "digits", zoo=zoo)
    assert {metric.measured_with for metric in metrics} == {reference}
    monkeypatch.setenv("ZOO_HOME", str(home / "home"))
    assert main(["show", "dcgan_tiny.judged"]) == 0
    assert f"fid, kid, precision, recall: measured with {reference}" in capsys.readouterr().out
    plain = open_checkpoint("dcgan_tiny.digits", zoo.registry).card
    assert {metric.measured_with for metric in plain.metrics} == {"pixels 8×8"}
    capsys.readouterr()
    assert main(["show", "dcgan_tiny.digits"]) == 0
    assert "fid, kid, precision, recall: measured with pixels 8×8" in capsys.readouterr().out


class _Counts(scores.FeatureExtractor):
    """Says a class for every image in turn, whatever it shows."""

    labels = tuple("0123456789")

    def classify(self, images: Tensor) -> list[str]:
        """The same class for all."""
        return ["3"] * len(images)


def test_generated_classes_are_judged_where_the_judge_knows_them(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scores, "judge_of", lambda name, context: _Counts())
    metrics, *_ = evaluate("dcgan_tiny.classes", "digits", zoo=zoo)
    found = {metric.name: metric for metric in metrics}
    assert set(found) == SCORES | {"class_accuracy"}
    share = found["class_accuracy"]
    assert share.interval is not None and share.interval[0] <= share.value <= share.interval[1]
    assert {name: metric.better for name, metric in found.items()} == {
        "fid": "min", "kid": "min", "precision": "max", "recall": "max", "class_accuracy": "max"
    }  # fmt: skip
    threes = found["class_accuracy"].baselines["untrained generator"]
    # The generator is asked for the classes of the real images, and the judge sees threes everywhere.
    assert share.value == pytest.approx(threes) and 0.05 < share.value < 0.15
    monkeypatch.setattr(scores, "judge_of", lambda name, context: scores.FeatureExtractor())
    assert {metric.name for metric in evaluate("dcgan_tiny.classes", "digits", zoo=zoo)[0]} == SCORES


def test_a_judge_of_pixels_knows_no_classes() -> None:
    with pytest.raises(UsageError, match="tell no classes apart"):
        scores.FeatureExtractor().classify(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    opened = load("bert_tiny.sentiment", task="feature-extraction")
    context = TaskContext(model=opened.model, preprocessor=None, open=lambda name, task: opened)
    with pytest.raises(UsageError, match="has no features"):
        scores.NetworkFeatures("bert_tiny.sentiment", context)


def test_latents_are_functions_of_their_seeds() -> None:
    assert torch.equal(seeded_latents([4, 9], 6)[1], seeded_latents([9], 6)[0])
    assert not torch.equal(seeded_latents([4], 6), seeded_latents([5], 6))
