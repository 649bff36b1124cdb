"""Plugins that a real installer put there: what a fresh process sees of good and of hostile ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zoo_core.plugins.discovery import installed
from zoo_core.testing.sites import write_project

HEADER = """
from zoo_core import hookimpl
from zoo_core import LossSpec, ModelSpec
zoo_api = (2, 0)
"""
GOOD = """
def spec(name):
    return LossSpec(name=name, summary="s", target=f"{__package__}.losses:build", inputs=("a",))

@hookimpl
def zoo_losses():
    return [spec("huber"), spec(__package__)]

@hookimpl
def zoo_models():
    return [ModelSpec(name="mlp", summary="s", target=f"{__package__}.losses:build", sizes={"tiny": {}}, tasks=())]
"""
SOUND = HEADER + GOOD
TARGET = {"losses.py": "def build(config): return f'built {config}'\n"}


@dataclass(frozen=True)
class Hostile:
    """A plugin that does harm, and what must be said of it."""

    source: str
    words: tuple[str, ...]
    state: str = "broken"
    entries: Mapping[str, str] | None = None


HOSTILE = {
    "h-raises": Hostile("raise RuntimeError('bad wolf')", ("RuntimeError: bad wolf", "h_raises/plugin.py:1")),
    "h-exits": Hostile("import sys\nsys.exit(7)", ("SystemExit: 7", "h_exits/plugin.py:2")),
    "h-panics": Hostile(
        "class Panic(BaseException): pass\nraise Panic('rust')", ("Panic: rust", "h_panics/plugin.py:2")
    ),
    "h-syntax": Hostile("def zoo_losses(:\n", ("SyntaxError", "h_syntax/plugin.py:1")),
    "h-dependency": Hostile("import library_nobody_has", ("ModuleNotFoundError", "library_nobody_has")),
    "h-misspelled": Hostile(SOUND.replace("zoo_losses", "zoo_looses"), ("unknown hook 'zoo_looses'", "zoo_losses")),
    "h-duplicate": Hostile(SOUND.replace("spec(__package__)", "spec('huber')"), ("'huber' more than once",)),
    "h-too-new": Hostile(
        SOUND.replace("(2, 0)", "(9, 1)"), ("hook API 9.1", "pip install --upgrade zoo-core"), "incompatible"
    ),
    "h-future": Hostile("zoo_api = (2, 99)\nfrom zoo_core import Future", ("hook API 2.99", "Future"), "incompatible"),
    "h-no-api": Hostile(SOUND.replace("zoo_api = (2, 0)", ""), ("zoo_api is missing",)),
    "h-generator": Hostile(SOUND.replace("return [spec", "yield [spec"), ("zoo_losses", "generator or coroutine")),
    "h-iterator": Hostile(SOUND.replace('[spec("huber"), spec(__package__)]', "map(spec, 'ab')"), ("returned a map",)),
    "h-type": Hostile(SOUND.replace('[spec("huber"), spec(__package__)]', "['huber']"), ("item 0 is a str",)),
    "h-default": Hostile(
        SOUND + "\n@hookimpl\ndef zoo_run_started(event=None): pass\n", ("zoo_run_started", "'event' a default")
    ),
    "h-unmarked": Hostile(SOUND.replace("@hookimpl", ""), ("lacks @hookimpl",)),
    "h-impostor": Hostile(SOUND, ("h-impostor 1.0", "g-first 1.0"), "conflict", {"g-first": "h_impostor.plugin"}),
    "h-other-name": Hostile(
        SOUND, ("'vision'", 'write h-other-name = "h_other_name.plugin"'), "broken", {"vision": "h_other_name.plugin"}
    ),
    "h-as-core": Hostile(SOUND, ("zoo-core",), "conflict", {"zoo-core": "h_as_core.plugin"}),
}
"""At least ten ways to be a bad neighbour."""

SLOW = "import torch" + SOUND

PROBE = """
import json, sys
from zoo_core.errors import ZooError
from zoo_core.plugins.host import KINDS, PluginHost

def attempt(ask):
    try:
        return ask()
    except ZooError as error:
        return f"{type(error).__name__}: {error}"

host = PluginHost.discover()
light = "torch" not in sys.modules
answers = {}
for name in json.loads(sys.argv[1]):
    answers[name] = attempt(lambda: host.find("loss", name).id)
build = attempt(lambda: host.resolve(host.find("loss", "g-first/huber").spec.target, host.find("loss", "g-first/huber")))
print(json.dumps({
    "records": {r.name: [r.state, r.reason, list(r.notes), r.version, r.location] for r in host.records},
    "ids": [one.id for kind in KINDS for one in host.all(kind)],
    "answers": answers,
    "model": attempt(lambda: [host.find_model("g-first/mlp")[0].id, host.find_model("g-first/mlp")[1]]),
    "built": build("it") if callable(build) else build,
    "light": light,
}))
"""

OTHERS = ",".join(sorted({source.distribution for source in installed()}))
"""The plugins that are installed beside the core here, for instance zoo-nlp."""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three real installations: sound plugins, sound and hostile ones, and a slow one."""
    uv = Path(sys.executable).with_name("uv")
    installer = str(uv) if uv.exists() else shutil.which("uv")
    if installer is None:
        pytest.skip("uv is not installed, so nothing can be installed for real")
    root = tmp_path_factory.mktemp("installed")
    good = [write_project(root, name, SOUND, modules=TARGET) for name in ("g-first", "g-second")]
    bad = [write_project(root, n, h.source, entries=h.entries, modules=TARGET) for n, h in HOSTILE.items()]
    slow = write_project(root, "s-slow", SLOW, modules=TARGET)
    made = {"good": good, "mixed": [*good, *bad], "slow": [slow]}
    for name, projects in made.items():
        command = [installer, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
        command += ["--python", sys.executable, "--target", str(root / "site" / name), *map(str, projects)]
        subprocess.run(command, check=True, cwd=root)
    (root / "site" / "slow" / "torch.py").write_text("")  # stands in for the real one, which takes seconds
    return {name: root / "site" / name for name in made}


def see(site: Path | None, *names: str, disabled: str = "") -> dict[str, Any]:
    """What a host finds in a fresh process with `site` on its path, and how it answers for `names`."""
    environment = {**os.environ, "ZOO_DISABLE_PLUGINS": disabled}
    environment.pop("PYTHONPATH", None)
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    command = [sys.executable, "-c", PROBE, json.dumps(names)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_the_core_alone() -> None:
    seen = see(None, "cross-entropy", "zoo-core/l1", "huber", disabled=OTHERS)
    states = {name: record[0] for name, record in seen["records"].items() if record[0] == "active"}
    assert states == {"zoo-core": "active"} and seen["light"]
    assert seen["answers"]["cross-entropy"] == "zoo-core/cross-entropy"
    assert seen["answers"]["zoo-core/l1"] == "zoo-core/l1"
    assert seen["answers"]["huber"].startswith("UnknownName")
    assert all(one.startswith("zoo-core/") for one in seen["ids"])


def test_sound_plugins_beside_whatever_is_installed(sites: dict[str, Path]) -> None:
    alone, beside = see(None), see(sites["good"], "g-first/huber", "g_second", "huber", disabled="")
    assert beside["light"] and beside["built"] == "built it"
    for name in ("g-first", "g-second"):
        state, _, notes, version, location = beside["records"].pop(name)
        assert (state, notes, version) == ("active", [], "1.0") and location.startswith(str(sites["good"]))
    assert beside["records"] == alone["records"], "a plugin's state depends on its neighbours"
    assert (
        beside["answers"]["g-first/huber"] == "g-first/huber" and beside["answers"]["g_second"] == "g-second/g_second"
    )
    clash = beside["answers"]["huber"]
    assert clash.startswith("AmbiguousName") and "g-first 1.0" in clash and "g-second 1.0" in clash
    assert clash.endswith("use g-first/huber or g-second/huber")
    assert see(sites["good"], "huber", disabled="G_Second")["answers"]["huber"] == "g-first/huber"


def test_hostile_plugins_are_diagnosed_by_name_and_harm_nobody(sites: dict[str, Path]) -> None:
    good, mixed = see(sites["good"]), see(sites["mixed"], "l1", *(f"{name}/huber" for name in HOSTILE))
    assert mixed["ids"] == good["ids"] and mixed["built"] == "built it" and mixed["model"] == ["g-first/mlp", "tiny"]
    assert mixed["answers"]["l1"] == "zoo-core/l1" and mixed["light"]
    fine = 0
    for name, hostile in HOSTILE.items():
        state, reason, *_ = mixed["records"].pop(name)
        assert state == hostile.state, (name, state, reason)
        assert all(word in reason for word in hostile.words), (name, reason)
        answer = mixed["answers"][f"{name}/huber"]
        assert answer.startswith(f"PluginError: loss '{name}/huber': plugin {name} 1.0 is {state}\n{reason}"), answer
        fine += 1
    states = {name: record[:4] for name, record in mixed["records"].items()}
    assert states == {name: record[:4] for name, record in good["records"].items()}
    print(f"{len(HOSTILE)} tried, {fine} ok")
    assert fine == len(HOSTILE) >= 10


def test_each_hostile_plugin_can_be_silenced(sites: dict[str, Path]) -> None:
    seen = see(sites["mixed"], "h-exits/huber", "huberr", disabled=",".join([*HOSTILE, "zoo-nowhere"]))
    assert {seen["records"][name][0] for name in HOSTILE} == {"disabled"}
    assert "no plugin of that name is installed" in seen["records"]["zoo-nowhere"][1]
    assert "is disabled" in seen["answers"]["h-exits/huber"]
    assert "h-exits (disabled)" in seen["answers"]["huberr"]


def test_pluggy_alone_would_have_died(sites: dict[str, Path]) -> None:
    """The control: the hostile ones are hostile."""
    code = "import pluggy; pluggy.PluginManager('zoo').load_setuptools_entrypoints('zoo.plugins')"
    environment = {**os.environ, "PYTHONPATH": str(sites["mixed"])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode != 0


def test_a_plugin_that_imports_torch_works_and_is_flagged(sites: dict[str, Path]) -> None:
    seen = see(sites["slow"], "s_slow")
    state, _, notes, *_ = seen["records"]["s-slow"]
    assert state == "active" and "imports torch" in notes[0] and not seen["light"]
    assert seen["answers"]["s_slow"] == "s-slow/s_slow"
