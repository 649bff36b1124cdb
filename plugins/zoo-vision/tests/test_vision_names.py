from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from zoo_vision.interop.hf_vit import NativeViT
from zoo_vision.interop.names import architectures, imagenet_labels, registered

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, distinct_labels
from zoo_core.testing import valid_name


def test_the_names_are_exactly_those_that_timm_lists() -> None:
    import timm

    assert sorted(architectures()) == sorted(timm.list_models())
    assert len(architectures()) > 1000
    for name, overrides in architectures().items():
        assert valid_name(name) and overrides == {"architecture": name}


def test_reading_the_names_imports_nothing_heavy() -> None:
    code = (
        "import sys; from zoo_vision.interop.names import architectures; assert 'resnet18' in architectures();"
        "print([m for m in ('torch', 'timm', 'numpy', 'PIL', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_registered_functions_count() -> None:
    source = (
        "@register_model\ndef one(pretrained=False):\n    pass\n"
        "@register_model\n@other(1)\ndef two(\n"
        "@register_model\r\ndef three(x): pass\r\n"
        "def four(x): pass\n    @register_model\n    def five(self): pass\n# @register_model\ndef six(x): pass\n"
    )
    assert registered(source) == ["one", "two", "three"]


def test_imagenets_words_are_told_apart() -> None:
    labels = imagenet_labels(1000)
    assert len(set(labels)) == 1000
    assert labels[0] == "tench, Tinca tinca"
    assert [label for label in labels if label.startswith("crane")] == ["crane (134)", "crane (517)"]
    assert imagenet_labels(7) == ()
    assert distinct_labels(["a", "b", "a"]) == ("a (0)", "b", "a (2)")


def read(config: dict[str, Any]) -> ForeignCheckpoint:
    return NativeViT().read({"config.json": json.dumps(config).encode()})


def test_fields_that_are_left_out_mean_what_transformers_says() -> None:
    from transformers import ViTConfig

    found = read({"architectures": ["ViTForImageClassification"]})
    theirs = ViTConfig()
    assert found.config == {
        "img_size": theirs.image_size,
        "patch_size": theirs.patch_size,
        "in_chans": theirs.num_channels,
        "embed_dim": theirs.hidden_size,
        "depth": theirs.num_hidden_layers,
        "num_heads": theirs.num_attention_heads,
        "mlp_ratio": theirs.intermediate_size / theirs.hidden_size,
        "norm_eps": theirs.layer_norm_eps,
    }
    assert list(found.labels) == list(theirs.id2label.values())
    assert read({}).labels == ()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"hidden_act": "gelu_new"}, UsageError, 'hidden_act: expected "gelu", found "gelu_new"'),
        ({"qkv_bias": False}, UsageError, "qkv_bias: expected true, found false"),
        ({"architectures": ["ViTForMaskedImageModeling"]}, UsageError, "architectures: expected one of ViTModel"),
        ({"hidden_size": "64"}, CorruptFile, "hidden_size: expected a whole number from 1 to 1000000, found '64'"),
        ({"image_size": [8, 9]}, CorruptFile, "image_size"),
        ({"num_hidden_layers": 10**9}, CorruptFile, "num_hidden_layers"),
        ({"id2label": {"0": "a", "2": "b"}}, CorruptFile, "id2label"),
    ],
)
def test_what_ours_cannot_express_is_refused(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    usual = {"architectures": ["ViTForImageClassification"]}
    with pytest.raises(error, match=message):
        read({**usual, **fields})


def test_a_query_without_its_key_is_named() -> None:
    tensors = {
        f"vit.encoder.layer.3.attention.attention.{part}.weight": torch.zeros(2, 2) for part in ("query", "value")
    }
    with pytest.raises(CorruptFile, match=r"blocks\.3\.attn\.qkv\.weight needs encoder\..*\.key\..*, which is missing"):
        read({"architectures": ["ViTModel"]}).keys.ours(tensors)
