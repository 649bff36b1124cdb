from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from zoo_vision.configs.models import ImagePreprocessorConfig
from zoo_vision.preprocessor import ImagePreprocessor

from zoo_core import CorruptFile, DataError, UsageError
from zoo_core.contract import FieldError

Pixels = NDArray[np.uint8]
GREY: dict[str, Any] = {"in_chans": 1, "mean": (0.3,), "std": (0.2,)}
RGB: dict[str, Any] = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3)}


@dataclass
class Sample:
    image: Pixels


def preprocessor(**settings: Any) -> ImagePreprocessor:
    return ImagePreprocessor(ImagePreprocessorConfig(**settings))


def noise(*shape: int, seed: int = 0) -> Pixels:
    """Blotches and noise, so that a resize shows which filter it used."""
    draw = np.random.default_rng(seed)
    rough = draw.integers(0, 256, (4, 4, shape[2]), dtype=np.uint8)
    smooth = np.stack(
        [np.asarray(Image.fromarray(part).resize((shape[1], shape[0]), 2)) for part in np.moveaxis(rough, 2, 0)]
    )
    return np.clip(np.moveaxis(smooth, 0, 2) + draw.integers(-60, 60, shape), 0, 255).astype(np.uint8)


def timm_pixels(array: Pixels, config: ImagePreprocessorConfig, mode: str) -> Any:
    from timm.data.transforms_factory import create_transform

    transform: Any = create_transform(
        input_size=(config.in_chans, config.img_size, config.img_size),
        is_training=False,
        interpolation=config.interpolation,
        crop_pct=config.crop_pct,
        normalize=False,
    )
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    return transform(image.convert(mode))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    "shape", [(28, 28), (500, 333), (61, 500), (224, 300), (257, 256), (28, 500), (97, 450), (29, 41)]
)
@pytest.mark.parametrize(("size", "crop_pct"), [(224, 0.875), (64, 0.9), (32, 1.0), (99, 0.95)])
def test_colour_images_equal_timms_to_the_pixel(
    shape: tuple[int, int], size: int, crop_pct: float, interpolation: Any
) -> None:
    config = ImagePreprocessorConfig(img_size=size, crop_pct=crop_pct, interpolation=interpolation, **RGB)
    array = noise(*shape, 3)
    fitted = ImagePreprocessor(config).resize_and_crop(array)
    assert fitted.dtype == torch.uint8 and fitted.shape == (3, size, size)
    assert torch.equal(fitted, timm_pixels(array, config, "RGB"))


@pytest.mark.parametrize(("channels", "settings"), [(1, GREY), (3, GREY), (1, RGB)])
def test_grey_and_colour_meet_as_in_pillow_and_timm(channels: int, settings: dict[str, Any]) -> None:
    config = ImagePreprocessorConfig(img_size=48, crop_pct=0.8, **settings)
    array = noise(75, 50, channels)
    expected = timm_pixels(array, config, "RGB" if config.in_chans == 3 else "L")
    assert torch.equal(ImagePreprocessor(config).resize_and_crop(array), expected)


def test_normalised_images_equal_timms() -> None:
    from timm.data.transforms_factory import create_transform

    config = ImagePreprocessorConfig(img_size=64, crop_pct=0.9, **RGB)
    transform: Any = create_transform(
        (3, 64, 64), interpolation="bicubic", crop_pct=0.9, mean=config.mean, std=config.std
    )
    array = noise(90, 120, 3)
    ours = ImagePreprocessor(config)
    normalised = ours.normalise(ours.resize_and_crop(array)[None])
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised[0], transform(Image.fromarray(array)))


def test_a_image_of_the_wanted_size_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    array = noise(32, 32, 1)
    monkeypatch.setattr(Image, "fromarray", None)
    assert np.array_equal(preprocessor(img_size=32, **GREY).resize_and_crop(array)[0].numpy(), array[:, :, 0])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_comes_out_shares_no_memory_and_read_only_images_are_fine(channels: int) -> None:
    array = noise(16, 16, channels)
    before = array.copy()
    array.flags.writeable = False
    for settings in (GREY, RGB):
        one = preprocessor(img_size=16, **settings)
        one.resize_and_crop(array).zero_()
        one.resize(array).zero_()
        assert np.array_equal(array, before)


def test_transparent_pixels_show_the_background() -> None:
    array = np.zeros((2, 2, 4), np.uint8)
    array[0, :, :3] = (200, 100, 0)
    array[:, 0, 3] = 255
    array[0, 1, 3] = 128
    found = preprocessor(background=255, **RGB).channels(array)
    assert found[0, 0].tolist() == [200, 100, 0]
    assert found[1, 0].tolist() == [0, 0, 0]
    assert found[1, 1].tolist() == [255, 255, 255]
    np.testing.assert_allclose(found[0, 1], 255 + (np.array([200, 100, 0]) - 255) * 128 / 255, atol=1)
    grey = preprocessor(background=7, **GREY).channels(array)
    assert grey.shape == (2, 2, 1) and grey[1, 1, 0] == 7
    assert abs(int(grey[0, 0, 0]) - (0.299 * 200 + 0.587 * 100)) <= 1


def test_a_image_as_thin_as_a_hair_is_fitted_without_filling_the_memory() -> None:
    array = np.broadcast_to(np.arange(30_000, dtype=np.int64)[:, None, None] * 256 // 30_000, (30_000, 1, 1))
    one = preprocessor(img_size=224, **GREY)
    for image in (array.astype(np.uint8), array.astype(np.uint8).transpose(1, 0, 2)):
        fitted = one.resize_and_crop(image)
        assert fitted.shape == (1, 224, 224)
        assert set(np.unique(fitted.numpy()).tolist()) <= {127, 128}


def test_squashing_keeps_the_whole_image() -> None:
    array = np.zeros((10, 40, 1), np.uint8)
    array[:, :10] = 255
    squashed = preprocessor(img_size=8, interpolation="bilinear", **GREY).resize(array)
    assert squashed.shape == (1, 8, 8)
    assert squashed[0, :, :1].min() == 255 and squashed[0, :, 3:].max() == 0


def test_normalising_and_back_gives_the_same_pixels() -> None:
    one = preprocessor(img_size=16, **RGB)
    batch = torch.from_numpy(noise(16, 256, 3)).reshape(16, 16, 16, 3).permute(0, 3, 1, 2)
    normalised = one.normalise(batch)
    assert normalised.stride() == batch.stride()
    assert np.array_equal(one.denormalise(normalised), batch.permute(0, 2, 3, 1).numpy())
    wild = torch.tensor([float("nan"), float("inf"), -1e9, 1e9]).reshape(1, 1, 2, 2)
    assert preprocessor(**GREY).denormalise(wild).ravel().tolist() == [0, 0, 0, 255]


def test_statistics_kept_from_inference_serve_training() -> None:
    one = preprocessor(img_size=4, **GREY)
    batch = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    with torch.inference_mode():
        one.normalise(batch)
    weight = torch.ones(1, requires_grad=True)
    gradient = torch.autograd.grad((one.normalise(batch) * weight).sum(), weight)
    assert gradient[0].isfinite()


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_the_resized_images(channels: Any) -> None:
    config = ImagePreprocessorConfig(img_size=12, in_chans=channels)
    samples = [Sample(noise(20 + n, 30, channels, seed=n)) for n in range(7)]
    one = ImagePreprocessor.fit(config, samples)
    stack = torch.stack([one.resize_and_crop(sample.image) for sample in samples]).double() / 255
    np.testing.assert_allclose(one.mean, stack.mean((0, 2, 3)).numpy(), atol=1e-6)
    np.testing.assert_allclose(one.std, stack.std((0, 2, 3), correction=0).numpy(), atol=1e-6)
    assert ImagePreprocessor.fit(config, iter(samples)).files() == one.files()


def test_statistics_read_at_most_2000_images_from_start_to_end() -> None:
    class Sequence(list[Sample]):
        def __init__(self) -> None:
            self.read: list[int] = []

        def __len__(self) -> int:
            return 7001

        def __getitem__(self, index: Any) -> Any:
            self.read.append(index)
            return Sample(np.full((2, 2, 1), index % 256, np.uint8))

    samples = Sequence()
    ImagePreprocessor.fit(ImagePreprocessorConfig(img_size=2, in_chans=1), samples)
    assert len(samples.read) == 2000 and samples.read[0] == 0 and samples.read[-1] == 6997
    assert set(np.diff(samples.read)) == {3, 4}


def test_given_statistics_are_kept_and_no_image_is_read() -> None:
    one = ImagePreprocessor.fit(ImagePreprocessorConfig(img_size=8, **RGB), [object()])
    assert (one.mean, one.std) == (RGB["mean"], RGB["std"])
    assert one.model_config() == {"img_size": 8, "in_chans": 3}


def test_images_of_one_colour_are_not_divided_by_nothing() -> None:
    config = ImagePreprocessorConfig(img_size=2, in_chans=1)
    one = ImagePreprocessor.fit(config, [Sample(np.full((2, 2, 1), 51, np.uint8))] * 3)
    assert one.mean == (0.2,) and one.std == (round(1 / 255, 6),)


def test_what_is_no_image_is_named() -> None:
    config = ImagePreprocessorConfig(img_size=2, in_chans=1)
    with pytest.raises(DataError, match="no images to measure"):
        ImagePreprocessor.fit(config, [])
    with pytest.raises(DataError, match="sample 2: expected an image, found str"):
        ImagePreprocessor.fit(config, [Sample(noise(2, 2, 1)), "words"])
    one = preprocessor(**GREY)
    for array, message in (
        (np.zeros((4, 4), np.uint8), r"shape \(H, W, 1, 3 or 4\), found \(4, 4\)"),
        (np.zeros((4, 4, 2), np.uint8), r"found \(4, 4, 2\)"),
        (np.zeros((0, 4, 1), np.uint8), r"found \(0, 4, 1\)"),
        (np.zeros((4, 4, 1), np.float32), "uint8 array, found float32"),
        ([[1]], "uint8 array, found list"),
    ):
        with pytest.raises(DataError, match=message):
            one.resize_and_crop(array)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [GREY, RGB])
def test_files_restore_the_same_preprocessor(settings: dict[str, Any]) -> None:
    before = preprocessor(img_size=20, crop_pct=0.9, interpolation="bilinear", background=3, **settings)
    after = ImagePreprocessor.from_files(before.files())
    assert after.files() == before.files() and after.config == before.config
    array = noise(31, 45, 3)
    assert torch.equal(after.resize_and_crop(array), before.resize_and_crop(array))
    batch = before.resize_and_crop(array)[None]
    assert torch.equal(after.normalise(batch), before.normalise(batch))


def test_the_file_is_plain_sorted_json() -> None:
    text = preprocessor(**RGB).files()["image.json"].decode()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"
    assert json.loads(text) == {
        "background": 255,
        "crop_mode": "center",
        "crop_pct": 1.0,
        "img_size": 224,
        "in_chans": 3,
        "interpolation": "bicubic",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.25, 0.3],
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("img_size", "224", "image.json: img_size: expected a whole number, found '224'"),
        ("img_size", 224.0, "image.json: img_size: expected a whole number"),
        ("img_size", True, "image.json: img_size: expected a whole number, found true"),
        ("img_size", 0, "image.json: img_size: expected from 1 to 4,096, found 0"),
        ("img_size", 4097, "image.json: img_size: expected from 1 to 4,096, found 4097"),
        ("in_chans", 2, "image.json: in_chans: expected one of 1, 3"),
        ("mean", [0.5, float("nan"), 0.5], "image.json: not JSON: NaN is not a finite number"),
        ("mean", [0.5, 10**400, 0.5], "image.json: "),
        ("mean", [0.5, 1.5, 0.5], "image.json: mean[1]: expected from 0 to 1, found 1.5"),
        ("mean", [0.5, 0.5], "image.json: mean: expected a value for each of 3 channel(s), or none"),
        ("mean", 0.5, "image.json: mean: expected a list"),
        ("mean", [], "image.json: std: expected mean and std together, or neither"),
        ("std", [0.5, 0.0, 0.5], "image.json: std[1]: expected from 1e-06 to 1,000,000, found 0.0"),
        ("std", [0.5, -1, 0.5], "image.json: std[1]: expected from 1e-06"),
        ("std", [1e-300, 1, 1], "image.json: std[0]: expected from 1e-06"),
        ("std", [float("inf"), 1, 1], "image.json: not JSON: Infinity is not a finite number"),
        ("crop_pct", 0, "image.json: crop_pct: expected above 0 and at most 1"),
        (
            "crop_pct",
            1e-3,
            "image.json: crop_pct: expected a resized side of at most 8,192 pixels, not 224,000, found 0.001",
        ),
        ("interpolation", "lanczos", "image.json: interpolation: expected one of nearest, bilinear, bicubic"),
        ("background", 256, "image.json: background: expected from 0 to 255"),
        ("backgruond", 255, "image.json: backgruond: unknown key"),
        ("std", None, "image.json: std: expected a list, found nothing"),
    ],
)
def test_every_wrong_field_is_named(field: str, value: Any, message: str) -> None:
    data = json.loads(preprocessor(**RGB).files()["image.json"])
    data[field] = value
    with pytest.raises(CorruptFile) as caught:
        ImagePreprocessor.from_files({"image.json": json.dumps(data).encode()})
    assert message in caught.value.message


def test_a_setting_that_is_younger_than_the_file_has_its_default() -> None:
    data = json.loads(preprocessor(**RGB).files()["image.json"])
    del data["crop_mode"]
    restored = ImagePreprocessor.from_files({"image.json": json.dumps(data).encode()})
    assert restored.crop_mode == "center" and restored.files() == preprocessor(**RGB).files()


def test_squashing_is_timms_to_the_pixel() -> None:
    from timm.data import create_transform

    image = np.random.default_rng(0).integers(0, 256, (61, 90, 3), dtype=np.uint8)
    theirs = create_transform(
        (3, 32, 32), crop_mode="squash", crop_pct=0.875, interpolation="bicubic", mean=(0.0,) * 3, std=(1.0,) * 3
    )
    ours = preprocessor(img_size=32, crop_mode="squash", crop_pct=0.875, **RGB).resize_and_crop(image)
    assert torch.equal((theirs(Image.fromarray(image)) * 255).round().to(torch.uint8), ours)


@pytest.mark.parametrize("field", ["img_size", "in_chans", "mean", "std"])
def test_a_missing_field_without_a_default_is_named(field: str) -> None:
    data = json.loads(preprocessor(**RGB).files()["image.json"])
    del data[field]
    with pytest.raises(CorruptFile) as caught:
        ImagePreprocessor.from_files({"image.json": json.dumps(data).encode()})
    assert caught.value.message == f"image.json: {field}: missing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "image.json is missing"),
        (b"", "image.json: not JSON"),
        (b"\xff\xfe\x00", "image.json: not JSON"),
        (b"[" * 100_000, "image.json: not JSON"),
        (b'{"img_size": ' + b"9" * 5000 + b"}", "image.json: "),
        (b"[1]", "image.json: expected an object, found list"),
    ],
)
def test_what_is_no_description_is_refused(content: bytes | None, message: str) -> None:
    with pytest.raises(CorruptFile) as caught:
        ImagePreprocessor.from_files({} if content is None else {"image.json": content})
    assert message in caught.value.message


def test_impossible_settings_are_refused_before_any_image_is_read() -> None:
    for settings, message in (({"img_size": 5000}, "img_size: expected from 1"), ({"crop_pct": 0.001}, "crop_pct")):
        with pytest.raises(FieldError, match=message):
            ImagePreprocessorConfig(**settings)
    with pytest.raises(UsageError, match="mean: missing"):
        preprocessor()
