"""`zoo import` as a user types it: from a hub on this machine, and from a package that was fetched before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from zoo_core import load, open_zoo
from zoo_core.cli import main
from zoo_core.testing import local_hub


def test_a_timm_repository_is_downloaded_registered_and_computes_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", num_classes=3).eval()
    timm.models.save_for_hf(theirs, str(tmp_path / "folder"), safe_serialization=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()}
    with local_hub("some/tiny", files) as hub:
        environ = {**os.environ, **hub.environ(str(tmp_path / "client")), "ZOO_HOME": str(tmp_path / "home")}
        words = ["import", "hub:some/tiny", "--model", "timm", "--name", "test_resnet.hub"]
        command = [sys.executable, "-W", "error", "-m", "zoo_core", *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "checkpoint: test_resnet.hub@1" in done.stdout
    loaded = load("test_resnet.hub", zoo=open_zoo({"ZOO_HOME": str(tmp_path / "home")}))
    assert loaded.card.summary.startswith("imported from hub:some/tiny")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(images), theirs(images))


def test_a_checkpoint_that_a_package_ships_is_registered_under_its_name_and_the_commands_know_timms_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "checkpoints" / "tf_efficientnet_lite0.in1k"
    timm.models.save_for_hf(timm.create_model("test_resnet"), str(folder), safe_serialization=True)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    assert main(["import", "tf_efficientnet_lite0.in1k", "--name", "test_resnet.packaged"]) == 0
    assert "checkpoint: test_resnet.packaged@1" in capsys.readouterr().out
    assert main(["import", "tf_efficientnet_lite9.in1k"]) == 2
    assert "did you mean tf_efficientnet_lite" in capsys.readouterr().err
    assert main(["import", str(folder)]) == 2
    assert "needs --model FAMILY and --name NAME" in capsys.readouterr().err
    assert main(["show", "convnext_tiny"]) == 0
    assert "config.architecture: convnext_tiny" in capsys.readouterr().out
    assert main(["list", "--all", "convnext_t*"]) == 0
    assert "convnext_tiny" in capsys.readouterr().out
    assert main(["list", "--all"]) == 0
    shown = capsys.readouterr()
    assert "convnext_tiny" not in shown.out and "further names" in shown.out + shown.err
