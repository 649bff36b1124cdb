"""What plugins rely on stays as it was: names and signatures of the public packages are those of a file, whose diff is read."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

import surface  # noqa: E402

RELEASED: dict[str, str] = {}
"""sha256 of the files of hook APIs that are released, which are never written again: `{"2.0": "..."}`."""

ADVICE = """
The public names or signatures are no longer those of tests/api. If the change is meant, and one that CONTRIBUTING.md allows:
while HOOK_API of zoo_core/contract/specs.py is in development, run scripts/surface and read its diff; if it is released, raise
its minor number for additions, its major number for anything else, and run scripts/surface, which then writes a new file."""


def test_public_names_and_signatures_are_those_of_the_file() -> None:
    found = surface.problems()
    assert not found, "\n".join([*found, ADVICE])


@pytest.mark.parametrize("version", RELEASED)
def test_a_released_file_is_as_it_was_released(version: str) -> None:
    assert sha256((ROOT / "tests" / "api" / f"{version}.txt").read_bytes()).hexdigest() == RELEASED[version], ADVICE


FILE = """Hook API 2.0

zoo_core.contract
    dataclass(frozen=True) class Spec(ABC)
        name: str
        summary: str = ''
        abstract def build(self, config: Any) -> Model
        classmethod def of(cls, name: str, *, strict: bool=False) -> Spec
    def move(batch: Batch) -> Batch
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("summary: str = ''", "summary: str = ''\n        paper: str = ''"),
        ("summary: str = ''", "summary: str = ''\n        def title(self) -> str"),
        ("def move(batch: Batch)", "def copy(batch: Batch) -> Batch\n    def move(batch: Batch, device: Device='cpu')"),
        ("strict: bool=False)", "strict: bool=False, most: int=3)"),
        ("    def move", "    dataclass(frozen=True) class Other\n        name: str\n    def move"),
    ],
)
def test_what_a_minor_version_may_add(old: str, new: str) -> None:
    assert old in FILE and surface.broken(FILE, FILE.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("        summary: str = ''\n", "", "zoo_core.contract.Spec.summary: is gone"),
        ("name: str\n", "name: str\n        paper: str\n", "zoo_core.contract.Spec.paper: is new and has to be given"),
        ("name: str\n", "name: str | None\n", "zoo_core.contract.Spec.name: was: name: str"),
        (
            "classmethod def",
            "abstract def ask(self) -> str\n        classmethod def",
            "Spec.ask: is new and has to be given",
        ),
        ("def move(batch: Batch)", "def move(batch: Batch, device: Device)", "zoo_core.contract.move: was"),
        ("def move(batch: Batch)", "def move(device: Device='cpu', batch: Batch=None)", "zoo_core.contract.move: was"),
        (") -> Batch", ") -> Any", "zoo_core.contract.move: was"),
        ("classmethod def", "def", "zoo_core.contract.Spec.of: was"),
        ("strict: bool=False", "strict: bool=True", "zoo_core.contract.Spec.of: was"),
    ],
)
def test_what_needs_a_major_version(old: str, new: str, named: str) -> None:
    assert old in FILE
    (line,) = surface.broken(FILE, FILE.replace(old, new))
    assert named in line
