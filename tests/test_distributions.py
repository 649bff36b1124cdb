"""What an index is given: each distribution built from the tree holds its own files, its licence and true metadata."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
DISTRIBUTIONS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
PYTHONS = ["3.11", "3.12", "3.13"]


@pytest.mark.parametrize("project", DISTRIBUTIONS, ids=lambda path: path.name)
def test_wheels_and_sdists_hold_what_an_index_needs_and_no_more(project: Path, tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(project)).build(directory=str(tmp_path))
    (sdist,) = SdistBuilder(str(project)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(about).decode())
    folder = about.removesuffix("METADATA")
    package = metadata["Name"].replace("-", "_")
    assert {name.split("/")[0] for name in names} == {package, folder.rstrip("/")}
    assert f"{package}/py.typed" in names
    with tarfile.open(sdist) as archive:
        sources = [name.split("/", 1)[1] for name in archive.getnames()]
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= set(sources)
    assert [name for name in sources if name.endswith("README.md")] == ["README.md"]

    for notice in (name for name in ("LICENSE", "NOTICE") if (project / name).exists()):
        assert f"{folder}licenses/{notice}" in names and notice in sources
    classifiers = metadata.get_all("Classifier")
    assert [name.split()[-1] for name in classifiers if ":: 3." in name] == PYTHONS
    assert metadata["Requires-Python"] == ">=3.11" and metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] and metadata["Author-email"] is None and metadata["Project-URL"] is None
    assert metadata["Description-Content-Type"] == "text/markdown" and len(metadata["Summary"]) <= 160


def test_the_packages_of_the_core_give_out_their_names_from_an_archive(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "import zoo_core, zoo_core.cli, zoo_core.testing\n"
        "from zoo_core import ZooError\nfrom zoo_core.contract import Interval\nfrom zoo_core.tasks import Confusion\n"
        "assert all('.whl' in sys.modules[one.__module__].__file__ for one in (ZooError, Interval, Confusion))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
