"""Images whose header is sound and whose pixels are not: found when they are drawn, named, and left out where asked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from zoo_core import DataError, Zoo, load_recipe, open_zoo, train
from zoo_core.testing import Cursor, GlobalBatch, Hardware, prepare, training_batches


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return open_zoo()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes in two splits."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for label in ("cat", "dog"):
            folder = tmp_path / "photos" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                file = io.BytesIO()
                Pillow.fromarray(draws.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(file, "JPEG")
                (folder / f"{number}.jpg").write_bytes(file.getvalue())
    return tmp_path / "photos"


def cut(path: Path) -> Path:
    """Leave the header of an image and half of the rest."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def recipe(photos: Path, **data: Any) -> dict[str, Any]:
    return {
        "name": "resnet_nano.photos",
        "model": {"name": "resnet_nano", "channels": [8, 8, 8, 8]},
        "preprocessor": {"img_size": 16, "in_chans": 3, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "task": {"name": "image-classification"},
        "data": {"name": "labelled-image", "path": str(photos), **data},
        "optimizer": {"lr": 1.0e-2},
        "training": {"steps": 8, "batch_size": 4, "extras": "off", "device": "cpu"},
    }


@pytest.mark.parametrize("workers", [0, 1])
def test_one_that_is_cut_off_ends_training_and_is_named(workers: int, zoo: Zoo, photos: Path, tmp_path: Path) -> None:
    bad = cut(photos / "train" / "cat" / "3.jpg")
    made = recipe(photos)
    made["training"]["workers"] = workers
    with pytest.raises(DataError) as caught:
        train(made, folder=tmp_path / "run", zoo=zoo)
    assert caught.value.message.startswith(f"{bad}: ") and "\n" not in caught.value.message


def test_one_that_is_damaged_or_deleted_meanwhile_is_left_out(zoo: Zoo, photos: Path) -> None:
    resolved = load_recipe(recipe(photos, bad="skip"), [], zoo.host)
    parts = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
    bad = {cut(photos / "train" / "cat" / "3.jpg"), photos / "train" / "dog" / "5.jpg"}
    (photos / "train" / "dog" / "5.jpg").unlink()

    def steps(workers: int) -> list[GlobalBatch]:
        stream = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=workers, pin=False)
        return [next(stream) for _ in range(4)]

    here, there = steps(0), steps(1)
    assert {bad.what.split(": ")[0] for step in here for bad in step.bad} == set(map(str, bad))
    for one, other in zip(here, there, strict=True):
        assert one.bad == other.bad
        assert all(
            torch.equal(one.micro_batches[0][name], other.micro_batches[0][name]) for name in ("images", "labels")
        )
