"""Folders of the hub, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_core.errors import UsageError
from zoo_core.registry.foreign import ForeignFolder
from zoo_core.storage.hub import download
from zoo_core.testing.hubs import LocalHub, local_hub

FILES = {
    "config.json": b'{"kind": "tiny"}',
    "model.safetensors": bytes(range(256)) * 9,
    "model-00001-of-00002.safetensors": bytes(9),
    "model.safetensors.index.json": b"{}",
    "1_Pooling/config.json": b"{}",
    "onnx/config.json": b"{}",
    "pytorch_model.bin": b"\x80\x04never",
    "modeling.py": b"raise SystemExit",
}


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with local_hub("some/tiny", FILES) as served:
        yield served


def fetched(source: str, folder: Path, hub: LocalHub, **environ: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the library reads its settings when it is imported."""
    code = (
        "import sys; from pathlib import Path; from zoo_core import errors; from zoo_core.storage import hub\n"
        "try: print(hub.download(sys.argv[1], Path(sys.argv[2])), end='')\n"
        "except errors.DataError as error: print(error.message)\n"
    )
    settings = {**os.environ, **hub.environ(str(folder.parent / "home")), **environ}
    command = [sys.executable, "-W", "error", "-c", code, source, str(folder)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("source", ["hub:some/tiny", "hub:some/tiny@v1"])
def test_descriptions_and_safetensors_come_and_nothing_that_holds_code(
    source: str, tmp_path: Path, hub: LocalHub
) -> None:
    done = fetched(source, tmp_path / "folder", hub)
    assert (done.returncode, done.stdout) == (0, str(tmp_path / "folder")), done.stderr
    folder = tmp_path / "folder"
    places = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    found = {name: path.read_bytes() for name, path in places.items() if not name.startswith(".cache")}
    unwanted = ("pytorch_model.bin", "modeling.py", "onnx/config.json")
    assert found == {name: data for name, data in FILES.items() if name not in unwanted}
    assert not any(path.endswith((".bin", ".py")) for path in hub.asked)


def test_a_repository_that_is_not_there_is_one_error_that_names_it(tmp_path: Path, hub: LocalHub) -> None:
    done = fetched("hub:some/other", tmp_path / "folder", hub)
    assert done.returncode == 0 and done.stdout.startswith("hub:some/other can't be downloaded: "), done.stderr


def test_offline_nobody_is_asked(tmp_path: Path, hub: LocalHub) -> None:
    done = fetched("hub:some/tiny", tmp_path / "folder", hub, HF_HUB_OFFLINE="1")
    assert done.stdout.startswith("hub:some/tiny can't be downloaded: ") and not hub.asked


def test_offline_the_librarys_own_cache_answers(tmp_path: Path, hub: LocalHub) -> None:
    """What another program downloaded is imported from where it lies, links and all."""
    code = "import huggingface_hub; huggingface_hub.snapshot_download('some/tiny', revision='main')"
    settings = {**os.environ, **hub.environ(str(tmp_path / "home"))}
    subprocess.run([sys.executable, "-c", code], env=settings, check=True, timeout=120, capture_output=True)
    done = fetched("hub:some/tiny", tmp_path / "folder", hub, HF_HUB_OFFLINE="1")
    place = Path(done.stdout)
    assert place.is_relative_to(tmp_path / "home") and not (tmp_path / "folder").exists(), done.stdout + done.stderr
    assert ForeignFolder(place).small_files()["config.json"] == FILES["config.json"]
    assert (place / "config.json").is_symlink()


@pytest.mark.parametrize(
    "source", ["hub:", "hub:tiny", "hub:some/tiny/more", "hub:../../etc", "hub:some/tiny@", "hub:a b/c"]
)
def test_names_that_are_none_are_refused_before_anything_is_imported(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not of the form hub:owner/name"):
        download(source, tmp_path)
