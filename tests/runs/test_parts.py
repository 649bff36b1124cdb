"""A model that is put together from two shipped checkpoints of two plugins: trained, stored, loaded, stopped and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo_core.api import create_model, load, resume, train
from zoo_core.cli import show
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.contract.preprocessor import CompositePreprocessor
from zoo_core.contract.specs import ModelSpec
from zoo_core.errors import CardError, PluginError, RecipeError, UsageError
from zoo_core.plugins.host import PluginHost
from zoo_core.registry import upkeep
from zoo_core.registry.card import card_to_data, parse_card
from zoo_core.registry.checkpoint import open_checkpoint
from zoo_core.registry.convert import import_checkpoint
from zoo_core.registry.registry import Registry
from zoo_core.registry.store import Store
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training.signals import Interrupted

PLUGINS = [
    EntryPoint("zoo-pairs", "zoo_toys.pairs", "zoo.plugins"),
    EntryPoint("zoo-nlp", "zoo_nlp.plugin", "zoo.plugins"),
    EntryPoint("zoo-vision", "zoo_vision.plugin", "zoo.plugins"),
]
INIT = {"image": "resnet_nano.fashion", "text": "bert_tiny.sentiment"}


def recipe(**changed: Any) -> dict[str, Any]:
    training = {"steps": 2, "batch_size": 4, "save_every": 1, "log_every": 1, "extras": "off", "accumulation": 2}
    return {
        "name": "towers_tiny.pairs",
        "init": INIT,
        "model": {"name": "towers_tiny", "image": {"freeze": True}, "width": 6},
        "task": {"name": "matching"},
        "data": {"name": "pairs"},
        "training": training,
        **changed,
    }


def new_zoo(root: Path) -> Zoo:
    """With the catalogue, which has the checkpoints that plugins ship."""
    host = PluginHost(PLUGINS)
    return Zoo(host, Registry(host, Store(root), folder=root))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, and the run that registered `towers_tiny.pairs` in it."""
    folder = tmp_path_factory.mktemp("parts")
    train(recipe(), folder=folder / "run", zoo=new_zoo(folder / "home"))
    return folder


class Caught(SilentReporter):
    """Stops a run after its first step."""

    def logged(self, step: int, *_: Any) -> None:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_the_card_names_every_parent_and_what_it_takes_to_build_the_model_again(made: Path) -> None:
    zoo = new_zoo(made / "home")
    entry = zoo.registry.lookup("towers_tiny.pairs")
    card = entry.card
    parents = {part: open_checkpoint(name, zoo.registry) for part, name in INIT.items()}
    assert card.parents == {part: one.reference for part, one in parents.items()} and card.parent == ""
    assert {part: record.model for part, record in card.parts.items()} == {
        "image": "zoo-vision/resnet",
        "text": "zoo-nlp/bert",
    }
    assert card.plugins == ("zoo-pairs", "zoo-vision", "zoo-nlp")
    assert card.preprocessor == ("image.image.json", "text.preprocessor.json", "text.tokenizer.json")
    data = json.loads(json.dumps(card_to_data(card)))
    assert data["schema_version"] == 2 and parse_card(data, "c") == card
    data["parents"]["sound"] = data["parents"]["text"]
    with pytest.raises(CardError, match=r"parents.sound: expected name@sha256"):
        parse_card(data, "c")
    assert zoo.registry.verify(entry) == []
    assert show._facts(entry, "")["parents"] == ", ".join(f"{part} {one.reference}" for part, one in parents.items())
    with pytest.raises(
        UsageError, match=r"resnet_nano.fashion@1 is still in use: towers_tiny.pairs@1 was derived from it"
    ):
        upkeep.remove("resnet_nano.fashion@1", zoo=zoo)
    # The picture's tower was frozen, statistics and all; the other was trained.
    tensors = open_checkpoint("towers_tiny.pairs", zoo.registry).tensors()
    for part, one in parents.items():
        own = {name.removeprefix("bert."): tensor for name, tensor in one.tensors().items()}
        same = [torch.equal(own[n.removeprefix(f"{part}.")], t) for n, t in tensors.items() if n.startswith(f"{part}.")]
        assert all(same) == (part == "image") and len(same) > 30


def test_a_new_process_answers_alike(made: Path) -> None:
    images = [np.full((28, 28, 1), value, np.uint8) for value in (0, 90)]
    found = load("towers_tiny.pairs", zoo=new_zoo(made / "home")).predict(images)
    code = (
        "import json, sys; from importlib.metadata import EntryPoint; from pathlib import Path; import numpy as np\n"
        "from zoo_core.plugins.host import PluginHost; from zoo_core.registry.registry import Registry\n"
        "from zoo_core.registry.store import Store; from zoo_core import Zoo, load\n"
        "host = PluginHost([EntryPoint(*words) for words in json.loads(sys.argv[2])])\n"
        "loaded = load('towers_tiny.pairs', zoo=Zoo(host, Registry(host, Store(Path(sys.argv[1])))))\n"
        "print(json.dumps(loaded.predict([np.full((28, 28, 1), value, np.uint8) for value in (0, 90)])))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("toys"))}
    words = [sys.executable, "-c", code, str(made / "home"), json.dumps([[e.name, e.value, e.group] for e in PLUGINS])]
    done = subprocess.run(words, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found


def test_a_stopped_run_ends_with_the_same_bits(made: Path, tmp_path: Path) -> None:
    zoo = new_zoo(tmp_path / "home")
    with pytest.raises(Interrupted):
        train(recipe(), folder=tmp_path / "run", zoo=zoo, reporter=Caught())
    card = resume(tmp_path / "run", zoo=zoo).card
    assert final_digest(tmp_path / "run") == final_digest(made / "run")
    assert card is not None and card.digest == new_zoo(made / "home").registry.lookup("towers_tiny.pairs").card.digest


def test_a_child_keeps_the_parts_and_its_own_lineage(made: Path, tmp_path: Path) -> None:
    zoo = new_zoo(tmp_path / "home")
    import_checkpoint(made / "run" / "model", name="", registry=zoo.registry)
    child = {key: value for key, value in recipe().items() if key != "model"}
    child |= {"name": "towers_tiny.child", "init": "towers_tiny.pairs"}
    card = train(child, folder=tmp_path / "child", zoo=zoo).card
    assert card is not None and card.parent.startswith("towers_tiny.pairs@sha256:") and not card.parents
    assert card.parts == open_checkpoint("towers_tiny.pairs", zoo.registry).card.parts
    delta = {**child, "name": "towers_tiny.delta", "adapter": {"name": "lora", "targets": ["query"]}}
    small = train(delta, folder=tmp_path / "delta", zoo=zoo).card
    assert small is not None and small.weights.size < 60_000 and load("towers_tiny.delta", zoo=zoo)
    with pytest.raises(RecipeError, match=r"init.text: towers_tiny.child is put together from parts itself"):
        train(recipe(init={**INIT, "text": "towers_tiny.child"}), folder=tmp_path / "nested", zoo=zoo)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"init": {"image": "resnet_nano.fashion"}}, "recipe: init: expected checkpoints for image, text, found image"),
        ({"init": ""}, "init: expected checkpoints for image, text, found none"),
        ({"init": "bert_tiny.sentiment"}, "give either model.name or init, not both"),
        ({"model": {}}, "init: expected one checkpoint, found parts: image, text"),
        ({"model": {"name": "towers_tiny", "image": {"frieze": True}}}, r"model.image.frieze: unknown key"),
        ({"model": {"name": "towers_tiny", "sound": {}}}, r"model.sound: unknown key"),
        ({"adapter": {"name": "lora"}}, "adapter: what it trains is a difference to a checkpoint"),
    ],
)
def test_wrong_parts_are_refused_where_they_are_written(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    zoo = new_zoo(tmp_path / "home")
    with pytest.raises(RecipeError, match=told):
        load_recipe(recipe(**changed), [], zoo.host)


def test_recipes_of_parts_read_back_equal_and_others_are_as_before(tmp_path: Path) -> None:
    zoo = new_zoo(tmp_path / "home")
    data = load_recipe(recipe(), [], zoo.host).to_data()
    assert data["init"] == INIT and data["model"]["image"] == {"freeze": True}
    assert load_recipe(data, [], zoo.host).to_data() == data
    with pytest.raises(RecipeError, match="init: expected one checkpoint, found parts: image, text"):
        load_recipe({**recipe(), "model": {"name": "bert_tiny"}, "task": {"name": "fill-mask"}}, [], zoo.host)


def test_a_family_that_loses_a_part_or_is_asked_for_without_is_told(tmp_path: Path) -> None:
    zoo = new_zoo(tmp_path / "home")
    model = {"name": "losing_tiny"}
    with pytest.raises(PluginError, match="zoo-pairs/losing: expected a model whose submodule image is the part"):
        train(recipe(name="losing_tiny.pairs", model=model), folder=tmp_path / "run", zoo=zoo)
    with pytest.raises(UsageError, match="zoo-pairs/towers is put together from image, text"):
        create_model("towers_tiny", task="matching", zoo=zoo)
    with pytest.raises(ValueError, match="expected parts with different names"):
        ModelSpec(name="a", summary="", target="a:b", sizes={"tiny": {}}, tasks=(), parts=("a.b",))


def test_a_composite_is_its_parts() -> None:
    with pytest.raises(UsageError, match="come with their checkpoints"):
        CompositePreprocessor.fit(None, [])
    with pytest.raises(UsageError, match="restored by its classes"):
        CompositePreprocessor.from_files({})
    assert CompositePreprocessor.of_files({}, {}).files() == {}
