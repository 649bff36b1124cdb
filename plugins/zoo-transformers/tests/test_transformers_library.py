from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertModel
from transformers.utils import logging
from zoo_transformers import STORED, config_rules, construct, labels_of, quiet, whole_numbers
from zoo_transformers.fields import ours_of

from zoo_core import CorruptFile, UsageError, parameters_on_meta

FIELDS = {"width": "hidden_size", "depth": "encoder_layers decoder_layers", "sizes": "conv_dim"}
USUAL = {"conv_dim": [1, 2]}
GIVEN = {"hidden_size": 4, "encoder_layers": 2, "decoder_layers": 2, "conv_dim": [3, 4]}


def test_numbers_and_lists_are_taken_over_and_twins_have_to_agree() -> None:
    assert ours_of(FIELDS, GIVEN, USUAL) == {"width": 4, "depth": 2, "sizes": (3, 4)}
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"hidden_size": "4"}, CorruptFile, r"config\.json: hidden_size: expected a number, found '4'"),
        ({"hidden_size": True}, CorruptFile, "hidden_size: expected a number"),
        ({"conv_dim": 3}, CorruptFile, r"config\.json: conv_dim: expected whole numbers, found 3"),
        ({"decoder_layers": 3}, UsageError, "encoder_layers and decoder_layers differ"),
    ]
    for changes, error, message in cases:
        with pytest.raises(error, match=message):
            ours_of(FIELDS, {**GIVEN, **changes}, USUAL)
    with pytest.raises(CorruptFile, match="x: expected whole numbers"):
        whole_numbers([1, 2.0], "x")


def test_rules_know_a_field_once_whatever_lists_name_it() -> None:
    rules = config_rules(
        "toy",
        FIELDS,
        read="prefix",
        fixed={"is_encoder_decoder": (True,)},
        harmless="top_k",
        advice={"top_k": "ask otherwise", "top_p": "ask otherwise"},
    )
    parts = [*rules.read, *rules.fixed, *rules.harmless, *rules.advice]
    assert len(parts) == len(set(parts)) and {"decoder_layers", "prefix"} <= rules.read
    assert "dtype" in STORED and list(rules.advice) == ["top_p"]
    assert rules.check({"model_type": "toy", "is_encoder_decoder": True}) == ()
    with pytest.raises(UsageError, match='model_type: expected "toy", found "other"'):
        rules.check({"model_type": "other"})


def test_labels_that_a_folder_does_not_name_are_numbered() -> None:
    assert labels_of({"id2label": {"1": "b", "0": "a"}, "num_labels": 3}) == ("a", "b")
    assert labels_of({"num_labels": 3}) == ("LABEL_0", "LABEL_1", "LABEL_2") and len(labels_of({})) == 2
    with pytest.raises(CorruptFile, match="id2label"):
        labels_of({"num_labels": -1})


def test_classes_are_built_in_silence_and_on_the_meta_device_without_numbers() -> None:
    small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    before = logging.get_verbosity()
    with quiet():
        assert logging.get_verbosity() == 40
    assert logging.get_verbosity() == before
    with parameters_on_meta():
        assert all(parameter.is_meta for parameter in construct(lambda: BertModel(small)).parameters())
    torch.manual_seed(0)
    one = construct(lambda: BertModel(small)).state_dict()
    torch.manual_seed(0)
    assert all(torch.equal(tensor, one[name]) for name, tensor in BertModel(small).state_dict().items())
