"""`zoo import hub:owner/name` as a user types it, against a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import timm
import torch

from zoo_core import load, open_zoo
from zoo_core.testing.hubs import local_hub


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
