from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.utils import logging
from zoo_nlp import plugin
from zoo_nlp.models import bert, common, gpt2, lstm, marian
from zoo_transformers import checkpoint_activations, quiet

from zoo_core import UnknownName
from zoo_core.contract import Head, ModelSpec
from zoo_core.testing import PluginHost, build

HOST = PluginHost.discover({})
SPECS = {spec.name: spec for spec in plugin.zoo_models()}
SMALL: dict[str, dict[str, Any]] = {
    "bert": {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "max_length": 24,
    },
    "gpt2": {"vocab_size": 50, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "max_length": 24},
    "marian": {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "max_length": 24,
    },
    "lstm": {"vocab_size": 50, "embedding_size": 8, "hidden_size": 16},
}
HEADS = [
    ("bert", Head()),
    ("bert", Head(task="fill-mask")),
    ("bert", Head(task="text-classification", labels=3)),
    ("bert", Head(task="feature-extraction")),
    ("gpt2", Head(task="text-generation")),
    ("gpt2", Head(task="text-classification", labels=3)),
    ("marian", Head(task="translation")),
    ("marian", Head(task="summarization")),
    ("lstm", Head(task="text-classification", labels=3)),
]
CLASSIFIER = {"classifier.weight", "classifier.bias"}
BUILD = {"bert": bert.build, "gpt2": gpt2.build, "marian": marian.build, "lstm": lstm.build}


def small(family: str, head: Head, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return BUILD[family](HOST.find("model", family).config(**{**SMALL[family], **changes}), head).eval()


def on_meta(spec: ModelSpec, size: str, head: Head) -> nn.Module:
    with build.parameters_on_meta():
        config = HOST.find("model", spec.name).config
        return BUILD[spec.name](config(**spec.sizes[size]), head)


def answer(model: nn.Module, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    if hasattr(model, "get_decoder") and hasattr(model.get_encoder(), "embed_positions"):
        start = torch.tensor([[0, 7, 8]] * len(ids))
        return model(input_ids=ids, attention_mask=mask, decoder_input_ids=start).logits
    output = model(input_ids=ids, attention_mask=mask)
    return output.logits if hasattr(output, "logits") else output.last_hidden_state


@pytest.mark.parametrize(
    ("family", "size", "head", "expected"),
    [
        ("bert", "base", Head(), 109_482_240),
        # A transform, its norm and a bias per word; the projection is the embedding.
        ("bert", "base", Head(task="fill-mask"), 109_482_240 - 590_592 + 590_592 + 2 * 768 + 30522),
        ("gpt2", "small", Head(), 124_439_808),
        ("gpt2", "base", Head(), 354_823_168),
        # Per block: 4 d² + 4 d attention (twice in a decoder), 2 d f + f + d, a norm of 2 d for each part.
        ("marian", "base", Head(), 58101 * 512 + 6 * (3_152_384 + 4_204_032)),
        # Keras has one bias for what PyTorch adds twice: 4 x 128 more.
        ("lstm", "small", Head(task="text-classification", labels=4), 640_000 + 98_816 + 512 + 516),
    ],
)
def test_parameter_counts_are_the_papers(family: str, size: str, head: Head, expected: int) -> None:
    assert build.parameter_count(on_meta(SPECS[family], size, head)) == expected


@pytest.mark.parametrize("family", SPECS)
def test_every_size_builds_and_a_larger_name_is_a_larger_model(family: str) -> None:
    spec = SPECS[family]
    counts = [build.parameter_count(on_meta(spec, size, Head())) for size in spec.sizes]
    assert {"tiny", "small", "base"} <= set(spec.sizes)
    assert counts == sorted(counts) and len(set(counts)) == len(counts)


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_a_model_built_on_meta_and_filled_is_the_model_it_came_from(family: str, head: Head) -> None:
    model = small(family, head)
    config = HOST.find("model", family).config(**SMALL[family])
    filled, adaptation = build.build_from(
        HOST, HOST.find("model", family), config, head, build.weights(model), adaptable=False
    )
    assert adaptation.exact
    assert not [name for name, tensor in [*filled.named_parameters(), *filled.named_buffers()] if tensor.is_meta]
    ids = torch.tensor([[2, 9, 4, 11, 3]])
    assert torch.equal(answer(filled.eval(), ids), answer(model, ids))


@pytest.mark.parametrize(
    ("family", "parent", "child", "fresh"),
    [
        (
            "bert",
            "fill-mask",
            "text-classification",
            {*CLASSIFIER, "bert.pooler.dense.weight", "bert.pooler.dense.bias"},
        ),
        ("bert", "fill-mask", "feature-extraction", {"pooler.dense.weight", "pooler.dense.bias"}),
        ("bert", "feature-extraction", "text-classification", CLASSIFIER),
        ("gpt2", "text-generation", "text-classification", {"score.weight"}),
        ("marian", "translation", "summarization", set()),
    ],
)
def test_a_new_head_keeps_the_backbone(family: str, parent: str, child: str, fresh: set[str]) -> None:
    config = HOST.find("model", family).config(**SMALL[family])
    tensors = build.weights(small(family, Head(task=parent)))
    head = Head(task=child, labels=3 if child == "text-classification" else 0)
    model, adaptation = build.build_from(HOST, HOST.find("model", family), config, head, tensors)
    assert set(adaptation.initialised) == fresh
    assert not adaptation.resized
    assert not [name for name, tensor in model.named_parameters() if tensor.is_meta]


def test_as_many_labels_as_the_model_is_wide_change_the_rows_of_the_classifier_alone() -> None:
    provided, width = HOST.find("model", "bert"), SMALL["bert"]["hidden_size"]
    known = (*(f"old {n}" for n in range(width - 2)), "kept", "moved")
    wanted = ("moved", "kept", *(f"new {n}" for n in range(width - 2)))
    head = Head(task="text-classification", labels=width)
    tensors = build.weights(small("bert", head))
    model, adaptation = build.build_from(
        HOST, provided, provided.config(**SMALL["bert"]), head, tensors, labels=wanted, known_labels=known
    )
    assert set(adaptation.resized) == CLASSIFIER and not adaptation.initialised
    found = build.weights(model)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors if name not in CLASSIFIER)
    for name in CLASSIFIER:
        assert torch.equal(found[name][0], tensors[name][-1]) and torch.equal(found[name][1], tensors[name][-2])
    assert not torch.equal(found["classifier.weight"][2], tensors["classifier.weight"][0])


@pytest.mark.parametrize(
    ("family", "head"), [(family, head) for family, head in HEADS if head.task != "text-generation"]
)
def test_padding_never_changes_the_output(family: str, head: Head) -> None:
    model = small(family, head, pad_id=0)
    ids = torch.tensor([[2, 9, 4, 11, 3]])
    padded = torch.cat([ids, torch.zeros(1, 6, dtype=torch.long)], dim=1)
    mask = (torch.arange(11) < 5).long().unsqueeze(0)
    alone, together = answer(model, ids, torch.ones_like(ids)), answer(model, padded, mask)
    places = alone.shape[1] if alone.ndim == 3 else None
    assert torch.allclose(together[:, :places] if places else together, alone, atol=1e-5)


def test_the_masked_model_scores_only_the_places_asked_for() -> None:
    model = small("bert", Head(task="fill-mask"))
    ids = torch.randint(5, 50, (3, 7), generator=torch.Generator().manual_seed(0))
    places = torch.tensor([0, 6, 9, 20])
    chosen = model(input_ids=ids, places=places).logits
    assert chosen.shape == (4, 50)
    assert torch.allclose(chosen, model(input_ids=ids).logits.flatten(0, 1)[places], atol=1e-6)


@pytest.mark.parametrize(("length", "width"), [(24, 32), (10, 7)])
def test_computed_positions_are_transformers_own(length: int, width: int) -> None:
    assert torch.equal(
        marian.sinusoids(length, width), MarianSinusoidalPositionalEmbedding(length, width).create_weight()
    )


def test_computed_positions_are_neither_stored_nor_counted() -> None:
    model = small("marian", Head())
    assert not [name for name in model.state_dict() if "positions" in name]
    assert len([name for name, _ in model.named_buffers(remove_duplicate=False) if "positions" in name]) == 2


def test_building_on_meta_leaves_initialisation_as_it_was() -> None:
    with build.parameters_on_meta():
        small("bert", Head())
    torch.manual_seed(3)
    first = small("bert", Head()).embeddings.word_embeddings.weight
    assert 0.015 < first.std().item() < 0.025


def test_lstm_starts_as_keras_does() -> None:
    model = small("lstm", Head(task="text-classification", labels=3))
    gates = model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0
    assert gates.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32
    assert 0.045 < model.embedding.weight.abs().max() <= 0.05
    recurrent = model.lstm.weight_hh_l0
    assert torch.allclose(recurrent.T @ recurrent, torch.eye(16), atol=1e-5)
    bound = (6 / (8 + 64)) ** 0.5
    assert 0.9 * bound < model.lstm.weight_ih_l0.abs().max() <= bound


def test_positions_are_cut_and_continued() -> None:
    table = torch.arange(6.0).view(3, 2)
    fit = common.fit_positions
    assert fit("bert.embeddings.position_embeddings.weight", table, (2, 2)).tolist() == [[0, 1], [2, 3]]
    assert fit("transformer.wpe.weight", table, (5, 2)).tolist() == [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3]]
    assert fit("transformer.wpe.weight", table, (5, 4)) is None
    assert fit("embeddings.word_embeddings.weight", table, (5, 2)) is None


def test_a_checkpoint_fits_a_model_with_more_positions() -> None:
    config = HOST.find("model", "bert").config(**{**SMALL["bert"], "max_length": 40})
    model, adaptation = build.build_from(
        HOST, HOST.find("model", "bert"), config, Head(), build.weights(small("bert", Head()))
    )
    assert adaptation.resized == ("embeddings.position_embeddings.weight",)
    assert answer(model.eval(), torch.ones(1, 40, dtype=torch.long)).shape == (1, 40, 32)


@pytest.mark.parametrize(("family", "head"), [("bert", HEADS[1][1]), ("gpt2", HEADS[4][1]), ("marian", HEADS[6][1])])
def test_checkpointed_activations_give_the_same_gradients(family: str, head: Head) -> None:
    gradients = []
    for recompute in (False, True):
        model = small(family, head, dropout=0.0, attention_dropout=0.0).train()
        if recompute:
            checkpoint_activations(model)
            assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
        ids = torch.tensor([[2, 9, 4, 11, 3]])
        kwargs = {"decoder_input_ids": ids} if family == "marian" else {}
        if family != "bert":
            kwargs["use_cache"] = False
        model(input_ids=ids, **kwargs).logits.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2", "marian"])
def test_layers_pattern_finds_every_block(family: str) -> None:
    pattern = re.compile(SPECS[family].layers)
    numbers = {found[1] for name in small(family, Head()).state_dict() if (found := pattern.search(name))}
    assert numbers == {"0", "1"}


@pytest.mark.parametrize("family", SPECS)
def test_unknown_heads_are_refused_with_what_there_is(family: str) -> None:
    with pytest.raises(UnknownName, match="unknown task 'image-classification'") as caught:
        small(family, Head(task="image-classification", labels=2))
    assert SPECS[family].tasks[0] in caught.value.hint or "did you mean" in caught.value.hint


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("bert", {"hidden_size": 30, "num_heads": 4}, "hidden_size: expected a multiple of num_heads 4, found 30"),
        ("bert", {"pad_id": 50}, "pad_id: expected a token below vocab_size 50, found 50"),
        ("gpt2", {"eos_id": 60}, "eos_id"),
        ("marian", {"dropout": 1.0}, "dropout: expected at least 0 and below 1"),
        ("lstm", {"hidden_size": 0}, "hidden_size: expected at least 1, found 0"),
    ],
)
def test_impossible_configurations_are_refused(family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        small(family, Head(), **changes)


def test_quiet_puts_the_verbosity_back() -> None:
    before = logging.get_verbosity()
    with pytest.raises(RuntimeError), quiet():
        assert logging.get_verbosity() == 40
        raise RuntimeError
    assert logging.get_verbosity() == before != 40


def test_every_target_of_the_plugin_resolves() -> None:
    for spec in [*plugin.zoo_models(), *plugin.zoo_tasks(), *plugin.zoo_data()]:
        words = ("target", "preprocessor", "adapt", "gradient_checkpointing", "interop", "fetch")
        for target in filter(None, (getattr(spec, word, "") for word in words)):
            assert callable(HOST.resolve(target, HOST.find("model", "bert")))


def test_the_plugin_module_imports_nothing_heavy() -> None:
    code = "import sys, zoo_nlp.plugin; print([m for m in ('torch', 'numpy', 'transformers', 'tokenizers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
