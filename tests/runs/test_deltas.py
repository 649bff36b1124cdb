"""Checkpoints that hold a difference to another one: trained by an adapter, merged where tensors are read."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import create_model, evaluate, load, resume, train
from zoo_core.cli import keep, listing, show
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import CardError, CorruptFile, PluginError, RecipeError, UnknownName, UsageError
from zoo_core.models import deltas
from zoo_core.models.adapters import Lora, LoraLinear
from zoo_core.plugins.configs import LoraConfig
from zoo_core.registry import upkeep
from zoo_core.registry.card import card_to_data, parse_card
from zoo_core.registry.checkpoint import open_checkpoint, open_folder
from zoo_core.registry.convert import import_checkpoint
from zoo_core.registry.registry import absent_base
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training.signals import Interrupted

LORA = {"name": "lora", "r": 2}


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """With a classifier that has batch normalisation, `toy_tiny.batch-norm`."""
    zoo = toy_zoo(tmp_path / "home")
    train(recipe("batch-norm", steps=3), folder=tmp_path / "base", zoo=zoo)
    return zoo


def adapted(adapter: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    training = changed.pop("training", {})
    made = {**recipe("single", **training), "init": "toy_tiny.batch-norm", "name": "toy_tiny.delta", "adapter": adapter}
    return {**{key: value for key, value in made.items() if key != "model"}, **changed}


class Caught(SilentReporter):
    """Stops a run at a step's log line."""

    def __init__(self, step: int) -> None:
        self.step = step

    def logged(self, step: int, *_: Any) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_delta_answers_as_the_model_that_was_trained_and_every_reader_gets_all_of_it(
    zoo: Zoo, tmp_path: Path
) -> None:
    result = train(adapted(LORA), folder=tmp_path / "run", zoo=zoo)
    card = result.card
    base = open_checkpoint("toy_tiny.batch-norm", zoo.registry)
    assert card is not None and card.adapter is not None
    assert (card.base, card.parent) == (base.reference, base.reference)
    assert card.adapter.name == "zoo-core/lora" and card_to_data(card)["schema_version"] == 2
    assert card_to_data(base.card)["schema_version"] == 1
    # A and B of two layers, 2 x (2 + 16) + 2 x (16 + 16), and nothing of the head, which isn't new.
    assert card.adapter.parameters == 100 and card.parameters == base.card.parameters
    again = evaluate("toy_tiny.delta", "points", zoo=zoo, batch_size=16)
    assert {metric.name: metric.value for metric in again.metrics} == result.metrics
    whole, before = open_checkpoint("toy_tiny.delta", zoo.registry).tensors(), base.tensors()
    assert whole.keys() == before.keys()
    changed = {name for name in whole if not torch.equal(whole[name], before[name])}
    assert changed == {"body.blocks.0.weight", "body.blocks.1.weight"}  # no running statistics
    other = create_model("toy_tiny.delta", pretrained=True, num_labels=5, zoo=zoo)
    assert torch.equal(other.state_dict()["body.blocks.0.weight"], whole["body.blocks.0.weight"])
    further = {**adapted(LORA), "init": "toy_tiny.delta", "name": "toy_tiny.further"}
    child = train({k: v for k, v in further.items() if k != "adapter"}, folder=tmp_path / "further", zoo=zoo).card
    assert (
        child is not None
        and child.base == ""
        and child.parent == open_checkpoint("toy_tiny.delta", zoo.registry).reference
    )
    second = train({**further, "name": "toy_tiny.second"}, folder=tmp_path / "second", zoo=zoo)
    assert second.card is not None and second.card.base == child.parent
    measured = evaluate("toy_tiny.second", "points", zoo=zoo, batch_size=16)
    assert {metric.name: metric.value for metric in measured.metrics} == second.metrics


def test_a_new_head_is_trained_and_stored_beside_the_adapter(zoo: Zoo, tmp_path: Path) -> None:
    four = {"name": "points", "labels": ["a", "b", "c", "d"]}
    result = train(adapted(LORA, data=four), folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and result.card.adapter is not None
    assert result.card.adapter.parameters == 100 + 4 * 17
    assert load("toy_tiny.delta", zoo=zoo).model.head.out_features == 4
    head = train(adapted({"name": "head"}, data=four, name="toy_tiny.head"), folder=tmp_path / "head", zoo=zoo)
    assert head.card is not None and head.card.adapter is not None and head.card.adapter.parameters == 4 * 17
    again = evaluate("toy_tiny.head", "points", settings={"labels": ["a", "b", "c", "d"]}, zoo=zoo, batch_size=16)
    assert {metric.name: metric.value for metric in again.metrics} == head.metrics


def test_an_adapter_that_trains_nothing_is_refused(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a model that takes a layer's weight and doesn't call it.
    monkeypatch.setattr(LoraLinear, "forward", nn.Linear.forward)
    four = {"name": "points", "labels": ["a", "b", "c", "d"]}
    with pytest.raises(UsageError, match=r"adapter: body.blocks.0.lora_a gets no gradient"):
        train(adapted(LORA, data=four), folder=tmp_path / "run", zoo=zoo)


def test_a_run_that_was_stopped_ends_with_the_same_bits(zoo: Zoo, tmp_path: Path) -> None:
    made = adapted(LORA, training={"ema_decay": 0.9})
    whole = train(made, folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "run", zoo=zoo, reporter=Caught(4))
    resumed = resume(tmp_path / "run", zoo=zoo)
    assert final_digest(tmp_path / "run") == final_digest(tmp_path / "whole")
    assert resumed.card is not None and whole.card is not None and resumed.card.digest == whole.card.digest


def test_groups_of_optimizers_divide_what_an_adapter_trains(zoo: Zoo, tmp_path: Path) -> None:
    groups = [{"match": "*.lora_*", "name": "muon", "lr": 0.02}, {"match": "*", "name": "adamw", "lr": 0.01}]
    four = {"name": "points", "labels": ["a", "b", "c", "d"]}
    made = adapted(LORA, data=four, optimizer={"groups": groups})
    whole = train(made, folder=tmp_path / "whole", zoo=zoo)
    assert whole.card is not None and whole.card.adapter is not None
    assert whole.card.adapter.parameters == 100 + 4 * 17, "thin matrices by one, the new head by the other"
    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "run", zoo=zoo, reporter=Caught(4))
    resume(tmp_path / "run", zoo=zoo)
    assert final_digest(tmp_path / "run") == final_digest(tmp_path / "whole")
    alone = train(adapted(LORA, name="toy_tiny.alone", data=four), folder=tmp_path / "alone", zoo=zoo)
    assert alone.card is not None and alone.card.digest != whole.card.digest


def test_a_base_is_kept_and_its_loss_is_told(zoo: Zoo, tmp_path: Path) -> None:
    base = train(adapted(LORA), folder=tmp_path / "run", zoo=zoo).card
    assert base is not None
    with pytest.raises(UsageError, match=r"toy_tiny.delta@1 is a delta on it"):
        upkeep.remove("toy_tiny.batch-norm@1", zoo=zoo)
    entry = zoo.registry.lookup("toy_tiny.delta")
    assert zoo.registry.verify(entry) == []
    upkeep.remove("toy_tiny.batch-norm@1", force=True, zoo=zoo)
    assert upkeep.collect_garbage(grace=-1, zoo=zoo).objects == 0
    entry = zoo.registry.lookup("toy_tiny.delta")
    assert not entry.available and entry.why == "its base toy_tiny.batch-norm is not on this machine"
    (problem,) = zoo.registry.verify(entry)
    assert problem == f"toy_tiny.delta@1: its base {base.base} is not on this machine"
    with pytest.raises(UnknownName, match=r"toy_tiny.batch-norm@sha256") as caught:
        load("toy_tiny.delta", zoo=zoo)
    assert "toy_tiny.delta@1 is a delta on it" in caught.value.hint
    # Registered again, under whatever name, it is found by its digest.
    import_checkpoint(tmp_path / "base" / "model", name="other.name", registry=zoo.registry)
    assert zoo.registry.lookup("toy_tiny.delta").available and load("toy_tiny.delta", zoo=zoo)
    moved = import_checkpoint(tmp_path / "run" / "model", name="moved.delta", registry=zoo.registry)
    assert load("moved.delta", zoo=zoo).card.base == moved.base
    assert load(tmp_path / "run", zoo=zoo).card.name == "toy_tiny.delta"
    with pytest.raises(UsageError, match=r"is a delta on toy_tiny.batch-norm@sha256"):
        open_folder(tmp_path / "run").tensors()


def test_a_damaged_base_is_named_by_verify(zoo: Zoo, tmp_path: Path) -> None:
    train(adapted(LORA), folder=tmp_path / "run", zoo=zoo)
    base = zoo.registry.lookup("toy_tiny.batch-norm")
    path = zoo.registry.store.path_of(base.card.digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert any("expected" in problem for problem in zoo.registry.verify(zoo.registry.lookup("toy_tiny.delta")))


def test_a_plugin_brings_an_adapter(zoo: Zoo, tmp_path: Path) -> None:
    result = train(adapted({"name": "biases"}), folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None and result.card.adapter is not None and result.card.plugins == ("zoo-toys",)
    before = open_checkpoint("toy_tiny.batch-norm", zoo.registry).tensors()
    after = open_checkpoint("toy_tiny.delta", zoo.registry).tensors()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"body.blocks.0.bias", "body.blocks.1.bias", "body.norm.bias", "head.bias"}
    again = evaluate("toy_tiny.delta", "points", zoo=zoo, batch_size=16)
    assert {metric.name: metric.value for metric in again.metrics} == result.metrics
    with pytest.raises(PluginError, match=r"zoo-toys/forgetful: Adapter.merge: expected body.blocks"):
        train(adapted({"name": "forgetful"}), folder=tmp_path / "broken", zoo=zoo)


@pytest.mark.parametrize(
    ("adapter", "told", "hint"),
    [
        ({"name": "lora", "targets": ["quary"]}, "'quary' matches no linear layer", "called 0, 1"),
        ({"name": "lora", "r": 0}, "adapter.r: expected at least 1, found 0", ""),
        ({"name": "lorra"}, "unknown adapter 'lorra'", "lora"),
        ({"r": 4}, "adapter: needs a name", ""),
    ],
)
def test_a_wrong_adapter_is_refused_before_the_first_step(
    zoo: Zoo, tmp_path: Path, adapter: dict[str, Any], told: str, hint: str
) -> None:
    with pytest.raises((RecipeError, UnknownName, UsageError), match=told) as caught:
        train(adapted(adapter), folder=tmp_path / "run", zoo=zoo)
    assert hint in caught.value.hint


def test_an_adapter_takes_a_registered_checkpoint(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="adapter: what it trains is a difference to a checkpoint"):
        load_recipe({**recipe("single"), "adapter": LORA}, [], zoo.host)
    upkeep.remove("toy_tiny.batch-norm@1", zoo=zoo)
    with pytest.raises(UsageError, match=r"its base toy_tiny.batch-norm@1 is not registered"):
        train(adapted(LORA, init=str(tmp_path / "base")), folder=tmp_path / "run", zoo=zoo)


def test_a_recipe_without_adapter_says_nothing_of_it(zoo: Zoo) -> None:
    assert "adapter" not in load_recipe(recipe("single"), [], zoo.host).to_data()
    resolved = load_recipe(adapted(LORA), ["adapter.r=4", "alpha=8"], zoo.host)
    assert resolved.to_data()["adapter"]["r"] == 4 and resolved.to_data()["adapter"]["alpha"] == 8.0
    assert load_recipe(resolved.to_data(), [], zoo.host).to_data() == resolved.to_data()


def test_a_card_with_half_of_it_is_refused_and_the_two_are_part_of_its_identity(zoo: Zoo, tmp_path: Path) -> None:
    card = train(adapted(LORA), folder=tmp_path / "run", zoo=zoo).card
    assert card is not None and card.adapter is not None
    data = json.loads(json.dumps(card_to_data(card)))
    assert parse_card(data, "c") == card
    with pytest.raises(CardError, match="adapter: expected given together with base"):
        parse_card({key: value for key, value in data.items() if key != "base"}, "c")
    other = replace(card, adapter=replace(card.adapter, settings={**card.adapter.settings, "r": 3}))
    assert not card.same_checkpoint(other)


def test_the_merged_weights_are_those_that_were_trained() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    base = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    lora = Lora(LoraConfig(targets=("0",), r=2, alpha=3.0))
    assert lora.wrap(model, frozenset()) == {"0.lora_a", "0.lora_b"}
    layer = model[0]
    assert isinstance(layer, LoraLinear) and base.keys() < dict(model.state_dict()).keys()
    nn.init.normal_(layer.lora_b)
    merged = lora.merge(base, lora.delta(model))
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    plain.load_state_dict(merged)
    inputs = torch.randn(7, 6)
    assert torch.equal(plain(inputs), model(inputs))
    assert torch.allclose(merged["0.weight"], base["0.weight"] + 1.5 * layer.lora_b @ layer.lora_a)
    with pytest.raises(CorruptFile, match="0: the adapter's tensors don't fit"):
        lora.merge({**base, "0.weight": base["0.weight"].T}, lora.delta(model))
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    with pytest.raises(UsageError, match="the weight of 1 is another layer's, too"):
        Lora(LoraConfig(targets=("1",))).wrap(tied, frozenset())


def test_a_bare_backbone_is_laid_out_below_a_head() -> None:
    bare = {"a": torch.zeros(1), "pooler": torch.zeros(1)}
    names = {"bert.a", "classifier"}
    renamed = deltas.renaming(bare, names, "bert.")
    assert renamed == {"": "bert."} and deltas.renaming(["bert.a", "cls"], {"a"}, "bert.") == {"bert.": ""}
    assert deltas.renaming(["bert.a"], names, "bert.") == {}
    assert list(deltas.laid_out(bare, renamed, {"bert.pooler"})) == ["bert.a"]
    own = {"bert.a": torch.zeros(1), "classifier": torch.ones(2)}
    assert list(deltas.difference(deltas.laid_out(bare, renamed, ()), own)) == ["classifier"]
    assert deltas.difference({"a": torch.tensor(float("nan"))}, {"a": torch.tensor(float("nan"))}) == {}


def test_the_commands_tell_a_delta_and_its_base(zoo: Zoo, tmp_path: Path) -> None:
    card = train(adapted(LORA), folder=tmp_path / "run", zoo=zoo).card
    assert card is not None
    entry = zoo.registry.lookup("toy_tiny.delta")
    row = listing.checkpoint_row(entry, zoo.registry.names(), zoo.registry)
    assert (row["parameters"], row["own_parameters"]) == (card.parameters, 100)
    facts = show._facts(entry, "points")
    assert facts["base"] == card.base and facts["own parameters"] == "100, the others are its base's"
    assert facts["adapter"] == "zoo-core/lora: alpha 16, r 2, targets [*]"
    assert keep._row(card, [])["state"] == keep.SOUND
    assert keep._row(card, [absent_base(card)])["state"] == keep.BASELESS
