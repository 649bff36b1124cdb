"""The commands on a small zoo of their own: a toy plugin, a broken one, and a store in a temporary home."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from zoo_core.store import Store, home

from zoo_core.card import Card, DataRecord, FileEntry, Metric
from zoo_core.cli import main
from zoo_core.fs import digest_of

ESCAPE = "\x1b"

TOY = Path(__file__).parent / "cli_toy"
"""Source of the toy plugin."""


class Shown(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Zoo = Callable[..., Shown]


def install(site: Path, name: str, files: Mapping[str, str]) -> None:
    """An installed distribution, as an installer would leave it."""
    package = site / name.replace("-", "_")
    info = site / f"{package.name}-1.2.dist-info"
    for folder in (package, info, package / "recipes"):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for path, words in files.items():
        (package / path).write_text(words)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[zoo.plugins]\n{name} = {package.name}.plugin\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the path with the toy plugin; one folder for all tests, as the process imports it only once."""
    folder = tmp_path_factory.mktemp("site")
    sources = {path.name: path.read_text() for path in TOY.glob("*.py")}
    install(folder, "zoo-toy", {**sources, "recipes/coins.yaml": (TOY / "coins.yaml").read_text()})
    return folder


@pytest.fixture
def zoo(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """The program in a temporary home and folder, with the toy plugin only."""
    monkeypatch.syspath_prepend(site)
    for name, value in {"ZOO_HOME": tmp_path / "home", "ZOO_DATA": tmp_path / "data"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "zoo-nlp,zoo-vision,zoo-speech,zoo-gan")
    monkeypatch.delenv("ZOO_DEBUG", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*words: str) -> Shown:
        capsys.readouterr()
        code = main(words)
        return Shown(code, *capsys.readouterr())

    return run


def add_card(name: str, *, plugin: str = "zoo-toy", weights: bytes = b"weights", **fields: Any) -> Card:
    """A registered checkpoint whose bytes nobody loads."""
    entry = FileEntry(path="model.safetensors", sha256=digest_of(weights), size=len(weights))
    known: dict[str, Any] = {
        "task": "majority",
        "modality": "bits",
        "summary": "a hand-made card",
        "labels": ("a", "b"),
    }
    card = Card(name=name, plugin=plugin, model=f"{plugin}/toy", size="tiny", files=(entry,), **{**known, **fields})
    return Store(home(os.environ)).add(card, {"model.safetensors": [weights]})


def add_cards() -> None:
    metric = Metric(name="accuracy", value=0.8125, data="zoo-toy/coins", split="test", baselines={"majority": 0.5})
    data = DataRecord(name="zoo-toy/coins", digest="0" * 64, splits={"train": 32})
    add_card("toy_tiny.coins", metrics=(metric,), data=data, parameters=22_000, config={"width": 4}, seed=3)
    add_card("toy_tiny.coins", weights=b"others", parameters=23_000)
    add_card("toy_wide.dice", summary="throws dice", weights=b"dice")
    add_card("lost_tiny.coins", plugin="zoo-absent", weights=b"lost")


# Finding


def test_list_shows_the_newest_loadable_version_of_each_name(zoo: Zoo) -> None:
    add_cards()
    shown = zoo("list")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()] == ["NAME", "toy_tiny.coins@2", "toy_wide.dice@1"]
    assert "1 more can't be loaded here" in shown.err
    assert ESCAPE not in shown.out + shown.err and "\t" not in shown.out


def test_list_all_shows_versions_missing_plugins_and_architectures(zoo: Zoo) -> None:
    add_cards()
    rows = zoo("list", "--all", "--json").data
    found = {(row["name"], row["version"]): row for row in rows}
    assert {("toy_tiny.coins", 1), ("toy_tiny.coins", 2), ("lost_tiny.coins", 1), ("toy_wide", None)} <= set(found)
    assert "pip install zoo-absent" in found["lost_tiny.coins", 1]["why"]
    assert found["toy_tiny.coins", 1]["metrics"] == {"accuracy": 0.8125}
    assert not found["lost_tiny.coins", 1]["available"]


def test_list_filters(zoo: Zoo) -> None:
    add_cards()
    assert [row["name"] for row in zoo("list", "toy_w*", "--json").data] == ["toy_wide.dice"]
    assert zoo("list", "--task", "spelling", "--json").data == []
    assert len(zoo("list", "--modality", "bits", "--json").data) == 2
    shown = zoo("list", "--task", "majorty")
    assert shown.code == 2 and "did you mean majority" in shown.err


def test_an_empty_zoo_says_what_to_do(zoo: Zoo) -> None:
    shown = zoo("list")
    assert shown.code == 0 and shown.out == "" and "zoo recipes" in shown.err


def test_search_looks_into_summaries_and_architectures(zoo: Zoo) -> None:
    add_cards()
    assert [row["name"] for row in zoo("search", "DICE", "throws", "--json").data] == ["toy_wide.dice"]
    assert {row["name"] for row in zoo("search", "sums", "--json").data} == {"toy_tiny", "toy_wide"}
    nothing = zoo("search", "elephant")
    assert nothing.code == 0 and nothing.out == "" and "nothing mentions elephant" in nothing.err


def test_show_a_card(zoo: Zoo) -> None:
    add_cards()
    shown = zoo("show", "toy_tiny.coins@1")
    assert {"name: toy_tiny.coins@1", "labels: a, b", "parameters: 22,000 (22.0 k)", "width: 4", "top: 1"} <= set(
        shown.out.splitlines()
    )
    assert re.search(r"METRIC +VALUE +BASELINE: MAJORITY\naccuracy +0\.8125 +0\.5", shown.out)
    assert digest_of(b"weights") in shown.out and "7 B" in shown.out
    data = zoo("show", "toy_tiny.coins@1", "--json").data
    assert data["name"] == "toy_tiny.coins" and data["layer"] == "store" and data["options"] == {"top": 1}


def test_show_an_architecture(zoo: Zoo) -> None:
    data = zoo("show", "toy_wide", "--json").data
    assert data["config"] == {"width": 8, "scale": 0.001} and data["tasks"] == ["majority", "spelling"]
    assert "scale: 0.001" in zoo("show", "toy").out.splitlines()


def test_show_a_card_whose_plugin_is_missing(zoo: Zoo) -> None:
    add_cards()
    shown = zoo("show", "lost_tiny.coins")
    assert shown.code == 0 and "pip install zoo-absent" in shown.out


@pytest.mark.parametrize("name", ["toy_tiny.coin", "toy_wid"])
def test_an_unknown_name_names_the_nearest(zoo: Zoo, name: str) -> None:
    add_cards()
    shown = zoo("show", name)
    assert shown.code == 2 and shown.err.startswith("error: unknown") and "did you mean toy_" in shown.err


def test_recipes_are_listed(zoo: Zoo) -> None:
    row = next(row for row in zoo("recipes", "--json").data if row["name"] == "coins")
    assert row["task"] == "majority" and row["summary"] == "learns to count coins"
    assert "coins" in zoo("recipes").out


# Plugins, data, health


def test_plugin_list_shows_working_and_broken_ones(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "more", "zoo-ruin", {"plugin.py": "raise RuntimeError('out of order')\n"})
    monkeypatch.syspath_prepend(tmp_path / "more")
    found = {record["name"]: record for record in zoo("plugin", "list", "--json").data}
    assert found["zoo-toy"]["state"] == "active" and found["zoo-toy"]["version"] == "1.2"
    assert found["zoo-toy"]["provides"]["task"] == ["zoo-toy/majority", "zoo-toy/spelling"]
    assert found["zoo-ruin"]["state"] == "broken" and "out of order" in found["zoo-ruin"]["reason"]
    assert re.search(r"zoo-toy +1\.2 +active +model 1, data 3, task 2", zoo("plugin", "list").out)
    doctor = zoo("doctor", "--json")
    broken = [check for check in doctor.data["checks"] if check["state"] == "broken"]
    assert doctor.code == 1 and [check["name"] for check in broken] == ["plugin zoo-ruin"]
    assert "out of order" in broken[0]["hint"]


def test_doctor_on_a_sound_zoo(zoo: Zoo) -> None:
    add_card("toy_tiny.coins")
    shown = zoo("doctor")
    assert shown.code == 0 and "all is well" in shown.out
    names = {line.split("  ")[0] for line in shown.out.splitlines()}
    assert {"python", "torch", "accelerate", "device", "plugin zoo-toy", "store", "catalogue", "disk"} <= names


def test_doctor_finds_a_file_that_is_gone(zoo: Zoo, tmp_path: Path) -> None:
    add_card("toy_tiny.coins")
    next((tmp_path / "home" / "objects").rglob(digest_of(b"weights"))).unlink()
    shown = zoo("doctor")
    assert shown.code == 1 and "toy_tiny.coins@1: model.safetensors" in shown.out


def test_data_is_listed_and_fetched(zoo: Zoo, tmp_path: Path) -> None:
    states = {row["name"]: row["state"] for row in zoo("data", "list", "--json").data}
    assert states == {"coins": "ready", "bits-file": "ready", "far": "to be fetched"}
    fetched = zoo("data", "fetch", "far")
    assert fetched.code == 0 and "preparing far bits" in fetched.err
    assert (tmp_path / "data" / "far" / "bits.txt").read_bytes() == b"0101"
    assert re.search(r"far +bits +fetched", zoo("data", "list").out)


def test_nothing_is_fetched_when_a_name_is_wrong(zoo: Zoo, tmp_path: Path) -> None:
    assert zoo("data", "fetch", "far", "farr").code == 2
    assert zoo("data", "fetch", "coins").code == 2
    assert not (tmp_path / "data").exists()


# Keeping


def test_verify_finds_one_flipped_byte(zoo: Zoo, tmp_path: Path) -> None:
    add_cards()
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


def test_a_damaged_manifest_is_found(zoo: Zoo, tmp_path: Path) -> None:
    add_cards()
    (tmp_path / "home" / "manifests" / "toy_wide.dice" / "1.json").chmod(0o644)
    (tmp_path / "home" / "manifests" / "toy_wide.dice" / "1.json").write_text("{")
    assert "toy_tiny.coins@2" in zoo("list").out
    everything = zoo("verify", "--all")
    assert everything.code == 5 and "1.json" in everything.out
    assert "damaged manifests" in zoo("doctor").out


def test_verify_wants_names_or_all(zoo: Zoo) -> None:
    assert zoo("verify").code == 2 and zoo("verify", "x", "--all").code == 2


# Training and asking


def test_print_recipe_shows_what_would_run_and_runs_nothing(zoo: Zoo) -> None:
    shown = zoo("pretrain", "coins", "steps=7", "--name", "toy_tiny.other", "--print-recipe", "--json")
    assert shown.data["name"] == "toy_tiny.other" and shown.data["training"]["steps"] == 7
    assert "  steps: 7" in zoo("pretrain", "coins", "steps=7", "--print-recipe").out.splitlines()
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pretrain", "coin"], "did you mean coins"),
        (["pretrain", "coins", "stepz=3"], "steps"),
        (["pretrain", "coins", "steps"], "key=value"),
        (["finetune", "nobody", "--task", "majority", "--data", "coins"], "unknown checkpoint"),
    ],
)
def test_a_run_that_could_not_start_is_refused(zoo: Zoo, words: list[str], said: str) -> None:
    shown = zoo(*words)
    assert shown.code == 2 and said in shown.err and not Path("runs").exists()


def test_from_a_recipe_to_answers(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = zoo("pretrain", "coins")
    assert trained.code == 0, trained.err
    assert re.search(r"METRIC +VALUE +BASELINE: ALWAYS ONES\naccuracy +", trained.out)
    assert "checkpoint: toy_tiny.coins@1" in trained.out and 'next: zoo predict toy_tiny.coins "..."' in trained.out
    curve = re.search(r"learning curve: (.+)", trained.out)
    assert curve and Path(curve[1]).read_bytes().startswith(b"\x89PNG")
    assert "step 12/12" in trained.err and "step 6 evaluated  accuracy" in trained.err

    answer = zoo("predict", "toy_tiny.coins", "11111")
    assert re.search(r"LABEL +SCORE +INPUT\n(ones|zeros) +0\.\d+ +11111", answer.out)
    both = zoo("predict", "toy_tiny.coins", "top=2", "11111", "--json", "--", "0=0").data
    assert [item["input"] for item in both] == ["11111", "0=0"] and [len(item["scores"]) for item in both] == [2, 2]

    lines = io.TextIOWrapper(io.BytesIO(b"00000\n11111\n10101\n"))
    monkeypatch.setattr(sys, "stdin", lines)
    answered = zoo("predict", "toy_tiny.coins", "-", "--limit", "2").out.splitlines()
    assert [len(line.split("  ")) for line in answered] == [2, 2]

    measured = zoo("evaluate", "toy_tiny.coins", "--data", "coins", "--split", "validation", "count=32", "--json").data
    assert (
        measured[0]["name"] == "accuracy" and measured[0]["samples"] == 16 and "always ones" in measured[0]["baselines"]
    )

    (tmp_path / "work" / "mine.csv").write_text("digits,label\n" + "11100,ones\n00011,zeros\n" * 16)
    words = ["finetune", "toy_tiny.coins", "--task", "majority", "--data", "mine.csv", "--columns", "bits=digits"]
    tuned = zoo(*words, "epochs=1", "--folder", "tuned", "--json")
    assert tuned.code == 0, tuned.err
    assert tuned.data["checkpoint"] == "toy_tiny.mine@1" and tuned.data["folder"] == "tuned"
    assert tuned.data["next"] == ['zoo predict toy_tiny.mine "..."']
    assert zoo("verify", "toy_tiny.mine", "./tuned").code == 0

    again = zoo(*words, "epochs=1", "--folder", "tuned")
    assert again.code == 2 and "not empty" in again.err


def test_stream_shows_pieces(zoo: Zoo) -> None:
    assert zoo("pretrain", "coins", "task.name=spelling", "name=toy_tiny.words", "steps=1").code == 0
    assert zoo("predict", "toy_tiny.words", "101", "--stream").out == "one nought one \n"
    assert zoo("predict", "toy_tiny.words", "101", "11").out == "one nought one\none one\n"
    assert zoo("predict", "toy_tiny.words", "101", "--stream", "--json").code == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["toy_tiny.coins", "11", "topp=3"], 2, "did you mean top"),
        (["toy_tiny.coins", "11", "top=three"], 2, "expected a whole number"),
        (["toy_tiny.coins"], 2, "nothing to ask"),
        (["toy_tiny.coins", "11", "--limit", "0"], 2, "at least 1"),
        (["lost_tiny.coins", "11"], 3, "pip install zoo-absent"),
        (["toy_tiny.coinz", "11"], 2, "did you mean toy_tiny.coins"),
    ],
)
def test_a_wrong_question_is_refused_before_the_model_is_loaded(
    zoo: Zoo, words: list[str], code: int, said: str
) -> None:
    add_cards()
    shown = zoo("predict", *words)
    assert shown.code == code and said in shown.err and "Traceback" not in shown.err


def test_json_errors_are_one_document(zoo: Zoo) -> None:
    shown = zoo("show", "nobody", "--json")
    assert shown.code == 2
    assert shown.data["error"]["type"] == "UnknownName" and shown.data["error"]["exit_code"] == 2


# The program


@pytest.fixture
def program(zoo: Zoo, site: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m zoo_core` in a process of its own, in the temporary home."""
    environ = {**os.environ, "PYTHONPATH": str(site)}

    def run(*words: str, options: tuple[str, ...] = (), **kinds: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *options, "-m", "zoo_core", *words]
        return subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", timeout=60, **kinds)

    return run


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--all"], ["search", "toy"], ["show", "toy_tiny.coins"], ["verify", "--all"],
              ["plugin", "list"], ["data", "list"], ["recipes"], ["--help"]],
)  # fmt: skip
def test_looking_around_imports_no_torch_and_in_a_pipe_no_rich(program: Program, words: list[str]) -> None:
    add_cards()
    shown = program(*words, options=("-X", "importtime"))
    assert shown.returncode == 0
    imported = set(re.findall(r"\| +([\w.]+)$", shown.stderr, re.MULTILINE))
    assert "zoo_core.cli.app" in imported
    assert not imported & {"torch", "numpy", "rich", "matplotlib", "accelerate", "pyarrow"}


def test_the_installed_program_is_the_module(program: Program) -> None:
    installed = subprocess.run(
        [Path(sys.executable).with_name("zoo"), "--help"], capture_output=True, encoding="utf-8", timeout=60
    )
    assert installed.stdout == program("--help").stdout != ""


def test_a_terminal_gets_a_table_that_fits_it(program: Program, site: Path) -> None:
    add_cards()
    shown = on_a_terminal("list", "--all", site=site)
    assert "─" in shown and ESCAPE in shown and "toy_wide.dice@1" in shown
    plain = [re.sub(ESCAPE + r"\[[0-9;?]*[A-Za-z]", "", line) for line in shown.splitlines()]
    assert max(map(len, plain)) <= 80


def on_a_terminal(*words: str, site: Path) -> str:
    """What the program shows on a pseudo-terminal of 80 columns."""
    leader, follower = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(site), "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "zoo_core", *words]
    with subprocess.Popen(command, env=environ, stdin=follower, stdout=follower, stderr=follower):
        os.close(follower)
        chunks = []
        try:
            while chunk := os.read(leader, 65536):
                chunks.append(chunk)
        except OSError:  # how Linux says that the other side has closed
            pass
    os.close(leader)
    return b"".join(chunks).decode()


def test_a_reader_that_goes_away_is_no_error(program: Program, site: Path) -> None:
    closed, sink = os.pipe()
    os.close(closed)
    command = [sys.executable, "-m", "zoo_core", "--help"]
    done = subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, timeout=60)
    os.close(sink)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_unexpected_error_is_one_line_unless_asked_for(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "more", "zoo-slip", {"plugin.py": SLIP})
    monkeypatch.syspath_prepend(tmp_path / "more")
    shown = zoo("data", "fetch", "slip")
    assert shown.code == 70 and "Traceback" not in shown.err
    assert shown.err.splitlines()[-2:] == [
        "error: unexpected ZeroDivisionError: division by zero",
        "run again with ZOO_DEBUG=1 for the traceback",
    ]
    monkeypatch.setenv("ZOO_DEBUG", "1")
    assert "Traceback" in zoo("data", "fetch", "slip").err


SLIP = """
from zoo_core import DataSpec, hookimpl

zoo_api = (1, 0)

@hookimpl
def zoo_data():
    target = "zoo_slip.plugin:fetch"
    return [DataSpec(name="slip", summary="", target=target, kind="bits", fetch=target)]

def fetch(fetcher):
    return 1 / 0
"""
