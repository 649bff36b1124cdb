from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_toys.runs import recipe, toy_zoo

from zoo_core import Head
from zoo_core.api import create_model, list_models, load, pipeline, train
from zoo_core.errors import ArchMismatch, UnknownName, UsageError
from zoo_core.models import build
from zoo_core.registry.zoo import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """A zoo with one trained checkpoint, `toy_tiny.single`, of the labels inner and outer."""
    root = tmp_path_factory.mktemp("zoo")
    made = toy_zoo(root / "home")
    train(recipe("single", steps=4), folder=root / "run", zoo=made)
    return made


def tiny(zoo: Zoo, head: Head, tensors: dict[str, Tensor], **settings: Any) -> tuple[nn.Module, build.Adaptation]:
    provided, size, _ = zoo.host.find_model("mlp_tiny")
    config = provided.spec.config(**{**provided.spec.sizes[size], **settings.pop("config", {})})
    return build.build_from(zoo.host, provided, config, head, tensors, **settings)


def stored(zoo: Zoo) -> dict[str, Tensor]:
    return build.weights(load("toy_tiny.single", zoo=zoo).model)


HEAD = Head(task="point-classification", labels=2)


def test_a_model_is_built_without_memory_for_weights_and_takes_the_given_tensors_themselves(zoo: Zoo) -> None:
    tensors = {name: tensor.clone() for name, tensor in stored(zoo).items()}
    model, adaptation = tiny(zoo, HEAD, tensors)
    assert all(p.data_ptr() == tensors[name].data_ptr() for name, p in model.named_parameters())
    assert adaptation.exact and len(adaptation.kept) == len(tensors)
    assert model.body.scale.item() == 0.5, "a buffer that isn't saved must be real"


def test_building_on_meta_draws_nothing_and_leaves_torch_as_it_was() -> None:
    torch.manual_seed(0)
    before = torch.default_generator.get_state()
    with build.parameters_on_meta():
        layer = nn.Linear(3, 4)
        layer.twin = nn.Linear(3, 4)
        layer.twin.weight = layer.weight
        norm = nn.BatchNorm1d(3)
    assert layer.weight.is_meta and layer.twin.weight is layer.weight
    assert norm.running_var.tolist() == [1.0, 1.0, 1.0]
    assert torch.equal(before, torch.default_generator.get_state())
    assert not nn.Linear(2, 2).weight.is_meta


class Reading(nn.Module):
    """Looks at its own weights while it is built, which a model without memory for them has to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 16)
        self.largest = self.inner.weight.abs().max().item()


class Keeping(nn.Module):
    """Computes a tensor from memory that was not filled before, and neither saves nor registers it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 16)
        self.table = torch.empty(4).fill_(0.25)
        self.register_buffer("places", torch.empty(4).fill_(3.0), persistent=False)


@pytest.mark.parametrize("made", [Reading, Keeping])
def test_a_model_that_needs_values_while_it_is_built_is_built_in_the_ordinary_way(
    made: type[nn.Module], zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    provided, size, _ = zoo.host.find_model("mlp_tiny")
    monkeypatch.setattr("zoo_toys.parts.build_mlp", lambda config, head: made())
    config = provided.spec.config(**provided.spec.sizes[size])
    saved = build.weights(made())
    model, adaptation = build.build_from(zoo.host, provided, config, HEAD, saved)
    assert adaptation.exact and torch.equal(model.inner.weight, saved["inner.weight"])
    if isinstance(model, Keeping):
        assert model.table.tolist() == [0.25] * 4 and model.places.tolist() == [3.0] * 4


def test_a_constant_drawn_from_a_seed_of_its_own_is_kept() -> None:
    with build.parameters_on_meta():
        drawn = torch.randn(4, generator=torch.Generator().manual_seed(3))
        placed = torch.empty(4, device="cpu")
    assert torch.equal(drawn, torch.randn(4, generator=torch.Generator().manual_seed(3)))
    assert not placed.is_meta


def test_recurrent_layers_use_the_weights_they_are_filled_with(zoo: Zoo) -> None:
    """They keep a list of their weights beside their parameters."""
    provided, _, _ = zoo.host.find_model("recurrent_tiny")
    config, head = provided.spec.config(), Head(task="frame-transcription")
    source = build.build_fresh(zoo.host, provided, config, head)
    filled, _ = build.build_from(zoo.host, provided, config, head, build.weights(source))
    frames = torch.ones(1, 5, 3)
    assert torch.equal(filled["gru"](frames)[0], source["gru"](frames)[0])


def test_ties_survive_saving_and_loading(zoo: Zoo) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.out.weight = self.embed.weight

    saved = build.weights(Tied())
    assert list(saved) == ["embed.weight"]
    with build.parameters_on_meta():
        model = Tied()
    build._assign(model, {"embed.weight": saved["embed.weight"]})
    assert model.out.weight is model.embed.weight and not model.out.weight.is_meta
    assert build.parameter_count(model) == 15


def test_another_number_of_labels_keeps_the_body_and_initialises_the_head(zoo: Zoo) -> None:
    model = create_model("toy_tiny.single", pretrained=True, num_labels=3, zoo=zoo)
    adaptation = model.zoo_adaptation
    assert model.head.weight.shape == (3, 16)
    assert set(adaptation.initialised) == {"head.weight", "head.bias"} and not adaptation.resized
    assert torch.equal(model.body.blocks[0].weight, stored(zoo)["body.blocks.0.weight"])
    assert "initialised 2: head" in adaptation.describe()
    assert not model.training


def test_rows_of_labels_that_the_checkpoint_knows_by_name_are_kept(zoo: Zoo) -> None:
    model = create_model("toy_tiny.single", pretrained=True, labels=("outer", "far", "inner"), zoo=zoo)
    rows = stored(zoo)["head.weight"]
    assert torch.equal(model.head.weight[0], rows[1]) and torch.equal(model.head.weight[2], rows[0])
    assert set(model.zoo_adaptation.resized) == {"head.weight", "head.bias"}


def test_labels_that_are_all_new_start_afresh_even_in_the_same_number(zoo: Zoo) -> None:
    model = create_model("toy_tiny.single", pretrained=True, labels=("left", "right"), zoo=zoo)
    assert set(model.zoo_adaptation.initialised) == {"head.weight", "head.bias"}
    assert not torch.equal(model.head.weight, stored(zoo)["head.weight"])


def test_a_bare_backbone_comes_out_of_a_model_with_a_head_and_goes_back_under_one(zoo: Zoo) -> None:
    bare = create_model("toy_tiny.single", pretrained=True, task="", num_labels=0, zoo=zoo)
    assert not hasattr(bare, "head") and torch.equal(bare.blocks[0].weight, stored(zoo)["body.blocks.0.weight"])
    assert set(bare.zoo_adaptation.dropped) == {"head.weight", "head.bias"}
    model, adaptation = tiny(zoo, HEAD, build.weights(bare))
    assert torch.equal(model.body.blocks[0].weight, bare.blocks[0].weight)
    assert set(adaptation.initialised) == {"head.weight", "head.bias"}


def test_the_family_adapts_tensors_to_another_shape(zoo: Zoo) -> None:
    model = create_model("toy_tiny.single", pretrained=True, inputs=4, zoo=zoo)
    grown = model.body.blocks[0].weight
    assert torch.equal(grown[:, :2], stored(zoo)["body.blocks.0.weight"]) and grown[:, 2:].abs().sum() == 0
    assert model.zoo_adaptation.resized == ("body.blocks.0.weight",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("body.blocks.1.weight"), "body.blocks.1.weight: missing"),
        (lambda t: t.update({"body.extra": torch.ones(1)}), "body.extra: the architecture has no such tensor"),
        (lambda t: t.update({"body.blocks.1.weight": torch.ones(3, 3)}), r"has shape \(3, 3\), needs \(16, 16\)"),
        (lambda t: t.pop("head.bias"), "head.bias: missing"),
        (lambda t: t.update({"head.weight": torch.ones(5, 16)}), "head.weight"),
    ],
)
def test_tensors_that_do_not_fit_exactly_are_refused_by_name(zoo: Zoo, change: Any, words: str) -> None:
    tensors = {name: tensor.clone() for name, tensor in stored(zoo).items()}
    change(tensors)
    with pytest.raises(ArchMismatch, match=words):
        tiny(zoo, HEAD, tensors, labels=("inner", "outer"), known_labels=("inner", "outer"), adaptable=False)


def test_strict_forbids_any_change(zoo: Zoo) -> None:
    with pytest.raises(ArchMismatch):
        create_model("toy_tiny.single", pretrained=True, num_labels=3, strict=True, zoo=zoo)


def test_names_lead_to_architectures_checkpoints_and_nearest_names(zoo: Zoo) -> None:
    assert create_model("mlp_wide", zoo=zoo).blocks[0].weight.shape == (64, 2)
    assert create_model("mlp_tiny", num_labels=4, hidden=8, zoo=zoo).head.weight.shape == (4, 8)
    assert create_model("mlp_tiny", num_classes=4, zoo=zoo).head.weight.shape == (4, 16)
    assert list_models("toy*", task="point-classification", zoo=zoo) == ["toy_tiny.single"]
    assert list_models(task="frame-transcription", zoo=zoo) == []
    with pytest.raises(UnknownName, match="mlp_tiny"):
        create_model("mlp_tny", zoo=zoo)
    with pytest.raises(UnknownName, match=r"toy_tiny\.single"):
        load("toy_tiny.sinle", zoo=zoo)
    with pytest.raises(UsageError, match="without weights"):
        create_model("mlp_tiny", pretrained=True, zoo=zoo)
    with pytest.raises(UsageError, match="hidden"):
        create_model("mlp_tiny", hiden=3, zoo=zoo)


def test_a_path_works_wherever_a_name_does(zoo: Zoo, tmp_path: Path) -> None:
    result = train(recipe("single", steps=3), folder=tmp_path / "run", zoo=zoo)
    for place in (result.folder, result.folder / "model", f"file:{result.folder / 'model'}"):
        loaded = load(place, zoo=zoo)
        assert loaded.card.weights == result.card.weights
        assert loaded.predict((0.1, 0.2))["label"] in ("inner", "outer")
    answers = pipeline("point-classification", model=result.folder, zoo=zoo)([(0.0, 0.4), (1.4, 0.0)])
    assert [set(answer) for answer in answers] == [{"label", "score"}] * 2


def test_options_and_tasks_are_checked(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match="temprature"):
        load("toy_tiny.single", zoo=zoo).predict((0.0, 0.0), temprature=1)
    with pytest.raises(UnknownName, match="zoo-toys/mlp: unknown task 'zoo-toys/point-generation'"):
        pipeline("point-generation", model="toy_tiny.single", zoo=zoo)
