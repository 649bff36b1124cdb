"""Tables of keys: a folder's tensors under our names, and the other way round."""

from __future__ import annotations

import pytest
import torch

from zoo_core.contract import KeyTable
from zoo_core.errors import CorruptFile

PARTS = tuple(f"layer.*.{part}.*" for part in ("query", "key"))
KEYS = KeyTable(
    prefix="model.",
    pairs=(
        ("*position_ids", None),
        (PARTS, "blocks.*.both.*"),
        ("layer.*.out.*", "blocks.*.proj.*"),
        ("*.gain", "*.gain"),
        ("*.gamma", "*.gain"),
    ),
    rows={"head": [2, 0]},
)


def test_a_table_serves_both_directions() -> None:
    theirs = {
        "layer.10.query.weight": torch.ones(2, 3),
        "layer.10.key.weight": torch.zeros(2, 3),
        "layer.10.out.bias": torch.ones(2),
        "norm.gain": torch.ones(1),
        "other": torch.ones(1),
    }
    ours = KEYS.ours({f"model.{name}": tensor for name, tensor in theirs.items()})
    assert set(ours) == {"blocks.10.both.weight", "blocks.10.proj.bias", "norm.gain", "other"}
    assert ours["blocks.10.both.weight"].sum(1).tolist() == [3, 3, 0, 0]
    back = KEYS.theirs(ours)
    assert back.keys() == theirs.keys() and all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_old_names_are_read_and_what_is_computed_is_left_out() -> None:
    found = KEYS.ours({"position_ids": torch.ones(1), "a.position_ids": torch.ones(1), "norm.gamma": torch.ones(1)})
    assert list(found) == ["norm.gain"] and list(KEYS.theirs(found)) == ["norm.gain"]


def test_rows_are_picked_and_what_is_missing_is_named() -> None:
    assert KEYS.ours({"head": torch.arange(3)})["head"].tolist() == [2, 0]
    with pytest.raises(CorruptFile, match="head has 2 rows only"):
        KEYS.ours({"head": torch.arange(2)})
    with pytest.raises(CorruptFile, match=r"blocks\.0\.both\.weight needs layer\.\*\.key\.\*, which is missing"):
        KEYS.ours({"layer.0.query.weight": torch.ones(1)})
