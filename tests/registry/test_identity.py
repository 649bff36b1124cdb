"""Whose a name is, in a fresh process with the real plugins and some that lay hands on their names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import create_model, list_models, load, pipeline, train
from zoo_core.config.finetune import finetune_recipe, name_from
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.schema import dump_yaml
from zoo_core.errors import AmbiguousName, RecipeError, UnknownName
from zoo_core.plugins.discovery import installed
from zoo_core.plugins.host import PluginHost, check_name
from zoo_core.registry.card import card_to_data
from zoo_core.registry.catalogue import find_catalogue, read_registry
from zoo_core.registry.registry import package_folders
from zoo_core.storage import fs
from zoo_core.testing.sites import on_path, write_plugin

SHADOWS = """
from zoo_core import hookimpl
from zoo_core import LossSpec, ModelSpec, OptimizerSpec, SampleType, TaskSpec
zoo_api = (2, 0)

@hookimpl
def zoo_optimizers():
    return [OptimizerSpec(name="adamw", summary="another", target="h07_shadow.parts:none")]

@hookimpl
def zoo_losses():
    return [LossSpec(name="cross-entropy", summary="another", target="h07_shadow.parts:none", inputs=("logits", "labels"))]

@hookimpl
def zoo_tasks():
    return [
        TaskSpec(name="text-classification", summary="another", target="h07_shadow.parts:none",
                 reads=(SampleType(name="text", fields=("text", "label")),), labelled=True,
                 loss="cross-entropy", loss_inputs=("logits", "labels"))
    ]

@hookimpl
def zoo_models():
    return [ModelSpec(name="bert", summary="another", target="h07_shadow.parts:none", sizes={"tiny": {}},
                      tasks=("text-classification",))]
"""
FOCAL = """
from zoo_core import hookimpl
from zoo_core import LossSpec
zoo_api = (2, 0)

@hookimpl
def zoo_losses():
    return [LossSpec(name="focal", summary="s", target="PACKAGE.parts:focal", inputs=("logits", "labels"))]
"""
NOTHING = "zoo_api = (2, 0)\n"

PROBE = """
import json, sys
from zoo_core.errors import ZooError
from zoo_core import list_models, load, open_zoo
from zoo_core.config.recipe import load_recipe
from zoo_core.config.shipped import shipped_recipes

def attempt(ask):
    try:
        return ask()
    except ZooError as error:
        return f"{type(error).__name__}: {error}"

zoo = open_zoo()
recipes = {name: attempt(lambda: load_recipe(name, [], zoo.host).to_data()) for name in shipped_recipes(zoo.host)}
names = list_models(zoo=zoo)
loaded = {} if "names" in sys.argv else {name: attempt(lambda: load(name, zoo=zoo)) for name in names}
print(json.dumps({
    "records": {record.name: [record.state, record.reason] for record in zoo.host.records},
    "recipes": recipes,
    "names": names,
    "loaded": {name: one if isinstance(one, str) else [one.name, one.provided_task.id] for name, one in loaded.items()},
    "tasks": [list_models(task=task, zoo=zoo) for task in ("text-classification", "zoo-nlp/text-classification")],
    "foreign": list_models(task="h07-shadow/text-classification", zoo=zoo),
    "asked": attempt(lambda: list(load("h42-hijack/bert_tiny.sentiment", zoo=zoo).labels)),
    "higher": attempt(lambda: zoo.registry.lookup("bert_tiny.sentiment@2").card.full_name),
}))
"""

OURS = sorted({source.distribution for source in installed()} - {"zoo-core"})


def child(site: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "ZOO_HOME": str(home), "ZOO_DISABLE_PLUGINS": ""}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=home, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plugins that list our names, point at our module, and ship our checkpoints anew with labels reversed."""
    site = tmp_path_factory.mktemp("site")
    write_plugin(site, "h07-shadow", SHADOWS)
    write_plugin(site, "h24-thief", NOTHING, entries={"h24-thief": "zoo_nlp.plugin"})
    hijack = write_plugin(site, "h42-hijack", NOTHING)
    for official in read_registry(find_catalogue()):
        card = replace(official, version=(official.version or 0) + 1, labels=official.labels[::-1])
        fs.make_folder(hijack / "cards")
        fs.write_file(hijack / "cards" / f"{card.name}.yaml", dump_yaml(card_to_data(card)).encode())
        if card.name == "bert_tiny.sentiment":  # with its files; the others are nowhere
            package = next(folder for folder in package_folders("zoo_nlp"))
            fs.make_folder(hijack / "checkpoints" / card.name)
            for file in card.files:
                source = package / "checkpoints" / card.name / file.path
                fs.write_file(hijack / "checkpoints" / card.name / file.path, fs.read_bytes(source))
    return site


@pytest.fixture(scope="module")
def seen(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = child(site, tmp_path_factory.mktemp("home"), "-c", PROBE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_owner_of_a_module_keeps_it(seen: dict[str, Any]) -> None:
    assert {name: seen["records"][name][0] for name in OURS} == dict.fromkeys(OURS, "active")
    state, reason = seen["records"]["h24-thief"]
    assert state == "conflict" and reason.startswith("zoo_nlp.plugin belongs to zoo-nlp ")


def test_every_shipped_recipe_means_what_it_meant(seen: dict[str, Any]) -> None:
    assert len(seen["recipes"]) == 25
    for name, found in seen["recipes"].items():
        assert isinstance(found, dict), f"{name}: {found}"
        words = [found[section]["name"] for section in ("task", "data", "optimizer", "loss") if section in found]
        assert all(word.startswith("zoo-") for word in words), (name, words)


def test_every_bundled_checkpoint_loads_with_its_own_task(seen: dict[str, Any]) -> None:
    cards = {card.name: card for card in read_registry(find_catalogue())}
    assert seen["loaded"] == {name: [card.full_name, card.task] for name, card in cards.items()}
    assert seen["names"] == list(cards)


def test_a_plugins_card_of_our_name_is_asked_for_with_the_plugin_in_front(seen: dict[str, Any]) -> None:
    official = next(card for card in read_registry(find_catalogue()) if card.name == "bert_tiny.sentiment")
    assert seen["asked"] == list(official.labels[::-1])
    assert (
        "bert_tiny.sentiment has the versions 1; plugin h42-hijack has h42-hijack/bert_tiny.sentiment" in seen["higher"]
    )


def test_the_listings_are_as_ever_and_doctor_names_each_intruder(site: Path, tmp_path: Path) -> None:
    cards = read_registry(find_catalogue())
    listed = child(site, tmp_path, "-m", "zoo_core", "list", "--json")
    assert listed.stderr == "" and listed.returncode == 0
    assert [(row["use"], row["layer"]) for row in json.loads(listed.stdout)] == [(c.name, "catalogue") for c in cards]
    recipes = child(site, tmp_path, "-m", "zoo_core", "recipes", "--json")
    assert len(json.loads(recipes.stdout)) == 25
    found = json.loads(child(site, tmp_path, "-m", "zoo_core", "plugin", "list", "--json").stdout)
    plugins = {row["name"]: row for row in found}
    assert plugins["h24-thief"]["state"] == "conflict" and "zoo_nlp.plugin" in plugins["h24-thief"]["reason"]
    shared = ["model bert", "loss cross-entropy", "task text-classification", "optimizer adamw"]
    assert plugins["h07-shadow"]["shared"] == shared
    checks = json.loads(child(site, tmp_path, "-m", "zoo_core", "doctor", "--json").stdout)["checks"]
    for intruder in ("h07-shadow", "h24-thief", "h42-hijack"):
        assert any(intruder in f"{check['name']} {check['detail']} {check['hint']}" for check in checks), intruder
    bad = {check["name"] for check in checks if check["state"] == "broken"}
    assert bad == {"plugin h24-thief", "plugin h07-shadow"}, "the second's targets can't be imported"


def test_full_ids_and_short_names_filter_alike(seen: dict[str, Any]) -> None:
    short, full = seen["tasks"]
    assert short == full == ["bert_tiny.sentiment"] and seen["foreign"] == []


def test_a_run_states_full_ids_and_an_older_card_is_read(tmp_path: Path) -> None:
    zoo = toy_zoo(tmp_path)
    card = train(recipe("single"), folder=tmp_path / "run", zoo=zoo).card
    assert card is not None and card.task == "zoo-toys/point-classification" and card.recipe is not None
    named = [card.recipe[section]["name"] for section in ("model", "task", "data", "loss", "optimizer")]
    assert named == [
        "zoo-toys/mlp_tiny",
        "zoo-toys/point-classification",
        "zoo-toys/points",
        "zoo-core/cross-entropy",
        "zoo-core/adamw",
    ]
    older = replace(card, name="toy_tiny.older", task="point-classification", version=None)
    zoo.registry.register(older, {file.path: [zoo.registry.store.read(file)] for file in card.files})
    for name in (card.name, older.name):
        for task in (None, "point-classification", "zoo-toys/point-classification"):
            loaded = load(name, task=task, zoo=zoo)
            assert loaded.provided_task.id == card.task and loaded.labels == card.labels
    for task in ("point-classification", "zoo-toys/point-classification"):
        names = list_models(task=task, zoo=zoo)
        assert names == [older.name, card.name] and pipeline(task, card.name, zoo=zoo).name == card.full_name
        model = create_model(card.name, pretrained=True, task=task, zoo=zoo)
        assert model.zoo_adaptation.exact
        finetuned = finetune_recipe(older.name, task, "points", {}, ["steps=1"], zoo.host, zoo.registry)
        assert finetuned.task.id == card.task
    for stem, suffix in {"données": "donnees", "Mes Avis (2)": "mes_avis_2", "数据": "data", "_._": "data"}.items():
        assert name_from(stem) == suffix
    assert type(create_model("zoo-toys/mlp_tiny", zoo=zoo)) is type(create_model("mlp_tiny", zoo=zoo))
    with pytest.raises(UnknownName, match="no-such"):
        create_model(card.name, task="no-such", zoo=zoo)


def test_a_remedy_can_be_written_on_the_command_line(tmp_path: Path) -> None:
    """Two plugins of one loss, neither of which is the recipe's own: the error's ids resolve it, in any place."""
    with on_path(tmp_path):
        for name in ("zoo-a", "zoo-b"):
            write_plugin(tmp_path, name, FOCAL.replace("PACKAGE", name.replace("-", "_")))
        points = (EntryPoint(name, f"{name.replace('-', '_')}.plugin", "zoo.plugins") for name in ("zoo-a", "zoo-b"))
        host = toy_zoo(tmp_path / "home", *points).host
        ambiguous = {**recipe("single"), "loss": {"name": "focal"}}
        with pytest.raises(AmbiguousName) as caught:
            load_recipe(ambiguous, [], host)
        assert caught.value.hint == "use zoo-a/focal or zoo-b/focal"
        resolved = load_recipe(ambiguous, ["loss.name=zoo-b/focal", "lr=0.5"], host)
        assert resolved.loss is not None and resolved.loss.id == "zoo-b/focal"
        assert resolved.optimizers["main"][0].optimizer.config.lr == 0.5


CARELESS = {
    "h25-names": """
@hookimpl
def zoo_models():
    return [ModelSpec(name="hasty", summary="s", target="h25_names.parts:none", sizes={}, tasks=(),
                      names="h25_names.parts:names")]
""",
    "h26-recipe": "",
    "h27-card": "",
    "h28-long": """
@hookimpl
def zoo_losses():
    return [LossSpec(name="a" * 5000, summary="s", target="h28_long.parts:none", inputs=("a",))]
""",
    "h35-summary": """
@hookimpl
def zoo_losses():
    spec = LossSpec(name="mute", summary="s", target="h35_summary.parts:none", inputs=("a",))
    object.__setattr__(spec, "summary", None)
    return [spec]
""",
}


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("careless")
    header = "from zoo_core import hookimpl\nfrom zoo_core import LossSpec, ModelSpec\nzoo_api = (2, 0)\n"
    for name, source in CARELESS.items():
        parts = "def names():\n    raise RuntimeError('no names today')\n"
        package = write_plugin(site, name, header + source, modules={"parts.py": parts})
        for folder in ("recipes", "cards"):
            fs.make_folder(package / folder)
    fs.write_file(site / "h26_recipe" / "recipes" / "bad.yaml", b"name: x\nname: y\n")
    fs.write_file(site / "h27_card" / "cards" / "bad.yaml", b"name: [\n")
    return site


def test_one_bad_item_of_a_plugin_costs_only_itself(careless: Path, tmp_path: Path) -> None:
    def zoo(*words: str) -> subprocess.CompletedProcess[str]:
        return child(careless, tmp_path, "-m", "zoo_core", *words)

    recipes = zoo("recipes")
    assert recipes.returncode == 0 and recipes.stdout.count("\n") == 26, recipes.stderr
    assert "left out: " in recipes.stderr and "h26_recipe/recipes/bad.yaml:2" in recipes.stderr
    listed = zoo("list")
    assert listed.returncode == 0 and "bert_tiny.sentiment@1" in listed.stdout
    assert "left out: h27-card: " in listed.stderr and "h27_card/cards/bad.yaml" in listed.stderr
    mistyped = zoo("show", "no_such_model")
    assert mistyped.returncode == 2 and "RuntimeError: no names today" in mistyped.stderr
    assert "h25-names/hasty: the names of its architectures are left out" in mistyped.stderr
    states = {row["name"]: (row["state"], row["reason"]) for row in json.loads(zoo("plugin", "list", "--json").stdout)}
    assert {name: states[name][0] for name in CARELESS} == {
        "h25-names": "active",
        "h26-recipe": "active",
        "h27-card": "active",
        "h28-long": "broken",
        "h35-summary": "broken",
    }
    assert "at most 100 letters" in states["h28-long"][1] and "summary" in states["h35-summary"][1]


def test_one_plugin_alone_is_not_told_of_the_others_checkpoints(tmp_path: Path) -> None:
    environment = {**os.environ, "ZOO_HOME": str(tmp_path), "ZOO_DISABLE_PLUGINS": ""}
    alone = (
        "import sys, zoo_core.plugins.host as p; from zoo_core.plugins.discovery import installed;"
        "from zoo_core.cli import main;"
        "p.installed = lambda: [s for s in installed() if s.distribution == 'zoo-nlp']; sys.exit(main(sys.argv[1:]))"
    )

    def zoo(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", alone, *words]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    listed = zoo("list")
    assert listed.stderr == "" and "bert_tiny.sentiment@1" in listed.stdout and listed.stdout.count("\n") == 2
    assert "needs zoo-vision: pip install zoo-vision" in zoo("list", "--all").stdout
    checks = {check["name"]: check for check in json.loads(zoo("doctor", "--json").stdout)["checks"]}
    assert checks["catalogue"]["state"] == "ok" and checks["catalogue"]["detail"] == "1 of 1 checkpoints loadable"


def test_a_name_says_which_model_it_is_of() -> None:
    host = PluginHost.discover()
    bert = host.find("model", "zoo-nlp/bert")
    for name in ("bert_tiny.reviews", "bert_base.reviews", "bert.reviews", "minilm_l6.v2", "foo"):
        check_name(name, bert, "tiny", host)
    for name in ("resnet_nano.reviews", "gpt2_tiny.reviews"):
        with pytest.raises(RecipeError, match=f"says {name.partition('.')[0]}, and the model is bert_tiny") as caught:
            check_name(name, bert, "tiny", host)
        assert "bert_tiny.reviews" in caught.value.hint
    with pytest.raises(RecipeError, match="the model is bert"):
        check_name("resnet_nano.reviews", bert, "", host)
    with pytest.raises(RecipeError, match="says resnet_nano"):
        load_recipe("bert_tiny_mlm_tweets", ["name=resnet_nano.reviews"], host)
