"""What image tasks compute: losses by hand, keyed samples, answers, images; whole runs on scikit-learn's digits."""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2
from zoo_vision import mixing
from zoo_vision.configs import models as configs
from zoo_vision.datasets.samples import Image, LabelledImage
from zoo_vision.losses import nt_xent
from zoo_vision.preprocessor import ImagePreprocessor
from zoo_vision.tasks.image_classification import ImageClassification
from zoo_vision.tasks.image_contrastive import ImageContrastive
from zoo_vision.tasks.masked_image_modeling import MaskedImageModeling

from zoo_core import DataError, RecipeError, UsageError, Zoo, create_model, evaluate, load, load_recipe, open_zoo, train
from zoo_core.contract import At, File, SampleKey, TaskContext, output_of
from zoo_core.tasks import ClassResult
from zoo_core.testing import Cursor, Hardware, Interrupted, final_digest, prepare, training_batches, weights

LABELS = ("disc", "square")
VIT = {
    "img_size": 16,
    "patch_size": 4,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "decoder_dim": 32,
    "decoder_depth": 1,
}
READER = configs.ImagePreprocessorConfig(img_size=16, in_chans=3, mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def samples(count: int = 12) -> list[LabelledImage]:
    """Discs and squares of random colours."""
    found = []
    for number in range(count):
        random = np.random.Generator(np.random.Philox(number))
        rows, columns = np.mgrid[:20, :20] - 9.5
        inside = rows**2 + columns**2 < 40 if number % 2 == 0 else np.maximum(abs(rows), abs(columns)) < 6
        image = np.full((20, 20, 3), random.integers(0, 80, 3), dtype=np.uint8)
        image[inside] = random.integers(150, 256, 3)
        found.append(LabelledImage(image, LABELS[number % 2]))
    return found


def task(
    zoo: Zoo, cls: Any, name: str, config: Any, *, labels: tuple[str, ...] = (), loss: Any = None, **model: Any
) -> Any:
    torch.manual_seed(0)
    built = create_model("vit_tiny", zoo=zoo, task=name, labels=labels, **{**VIT, **model})
    context = TaskContext(model=built, preprocessor=ImagePreprocessor(READER), labels=labels, loss=loss)
    return cls(config, context)


def classifier(zoo: Zoo, **config: Any) -> ImageClassification:
    loss = zoo.host.find("loss", "cross-entropy")
    built = loss.resolve(loss.spec.target)(loss.config())
    settings = configs.ClassificationConfig(**config)
    found: ImageClassification = task(
        zoo, ImageClassification, "image-classification", settings, labels=LABELS, loss=built
    )
    return found


def autoencoder(zoo: Zoo, **config: Any) -> MaskedImageModeling:
    loss = zoo.host.find("loss", "mean-squared-error")
    built = loss.resolve(loss.spec.target)(loss.config())
    settings = configs.MaskedConfig(**config)
    found: MaskedImageModeling = task(zoo, MaskedImageModeling, "masked-image-modeling", settings, loss=built)
    return found


def batch_of(dataset: Any, *, epoch: int = 0, seed: int = 0) -> dict[str, Tensor]:
    batch: dict[str, Tensor] = dataset.collate([dataset.sample(SampleKey(seed, epoch, i)) for i in range(len(dataset))])
    return batch


# ------------------------------------------------------------------------------------------ losses


def test_nt_xent_of_two_pairs_by_hand() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    second = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    loss, weight = nt_xent(configs.NTXentConfig(temperature=0.5))(first, second)
    # Cosines: a·c = 1, a·b = 0, a·d = c·d = b·d = 1/√2, b·c = 0; each view against the three others, times two.
    near = math.sqrt(0.5)
    a = math.log(math.exp(2) + 1 + math.exp(2 * near)) - 2
    b = math.log(1 + 1 + math.exp(2 * near)) - 2 * near
    d = math.log(3) + 2 * near - 2 * near
    assert float(weight) == 4 and float(loss) == pytest.approx(2 * a + b + d, abs=1e-5)


def test_nt_xent_is_least_where_views_agree() -> None:
    torch.manual_seed(0)
    views = torch.randn(8, 16)
    loss = nt_xent(configs.NTXentConfig(temperature=0.2))
    assert float(loss(views, views)[0]) < float(loss(views, views.roll(1, 0))[0])
    with pytest.raises(ValueError, match="temperature"):
        configs.NTXentConfig(temperature=0.0)


def test_the_masked_loss_runs_over_hidden_patches_only(zoo: Zoo) -> None:
    chosen = autoencoder(zoo, mask_ratio=0.75)
    batch = batch_of(chosen.dataset(samples(), train=False))
    output = output_of(chosen, chosen.phases[0], chosen.modules(), batch, At())
    images = chosen.preprocessor.normalise(batch["images"])
    target = chosen.model.patchify(images)
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    predicted = chosen.model(images, batch["order"], 4).detach()
    by_hand = sum(
        float((predicted[row, place] - target[row, place]).square().sum())
        for row in range(len(images))
        for place in batch["order"][row, 4:].tolist()
    )
    assert float(output.loss_sum.detach()) == pytest.approx(by_hand, rel=1e-4)
    assert float(output.weight) == len(images) * 12 * 48


def test_predicting_zero_is_the_baseline_that_the_masked_loss_is_shown_beside(zoo: Zoo) -> None:
    chosen = autoencoder(zoo)
    found = chosen.baselines([], samples(6))
    assert list(found) == ["each patch's mean"]
    # A patch with some contrast has deviation 1 after normalisation, a flat one 0.
    batch = batch_of(chosen.dataset(samples(6), train=False))
    images = chosen.preprocessor.normalise(batch["images"])
    values = chosen.model.patchify(images)
    hidden = values.gather(1, batch["order"][:, 4:].unsqueeze(-1).expand(-1, -1, 48))
    centred = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, keepdim=True) + 1e-6).sqrt()
    assert found["each patch's mean"]["loss"] == pytest.approx(float(centred.square().mean()), rel=1e-5)


def test_accumulation_does_not_change_the_sum_of_a_classifier_or_an_autoencoder(zoo: Zoo) -> None:
    for chosen in (classifier(zoo), autoencoder(zoo)):
        dataset = chosen.dataset(samples(), train=False)
        rows = [dataset.sample(SampleKey(0, 0, i)) for i in range(12)]
        chosen.model.eval()
        whole = chosen.step("train", chosen.modules(), dataset.collate(rows), At())
        halves = [chosen.step("train", chosen.modules(), dataset.collate(rows[i : i + 6]), At()) for i in (0, 6)]
        assert sum(float(part.loss_sum.detach()) for part in halves) == pytest.approx(
            float(whole.loss_sum.detach()), rel=1e-5
        )
        assert sum(float(part.weight) for part in halves) == float(whole.weight)


# ------------------------------------------------------------------------------------------ keyed samples


@pytest.mark.parametrize("make", [classifier, autoencoder])
def test_a_sample_is_a_function_of_its_key(zoo: Zoo, make: Any) -> None:
    chosen = make(zoo, augment=configs.AugmentConfig(crop="resized", flip=0.5, colour=0.5))
    dataset = chosen.dataset(samples(), train=True)
    first = dataset.sample(SampleKey(3, 1, 5))[0]
    torch.randn(7), np.random.default_rng(0).random()
    assert torch.equal(dataset.sample(SampleKey(3, 1, 5))[0], first)
    others = [dataset.sample(SampleKey(*key))[0] for key in ((3, 2, 5), (4, 1, 5))]
    assert not any(torch.equal(other, first) for other in others)


def test_the_patches_that_are_hidden_differ_by_sample_and_epoch_and_do_not_follow_the_augmentation(zoo: Zoo) -> None:
    plain = autoencoder(zoo, augment=configs.AugmentConfig()).dataset(samples(), train=True)
    busy = autoencoder(zoo).dataset(samples(), train=True)
    orders = [plain.sample(SampleKey(0, epoch, index))[1] for epoch in (0, 1) for index in (0, 1)]
    assert all(sorted(order.tolist()) == list(range(16)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(plain.sample(SampleKey(0, 1, 1))[1], busy.sample(SampleKey(0, 1, 1))[1])


def test_two_views_differ_and_evaluation_repeats_itself(zoo: Zoo) -> None:
    loss = nt_xent(configs.NTXentConfig())
    chosen = task(zoo, ImageContrastive, "image-contrastive", configs.ContrastiveConfig(), loss=loss)
    dataset = chosen.dataset(samples(), train=True)
    views = dataset.sample(SampleKey(0, 0, 2))
    assert views.shape == (2, 3, 16, 16) and not torch.equal(views[0], views[1])
    batch = batch_of(dataset)
    chosen.model.eval()
    with torch.no_grad():
        found = chosen.evaluate(chosen.modules(), batch, At())
        again = chosen.evaluate(chosen.modules(), batch_of(chosen.dataset(samples(), train=False)), At())
    assert float(found.loss) == float(again.loss) and float(found.weight) == 24
    metrics = chosen.summarize(found)
    assert set(metrics) == {"loss", "accuracy"} and 0 <= metrics["accuracy"] <= 1


def test_views_are_paired_with_their_own_image(zoo: Zoo) -> None:
    chosen = task(
        zoo, ImageContrastive, "image-contrastive",
        configs.ContrastiveConfig(augment=configs.AugmentConfig()), loss=nt_xent(configs.NTXentConfig()),
    )  # fmt: skip
    # Without augmentation both views are the same image, so every partner is the nearest of the others.
    output = output_of(
        chosen, chosen.phases[0], chosen.modules(), batch_of(chosen.dataset(samples(6), train=True)), At()
    )
    assert float(output.metrics["accuracy"]) == 12 == float(output.weight)


class Seen(nn.Module):
    """Gives pixels as they are."""

    def forward(self, images: Tensor) -> Tensor:
        """(2B, C S S)."""
        return images.flatten(1)


def test_the_views_of_an_image_are_rows_side_by_side_so_that_what_is_drawn_for_them_is_its_own(zoo: Zoo) -> None:
    chosen = task(zoo, ImageContrastive, "image-contrastive", configs.ContrastiveConfig())
    batch, seen = batch_of(chosen.dataset(samples(6), train=True)), Seen()
    rows = seen(chosen.preprocessor.normalise(batch["images"].flatten(0, 1)))
    first, second = chosen.vectors({"model": seen}, batch)
    assert torch.equal(first, rows[0::2]) and torch.equal(second, rows[1::2])


# ------------------------------------------------------------------------------------------ mixing


def test_mixing_takes_shares_of_two_images_and_of_their_labels(zoo: Zoo) -> None:
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8)
    torch.manual_seed(1)
    mixed = mixing.mix(images, mixup=1.0, cutmix=0.0)
    assert mixed.partners is not None and 0 < float(mixed.share) < 1
    expected = float(mixed.share) * images + (1 - float(mixed.share)) * images[mixed.partners]
    torch.testing.assert_close(mixed.images, expected)
    torch.manual_seed(2)
    cut = mixing.mix(images, mixup=0.0, cutmix=1.0)
    assert cut.partners is not None
    foreign = (cut.images != images).float().mean((1, 2, 3))
    moved = cut.partners != torch.arange(6)
    torch.testing.assert_close(foreign[moved], torch.full_like(foreign[moved], 1 - float(cut.share)))
    assert mixing.mix(images, mixup=0.0, cutmix=0.0) == (images, None, 1.0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_box_of_cutmix_covers_what_torchvisions_does(share: float) -> None:
    side, draws = 64, 4000
    torch.manual_seed(0)
    boxes = [mixing.cut_box(side, share) for _ in range(draws)]
    own = [1 - (rows.stop - rows.start) * (columns.stop - columns.start) / side**2 for rows, columns in boxes]
    cutmix = v2.CutMix(num_classes=2)
    cutmix._dist = SimpleNamespace(sample=lambda shape: torch.tensor(share))
    image = [torch.zeros(2, 3, side, side)]
    theirs = [cutmix.make_params(image)["lam_adjusted"] for _ in range(draws)]
    # By hand: the box's edge is sqrt(1 - share) = e, of which 1 - e / 4 lies inside on the average, in each direction.
    edge = (1 - share) ** 0.5
    assert fmean(own) == pytest.approx(fmean(theirs), abs=0.012)
    assert fmean(own) == pytest.approx(1 - (edge * (1 - edge / 4)) ** 2, abs=0.03)
    assert max(own) < 1 and all(box.stop <= side for pair in boxes for box in pair)


def test_a_mixed_step_blends_the_losses_of_both_labels(zoo: Zoo) -> None:
    chosen = classifier(zoo, mixup=1.0)
    chosen.model.eval()
    batch = batch_of(chosen.dataset(samples(), train=False))
    torch.manual_seed(5)
    output = output_of(chosen, chosen.phases[0], chosen.modules(), batch, At())
    torch.manual_seed(5)
    mixed = mixing.mix(chosen.preprocessor.normalise(batch["images"]), mixup=1.0, cutmix=0.0)
    logits = chosen.model(mixed.images)
    own, other = (
        F.cross_entropy(logits, t, reduction="sum") for t in (batch["labels"], batch["labels"][mixed.partners])
    )
    assert float(output.loss_sum.detach()) == pytest.approx(
        float((mixed.share * own + (1 - mixed.share) * other).detach()), rel=1e-5
    )


# ------------------------------------------------------------------------------------------ bad input


def test_an_unknown_label_names_the_sample(zoo: Zoo) -> None:
    odd = [*samples(3), LabelledImage(samples(1)[0].image, "sqare")]
    with pytest.raises(DataError, match="sample 4: the model has no label 'sqare'") as caught:
        classifier(zoo).dataset(odd, train=True)
    assert "square" in caught.value.hint


def test_a_task_refuses_a_model_that_is_not_for_it(zoo: Zoo) -> None:
    bare = create_model("vit_tiny", zoo=zoo, **VIT)
    context = TaskContext(model=bare, preprocessor=ImagePreprocessor(READER))
    for cls, message in (
        (ImageClassification, "with labels"),
        (MaskedImageModeling, "expected MaskedAutoencoder, found VisionTransformer"),
        (ImageContrastive, "expected Contrastive"),
    ):
        with pytest.raises(UsageError, match=message):
            cls(None, context)
    with pytest.raises(UsageError, match="expected PixelPreprocessor, found none"):
        ImageClassification(None, TaskContext(model=bare, preprocessor=None, labels=LABELS))


# ------------------------------------------------------------------------------------------ whole runs

DIGITS: dict[str, Any] = {
    "name": "resnet_nano.digits",
    "model": {"name": "resnet_nano", "channels": [8, 16, 16, 32]},
    "preprocessor": {"img_size": 8, "in_chans": 1},
    "task": {"name": "image-classification"},
    "data": {"name": "digits", "train_samples": 320},
    "optimizer": {"lr": 1.0e-2},
    "training": {"steps": 20, "batch_size": 32, "evaluate_every": 10, "log_every": 5, "extras": "off"},
}


def sections(**changes: Any) -> dict[str, Any]:
    """The recipe with some sections changed."""
    return {
        name: {**value, **changes.pop(name, {})} if isinstance(value, dict) else value for name, value in DIGITS.items()
    } | changes


def test_a_classifier_learns_digits_and_leaves_images_of_what_it_did(zoo: Zoo, tmp_path: Path) -> None:
    longer = {"steps": 60, "evaluate_every": 20, "extras": "auto"}
    result = train(sections(training=longer), folder=tmp_path / "run", zoo=zoo)
    assert result.metrics["accuracy"] > 0.5 > 2 * result.baselines["majority"]["accuracy"]
    artifacts = {path.name for path in (tmp_path / "run" / "artifacts").iterdir()}
    assert "000000000-inputs.png" in artifacts
    assert {f"000000060-validation-{name}.png" for name in ("confusion", "predictions", "explanations")} <= artifacts
    for path in (tmp_path / "run" / "artifacts").iterdir():
        image = Pillow.open(io.BytesIO(path.read_bytes()))
        assert image.format == "PNG" and min(image.size) > 50
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("data_wait" in json.loads(line).get("train", {}) for line in lines)


def test_the_checkpoint_answers_arrays_files_folders_and_explains(zoo: Zoo, tmp_path: Path) -> None:
    train(sections(name="resnet_nano.answers", training={"steps": 2}), folder=tmp_path / "run", zoo=zoo)
    loaded = load("resnet_nano.answers", zoo=zoo)
    image = np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Pillow.fromarray(image).save(tmp_path / "images" / name)
    answer = loaded.predict(image, top_k=3)
    assert list(answer) == ["label", "score", "scores"] and len(answer["scores"]) == 3
    assert loaded.predict(image, top=3) == answer  # as it was called before
    every = loaded.predict(image)
    assert set(every["scores"]) == set(loaded.labels) and sum(every["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert loaded.predict(str(tmp_path / "images" / "a.png"), top_k=3) == answer
    assert loaded.predict(tmp_path / "images", top_k=3) == [answer, answer]
    explained = loaded.predict([image], explain="gradients")[0]["explanation"]
    assert isinstance(explained, File) and Pillow.open(io.BytesIO(explained.data)).size[0] >= 64
    with pytest.raises(UsageError, match="attention"):
        loaded.predict([image], explain="attention")
    with pytest.raises(DataError, match=r"input 2"):
        loaded.predict([image, str(tmp_path / "missing.png")])
    embedding = load("resnet_nano.answers", task="image-feature-extraction", zoo=zoo).predict(image)["embedding"]
    assert len(embedding) == 32 and np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)


def test_pretraining_without_labels_then_a_probe_of_the_frozen_backbone_changes_no_byte_of_it(
    zoo: Zoo, tmp_path: Path
) -> None:
    contrast = sections(
        name="resnet_nano.contrast", task={"name": "image-contrastive"}, training={"steps": 4, "batch_size": 16}
    )
    train(contrast, folder=tmp_path / "pretrain", zoo=zoo)
    probe = {
        "name": "resnet_nano.probe",
        "init": "resnet_nano.contrast",
        "task": {"name": "image-classification"},
        "data": {"name": "digits", "train_samples": 64},
        "optimizer": {"lr": 0.1},
        "training": {"steps": 6, "batch_size": 16, "freeze": ["backbone"], "extras": "off"},
    }
    train(probe, folder=tmp_path / "probe", zoo=zoo)
    before = weights(create_model("resnet_nano.contrast", pretrained=True, zoo=zoo))
    after = weights(create_model("resnet_nano.probe", pretrained=True, zoo=zoo))
    shared = [name for name in after if not name.startswith("fc.")]
    assert len(shared) == len(after) - 2 and any("running_mean" in name for name in shared)
    for name in shared:
        assert after[name].numpy().tobytes() == before[f"encoder.{name}"].numpy().tobytes(), name


def test_layer_decay_and_masked_pretraining_run_through_recipes(zoo: Zoo, tmp_path: Path) -> None:
    few = {"steps": 3, "extras": "auto"}
    masked = sections(name="vit_nano.masked", task={"name": "masked-image-modeling"}, training=few)
    masked["model"] = {"name": "vit_nano", "patch_size": 2, "depth": 2}
    result = train(masked, folder=tmp_path / "masked", zoo=zoo)
    assert result.metrics["loss"] > 0 and "each patch's mean" in result.baselines
    assert any(path.name.endswith("-reconstructions.png") for path in (tmp_path / "masked" / "artifacts").iterdir())
    answer = load("vit_nano.masked", zoo=zoo).predict(np.zeros((8, 8), dtype=np.uint8))
    assert Pillow.open(io.BytesIO(answer["reconstruction"].data)).format == "PNG"
    tuned = {
        "name": "vit_nano.tuned",
        "init": "vit_nano.masked",
        "task": {"name": "image-classification"},
        "data": {"name": "digits", "train_samples": 64},
        "training": {"steps": 2, "batch_size": 16, "layer_decay": 0.5, "extras": "off"},
    }
    assert train(tuned, folder=tmp_path / "tuned", zoo=zoo).card is not None


def test_finetuning_at_another_size_changes_the_preprocessor_and_the_model(zoo: Zoo, tmp_path: Path) -> None:
    first = sections(name="vit_nano.small", training={"steps": 1})
    first["model"] = {"name": "vit_nano", "patch_size": 2, "depth": 1}
    train(first, folder=tmp_path / "small", zoo=zoo)
    larger = {
        "name": "vit_nano.larger",
        "init": "vit_nano.small",
        "preprocessor": {"img_size": 12},
        "task": {"name": "image-classification"},
        "data": {"name": "digits", "train_samples": 64},
        "training": {"steps": 1, "batch_size": 16, "extras": "off"},
    }
    train(larger, folder=tmp_path / "larger", zoo=zoo)
    loaded = load("vit_nano.larger", zoo=zoo)
    assert loaded.card.config["img_size"] == 12 and loaded.preprocessor.img_size == 12  # type: ignore[union-attr]
    assert loaded.model.pos_embed.shape[1] == 37
    with pytest.raises(UsageError, match="img_sise"):
        train({**larger, "preprocessor": {"img_sise": 12}}, folder=tmp_path / "typo", zoo=zoo)


def test_a_model_that_contradicts_its_preprocessor_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model\.img_size is 16, but the preprocessor makes it 8"):
        train(sections(model={"img_size": 16}), folder=tmp_path / "run", zoo=zoo)


def test_workers_do_not_change_a_pixel(zoo: Zoo) -> None:
    augmented = sections(task={"augment": {"crop": "resized", "flip": 0.5, "colour": 0.5, "erase": 0.5}})
    seen = []
    for workers in (0, 2):
        recipe = load_recipe({**augmented, "training": {**DIGITS["training"], "workers": workers}}, [], zoo.host)
        parts = prepare(recipe, zoo.host, Hardware(recipe.training), None, None)
        batches = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=workers, pin=False)
        seen.append([next(batches).micro_batches[0]["images"] for _ in range(12)])
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    # The twelve batches cross an epoch of ten, whose images come again, and look different.
    assert not torch.equal(seen[0][0], seen[0][10])


def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bytes(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = sections(
        name="resnet_nano.resumed",
        task={"augment": {"crop": "pad", "padding": 1, "flip": 0.5}, "mixup": 0.2},
        training={"steps": 8, "save_every": 3, "evaluate_every": 4, "ema_decay": 0.9},
    )
    train(recipe, folder=tmp_path / "whole", zoo=zoo)
    step, calls = ImageClassification.step, []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise Interrupted(143, "stopped by the test")
        return step(self, *arguments)

    monkeypatch.setattr(ImageClassification, "step", interrupted)
    with pytest.raises(Interrupted):
        train(recipe, folder=tmp_path / "broken", zoo=zoo)
    monkeypatch.setattr(ImageClassification, "step", step)
    train(recipe, folder=tmp_path / "broken", resume=True, zoo=zoo)
    assert final_digest(tmp_path / "broken") == final_digest(tmp_path / "whole")


def test_evaluate_measures_a_folder_of_the_users_own_images(zoo: Zoo, tmp_path: Path) -> None:
    for number, sample in enumerate(samples(24)):
        place = tmp_path / "images" / sample.label
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(sample.image).save(place / f"{number}.png")
    recipe = {
        "name": "resnet_nano.shapes",
        "model": {"name": "resnet_nano", "channels": [8, 8, 8, 16]},
        "preprocessor": {"img_size": 16, "in_chans": 3},
        "task": {"name": "image-classification"},
        "data": {"name": "labelled-image", "path": str(tmp_path / "images"), "test_fraction": 0.3},
        "training": {"steps": 4, "batch_size": 4, "extras": "off"},
    }
    result = train(recipe, folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and result.card.labels == LABELS
    metrics, artifacts, _ = evaluate("resnet_nano.shapes", str(tmp_path / "images"), split="train", zoo=zoo)
    assert {metric.name for metric in metrics} == {"accuracy", "macro_f1", "loss"} and "confusion.png" in artifacts
    task = load("resnet_nano.shapes", zoo=zoo).task
    classes = len(task.labels)
    pairs = [0] * 6 + [1] * 2 + [classes] + [classes + 1] * 7
    assert set(task.intervals(ClassResult(loss=torch.zeros(()), weight=torch.ones(()), confusion=pairs))) == {
        "accuracy",
        "macro_f1",
    }
    assert [task.better(name) for name in ("accuracy", "macro_f1", "loss")] == ["max", "max", "min"]
    one_class = tmp_path / "mine"
    shutil.copytree(tmp_path / "images" / LABELS[0], one_class / LABELS[0])
    whole, *_ = evaluate("resnet_nano.shapes", str(one_class), zoo=zoo)
    assert {(metric.split, metric.samples) for metric in whole} == {
        ("all", len(list((one_class / LABELS[0]).iterdir())))
    }


def test_images_that_were_left_out_are_named_in_the_log_and_on_the_card(zoo: Zoo, tmp_path: Path) -> None:
    for number, sample in enumerate(samples(40)):
        place = tmp_path / "images" / sample.label
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(sample.image).save(place / f"{number}.png")
    whole = (tmp_path / "images" / "disc" / "0.png").read_bytes()
    (tmp_path / "images" / "disc" / "cut.png").write_bytes(whole[: len(whole) // 2])
    recipe = {
        "name": "resnet_nano.leftout",
        "model": {"name": "resnet_nano", "channels": [8, 8, 8, 16]},
        "preprocessor": {"img_size": 16, "in_chans": 3},
        "task": {"name": "image-classification"},
        "data": {"name": "labelled-image", "path": str(tmp_path / "images"), "bad": "skip"},
        "training": {"steps": 1, "batch_size": 4, "extras": "off"},
    }
    result = train(recipe, folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and "left out: 1 truncated" in result.card.notes
    assert "left out: 1 truncated" in (tmp_path / "run" / "log.txt").read_text()


def test_unlabelled_images_have_no_labels_to_look_at(zoo: Zoo) -> None:
    bare = [Image(sample.image) for sample in samples()]
    output = autoencoder(zoo).step(
        "train", autoencoder(zoo).modules(), batch_of(autoencoder(zoo).dataset(bare, train=True)), At()
    )
    assert torch.isfinite(output.loss_sum)
