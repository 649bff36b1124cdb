"""Finding, checking and keeping: the commands that never load a model."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_core.cli.render import RichOutput
from zoo_core.registry.card import Card
from zoo_core.registry.catalogue import write_registry
from zoo_core.registry.records import Metric
from zoo_core.registry.store import Store
from zoo_core.storage.fs import digest_of
from zoo_core.storage.machine import remedy_of

Zoo = Callable[..., Any]
"""Runs the program on its words and gives its `code`, `out`, `err` and, as JSON, `data`."""

ESCAPE = "\x1b"


# Finding


def test_list_shows_the_newest_loadable_version_of_each_name(zoo: Zoo, cards: None) -> None:
    shown = zoo("list")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()] == ["NAME", "toy_tiny.coins@2", "toy_wide.dice@1"]
    assert re.search(r"^\d+ more can't be loaded here", shown.err)
    assert ESCAPE not in shown.out + shown.err and "\t" not in shown.out


def test_list_all_shows_versions_missing_plugins_and_architectures(zoo: Zoo, cards: None) -> None:
    rows = zoo("list", "--all", "--json").data
    found = {(row["name"], row["version"]): row for row in rows}
    assert {("toy_tiny.coins", 1), ("toy_tiny.coins", 2), ("lost_tiny.coins", 1), ("toy_wide", None)} <= set(found)
    assert "pip install zoo-absent" in found["lost_tiny.coins", 1]["why"]
    assert found["toy_tiny.coins", 1]["metrics"] == {"accuracy": 0.8125}
    assert not found["lost_tiny.coins", 1]["available"]


def test_list_filters(zoo: Zoo, cards: None) -> None:
    assert [row["name"] for row in zoo("list", "toy_w*", "--json").data] == ["toy_wide.dice"]
    assert zoo("list", "--task", "spelling", "--json").data == []
    assert len(zoo("list", "--modality", "bits", "--json").data) == 2
    shown = zoo("list", "--task", "majorty")
    assert shown.code == 2 and "did you mean majority" in shown.err


def test_an_empty_zoo_says_what_to_do(zoo: Zoo) -> None:
    shown = zoo("list")
    assert shown.code == 0 and shown.out == "" and "zoo list --all" in shown.err


def test_search_looks_into_summaries_and_architectures(zoo: Zoo, cards: None) -> None:
    assert [row["name"] for row in zoo("search", "DICE", "throws", "--json").data] == ["toy_wide.dice"]
    assert {row["name"] for row in zoo("search", "sums", "--json").data} == {"toy_tiny", "toy_wide"}
    nothing = zoo("search", "elephant")
    assert nothing.code == 0 and nothing.out == "" and "nothing mentions elephant" in nothing.err


def test_show_a_card(zoo: Zoo, cards: None) -> None:
    shown = zoo("show", "toy_tiny.coins@1")
    assert {
        "name: toy_tiny.coins@1",
        "labels: a, b",
        "parameters: 22,000 (22.0 k)",
        "config.width: 4",
        "options.top: 1",
    } <= set(shown.out.splitlines())
    assert re.search(r"METRIC +VALUE +BASELINE: MAJORITY\naccuracy +0\.8125 +0\.5", shown.out)
    assert digest_of(b"weights") in shown.out and "7 B" in shown.out
    data = zoo("show", "toy_tiny.coins@1", "--json").data
    assert data["name"] == "toy_tiny.coins" and data["layer"] == "store" and data["options"] == {"top": 1}


def test_show_an_architecture(zoo: Zoo) -> None:
    data = zoo("show", "toy_wide", "--json").data
    assert data["config"] == {"width": 8, "scale": 0.001} and data["tasks"][:2] == ["majority", "spelling"]
    assert "config.scale: 0.001" in zoo("show", "toy").out.splitlines()


def test_show_a_card_whose_plugin_is_missing(zoo: Zoo, cards: None) -> None:
    shown = zoo("show", "lost_tiny.coins")
    assert shown.code == 0 and "pip install zoo-absent" in shown.out


@pytest.mark.parametrize("name", ["toy_tiny.coin", "toy_wid"])
def test_an_unknown_name_names_the_nearest(zoo: Zoo, cards: None, name: str) -> None:
    shown = zoo("show", name)
    assert shown.code == 2 and shown.err.startswith("error: unknown") and "did you mean toy_" in shown.err


def test_an_unknown_name_names_the_nearest_architecture_where_no_checkpoint_is(zoo: Zoo) -> None:
    shown = zoo("show", "toy_wid")
    assert shown.code == 2 and "did you mean toy_wide" in shown.err


def test_recipes_are_listed(zoo: Zoo) -> None:
    row = next(row for row in zoo("recipes", "--json").data if row["name"] == "coins")
    assert row["task"] == "majority" and row["summary"] == "learns to count coins"
    assert "coins" in zoo("recipes").out


# Plugins, data, health


def test_plugin_list_shows_working_and_broken_ones(zoo: Zoo, installed: Callable[[str, str], None]) -> None:
    installed("zoo-ruin", "raise RuntimeError('out of order')\n")
    found = {record["name"]: record for record in zoo("plugin", "list", "--json").data}
    assert found["zoo-toy"]["state"] == "active" and found["zoo-toy"]["version"] == "1.2"
    assert {"zoo-toy/majority", "zoo-toy/spelling"} <= set(found["zoo-toy"]["provides"]["task"])
    assert found["zoo-ruin"]["state"] == "broken" and "out of order" in found["zoo-ruin"]["reason"]
    assert re.search(r"zoo-toy +1\.2 +active +model 1, data 3, task 6", zoo("plugin", "list").out)
    doctor = zoo("doctor", "--json")
    broken = [check for check in doctor.data["checks"] if check["state"] == "broken"]
    assert doctor.code == 1 and [check["name"] for check in broken] == ["plugin zoo-ruin"]
    assert "out of order" in broken[0]["hint"]


def test_doctor_on_a_sound_zoo(zoo: Zoo, cards: None) -> None:
    shown = zoo("doctor")
    assert shown.code == 0 and "all is well" in shown.out
    names = {line.split("  ")[0] for line in shown.out.splitlines()}
    assert {"python", "torch", "accelerate", "device", "plugin zoo-toy", "store", "catalogue", "disk"} <= names


def test_doctor_finds_a_file_that_is_gone(zoo: Zoo, cards: None, tmp_path: Path) -> None:
    next((tmp_path / "home" / "objects").rglob(digest_of(b"weights"))).unlink()
    shown = zoo("doctor")
    assert shown.code == 1 and "toy_tiny.coins@1: model.safetensors" in shown.out


def test_data_is_listed_and_fetched(zoo: Zoo, tmp_path: Path) -> None:
    states = {row["name"]: row["state"] for row in zoo("data", "list", "--json").data}
    assert states == {"coins": "ready", "bits-file": "ready", "far": "to be fetched", "mixture": "ready"}
    fetched = zoo("data", "fetch", "far")
    assert fetched.code == 0 and "preparing far bits" in fetched.err
    assert (tmp_path / "data" / "far" / "bits.txt").read_bytes() == b"0101"
    assert re.search(r"far +bits \(bits, label\) +fetched", zoo("data", "list").out)


def test_nothing_is_fetched_when_a_name_is_wrong(zoo: Zoo, tmp_path: Path) -> None:
    assert zoo("data", "fetch", "far", "farr").code == 2
    assert zoo("data", "fetch", "coins").code == 2
    assert not (tmp_path / "data").exists()


# Keeping


def test_verify_finds_one_flipped_byte(zoo: Zoo, cards: None, tmp_path: Path) -> None:
    assert zoo("verify", "toy_tiny.coins@1", "toy_wide.dice").code == 0
    spoilt = next((tmp_path / "home" / "objects").rglob(digest_of(b"weights")))
    spoilt.chmod(0o644)
    spoilt.write_bytes(b"weightz")
    shown = zoo("verify", "toy_tiny.coins@1", "toy_wide.dice", "--json")
    assert shown.code == 5
    assert [row["state"] for row in shown.data] == ["damaged", "sound"]
    assert digest_of(b"weightz") in shown.data[0]["problems"][0]
    everything = zoo("verify", "--all")
    assert everything.code == 5 and re.search(r"toy_tiny\.coins@1 +damaged", everything.out)


def test_a_damaged_manifest_is_found(zoo: Zoo, cards: None, tmp_path: Path) -> None:
    (tmp_path / "home" / "manifests" / "toy_wide.dice" / "1.json").chmod(0o644)
    (tmp_path / "home" / "manifests" / "toy_wide.dice" / "1.json").write_text("{")
    assert "toy_tiny.coins@2" in zoo("list").out
    everything = zoo("verify", "--all")
    assert everything.code == 5 and "1.json" in everything.out
    assert "damaged manifests" in zoo("doctor").out


def test_verify_wants_names_or_all(zoo: Zoo) -> None:
    assert zoo("verify").code == 2 and zoo("verify", "x", "--all").code == 2


def test_alias_rm_and_gc(zoo: Zoo, cards: None) -> None:
    assert zoo("alias", "toy_tiny.coins").out.startswith("toy_tiny.coins means toy_tiny.coins@2 of the store")
    moved = zoo("alias", "toy_tiny.coins", "1", "--json").data
    assert moved["means"] == "toy_tiny.coins@1" and moved["alias"] and len(moved["history"]) == 1
    refused = zoo("rm", "toy_tiny.coins@1")
    assert refused.code == 2 and "zoo rm toy_tiny.coins@1 --force" in refused.err
    assert zoo("alias", "toy_tiny.coins", "--clear").out.splitlines()[-1].endswith("taken back")
    assert zoo("rm", "toy_tiny.coins@2", "--json").data == {"removed": ["toy_tiny.coins@2"]}
    assert zoo("show", "toy_tiny.coins", "--json").data["version"] == 1
    assert zoo("rm", "toy_tiny.coins@2").code == 2 and zoo("rm", "toy_tiny.coins").code == 2
    assert zoo("gc", "--dry-run", "--json").data == {"objects": 0, "size": 0, "dry_run": True}
    assert "files younger than 1 hour stay" in zoo("gc").out


def test_a_name_that_is_the_catalogues_stays_so_when_a_run_registers_another(
    zoo: Zoo, cards: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying a shipped recipe must not change what the documented examples answer."""
    card = Store(tmp_path / "home").get("toy_tiny.coins@1")
    write_registry(tmp_path / "registry.yaml", [card])
    monkeypatch.setattr("zoo_core.registry.registry.find_catalogue", lambda: tmp_path / "registry.yaml")
    run = zoo("pretrain", "coins", "steps=1")
    assert run.code == 0, run.err
    assert "toy_tiny.coins is a name of the catalogue" in run.err
    assert "next: zoo predict toy_tiny.coins@3 " in run.out
    assert zoo("show", "toy_tiny.coins", "--json").data["version"] == 1
    assert zoo("show", "toy_tiny.coins@3", "--json").data["version"] == 3
    assert [row["use"] for row in zoo("list", "toy_tiny*", "--json").data] == ["toy_tiny.coins", "toy_tiny.coins@3"]
    checks = {check["name"]: check for check in zoo("doctor", "--json").data["checks"]}
    assert "zoo alias toy_tiny.coins 2" in checks["checkpoint toy_tiny.coins@2"]["hint"]


def test_a_damaged_newest_version_is_named_and_the_older_still_works(zoo: Zoo, cards: None, tmp_path: Path) -> None:
    (tmp_path / "home" / "manifests" / "toy_tiny.coins" / "2.json").write_text("{")
    refused = zoo("show", "toy_tiny.coins")
    assert refused.code == 5 and "2.json: not a manifest" in refused.err
    assert "toy_tiny.coins means it; toy_tiny.coins@1 can still be asked for" in refused.err
    assert zoo("show", "toy_tiny.coins@1").code == 0
    listed = zoo("list")
    assert listed.code == 0 and "left out: " in listed.err and "2.json: not a manifest" in listed.err


@pytest.mark.parametrize("what", ["mode", "loop"])
def test_a_folder_that_can_not_be_read_is_a_note(zoo: Zoo, cards: None, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "home" / "manifests" / "toy_tiny.coins"
    if what == "mode" and os.geteuid() == 0:
        pytest.skip("modes mean nothing to root")
    if what == "loop":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(folder)
    else:
        folder.chmod(0o000)
    try:
        listed, shown, checked = zoo("list"), zoo("show", "toy_wide.dice"), zoo("doctor", "--json")
        asked = zoo("show", "toy_tiny.coins")
    finally:
        if what == "mode":
            folder.chmod(0o755)
    assert listed.code == shown.code == 0 and "toy_wide.dice" in listed.out and "toy_tiny" not in listed.out
    assert f"left out: {folder}: " in listed.err
    assert asked.code == 5 and str(folder) in asked.err
    (store,) = (check for check in checked.data["checks"] if check["name"] == "store")
    assert store["state"] == "warning" and str(folder) in store["hint"]


EVIL = "\x1b]0;PWNED\x07\x1b[31m\x9b31m\u202e\x7f"


def test_no_control_character_of_a_card_reaches_a_terminal(zoo: Zoo, tmp_path: Path) -> None:
    """Not by a heading either, and JSON has none that a terminal would obey."""
    metric = Metric(name="m" + EVIL, value=0.5, data="d" + EVIL, split="s" + EVIL, baselines={"rival" + EVIL: 0.1})
    card = Card(
        name="toy_tiny.evil",
        plugin="zoo-toy",
        model="zoo-toy/toy",
        files=(),
        summary="PWNED" + EVIL,
        labels=("a" + EVIL, "b"),
        environment={"e" + EVIL: "v" + EVIL},
        metrics=(metric,),
        notes=EVIL,
    )
    Store(tmp_path / "home").add(card, {"model.safetensors": [b"evil"]})
    words = ["show toy_tiny.evil", "list", "search evil", "show toy_tiny.evil --json", "list --json"]
    for line in words:
        shown = zoo(*line.split())
        assert (shown.code == 0 and "PWNED" in shown.out) or line == "doctor", line
        assert [c for c in shown.out + shown.err if c != "\n" and not c.isprintable()] == [], line
    assert zoo("show", "toy_tiny.evil", "--json").data["metrics"][0]["name"] == "m" + EVIL
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    RichOutput(stream, {"TERM": "xterm", "NO_COLOR": "1"}).table(["name", "baseline: rival" + EVIL], [["a", EVIL]])
    assert "\x1b]" not in stream.getvalue() and not set("\x07\x9b\u202e\x7f") & set(stream.getvalue())


def test_show_explains_every_kind_of_component_and_recipes(zoo: Zoo) -> None:
    for name, kind in {
        "majority": "task",
        "coins": "data",
        "l1": "loss",
        "adamw": "optimizer",
        "cosine": "schedule",
    }.items():
        found = zoo("show", name, "--json").data
        assert found[0]["name"] == name and found[0]["is a"] == kind and "settings" in found[0]
    assert [found["is a"] for found in zoo("show", "coins", "--json").data] == ["data", "recipe"]
    assert "settings.lr: 0.001" in zoo("show", "zoo-core/adamw").out
    assert "registers: toy_tiny.coins" in zoo("show", "coins").out
    assert "did you mean adam, adamw" in zoo("show", "adamv").err


def test_a_terminal_too_narrow_for_a_table_gets_every_field_in_blocks() -> None:
    stream = io.StringIO()
    output = RichOutput(stream, {"TERM": "xterm", "NO_COLOR": "1"})
    output.console.width = 40
    rows = [["wav2vec2_nano.languages@2", "audio-classification", "680.8 k", "accuracy 0.93"]]
    output.table(["name", "task", "parameters", "metric"], rows)
    assert all(value in stream.getvalue() for value in rows[0])


def test_a_working_folder_that_was_removed_is_one_sentence(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    shown = zoo("list")
    assert shown.code == 2 and shown.err.startswith("error: the working folder is no longer there")


def test_without_docstrings_the_hint_names_the_option() -> None:
    code = "from zoo_core.storage.machine import remedy_of; print(remedy_of(ValueError('no docstring of X')))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert "leave -OO out" in done.stdout
    assert remedy_of(ValueError("no docstring of X")) == ""


def test_export_names_the_formats_and_refuses_what_they_are_not_for(zoo: Zoo, cards: None) -> None:
    assert "the other library of the model's family" in zoo("show", "library").out
    assert "settings.tolerance" in zoo("show", "torch-program").out
    shown = zoo("export", "toy_tiny.coins@2", "out", "--format", "onyx")
    assert shown.code == 2 and "unknown exporter 'onyx'" in shown.err and "library, torch-program" in shown.err
    assert "tolerence" in zoo("export", "toy_tiny.coins@2", "out", "tolerence=1", "--format", "torch-program").err
    assert "exporter" in zoo("plugin", "list").out
