"""Images that a generator is given: read as training reads them, whatever the file and the form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zoo_gan.configs.tasks import ImageReaderConfig
from zoo_gan.preprocessor import ImageReader

from zoo_core.data import read_image


def reader(channels: int = 3) -> ImageReader:
    return ImageReader(ImageReaderConfig(image_size=32, in_channels=channels))  # type: ignore[arg-type]


def photo(path: Path) -> Path:
    """Taken with the camera on its side: blue left and red right until EXIF turns it."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[16:, :16, 2] = pixels[:16, :16, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    return path


def ramp(path: Path) -> Path:
    Image.fromarray(np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)).save(path)
    return path


def cut_out(path: Path) -> Path:
    pixels = np.full((32, 32, 3), (9, 9, 9), np.uint8)
    pixels[8:24, 8:24] = (200, 30, 30)
    Image.fromarray(pixels).save(path, transparency=(9, 9, 9))
    return path


def palette(path: Path) -> Path:
    Image.fromarray(np.full((32, 32, 3), (10, 200, 30), np.uint8)).quantize(4).save(path)
    return path


def ink(path: Path) -> Path:
    Image.new("RGB", (32, 32), (200, 10, 10)).convert("CMYK").save(path)
    return path


FILES = {"exif.jpg": photo, "deep.png": ramp, "keyed.png": cut_out, "few.gif": palette, "ink.tif": ink}


@pytest.mark.parametrize("name", FILES)
def test_every_form_of_a_file_is_read_as_training_reads_it(name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path / name)
    given = reader()
    trained_on = given.resize_and_crop(read_image(path))
    with Image.open(path) as opened:
        for form in (path, str(path), path.read_bytes(), opened):
            assert (given.read(form, 0) == trained_on).all(), type(form)


def test_images_are_upright_opaque_and_of_all_their_grey_levels(tmp_path: Path) -> None:
    turned = reader().read(photo(tmp_path / "a.jpg"), 0)
    assert turned[2, 2, 2] > 200 and turned[0, 2, 29] > 200  # top left blue, top right red
    assert (reader().read(cut_out(tmp_path / "b.png"), 0)[:, 0, 0] == 255).all()  # the background
    grey = reader(channels=1).read(ramp(tmp_path / "c.png"), 0)[0]
    assert grey[0, 0] == 0 and grey[16, 0] == 128 and len(grey.unique()) > 200
