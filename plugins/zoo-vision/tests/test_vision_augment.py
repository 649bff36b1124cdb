from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]
from zoo_vision.augment import Augmentation, ColourJitter, crop_box, erased_box
from zoo_vision.configs.models import AugmentConfig, ImagePreprocessorConfig
from zoo_vision.policies import Policy, rand_augment, trivial_augment
from zoo_vision.preprocessor import ImagePreprocessor

from zoo_core import DataError
from zoo_core.contract import SampleKey

EVERYTHING: dict[str, Any] = {"flip": 0.5, "colour": 1.0, "grey": 0.3, "blur": 0.5, "erase": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {
    "pad": {"crop": "pad", "flip": 0.5},
    "resized": {"crop": "resized", "flip": 0.5},
    "randaugment": {"policy": "randaugment", "magnitude": 15},
    "trivialaugment": {"policy": "trivialaugment"},
    "everything": {"crop": "resized", "policy": "randaugment", **EVERYTHING},
}


def augmentation(size: int = 24, channels: Any = 3, **settings: Any) -> Augmentation:
    config = ImagePreprocessorConfig(
        img_size=size, in_chans=channels, mean=(0.4, 0.5, 0.6)[:channels], std=(0.2,) * channels
    )
    return Augmentation(AugmentConfig(**settings), ImagePreprocessor(config))


def image(height: int = 40, width: int = 30, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, channels), dtype=np.uint8)


def key(index: int = 0, epoch: int = 0) -> np.random.Generator:
    return SampleKey(7, epoch, index).generator()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_key_gives_the_same_pixels_and_another_key_others(name: str, channels: int) -> None:
    augment = augmentation(channels=channels, **SETTINGS[name])
    array = image(channels=channels)
    first = [augment(array, key(index)) for index in range(8)]
    torch.rand(5)
    np.random.default_rng().random()
    assert all(one.dtype == torch.uint8 and one.shape == (channels, 24, 24) for one in first)
    for index in reversed(range(8)):
        assert torch.equal(augment(array, key(index)), first[index])
    assert len({one.numpy().tobytes() for one in first}) >= 6
    assert not torch.equal(augment(array, key(0, epoch=1)), augment(array, key(0, epoch=2)))


def digest(start: int) -> str:
    """Of the pixels of 12 keys, taken in an order that begins with `start`."""
    augment, array = augmentation(**SETTINGS["everything"]), image()
    made = {index % 12: augment(array, key(index % 12)) for index in range(start, start + 12)}
    return hashlib.sha256(b"".join(made[index].numpy().tobytes() for index in range(12))).hexdigest()


def test_another_process_in_another_order_gives_the_same_pixels() -> None:
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['digest'](5))"
    environment = {**os.environ, "PYTHONHASHSEED": "12", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "error", "-c", code, __file__]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (result.stdout.strip(), result.stderr) == (digest(0), "")


def test_workers_with_fewer_threads_give_the_same_pixels() -> None:
    augment = augmentation(384, crop="resized", policy="trivialaugment", **EVERYTHING)
    array = image(400, 400)
    threads = torch.get_num_threads()
    made: list[list[Tensor]] = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            made.append([augment(array, key(index)) for index in range(15)])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*made, strict=True))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_global_generators_stay_as_they_are(name: str) -> None:
    augment, array = augmentation(**SETTINGS[name]), image()
    random.seed(1)
    torch.manual_seed(1)
    states: list[Any] = []
    for _ in range(2):
        augment(array, key())
        states.append((random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()))  # type: ignore[index]
        torch.manual_seed(1)
    assert states[0] == states[1]
    assert states[0][2] == torch.get_rng_state().tolist()


def test_threads_at_once_give_the_same_pixels() -> None:
    augment, array = augmentation(**SETTINGS["everything"]), image()
    alone = [augment(array, key(index)) for index in range(40)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda index: augment(array, key(index)), range(40)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_nothing_asked_for_is_nothing_done() -> None:
    augment, array = augmentation(), image()
    assert torch.equal(augment(array, key()), augment.preprocessor.resize_and_crop(array))


def test_padding_shifts_by_up_to_so_many_pixels_and_repeats_the_border() -> None:
    augment = augmentation(9, 1, crop="pad", padding=2)
    array = np.arange(81, dtype=np.uint8).reshape(9, 9, 1)
    seen = set()
    for index in range(200):
        made = augment(array, key(index))[0].numpy()
        down, right = divmod(int(made[4, 4]) - 40, 9)
        down, right = (down, right) if right <= 4 else (down + 1, right - 9)
        rows, columns = (np.clip(np.arange(9) + by, 0, 8) for by in (down, right))
        assert np.array_equal(made, array[rows][:, columns, 0])
        seen.add((down, right))
    assert seen == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_flips_come_as_often_as_asked() -> None:
    augment, array = augmentation(24, 1, flip=0.25), image(24, 24, 1)
    plain = torch.from_numpy(array[:, :, 0])
    made = [augment(array, key(index))[0] for index in range(400)]
    flipped = sum(torch.equal(one, plain.flip(1)) for one in made)
    assert flipped + sum(torch.equal(one, plain) for one in made) == 400
    assert 70 < flipped < 130


def test_resized_crops_keep_the_asked_share_of_the_original_and_its_sharpness() -> None:
    # Every pixel tells its place, and only a crop that is taken before resizing can tell neighbours apart.
    rows, columns = np.mgrid[:200, :100]
    array = np.stack([rows, columns * 2, np.zeros_like(rows)], 2).astype(np.uint8)
    shares = []
    for index in range(100):
        made = augmentation(64, crop="resized", scale=(0.3, 0.6))(array, key(index)).numpy().astype(int)
        height, width = np.ptp(made[0]) + 1, np.ptp(made[1]) / 2 + 1
        shares.append(height * width / 20_000)
        assert 0.6 < width / height < 1.6
    assert 0.25 < min(shares) < 0.4 and 0.5 < max(shares) < 0.65
    checks = np.indices((200, 100)).sum(0)[:, :, None].astype(np.uint8) % 2 * 255
    sharp = augmentation(100, 1, crop="resized", scale=(0.2, 0.21))(checks, key())
    assert int(sharp.max()) - int(sharp.min()) > 150


@pytest.mark.parametrize(
    ("settings", "holds"),
    [
        ({"grey": 1.0}, lambda plain, made: torch.equal(made[0], made[1]) and torch.equal(made[1], made[2])),
        ({"erase": 1.0}, lambda plain, made: ((made != plain).any(0).float().mean() < 0.5).item()),
        ({"blur": 1.0}, lambda plain, made: (made.float().std() < plain.float().std()).item()),
        ({"colour": 1.0}, lambda plain, made: not torch.equal(made, plain)),
        ({"colour": 9.0}, lambda plain, made: not torch.equal(made, plain)),
    ],
)
def test_each_change_does_what_it_says(settings: dict[str, Any], holds: Any) -> None:
    augment, array = augmentation(**settings), image(24, 24)
    plain = augment.preprocessor.resize_and_crop(array)
    made = [augment(array, key(index)) for index in range(20)]
    changed = [one for one in made if not torch.equal(one, plain)]
    assert len(changed) >= 10 and all(holds(plain, one) for one in changed)


def test_what_is_erased_or_uncovered_is_nothing_to_the_model() -> None:
    erased = augmentation(erase=1.0)
    light = np.full((24, 24, 3), 250, np.uint8)
    made = erased(light, key())
    hole = made[:, made[0] != 250]
    assert hole.shape[1] > 0 and (hole == torch.tensor([[102], [128], [153]])).all()
    grey = augmentation(channels=1, erase=1.0)(light[:, :, :1], key())
    assert set(grey.flatten().tolist()) == {102, 250}


FILL = [102, 128, 153]


def outcomes(policy: Policy, picture: Tensor) -> list[set[bytes]]:
    """What each operation of a policy makes of an image at any of its strengths."""
    made = []
    for kernel, strengths, signed in policy.operations:
        values = [sign * strength for strength in strengths for sign in ((1, -1) if signed else (1,))]
        made.append({kernel(picture, value, policy.fill).numpy().tobytes() for value in values})
    return made


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["randaugment", "trivialaugment"])
def test_policies_make_what_torchvisions_make_and_reach_every_operation(name: str, channels: int) -> None:
    picture = torch.from_numpy(image(16, 16, channels)).permute(2, 0, 1) // 2 + 40
    fill = FILL[:channels]
    if name == "randaugment":
        theirs, ours = v2.RandAugment(num_ops=1, magnitude=17, fill=fill), rand_augment(17, 16, fill)
        ours.count = 1
    else:
        theirs, ours = v2.TrivialAugmentWide(fill=fill), trivial_augment(fill)
    possible = outcomes(ours, picture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        expected = [theirs(picture).numpy().tobytes() for _ in range(600)]
    generator = key()
    found = [ours(picture, generator).numpy().tobytes() for _ in range(600)]
    assert len(possible) == 14
    for operation in possible:
        # 600 draws of 1 in 14: 43 of each, more where two operations agree, within five deviations of the difference
        shares = [sum(one in operation for one in made) for made in (expected, found)]
        assert min(shares) > 10 and abs(shares[0] - shares[1]) < 5 * sum(shares) ** 0.5
    assert set(expected) | set(found) <= set().union(*possible)
    if name == "randaugment":  # all can be told apart: 9 with a sign, and 5
        assert set(expected) == set(found) == set().union(*possible)


def test_rand_augment_draws_two_operations() -> None:
    policy, picture = rand_augment(17, 16, FILL), torch.from_numpy(image(16, 16)).permute(2, 0, 1)
    single = rand_augment(17, 16, FILL)
    single.count = 1
    made = policy(picture, key())
    generator = key()
    assert torch.equal(made, single(single(picture, generator), generator))
    assert not torch.equal(made, picture)


def distance(one: list[float], other: list[float]) -> float:
    """Kolmogorov and Smirnov's: the largest difference of two distributions."""
    places = np.sort([*one, *other])
    ranks = (np.searchsorted(np.sort(part), places, side="right") / len(part) for part in (one, other))
    return float(np.abs(np.subtract(*ranks)).max())


@pytest.mark.parametrize("shape", [(60, 40), (30, 90), (500, 3)])
@pytest.mark.parametrize("name", ["crop", "erase"])
def test_boxes_are_distributed_as_torchvisions(name: str, shape: tuple[int, int]) -> None:
    transform = v2.RandomResizedCrop(8, scale=(0.2, 0.9)) if name == "crop" else v2.RandomErasing(p=1.0)
    picture = torch.zeros(1, *shape, dtype=torch.uint8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        drawn = [transform.make_params([picture]) for _ in range(1500)]
    generator = key()
    if name == "crop":
        expected = [(one["top"], one["left"], one["height"], one["width"]) for one in drawn]
        found = [tuple(crop_box(*shape, (0.2, 0.9), generator)) for _ in range(1500)]
    else:
        expected = [(one["i"], one["j"], one["h"], one["w"]) if one["v"] is not None else (0,) * 4 for one in drawn]
        found = [tuple(erased_box(*shape, generator) or (0,) * 4) for _ in range(1500)]
    for side in range(4):
        # 1.95 sqrt(2 / 1500): one in a thousand of equal distributions is further apart.
        assert distance([float(one[side]) for one in expected], [float(one[side]) for one in found]) < 0.071
    areas, others = ([float(one[2] * one[3]) for one in boxes] for boxes in (expected, found))
    assert distance(areas, others) < 0.071


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (100, 130)])
def test_where_no_crop_fits_the_middle_is_kept_as_torchvision_does(shape: tuple[int, int]) -> None:
    box = v2.RandomResizedCrop(8, scale=(9.0, 9.0)).make_params([torch.zeros(1, *shape)])
    assert crop_box(*shape, (9.0, 9.0), key())._asdict() == box


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_as_torchvision_changes_them(channels: int) -> None:
    picture = torch.from_numpy(image(16, 16, channels)).permute(2, 0, 1)
    theirs = v2.ColorJitter(1.6, 1.6, *((1.6, 0.4) if channels == 3 else ()))
    limits = [theirs.brightness, theirs.contrast, theirs.saturation, theirs.hue][: 4 if channels == 3 else 2]
    ours = ColourJitter(2.0, channels)
    assert [(least, most) for _, least, most in ours.changes] == [pytest.approx(pair) for pair in limits]
    orders = set()
    for index in range(60):
        draws = key(index)
        factors = [
            least + draw * (most - least) for draw, (least, most) in zip(draws.random(len(limits)), limits, strict=True)
        ]
        order = draws.permutation(len(limits)).tolist()
        names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
        values = dict.fromkeys(names) | dict(zip(names, factors, strict=False))
        expected = theirs.transform(picture, {"fn_idx": torch.tensor(order), **values})
        assert torch.equal(ours(picture, key(index)), expected)
        orders.add(tuple(order))
    assert len(orders) > (15 if channels == 3 else 1)


def test_blur_grey_and_erasing_are_torchvisions() -> None:
    picture = augmentation().preprocessor.resize_and_crop(image())
    draws = key()
    draws.random(1)
    sigma = draws.uniform(0.1, 2.0)
    expected = v2.GaussianBlur(3).transform(picture, {"sigma": [sigma, sigma]})
    assert torch.equal(augmentation(blur=1.0)(image(), key()), expected)
    assert torch.equal(augmentation(grey=1.0)(image(), key()), v2.RandomGrayscale(p=1.0)(picture))
    draws = key()
    draws.random(1)
    box = erased_box(24, 24, draws)
    assert box is not None
    where = dict(zip("ijhw", box, strict=True))
    erased = v2.RandomErasing(value=FILL).transform(picture, {**where, "v": torch.tensor(FILL)[:, None, None]})
    assert torch.equal(augmentation(erase=1.0)(image(), key()), erased)


def test_two_views_differ_and_follow_the_key() -> None:
    augment, array = augmentation(**SETTINGS["everything"]), image()
    one, other = augment.two_views(array, key())
    assert not torch.equal(one, other)
    assert all(torch.equal(*pair) for pair in zip(augment.two_views(array, key()), (one, other), strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_smallest_and_thinnest_images_pass(name: str, shape: tuple[int, int]) -> None:
    for channels in (1, 4):
        assert augmentation(**SETTINGS[name])(image(*shape, channels), key()).shape == (3, 24, 24)


def test_tiny_inputs_pass() -> None:
    assert augmentation(4, 1, **SETTINGS["everything"])(image(8, 8, 1), key()).shape == (1, 4, 4)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_no_image_is_refused(name: str) -> None:
    for array in (np.zeros((4, 4), np.uint8), [[1]]):
        with pytest.raises(DataError, match="expected an image"):
            augmentation(**SETTINGS[name])(array, key())  # type: ignore[arg-type]
