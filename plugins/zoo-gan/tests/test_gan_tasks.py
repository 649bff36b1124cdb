"""A GAN is a list of phases: each changes its own network only, accumulation changes nothing, and a resume is exact."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from zoo_gan.configs.tasks import AdversarialConfig
from zoo_gan.datasets.points import draw_gaussians, draw_spiral, judge, modes
from zoo_gan.evaluation import scores
from zoo_gan.plugin import zoo_tasks
from zoo_gan.tasks.adversarial import depends_on_real, phases_of
from zoo_gan.tasks.image_to_image import condition_of

from zoo_core import (
    DataError,
    RecipeError,
    UnknownName,
    UsageError,
    Zoo,
    create_model,
    load,
    load_recipe,
    open_zoo,
    train,
)
from zoo_core.contract import At, File
from zoo_core.testing import Cursor, Hardware, Interrupted, Loop, final_digest, prepare, training_batches

PLANE: dict[str, Any] = {
    "name": "plane_gan_tiny.test",
    "model": {"name": "plane_gan_tiny", "width": 16},
    "task": {"name": "point-generation", "r1": 0.1, "r1_every": 2},
    "data": {"name": "plane-points", "samples": 400},
    "optimizer": {"name": "adam", "lr": 1.0e-3},
    "training": {
        "steps": 8,
        "batch_size": 32,
        "evaluate_every": 4,
        "save_every": 3,
        "log_every": 2,
        "ema_decay": 0.9,
        "extras": "off",
    },
}
DIGITS: dict[str, Any] = {
    "name": "dcgan_tiny.digits",
    "model": {"name": "dcgan_tiny", "width": 8, "latent_dim": 8},
    "preprocessor": {"image_size": 8, "in_channels": 1},
    "task": {"name": "image-generation"},
    "data": {"name": "digits", "train_samples": 96},
    "optimizer": {"name": "adam", "lr": 1.0e-3},
    "training": {"steps": 3, "batch_size": 32, "evaluate_every": 3, "extras": "off"},
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def changed(recipe: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        name: {**value, **sections.get(name, {})} if isinstance(value, dict) else sections.get(name, value)
        for name, value in recipe.items()
    } | {name: value for name, value in sections.items() if name not in recipe}


def bare(zoo: Zoo, recipe: dict[str, Any], steps: int | None = None) -> dict[str, Tensor]:
    """Weights after the bare loop, before the first and after every phase where `steps` is 0."""
    resolved = load_recipe(recipe, [f"training.steps={steps}"] if steps else [], zoo.host)
    parts = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
    loop = Loop(
        parts.task, updates=parts.updates, training=resolved.training, schedule=parts.schedule, steps=parts.steps,
        hardware=Hardware(resolved.training),
    )  # fmt: skip
    batches = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    loop.run(batches, 0, lambda moment: False)
    return {name: tensor.clone() for name, tensor in parts.task.model.state_dict().items()}


# ------------------------------------------------------------------------------------------ phases


def test_regularisers_are_phases_by_their_intervals() -> None:
    lazy = phases_of(AdversarialConfig(r1=1.0, r1_every=16, r2=1.0, critics=5))
    assert [(phase.name, phase.every, phase.double_backward) for phase in lazy] == [
        ("discriminate", 1, True),
        ("r1", 16, True),
        ("generate", 5, False),
    ]
    assert [phase.trains for phase in lazy] == [("discriminator",), ("discriminator",), ("generator",)]
    plain = phases_of(AdversarialConfig())
    assert [(phase.name, phase.double_backward) for phase in plain] == [("discriminate", False), ("generate", False)]


@pytest.mark.parametrize("phase", ["discriminate", "r1", "generate"])
def test_a_phase_gives_gradients_to_its_own_network_only(zoo: Zoo, phase: str) -> None:
    resolved = load_recipe(PLANE, [], zoo.host)
    parts = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
    chosen = next(one for one in parts.task.phases if one.name == phase)
    modules = parts.task.modules()
    for name, module in modules.items():
        module.requires_grad_(name in chosen.trains)
    batch = parts.train.collate([parts.train.sample(key) for key in _keys(8)])
    parts.task.step(phase, modules, batch, At()).loss_sum.backward()  # type: ignore[no-untyped-call]
    touched = {name for name, module in modules.items() for p in module.parameters() if p.grad is not None}
    assert touched == set(chosen.trains)


@pytest.mark.parametrize("loss", ["gan-minimax", "gan-hinge", "gan-wasserstein", "gan-relativistic"])
def test_accumulation_does_not_change_where_the_discriminator_goes(zoo: Zoo, loss: str) -> None:
    """The random draws differ by micro-batch, so the first update is compared with latents that are all zero."""
    found = []
    for accumulation in (1, 2, 4):
        recipe = changed(PLANE, loss={"name": loss}, training={"accumulation": accumulation, "ema_decay": None})
        with _zero_latents():
            found.append(bare(zoo, recipe, 1))
    for name, tensor in found[0].items():
        for other in found[1:]:
            torch.testing.assert_close(other[name], tensor, atol=1e-6, rtol=1e-5)


def test_only_the_relativistic_generator_looks_at_real_samples(zoo: Zoo) -> None:
    relative = {}
    for provided in zoo.host.all("loss"):
        if provided.id.startswith("zoo-gan/"):
            relative[provided.spec.name] = depends_on_real(provided.resolve(provided.spec.target)(provided.config()))
    assert {name for name, found in relative.items() if found} == {"gan-relativistic"} and len(relative) == 6


def test_a_clipped_critic_stays_within_its_limit(zoo: Zoo) -> None:
    recipe = changed(PLANE, task={"r1": 0.0, "clip": 0.05}, loss={"name": "gan-wasserstein"})
    weights = bare(zoo, recipe, 4)
    # The last update comes after the last clipping and moves a weight by about the rate.
    limits = [float(tensor.abs().max()) for name, tensor in weights.items() if name.startswith("discriminator.")]
    assert max(limits) <= 0.05 + 2e-3


def test_a_run_that_was_stopped_between_phases_ends_with_the_same_bytes(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(PLANE, folder=tmp_path / "whole", zoo=zoo)
    from zoo_gan.tasks.point_generation import PointGeneration

    step, calls = PointGeneration.step, []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(arguments[0])
        if len(calls) == 12:
            raise Interrupted(143, "stopped by the test")
        return step(self, *arguments)

    monkeypatch.setattr(PointGeneration, "step", interrupted)
    with pytest.raises(Interrupted):
        train(PLANE, folder=tmp_path / "broken", zoo=zoo)
    monkeypatch.undo()
    train(PLANE, folder=tmp_path / "broken", resume=True, zoo=zoo)
    assert final_digest(tmp_path / "broken") == final_digest(tmp_path / "whole")


# ------------------------------------------------------------------------------------------ points


def test_real_points_are_of_high_quality_and_cover_every_mode() -> None:
    random = np.random.default_rng(0)
    for shape, draw in (("gaussians", draw_gaussians), ("swiss-roll", draw_spiral)):
        found = judge(shape, draw(random, 4000))
        assert found["high_quality"] > 0.98 and found["covered"] == 1.0


def test_one_mode_is_one_in_twenty_five_and_lost_points_are_of_no_quality() -> None:
    centre = modes()[7]
    assert judge("gaussians", np.repeat(centre[None], 50, 0)) == {"high_quality": 1.0, "covered": 0.04}
    assert judge("gaussians", np.full((50, 2), 1.0)) == {"high_quality": 0.0, "covered": 0.0}
    half = np.concatenate((np.repeat(centre[None], 25, 0), np.full((25, 2), np.nan)))
    assert judge("gaussians", half) == {"high_quality": 0.5, "covered": 0.04}


def test_points_are_answers_to_numbers_and_the_same_ones_every_time(zoo: Zoo, tmp_path: Path) -> None:
    result = train(
        changed(PLANE, name="plane_gan_tiny.answers", training={"extras": "auto"}), folder=tmp_path / "run", zoo=zoo
    )
    assert set(result.baselines) == {"real points", "one Gaussian"}
    assert result.baselines["real points"]["high_quality"] > 0.95 > result.baselines["one Gaussian"]["high_quality"]
    assert any(path.name.endswith("-points.png") for path in (tmp_path / "run" / "artifacts").iterdir())
    loaded = load("plane_gan_tiny.answers", zoo=zoo)
    together, apart = loaded.predict([3, "4"]), [*loaded.predict([3]), *loaded.predict(["1"], seed=3)]
    assert [list(point.values()) for point in together] == [pytest.approx(list(point.values())) for point in apart]
    with pytest.raises(DataError, match="input 1: expected a whole number, found 'x'"):
        loaded.predict(["x"])


# ------------------------------------------------------------------------------------------ images


def test_a_generator_of_images_leaves_grids_and_answers_with_files(zoo: Zoo, tmp_path: Path) -> None:
    result = train(changed(DIGITS, training={"extras": "auto"}), folder=tmp_path / "run", zoo=zoo)
    assert set(result.metrics) == {"fid", "kid", "precision", "recall"}
    assert result.baselines["real images"]["fid"] < result.baselines["untrained generator"]["fid"]
    names = {path.name for path in (tmp_path / "run" / "artifacts").iterdir()}
    assert {"000000000-real.png", "000000003-validation-samples.png"} <= names
    loaded = load("dcgan_tiny.digits", zoo=zoo)
    first, second, again = loaded.predict(["0", "1", "0"])
    assert isinstance(first["image"], File) and first == again != second
    assert Image.open(io.BytesIO(first["image"].data)).size == (8, 8)
    with pytest.raises(UsageError, match="has no classes"):
        loaded.predict(["0"], label="7")


def test_a_grey_generator_goes_on_in_colour_and_keeps_its_size(zoo: Zoo, tmp_path: Path) -> None:
    further = {**{key: value for key, value in DIGITS.items() if key != "model"}, "init": "dcgan_tiny.digits"}
    coloured = {**further, "name": "dcgan_tiny.coloured", "preprocessor": {"in_channels": 3}}
    train(changed(DIGITS), folder=tmp_path / "grey", zoo=zoo)
    train(coloured, folder=tmp_path / "coloured", zoo=zoo)
    (answer,) = load("dcgan_tiny.coloured", zoo=zoo).predict(["0"])
    assert Image.open(io.BytesIO(answer["image"].data)).mode == "RGB"
    with pytest.raises(UsageError, match="make images of 8 pixels, not of 16"):
        train({**further, "name": "x", "preprocessor": {"image_size": 16}}, folder=tmp_path / "larger", zoo=zoo)


def test_a_conditional_generator_makes_the_class_that_is_named(zoo: Zoo, tmp_path: Path) -> None:
    recipe = changed(
        DIGITS,
        name="dcgan_tiny.classes",
        model={"num_classes": 10},
        task={"name": "class-conditional-image-generation"},
    )
    train(recipe, folder=tmp_path / "run", zoo=zoo)
    loaded = load("dcgan_tiny.classes", zoo=zoo)
    assert [answer["label"] for answer in loaded.predict(["0", "13"])] == ["0", "3"]
    named = loaded.predict(["5"], label="7")[0]
    assert named["label"] == "7" and named["image"] != loaded.predict(["5"], label="8")[0]["image"]
    with pytest.raises(UnknownName, match="class 'seven'"):
        loaded.predict(["5"], label="seven")


def test_a_model_has_the_classes_of_its_data_and_other_numbers_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    recipe = changed(DIGITS, name="dcgan_tiny.given", task={"name": "class-conditional-image-generation"})
    train(recipe, folder=tmp_path / "run", zoo=zoo)
    assert load("dcgan_tiny.given", zoo=zoo).model.classes == 10
    with pytest.raises(UsageError, match="7 classes"):
        train({**recipe, "model": {**recipe["model"], "num_classes": 7}}, folder=tmp_path / "other", zoo=zoo)


def test_training_settings_that_can_not_be_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown augmentation 'blur'"):
        train(changed(DIGITS, task={"augment": "blur"}), folder=tmp_path / "a", zoo=zoo)
    with pytest.raises(UsageError, match="for images, not for points"):
        train(changed(PLANE, task={"augment": "colour"}), folder=tmp_path / "b", zoo=zoo)
    for settings, message in (({"critics": 0}, "critics"), ({"r1": -1.0}, "r1"), ({"flip": 2.0}, "flip")):
        with pytest.raises(ValueError, match=message):
            AdversarialConfig(**settings)


# ------------------------------------------------------------------------------------------ scores


def test_distances_of_known_samples() -> None:
    random = torch.Generator().manual_seed(0)
    real = torch.randn(400, 4, generator=random)
    same = torch.randn(400, 4, generator=random)
    found = scores.distances(real, same)
    assert found["fid"] < 0.2 and abs(found["kid"]) < 0.2 and found["precision"] > 0.9 and found["recall"] > 0.9
    # Of two Gaussians that differ in the mean only, the Fréchet distance is the square of the difference.
    shifted = scores.distances(real, same + torch.tensor([3.0, 0.0, 0.0, 0.0]))
    assert shifted["fid"] == pytest.approx(9.0, rel=0.1) and shifted["recall"] < 0.5 < shifted["kid"]
    one = scores.distances(real, real[:1].repeat(400, 1) + 1e-3 * torch.randn(400, 4, generator=random))
    assert one["precision"] == 1.0 and one["recall"] < 0.05
    broken = scores.distances(real, torch.full((400, 4), float("nan")))
    assert broken["fid"] == float("inf") and broken["precision"] == 0.0


def test_distances_keep_their_digits_where_means_are_large() -> None:
    random = torch.Generator().manual_seed(4)
    real, made = (torch.randn(60, 4, generator=random, dtype=torch.float64) for _ in range(2))
    made = made + 1.0
    here = scores.distances(real, made)
    # The numpy of the definition: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), Heusel et al., 2017, section 2.
    first, second = real.numpy(), made.numpy()
    covariances = np.cov(first.T), np.cov(second.T)
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    gap = np.square(first.mean(0) - second.mean(0)).sum()
    assert here["fid"] == pytest.approx(gap + np.trace(covariances[0] + covariances[1]) - 2 * root, rel=1e-6)
    # 2**14 is exact in float32 beside features rounded to 2**-9, so that only the arithmetic can lose digits.
    rounded = [(features * 512).round() / 512 for features in (real, made)]
    near = scores.distances(*(features.float() for features in rounded))
    far = scores.distances(*((features + 2**14).float() for features in rounded))
    assert far["fid"] == pytest.approx(near["fid"], rel=1e-6)
    assert (far["precision"], far["recall"]) == (near["precision"], near["recall"])


def test_precision_and_recall_by_hand() -> None:
    line = torch.arange(5.0)[:, None]
    # The third neighbour of 0 is 3 away, of 2 two away; 10 is beyond everybody's reach.
    assert scores.precision_and_recall(line, torch.tensor([[0.5], [2.0], [10.0], [4.5]]))["precision"] == 0.75


def test_scoring_leaves_the_random_stream_where_it_was() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    scores.distances(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(20, 3))
    assert torch.equal(torch.rand(3), expected)


def test_models_and_tasks_belong_together(zoo: Zoo) -> None:
    for spec in zoo_tasks():
        assert callable(zoo.host.find("task", spec.name).resolve(spec.target))
    model = create_model("r3gan_nano", image_size=28, in_channels=1, zoo=zoo)
    assert {name.partition(".")[0] for name in model.state_dict()} == {"generator", "discriminator"}


def test_the_plugin_module_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "PIL", "torchmetrics", "zoo_gan.configs.models")
    code = f"import sys, zoo_gan.plugin; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def _keys(count: int) -> list[Any]:
    from zoo_core.contract import SampleKey

    return [SampleKey(0, 0, index) for index in range(count)]


class _zero_latents:  # noqa: N801 - reads as a context
    """All latents are zero, so that draws can't tell micro-batches apart."""

    def __enter__(self) -> None:
        from zoo_gan.tasks.adversarial import AdversarialTask

        self.task, self.kept = AdversarialTask, AdversarialTask.latents
        AdversarialTask.latents = lambda task, real: torch.zeros(len(real), task.model.latent_dim)  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self.task.latents = self.kept  # type: ignore[method-assign]


def test_too_few_images_for_scores_are_named_before_the_first_step(zoo: Zoo, tmp_path: Path) -> None:
    for samples, least in ((None, False), (9, True), (10, False)):
        made = changed(DIGITS, training={"evaluate_samples": samples, "steps": 1})
        if least:
            with pytest.raises(DataError, match="needs at least 10 samples to measure on, the split validation has 9"):
                train(made, folder=tmp_path / str(samples), zoo=zoo)
            assert not (tmp_path / str(samples) / "checkpoints").exists()
        else:
            train(made, folder=tmp_path / str(samples), zoo=zoo)


# ------------------------------------------------------------------------------------------ images from images

PAIRED: dict[str, Any] = {
    "name": "pix2pix_tiny.test",
    "model": {"name": "pix2pix_tiny", "width": 8, "depth": 3},
    "preprocessor": {"image_size": 32, "in_channels": 1},
    "task": {"name": "image-to-image", "condition": "outline"},
    "data": {"name": "digits", "train_samples": 64},
    "optimizer": {"name": "adam", "lr": 2.0e-3},
    "training": {"steps": 30, "batch_size": 16, "evaluate_every": 30},
}


def test_a_translator_gets_closer_than_copying_and_shows_what_it_did(zoo: Zoo, tmp_path: Path) -> None:
    result = train(PAIRED, folder=tmp_path / "run", zoo=zoo)
    assert result.metrics["l1"] < result.baselines["copying the input"]["l1"]
    assert any(path.name.endswith("-translations.png") for path in (tmp_path / "run" / "artifacts").iterdir())
    loaded = load("pix2pix_tiny.test", zoo=zoo)
    image = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "one.png")
    from_array = loaded.predict([image], condition="outline")[0]["image"]
    assert Image.open(io.BytesIO(from_array.data)).size == (32, 32)
    assert loaded.predict([str(tmp_path / "one.png")], condition="outline")[0]["image"] == from_array
    assert loaded.predict([image])[0]["image"] != from_array
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"input 1: .*bad\.png: not an image"):
        loaded.predict([str(tmp_path / "bad.png")])


def test_conditions_by_hand() -> None:
    step = torch.full((1, 1, 4, 4), -1.0)
    step[..., 2:] = 1.0
    outline = condition_of(step, "outline")[0, 0]
    # A step of 2 has the slope 2 · (1 + 2 + 1) / 4 beside it, cut to 1: black; elsewhere there is none: white.
    assert outline[1].tolist() == [1.0, -1.0, -1.0, 1.0]
    colour = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert condition_of(colour, "grey")[0, :, 0, 0].tolist() == pytest.approx([0.299 - 0.587] * 3)


def test_a_pair_of_latents_is_no_translator(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has no head for the task"):
        train({**PAIRED, "model": {"name": "dcgan_tiny"}}, folder=tmp_path / "run", zoo=zoo)
