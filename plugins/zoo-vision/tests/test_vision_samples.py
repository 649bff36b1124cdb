"""Samples: whatever a caller has becomes the same pixels, labels need no decoding, and messages number the input."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from zoo_vision.datasets.samples import Image, LabelledImage

from zoo_core import DataError
from zoo_core.data import pixels_of

COLOUR = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Pillow.fromarray(COLOUR).save(path)
    return path


def encoded() -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(COLOUR).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_form_of_a_image_gives_the_same_pixels(path: Path) -> None:
    exact = COLOUR / np.float32(255)
    forms = [
        Image(path),
        LabelledImage(path, "cat"),
        path,
        str(path),
        encoded(),
        bytearray(encoded()),
        Pillow.open(path),
        COLOUR,
        COLOUR[:, ::-1][:, ::-1],
        exact,
        exact.astype(np.float64),
        torch.from_numpy(COLOUR).permute(2, 0, 1),
        torch.from_numpy(exact).permute(2, 0, 1).requires_grad_(),
        torch.from_numpy(exact).permute(2, 0, 1).to(torch.float64),
    ]
    for form in forms:
        pixels = pixels_of(form, 0)
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and (pixels == COLOUR).all(), type(form)


def test_grey_arrays_get_a_channel() -> None:
    grey = COLOUR[:, :, 0]
    for form in (grey, grey[:, :, None], grey / 255, torch.from_numpy(grey.copy())[None], Pillow.fromarray(grey)):
        assert (pixels_of(form, 0) == grey[:, :, None]).all() and pixels_of(form, 0).shape == (5, 7, 1)
    assert pixels_of(Pillow.fromarray(grey > 100), 0).shape == (5, 7, 1)
    assert pixels_of(np.dstack([COLOUR, grey]), 0).shape == (5, 7, 4)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (7, "expected an image, found int"),
        (None, "found NoneType"),
        ([COLOUR], "found list"),
        ("no/such.png", "no/such.png: no such file"),
        (b"no", "not an image"),
        (np.zeros((3, 5, 7), np.uint8), r"channels, found \(3, 5, 7\)"),
        (np.zeros((5,), np.uint8), r"found \(5,\)"),
        (np.zeros((0, 4, 3), np.uint8), "without pixels"),
        (np.zeros((5, 7), np.int64), "must be uint8 or floating-point, found int64"),
        (np.zeros((5, 7), bool), "found bool"),
        (np.full((5, 7), 1.5), "between 0 and 1"),
        (np.full((5, 7), np.nan), "between 0 and 1"),
        (np.full((5, 7), -0.1), "between 0 and 1"),
        (torch.zeros(5, 7), r"a tensor \(C, H, W\), found \(5, 7\)"),
        (torch.zeros(2, 5, 7), r"found \(5, 7, 2\)"),
        (torch.zeros(3, 5, 7, dtype=torch.int64), "must be uint8"),
    ],
)
def test_what_is_no_image_is_named_by_its_number(item: object, message: str) -> None:
    with pytest.raises(DataError, match=r"^input 3: .*" + message):
        pixels_of(item, 2)


def test_a_half_decoded_pil_image_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Pillow.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    with Pillow.open(cut) as image, pytest.raises(DataError, match="input 1: the PIL image can't be decoded"):
        pixels_of(image, 0)


def test_labels_and_names_need_no_decoding(tmp_path: Path) -> None:
    sample = LabelledImage(tmp_path / "missing.png", "cat")
    assert sample.label == "cat" and sample.name == str(tmp_path / "missing.png") and "missing.png" in repr(sample)
    with pytest.raises(DataError, match=r"missing\.png: no such file"):
        _ = sample.image
    with pytest.raises(DataError, match="row 4: not an image"):
        _ = Image(b"no", name="row 4").image
    assert Image(COLOUR).name == "" and Image(COLOUR).image is COLOUR


def test_samples_travel_to_other_processes(path: Path) -> None:
    sample = LabelledImage(path, "cat")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        assert other.submit(attrgetter("label"), sample).result() == "cat"
        assert (other.submit(attrgetter("image"), sample).result() == COLOUR).all()
