from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_core.config.shipped import find_recipe, shipped_recipes
from zoo_core.contract.events import RunEnded, RunStarted, StepLogged
from zoo_core.contract.specs import RunInfo
from zoo_core.errors import AmbiguousName, MissingPlugin, PluginError, UnknownName
from zoo_core.plugins import validation as trial
from zoo_core.plugins.discovery import GROUP, Source, installed, normalise
from zoo_core.plugins.host import HOOKS, KINDS, OBSERVERS, PluginHost, PluginRecord, model_name
from zoo_core.testing.sites import on_path, write_plugin

HEADER = """
from zoo_core import hookimpl
from zoo_core import DataSpec, LossSpec, ModelSpec, OptimizerSpec, SampleType, TaskSpec
zoo_api = (2, 0)
"""

LOSS = """
@hookimpl
def zoo_losses():
    return [LossSpec(name="{name}", summary="s", target="{target}", inputs=("a",))]
"""

MODEL = """
@hookimpl
def zoo_models():
    return [ModelSpec(name=n, summary="s", target="t:f", sizes=dict.fromkeys(z, {{}}), tasks=()) for n, z in {sizes!r}]
"""


def loss(name: str = "huber", target: str = "somewhere.losses:huber") -> str:
    return HEADER + LOSS.format(name=name, target=target)


def models(*sizes: tuple[str, tuple[str, ...]]) -> str:
    return HEADER + MODEL.format(sizes=list(sizes))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    with on_path(folder):
        yield folder


def look(*sites: Path, disabled: tuple[str, ...] = ()) -> PluginHost:
    importlib.invalidate_caches()
    return PluginHost(installed([str(site) for site in sites]), frozenset(disabled))


def record(host: PluginHost, name: str) -> PluginRecord:
    return next(record for record in host.records if record.name == name)


# ---------------------------------------------------------------------------------------------- what there is


def test_what_specs_have_in_common_is_said_once(site: Path) -> None:
    listed = (
        "zoo_losses(): return [LossSpec(name=n, summary='s', target='t:f', inputs=(), modality=m) for n, m in NAMES]"
    )
    common = "zoo_defaults = {'modality': 'sound'}\nNAMES = (('own', 'image'), ('usual', ''))\n"
    write_plugin(site, "zoo-x", f"{HEADER}{common}@hookimpl\ndef {listed}\n")
    found = {one.spec.name: one.spec.modality for one in look(site).all("loss") if one.plugin == "zoo-x"}
    assert found == {"own": "image", "usual": "sound"}


def test_the_core_is_a_plugin_like_any_other() -> None:
    host = PluginHost([])
    core = record(host, "zoo-core")
    assert (core.state, core.api, core.module) == ("active", (2, 0), "zoo_core.plugins.builtin")
    assert core.version == importlib.metadata.version("zoo-core")
    assert [one.spec.name for one in host.all("optimizer")] == sorted(
        ["sgd", "adam", "adamw", "muon", "rmsprop", "adagrad", "adafactor"]
    )
    assert host.find("loss", "cross-entropy") == host.find("loss", "zoo-core/cross-entropy")
    assert host.find("optimizer", "adamw").plugin == "zoo-core"
    assert host.packages() == {"zoo-core": "zoo_core"}
    assert {kind: len(host.all(kind)) for kind in KINDS} == {
        "model": 0,
        "data": 1,
        "loss": 6,
        "task": 0,
        "optimizer": 7,
        "schedule": 6,
        "adapter": 2,
        "sampler": 2,
        "logger": 1,
        "interface": 0,
        "exporter": 2,
    }


def test_every_target_of_the_core_resolves() -> None:
    host = PluginHost([])
    for kind in KINDS:
        for provided in host.all(kind):
            assert callable(host.resolve(provided.spec.target, provided)), provided.id
            assert kind == "data" or provided.config() == provided.config()


def test_short_names_and_full_ids(site: Path) -> None:
    write_plugin(site, "zoo-b", loss("huber"), version="2.1")
    write_plugin(site, "Zoo.A", loss("focal"), entries={"zoo-a": "zoo_a.plugin"})
    host = look(site)
    assert [one.name for one in host.records] == ["zoo-a", "zoo-b", "zoo-core"]
    found = host.find("loss", "huber")
    assert (found.id, found.plugin, found.version) == ("zoo-b/huber", "zoo-b", "2.1")
    assert host.find("loss", "zoo-b/huber") == host.find("loss", "Zoo_B/huber") == found
    ids = [one.id for one in host.all("loss")]
    assert ids == sorted(ids) and {"zoo-a/focal", "zoo-b/huber", "zoo-core/l1"} <= set(ids)
    assert host.packages() == {"zoo-a": "zoo_a", "zoo-b": "zoo_b", "zoo-core": "zoo_core"}
    assert record(host, "zoo-b").location == str(site / "zoo_b" / "plugin.py")


def test_hosts_share_nothing(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("focal"))
    with_it, without = look(site), PluginHost([])
    assert len(with_it.all("loss")) == len(without.all("loss")) + 1
    with_it.all("loss").clear()
    with_it.warnings.append("mine")
    assert len(with_it.all("loss")) == len(without.all("loss")) + 1 and not without.warnings


def test_entry_points_of_importlib_are_taken_too(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("focal"), version="3.2")
    dist = next(iter(importlib.metadata.distributions(path=[str(site)])))
    (entry,) = dist.entry_points
    found = PluginHost([entry]).find("loss", "focal")
    assert (found.id, found.version) == ("zoo-a/focal", "3.2")
    loose = importlib.metadata.EntryPoint(name="zoo-a", value="zoo_a.plugin", group=GROUP)
    assert PluginHost([loose]).find("loss", "focal").id == "zoo-a/focal"


# ---------------------------------------------------------------------------------------------- collisions of names


@pytest.mark.parametrize("reverse", [False, True])
def test_a_clash_names_both_and_the_way_out(site: Path, reverse: bool) -> None:
    write_plugin(site, "zoo-a", loss("huber", "zoo_a.losses:huber"), version="0.3")
    write_plugin(site, "zoo-b", loss("huber", "zoo_b.deep:smooth"), version="1.1")
    sources = sorted(installed([str(site)]), reverse=reverse)
    host = PluginHost(sources)
    with pytest.raises(AmbiguousName) as caught:
        host.find("loss", "huber")
    for word in ("zoo-a 0.3", "zoo_a.losses:huber", "zoo-b 1.1", "zoo_b.deep:smooth", "zoo-a/huber or zoo-b/huber"):
        assert word in str(caught.value)
    assert caught.value.hint == "use zoo-a/huber or zoo-b/huber"
    assert host.find("loss", "zoo-a/huber").spec.target == "zoo_a.losses:huber"
    assert host.find("loss", "zoo-b/huber").spec.target == "zoo_b.deep:smooth"
    assert PluginHost(sources, frozenset({"zoo-b"})).find("loss", "huber").plugin == "zoo-a"


def test_nobody_shadows_the_core(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("l1", "zoo_a.losses:l1"))
    host = look(site)
    assert host.find("loss", "l1").id == host.find("loss", "zoo-core/l1").id == "zoo-core/l1"
    assert host.find("loss", "zoo-a/l1").spec.target == "zoo_a.losses:l1"


def test_a_short_name_means_the_own_plugin_then_the_core_then_the_only_one(site: Path) -> None:
    for name, listed in {"zoo-a": "l1", "zoo-b": "l1", "zoo-c": "focal"}.items():
        write_plugin(site, name, loss(listed))
    host = look(site)
    assert host.find("loss", "l1", ["zoo-b"]).id == "zoo-b/l1"
    assert host.find("loss", "l1", ["zoo-absent", "zoo-a", "zoo-b"]).id == "zoo-a/l1"
    assert host.find("loss", "l1", ["zoo-c"]).id == "zoo-core/l1"
    assert host.find("loss", "focal", ["zoo-a"]).id == "zoo-c/focal"


TASKS = """
@hookimpl
def zoo_tasks():
    return [TaskSpec(name="sort", summary="s", target="t:f", reads=(SampleType(name="list", fields=("items",)),), labelled=False)]
"""


def test_a_family_serves_the_tasks_of_its_own_plugin_or_else_anybodys(site: Path) -> None:
    family = models(("mlp", ("tiny",))).replace("tasks=()", "tasks=('sort',)")
    write_plugin(site, "zoo-a", family + TASKS)
    write_plugin(site, "zoo-b", HEADER + TASKS)
    write_plugin(site, "zoo-c", family.replace("mlp", "mlp_c"))
    write_plugin(site, "zoo-d", family.replace("mlp", "mlp_d").replace("'sort'", "'zoo-b/sort'"))
    host = look(site)
    served = {
        (model.plugin, task.plugin)
        for model in host.all("model")
        for task in host.all("task")
        if host.serves(model, task)
    }
    assert served == {("zoo-a", "zoo-a"), ("zoo-c", "zoo-a"), ("zoo-c", "zoo-b"), ("zoo-d", "zoo-b")}
    assert host.find("loss", "l1-penalty").plugin == "zoo-core"


def test_two_distributions_with_one_entry_point_name(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("focal"), version="0.3")
    write_plugin(site, "impostor", loss("huber"), version="6.6", entries={"zoo-a": "impostor.plugin"})
    host = look(site)
    assert host.find("loss", "zoo-a/focal").version == "0.3"
    impostor = record(host, "impostor")
    assert impostor.state == "conflict"
    assert (
        "impostor 6.6" in impostor.reason
        and "zoo-a 0.3" in impostor.reason
        and 'impostor = "impostor.plugin"' in impostor.reason
    )
    assert "impostor.plugin" not in sys.modules
    with pytest.raises(PluginError, match="conflict"):
        host.find("loss", "impostor/huber")


def test_neither_of_two_owns_a_third_name(site: Path) -> None:
    for name in ("acme", "bcme"):
        write_plugin(site, name, loss("huber"), entries={"zoo-x": f"{name}.plugin"})
    assert {r.name: r.state for r in look(site).records if r.name != "zoo-core"} == dict.fromkeys(
        ("acme", "bcme"), "conflict"
    )


def test_the_name_of_the_core_is_taken(site: Path) -> None:
    write_plugin(site, "acme", loss("huber"), entries={"zoo-core": "acme.plugin"})
    write_plugin(site, "zoo-core", loss("evil"), entries={"zoo-core": "zoo_core.plugin"})
    host = look(site)
    assert record(host, "acme").state == "conflict" and record(host, "zoo-core").module == "zoo_core.plugins.builtin"
    with pytest.raises(UnknownName):
        host.find("loss", "evil")


def test_two_distributions_with_one_module(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("focal"))
    write_plugin(site, "fork", "", version="2.0", entries={"fork": "zoo_a.plugin"})
    write_plugin(site, "leech", "", entries={"leech": "zoo_core.plugins.builtin"})
    host = look(site)
    assert record(host, "zoo-a").state == record(host, "zoo-core").state == "active"
    assert record(host, "fork").state == record(host, "leech").state == "conflict"
    assert record(host, "fork").reason.startswith("zoo_a.plugin belongs to zoo-a 1.0; point its entry point at")
    assert host.find("loss", "focal").id == "zoo-a/focal"
    host = look(site, disabled=("zoo-a",))
    assert record(host, "fork").state == "conflict", "a disabled plugin's module is still its own"
    with pytest.raises(UnknownName):
        host.find("loss", "focal")


@pytest.mark.parametrize("editable", [False, True])
def test_a_module_belongs_to_the_distribution_whose_files_hold_it(site: Path, tmp_path: Path, editable: bool) -> None:
    write_plugin(site, "shared", loss("focal"))
    for name in ("author", "thief"):
        write_plugin(site, name, "", entries={name: "shared.plugin"})
    assert record(look(site), "shared").state == "active", "nothing but its name speaks for it"
    info = site / "author-1.0.dist-info"
    if editable:
        write_plugin(tmp_path / "work" / "src", "shared", "")
        stated = {"url": (tmp_path / "work").as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(stated))
    else:
        (info / "RECORD").write_text("shared/plugin.py,,\n")
    host = look(site)
    assert record(host, "author").state == "active"
    assert {record(host, name).reason.partition(";")[0] for name in ("shared", "thief")} == {
        "shared.plugin belongs to author 1.0"
    }


def test_a_module_that_nobody_owns_is_a_conflict_with_a_way_out(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("focal"))
    for name in ("one", "two"):
        write_plugin(site, name, "", entries={name: "somewhere_else.plugin"})
    host = look(site)
    assert record(host, "one").state == record(host, "two").state == "conflict"
    assert "one 1.0 and two 1.0" in record(host, "one").reason
    assert "ZOO_DISABLE_PLUGINS=two" in record(host, "two").reason
    assert "ModuleNotFoundError" in record(look(site, disabled=("two",)), "one").reason


def test_the_first_of_two_copies_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_plugin(second, "zoo-a", loss("old"), version="0.1")
    write_plugin(first, "zoo-a", loss("new"), version="0.2")
    with on_path(first, second):
        host = look(first, second, first)
        assert host.find("loss", "new").version == "0.2"
        (note,) = record(host, "zoo-a").notes
        assert "0.1" in note and str(second) in note
        assert record(look(first, first), "zoo-a").notes == ()


# ---------------------------------------------------------------------------------------------- plugins that fail

DEEP = {"deep.py": "\n\ndef fall():\n    raise OSError('no such device')\n"}
SPEC = 'LossSpec(name="a", summary="s", target="t:f", inputs=())'
BROKEN = {
    "raises": ("raise RuntimeError('bad wolf')", "RuntimeError: bad wolf", "plugin.py:1"),
    "raises-deep": ("from zoo_x import deep\ndeep.fall()", "OSError: no such device", "deep.py:4"),
    "raises-in-library": ("import json\njson.loads('{')", "JSONDecodeError", "plugin.py:2"),
    "lacks-library": ("import there_is_no_such_library", "ModuleNotFoundError", "plugin.py:1"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3", "plugin.py:2"),
    "panics": ("class Panic(BaseException): pass\nraise Panic('rust')", "Panic: rust", "plugin.py:2"),
    "syntax": ("def f(:\n", "SyntaxError", "plugin.py:1"),
    "no-message": (
        "class E(Exception):\n def __str__(self): raise ValueError\nraise E",
        "E: (its message",
        "plugin.py:3",
    ),
    "escapes": ("raise RuntimeError('\\x1b[2Jgone\\nnext')", "\\x1b[2Jgone next", "plugin.py:1"),
    "talkative": ("raise RuntimeError('x' * 10**6)", "xxx ...", "plugin.py:1"),
    "replaced": ("import sys\nsys.modules[__name__] = 3", "put a int in its own place", ""),
    "no-api": ("", "zoo_api is missing", "zoo_api = (2, 0)"),
    "odd-api": ("zoo_api = '1.0'", "zoo_api is missing or wrong, it is '1.0'", "zoo_api = (2, 0)"),
    "misspelled": (HEADER + "@hookimpl\ndef zoo_model(): return []", "unknown hook 'zoo_model'", "zoo_models"),
    "unmarked": (HEADER + "def zoo_losses(): return []", "zoo_losses lacks @hookimpl", "plugin.py:5"),
    "argument": (HEADER + "@hookimpl\ndef zoo_losses(config): return []", "Argument(s) {'config'}", "zoo_losses"),
    "default": (HEADER + "@hookimpl\ndef zoo_run_started(event=None): pass", "'event' a default", "plugin.py:5"),
    "keyword": (HEADER + "@hookimpl\ndef zoo_run_started(*, event): pass", "zoo_run_started", "plain named"),
    "rest": (HEADER + "@hookimpl\ndef zoo_run_started(**facts): pass", "takes **facts", "plain named"),
    "wrapper": (
        HEADER + "@hookimpl(wrapper=True)\ndef zoo_losses():\n return (yield)",
        "wraps the hook",
        "wrapper=True",
    ),
    "generator": (HEADER + f"@hookimpl\ndef zoo_losses():\n yield {SPEC}", "generator or coroutine", "plain function"),
    "coroutine": (
        HEADER + "@hookimpl\nasync def zoo_run_started(event): pass",
        "generator or coroutine",
        "plain function",
    ),
    "returns-generator": (
        HEADER + "@hookimpl\ndef zoo_losses(): return (s for s in ())",
        "returned a generator",
        "list",
    ),
    "returns-none": (HEADER + f"@hookimpl\ndef zoo_losses(): [{SPEC}]", "returned a NoneType", "list"),
    "returns-tuple": (HEADER + f"@hookimpl\ndef zoo_losses(): return ({SPEC},)", "returned a tuple", "list"),
    "unknown-default": (HEADER + "zoo_defaults = {'modalty': 'x'}", "expected fields of specs", "found 'modalty'"),
    "wrong-type": (HEADER + "@hookimpl\ndef zoo_losses(): return [3]", "item 0 is a int, not a LossSpec", ""),
    "other-spec": (HEADER + f"@hookimpl\ndef zoo_models(): return [{SPEC}]", "is a LossSpec, not a ModelSpec", ""),
    "twice": (HEADER + f"@hookimpl\ndef zoo_losses(): return [{SPEC}, {SPEC}]", "'a' more than once", "own name"),
    "bad-name": (HEADER + LOSS.format(name="Ü b", target="t:f"), "ValueError: LossSpec name 'Ü b'", "plugin.py"),
    "bad-target": (HEADER + LOSS.format(name="a", target="t.f"), "target 't.f' is not", "plugin.py"),
    "raises-in-hook": (HEADER + "@hookimpl\ndef zoo_tasks():\n return 1/0", "ZeroDivisionError", "plugin.py:7"),
    "exits-in-hook": (HEADER + "@hookimpl\ndef zoo_tasks():\n raise SystemExit", "SystemExit", "plugin.py:7"),
    "no-sizes": (models(("mlp", ())), "model 'mlp' has no sizes", "at least one"),
    "dotted-family": (models(("mlp.v2", ("tiny",))), "'mlp.v2' can't be part", ""),
    "one-name-two-models": (models(("mlp", ("big_one",)), ("mlp_big", ("one",))), "'mlp_big_one' more than once", ""),
    "name-dodges-the-check": (
        HEADER + f"@hookimpl\ndef zoo_losses():\n s = {SPEC}\n object.__setattr__(s, 'name', '../a')\n return [s]",
        "ValueError: LossSpec name '../a'",
        "",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_diagnosed_and_harms_nobody(site: Path, case: str) -> None:
    source, what, where = BROKEN[case]
    write_plugin(site, "zoo-x", source, version="0.7", modules=DEEP)
    write_plugin(site, "zoo-good", loss("huber"))
    host = look(site)
    broken = record(host, "zoo-x")
    assert broken.state == "broken"
    assert what in broken.reason and where in broken.reason, broken.reason
    assert "\n" not in broken.reason and "\x1b" not in broken.reason and len(broken.reason) < 700
    assert host.find("loss", "huber").plugin == "zoo-good" and "zoo-x" not in host.packages()
    with pytest.raises(PluginError, match=r"model 'zoo-x/mlp': plugin zoo-x 0.7 is broken") as caught:
        host.find_model("zoo-x/mlp")
    assert caught.value.hint == broken.reason
    assert not any(one.plugin == "zoo-x" for kind in KINDS for one in host.all(kind))


def test_a_broken_plugin_brings_nothing_of_what_was_sound(site: Path) -> None:
    watch = "@hookimpl\ndef zoo_run_started(event): pass\n"
    write_plugin(site, "zoo-x", loss("huber") + watch + "@hookimpl\ndef zoo_tasks(): return 3")
    host = look(site)
    assert [one.plugin for one in host.all("loss") if one.spec.name == "huber"] == []
    assert not any(host._observers.values())


def test_an_interrupt_is_not_swallowed(site: Path) -> None:
    write_plugin(site, "zoo-x", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        look(site)


def test_an_entry_point_must_have_the_name_of_its_distribution(site: Path) -> None:
    write_plugin(site, "zoo-a", loss(), entries={"vision": "zoo_a.plugin"})
    write_plugin(site, "zoo-b", loss(), entries={"zoo_b": "zoo_b.plugin"})
    write_plugin(site, "zoo-c", loss(), entries={"zoo-c": "zoo_c.plugin:Plugin"})
    write_plugin(site, "zoo-d", loss(), entries={"zoo-d": "zoo_d.plugin", "zoo-d-more": "zoo_d.plugin"})
    host = look(site)
    assert {r.name: r.state for r in host.records if r.state != "active"} == dict.fromkeys(
        ("zoo-a", "zoo-b", "zoo-c", "zoo-d"), "broken"
    )
    assert 'write zoo-a = "zoo_a.plugin" in [project.entry-points."zoo.plugins"]' in record(host, "zoo-a").reason
    assert "'zoo_b'" in record(host, "zoo-b").reason
    assert "zoo_c.plugin" in record(host, "zoo-c").reason and "module" in record(host, "zoo-c").reason
    assert "2 entry points" in record(host, "zoo-d").reason
    assert not {"zoo_a.plugin", "zoo_b.plugin", "zoo_c.plugin", "zoo_d.plugin"} & set(sys.modules)


# ---------------------------------------------------------------------------------------------- hook API


@pytest.mark.parametrize(
    ("api", "state"),
    [
        ((2, 3), "active"),
        ((2, 0), "active"),
        ((2, 4), "incompatible"),
        ((1, 9), "incompatible"),
        ((3, 0), "incompatible"),
    ],
)
def test_the_hook_api_decides(site: Path, monkeypatch: pytest.MonkeyPatch, api: tuple[int, int], state: str) -> None:
    monkeypatch.setattr(trial, "HOOK_API", (2, 3))
    # A hook that only the other version knows must not be taken for a misspelling.
    extra = "@hookimpl\ndef zoo_quux(): return []\n" if state == "incompatible" else ""
    write_plugin(site, "zoo-x", loss().replace("(2, 0)", str(api)) + extra)
    found = record(look(site), "zoo-x")
    assert (found.state, found.api) == (state, api)
    if state != "active":
        assert f"{api[0]}.{api[1]}" in found.reason and "2.3" in found.reason
        assert ("pip install --upgrade zoo-core" in found.reason) == (api > (2, 3))


def test_a_newer_plugin_is_known_even_if_it_cannot_be_imported(site: Path) -> None:
    source = "zoo_api: tuple[int, int] = (2, 7)\nfrom zoo_core import SpecOfTheFuture\n"
    write_plugin(site, "zoo-x", source)
    write_plugin(site, "zoo-y", source.replace("(2, 7)", "(2, 0)"))
    host = look(site)
    found = record(host, "zoo-x")
    assert (found.state, found.api) == ("incompatible", (2, 7))
    assert "hook API 2.7" in found.reason and "SpecOfTheFuture" in found.reason
    assert record(host, "zoo-y").state == "broken"


def test_a_plugin_that_was_built_for_the_first_hook_api_is_told_what_to_change(site: Path) -> None:
    built = Path(__file__).parent / "built_for_1_0"
    write_plugin(
        site, "zoo-old", (built / "plugin.py").read_text(), modules={"parts.py": (built / "parts.py").read_text()}
    )
    write_plugin(site, "zoo-new", loss())
    host = look(site)
    found = record(host, "zoo-old")
    assert (found.state, found.api) == ("incompatible", (1, 0)) and "zoo_old.parts" not in sys.modules
    for words in ("hook API 1.0", "2.0", "Task.step", "`at`", "Predictor", "`event`", "docs/migrating.md"):
        assert words in found.reason, words
    assert (Path(__file__).parents[2] / "docs" / "migrating.md").is_file()
    assert record(host, "zoo-new").state == "active" and not host.warnings[1:]


# ---------------------------------------------------------------------------------------------- switching off


def test_a_disabled_plugin_is_not_even_imported(site: Path) -> None:
    write_plugin(site, "Zoo_Loud.er", "raise KeyboardInterrupt", entries={"zoo-loud-er": "zoo_loud_er.plugin"})
    write_plugin(site, "zoo-b", loss("huber"))
    for spelling in ("zoo-loud-er", "ZOO_loud-ER", "zoo..loud__er"):
        host = PluginHost.discover({"ZOO_DISABLE_PLUGINS": f" {spelling} ,,"})
        assert record(host, "zoo-loud-er").state == "disabled" and host.warnings == []
        assert host.find("loss", "huber").plugin == "zoo-b"
        assert "zoo_loud_er" not in sys.modules
        with pytest.raises(PluginError, match="disabled") as caught:
            host.find("loss", "zoo-loud-er/any")
        assert "ZOO_DISABLE_PLUGINS" in caught.value.hint
        with pytest.raises(UnknownName, match=r"zoo-loud-er \(disabled\)"):
            host.find("loss", "any")


def test_disabling_what_is_not_there_is_told(site: Path) -> None:
    write_plugin(site, "zoo-bee", loss("huber"))
    host = look(site, disabled=("zoo-be", "zoo-core"))
    assert record(host, "zoo-bee").state == "active" == record(host, "zoo-core").state
    unknown = record(host, "zoo-be")
    assert unknown.state == "disabled" and "did you mean zoo-bee" in unknown.reason
    assert len(host.warnings) == 1 and "zoo-be" in host.warnings[0]
    assert "can't be disabled" in record(host, "zoo-core").notes[0]
    with pytest.raises(MissingPlugin):
        look(site, disabled=("elsewhere",)).find("loss", "elsewhere/a")


# ---------------------------------------------------------------------------------------------- finding


def test_unknown_names_get_the_nearest_and_the_missing_plugins(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("huber"))
    host = look(site)
    with pytest.raises(UnknownName, match="unknown loss 'hubert'\ndid you mean huber"):
        host.find("loss", "hubert")
    with pytest.raises(UnknownName, match="did you mean zoo-a/huber"):
        host.find("loss", "zoo-a/hubert")
    with pytest.raises(UnknownName, match="task 'none'"):
        host.find("task", "none")
    with pytest.raises(MissingPlugin, match="loss 'acme/huber' needs acme, which is not installed"):
        host.find("loss", "acme/huber")
    for typo in ("zoo-aa/huber", "/huber", "a/b/huber", "https://evil/huber"):
        with pytest.raises(UnknownName, match="unknown plugin"):
            host.find("loss", typo)
    write_plugin(site, "zoo-x", "raise RuntimeError")
    with pytest.raises(UnknownName, match=r"zoo-x \(broken\); 'zoo plugin list' says why"):
        look(site).find("loss", "hubert")


def test_models_are_families_with_sizes(site: Path) -> None:
    write_plugin(site, "zoo-a", models(("mlp", ("base", "tiny")), ("mlp_wide", ("tiny",))))
    host = look(site)
    assert [(host.find_model(n)[0].id, host.find_model(n)[1]) for n in ("mlp", "mlp_base", "mlp_tiny")] == [
        ("zoo-a/mlp", "base"),
        ("zoo-a/mlp", "base"),
        ("zoo-a/mlp", "tiny"),
    ]
    assert host.find_model("zoo-a/mlp_tiny")[:2] == (host.find("model", "mlp"), "tiny")
    assert host.find_model("mlp_wide_tiny")[:2] == (host.find("model", "mlp_wide"), "tiny")
    with pytest.raises(UnknownName, match="did you mean mlp_tiny"):
        host.find_model("mlp_tinny")
    with pytest.raises(UnknownName, match="did you mean zoo-a/mlp_tiny"):
        host.find_model("zoo-a/mlp_tinny")


def test_names_of_another_library_are_asked_for_only_where_nobody_lists_the_name(site: Path) -> None:
    source = models(("mlp", ("tiny",))).replace("tasks=()", 'tasks=(), names="zoo_a.more:names"')
    more = "def names():\n    return {'net50': {'depth': 50}, 'mlp_tiny': {'depth': 9}}\n"
    write_plugin(site, "zoo-a", source, modules={"more.py": more})
    host = look(site)
    found = host.find_model("mlp_tiny")
    assert (found.size, dict(found.values)) == ("tiny", {}) and "zoo_a.more" not in sys.modules
    found = host.find_model("net50")
    assert (found.provided.id, found.size, dict(found.values)) == ("zoo-a/mlp", "net50", {"depth": 50})
    assert (
        model_name(found.provided, "net50") == "zoo-a/net50"
        and model_name(found.provided, "tiny") == "zoo-a/mlp_tiny"
        and model_name(found.provided, "") == "zoo-a/mlp"
    )
    assert host.find_model("zoo-a/net50") == found
    with pytest.raises(UnknownName, match="did you mean net50"):
        host.find_model("net5O")


def test_a_clash_of_models_poisons_only_the_name_they_share(site: Path) -> None:
    write_plugin(site, "zoo-a", models(("mlp", ("base", "tiny"))), version="0.1")
    write_plugin(site, "zoo-b", models(("mlp", ("huge",)), ("mlp_base", ("x",))), version="0.2")
    host = look(site)
    assert host.find_model("mlp_tiny")[0].plugin == "zoo-a" and host.find_model("mlp_huge")[0].plugin == "zoo-b"
    for name in ("mlp", "mlp_base"):
        with pytest.raises(AmbiguousName, match=f"use zoo-a/{name} or zoo-b/{name}"):
            host.find_model(name)
    assert host.find_model("zoo-a/mlp_base")[:2] == (host.find("model", "zoo-a/mlp"), "base")
    assert host.find_model("zoo-b/mlp_base")[:2] == (host.find("model", "zoo-b/mlp_base"), "x")


# ---------------------------------------------------------------------------------------------- targets

HEAVY = {
    "heavy.py": "loaded = True\ndef build(config): return config\n",
    "raising.py": "\nraise OSError('libcudart.so.99')\n",
    "leaving.py": "import sys; sys.exit('bye')\n",
    "lacking.py": "import there_is_no_such_library\n",
    "stopping.py": "raise KeyboardInterrupt\n",
}


def test_targets_are_imported_on_first_use(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("huber", "zoo_a.heavy:build"), modules=HEAVY)
    host = look(site)
    found = host.find("loss", "huber")
    assert "zoo_a.heavy" not in sys.modules
    assert host.resolve(found.spec.target, found)(3) == 3
    assert sys.modules["zoo_a.heavy"].loaded


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("zoo_a.raising:build", ["OSError: libcudart.so.99", "raising.py:2", "ZOO_DISABLE_PLUGINS=zoo-a"]),
        ("zoo_a.leaving:build", ["SystemExit: bye"]),
        ("zoo_a.lacking:build", ["there_is_no_such_library is not installed: pip install --upgrade zoo-a"]),
        ("zoo_a.nowhere:build", ["No module named 'zoo_a.nowhere'"]),
        ("zoo_a.heavy:built", ["no function or class 'built'", "did you mean build?"]),
        ("zoo_a.heavy:loaded", ["no function or class 'loaded'"]),
    ],
)
def test_a_target_that_fails_names_plugin_target_and_cause(site: Path, target: str, words: list[str]) -> None:
    write_plugin(site, "zoo-a", loss("huber", target), version="0.4", modules=HEAVY)
    host = look(site)
    found = host.find("loss", "huber")
    with pytest.raises(PluginError) as caught:
        host.resolve(found.spec.target, found)
    for word in ["zoo-a/huber", "zoo-a 0.4", target, *words]:
        assert word in str(caught.value)


def test_an_interrupt_passes_through_resolve(site: Path) -> None:
    write_plugin(site, "zoo-a", loss("huber", "zoo_a.stopping:build"), modules=HEAVY)
    host = look(site)
    with pytest.raises(KeyboardInterrupt):
        host.resolve("zoo_a.stopping:build", host.find("loss", "huber"))


# ---------------------------------------------------------------------------------------------- observers

RUN = RunInfo(name="a_b.c", folder="", task="", model="", steps=1, seed=0)
WATCH = HEADER + "seen = []\n"
WATCH += "@hookimpl\ndef zoo_step_logged(event): seen.append((event.step, event.metrics['loss']))\n"
FALL = HEADER + "calls = []\n"
FALL += "@hookimpl\ndef zoo_step_logged(event):\n    calls.append(event.step)\n    raise SystemExit('enough')\n"
FALL += "@hookimpl\ndef zoo_run_ended(event): calls.append(event.status)\n"


def test_observers_are_isolated_and_a_raising_one_is_switched_off(site: Path) -> None:
    write_plugin(site, "zoo-a", FALL)
    write_plugin(site, "zoo-b", WATCH)
    host = look(site)
    assert [hook for hook in OBSERVERS if host._observers[hook]] == ["zoo_step_logged", "zoo_run_ended"]
    for step in (1, 2, 3):
        host.notify("zoo_step_logged", StepLogged(run=RUN, step=step, kind="train", metrics={"loss": 0.5}), {})
    host.notify("zoo_run_ended", RunEnded(run=RUN, status="finished", step=3), {})
    assert sys.modules["zoo_b.plugin"].seen == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert sys.modules["zoo_a.plugin"].calls == [1, "finished"]
    (warning,) = host.warnings
    assert "zoo-a" in warning and "zoo_step_logged" in warning and "SystemExit: enough" in warning
    assert "plugin.py:9" in warning


def test_nobody_watches_the_core_alone() -> None:
    host = PluginHost([])
    assert not any(host._observers.values())
    host.notify("zoo_run_started", RunStarted(run=RUN), {})
    with pytest.raises(KeyError):
        host.notify("zoo_run_strated", RunStarted(run=RUN), {})
    assert len(HOOKS) == len(KINDS) + 5 and len(OBSERVERS) == 5


def test_an_interrupt_passes_through_an_observer(site: Path) -> None:
    write_plugin(site, "zoo-a", HEADER + "@hookimpl\ndef zoo_run_started(event): raise KeyboardInterrupt\n")
    host = look(site)
    with pytest.raises(KeyboardInterrupt):
        host.notify("zoo_run_started", RunStarted(run=RUN), {})
    assert host._observers["zoo_run_started"]


# ---------------------------------------------------------------------------------------------- discovery


def test_the_scan_sees_what_importlib_sees() -> None:
    found = {(s.distribution, s.version, s.entry, s.module) for s in installed()}
    official = {
        (normalise(entry.dist.name), entry.dist.version, entry.name, entry.value)
        for entry in importlib.metadata.entry_points(group=GROUP)
        if entry.dist is not None
    }
    assert found == official


def test_odd_metadata_folders(tmp_path: Path) -> None:
    site = tmp_path / "site"
    text = "# x = y\r\n[console_scripts]\r\nb = c\r\n\r\n[zoo.plugins]\r\n# zoo-z = z\r\nzoo-a=zoo_a.plugin\r\n[other]\r\nd = e\r\n"
    for name in ("Zoo_A-1.2.dist-info", "~oo_b-1.0.dist-info", "zoo_c.egg-info", "zoo_d-2.0-py3.11.egg-info"):
        (site / name).mkdir(parents=True)
        (site / name / "entry_points.txt").write_bytes(text.encode() + b"\xff\xfe")
    (site / "zoo_e-1.0.dist-info").mkdir()
    (site / "zoo_f-1.0.dist-info").write_text("a file")
    found = installed(["/no/such/folder", str(site)])
    assert [(s.distribution, s.version) for s in found] == [("zoo-a", "1.2"), ("zoo-c", ""), ("zoo-d", "2.0")]
    assert {(s.entry, s.module) for s in found} == {("zoo-a", "zoo_a.plugin")}


def test_archives_on_the_path_are_left_to_importlib(tmp_path: Path) -> None:
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("zoo_z-0.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: zoo-z\nVersion: 0.9\n")
        out.writestr("zoo_z-0.9.dist-info/entry_points.txt", "[zoo.plugins]\nzoo-z = zoo_z.plugin\n")
        out.writestr("zoo_z/__init__.py", "")
        out.writestr("zoo_z/plugin.py", loss("zipped"))
    with on_path(archive):
        found = PluginHost(installed([str(archive)])).find("loss", "zipped")
    assert (found.plugin, found.version) == ("zoo-z", "0.9")


def test_what_a_plugin_prints_stays_out_of_the_answer(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plugin(site, "zoo-a", "print('welcome!')" + loss("huber"))
    assert look(site).find("loss", "huber").plugin == "zoo-a"
    assert capsys.readouterr() == ("", "welcome!\n")


def test_control_characters_in_metadata_do_not_reach_the_terminal() -> None:
    host = PluginHost([Source("zoo\x1b[2J", "1\x07", "zoo", "a.b", "/")])
    shown = [text for r in host.records for text in (r.name, r.version, r.reason)]
    assert all(text.isprintable() for text in shown)


# ---------------------------------------------------------------------------------------------- the listing path

PROBE = """
import json, sys
from zoo_core.plugins.host import PluginHost
host = PluginHost.discover()
heavy = ["torch", "numpy", "yaml", "email", "zipfile", "importlib.metadata", "rich", "safetensors", "accelerate"]
print(json.dumps({
    "heavy": [name for name in heavy if name in sys.modules],
    "ids": [one.id for one in host.all("loss")],
    "notes": {record.name: record.notes for record in host.records},
}))
"""


def probe(site: Path, cache: Path) -> tuple[dict[str, object], float]:
    """What a fresh process sees with `site` on its path, and the CPU milliseconds it took."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    others = ",".join({source.distribution for source in installed() if source.location != str(site)})
    environment |= {"PYTHONPATH": str(site), "PYTHONPYCACHEPREFIX": str(cache), "ZOO_DISABLE_PLUGINS": others}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout), 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def test_discovering_ten_plugins_is_quick_and_light(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for i in range(10):
        write_plugin(site, f"zoo-p{i}", loss(f"loss-{i}"))
    tries = [probe(site, tmp_path / "cache") for _ in range(6)]
    seen, milliseconds = tries[0][0], min(cpu for _, cpu in tries)
    print(f"10 plugins found and tried in {milliseconds:.0f} ms CPU, interpreter included")
    assert seen["heavy"] == []
    assert {f"zoo-p{i}/loss-{i}" for i in range(10)} <= set(seen["ids"])
    assert milliseconds < 150  # 60 on an idle machine; importing one heavy library costs more than the difference


def test_a_plugin_that_imports_torch_is_flagged(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_plugin(site, "zoo-heavy", "import torch" + loss("huber"))
    write_plugin(site, "zoo-light", loss("focal"))
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("")  # stands in for the real one, which takes seconds
    seen, _ = probe(site, tmp_path / "cache")
    assert "zoo-heavy/huber" in seen["ids"]
    assert "imports torch" in seen["notes"]["zoo-heavy"][0] and seen["notes"]["zoo-light"] == []


def test_a_worker_process_builds_the_same_host(site: Path, tmp_path: Path) -> None:
    write_plugin(site, "zoo-b", loss("huber"))
    write_plugin(site, "zoo-a", loss("huber"))
    here = look(site)
    seen, _ = probe(site, tmp_path / "cache")
    assert seen["ids"] == [one.id for one in here.all("loss")]


def test_a_recipe_that_two_plugins_ship_is_asked_for_with_the_plugin_in_front(site: Path) -> None:
    for name in ("zoo-a", "zoo-b"):
        package = write_plugin(site, name, loss(f"loss-{name[-1]}"))
        for stem in ("shared", f"own_{name[-1]}"):
            (package / "recipes").mkdir(exist_ok=True)
            (package / "recipes" / f"{stem}.yaml").write_text("name: x_y.z\n")
    host = look(site)
    assert list(shipped_recipes(host)) == ["own_a", "zoo-a/shared", "own_b", "zoo-b/shared"]
    assert find_recipe("zoo-b/shared", host) == site / "zoo_b" / "recipes" / "shared.yaml"
    assert find_recipe("own_a", host).stem == "own_a"
    with pytest.raises(AmbiguousName, match="shipped by 2 plugins") as caught:
        find_recipe("shared", host)
    assert caught.value.hint == "use zoo-a/shared or zoo-b/shared"
