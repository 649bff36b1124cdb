"""Folders of weights that another library wrote: one file or several, in a cache or not, measured before they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from zoo_core.contract.interop import FieldRules, distinct_labels, numbered_labels, problem_task, read_object
from zoo_core.errors import CorruptFile, UnsafeFormat, UsageError, ZooError
from zoo_core.registry.foreign import INDEX, ForeignFolder
from zoo_core.storage import tensors
from zoo_core.storage.budgets import BUDGETS, LAYERS, WEIGHTS
from zoo_core.testing import peak_memory

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 88164\n"
PARTS = {
    "model-00001-of-00002.safetensors": {"a": torch.ones(3), "b": torch.zeros(2, 2)},
    "model-00002-of-00002.safetensors": {"c": torch.arange(4)},
}


def write(path: Path, content: Mapping[str, torch.Tensor]) -> None:
    path.write_bytes(b"".join(bytes(chunk) for chunk in tensors.dump(content)))


def sharded(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    placed = {name: file for file, content in PARTS.items() for name in content}
    for file, content in PARTS.items():
        write(folder / file, content)
    index = {"metadata": {"total_size": 3 * 4 + 4 * 4 + 4 * 8}, "weight_map": placed, **changes}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def test_an_index_says_where_the_tensors_are(tmp_path: Path) -> None:
    found = ForeignFolder(sharded(tmp_path)).weights()
    assert found.size == 60
    loaded = found.load(most=60)
    assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
        "a": [1, 1, 1],
        "b": [[0, 0], [0, 0]],
        "c": [0, 1, 2, 3],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_map": {"a": "../x.safetensors"}}, r"'a': expected the name of a .safetensors file here, found '../x"),
        ({"weight_map": {"a": "/etc/x.safetensors"}}, "expected the name of a .safetensors file here"),
        ({"weight_map": {"a": "x.bin"}}, "expected the name of a .safetensors file here, found 'x.bin'"),
        ({"weight_map": {"a": "other.safetensors"}}, "it names other.safetensors, which is not in the folder"),
        ({"weight_map": {"a": 3}}, "weight_map: expected a file for each tensor"),
        ({"weight_map": {}}, "weight_map: expected a file for each tensor"),
        ({"weight_map": dict.fromkeys("abc", "model-00001-of-00002.safetensors")}, "model-00002-of-00002.safetensors is not in"),
        ({"metadata": {"total_size": 59}}, "its total_size is 59, the files hold 60 bytes"),
    ],
)  # fmt: skip
def test_an_index_that_is_wrong_is_refused_by_name(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match=message):
        ForeignFolder(sharded(tmp_path, **changes)).weights()


def test_every_tensor_is_in_one_file_the_one_of_the_index(tmp_path: Path) -> None:
    folder = sharded(tmp_path)
    write(folder / "model-00002-of-00002.safetensors", {"a": torch.ones(3), "c": torch.arange(4)})
    with pytest.raises(
        CorruptFile, match=r"'a' is in model-00002-of-00002.safetensors; by the index it is in model-00001"
    ):
        ForeignFolder(folder).weights()
    write(folder / "model-00002-of-00002.safetensors", {"d": torch.arange(4)})
    with pytest.raises(CorruptFile, match=r"'d' is in model-00002-of-00002.safetensors; by the index it is in nowhere"):
        ForeignFolder(folder).weights()
    write(folder / "model-00002-of-00002.safetensors", {})
    with pytest.raises(CorruptFile, match=r"'c' is not in model-00002-of-00002.safetensors, where the index has it"):
        ForeignFolder(folder).weights()


def test_links_of_a_cache_are_followed_and_no_others(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    write(blobs / "0123", {"a": torch.ones(3)})
    (blobs / "4567").write_text('{"kind": 1}')
    (snapshot / "model.safetensors").symlink_to("../../blobs/0123")
    (snapshot / "config.json").symlink_to("../../blobs/4567")
    found = ForeignFolder(snapshot)
    assert found.small_files() == {"config.json": b'{"kind": 1}'}
    assert found.weights().load(most=12)["a"].tolist() == [1, 1, 1]
    (tmp_path / "secret.json").write_text("{}")
    (snapshot / "vocab.json").symlink_to("../../../secret.json")
    with pytest.raises(CorruptFile, match=r"vocab.json: a link to .*secret.json, outside the folder"):
        ForeignFolder(snapshot).small_files()
    outside = tmp_path / "plain"
    outside.mkdir()
    (outside / "model.safetensors").symlink_to(blobs / "0123")
    with pytest.raises(CorruptFile, match="outside the folder"):
        ForeignFolder(outside).weights()


def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(POINTER)
    (tmp_path / "tokenizer.json").write_bytes(POINTER)
    for read in (ForeignFolder(tmp_path).weights, ForeignFolder(tmp_path).small_files):
        with pytest.raises(CorruptFile, match=r"a Git LFS pointer[^\n]*\n.*git lfs pull"):
            read()


def test_what_is_no_folder_of_weights_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="is not a folder"):
        ForeignFolder(tmp_path / "no")
    with pytest.raises(CorruptFile, match=r"holds neither model.safetensors nor model.safetensors.index.json"):
        ForeignFolder(tmp_path).weights()
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="an adapter without the model that it changes"):
        ForeignFolder(tmp_path).weights()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\n")
    with pytest.raises(UnsafeFormat, match="convert it to safetensors"):
        ForeignFolder(tmp_path).weights()


def test_weights_are_measured_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file of 40 GB costs nothing to refuse, whoever's size it contradicts."""
    path = tmp_path / "model.safetensors"
    size = 40 << 30
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)
    before = peak_memory()
    found = ForeignFolder(tmp_path).weights()
    with pytest.raises(CorruptFile, match=r"42,949,672,960 bytes of tensors, where the configuration asks for 1,000"):
        found.load(most=1000)
    monkeypatch.setenv(WEIGHTS.variable, "10G")
    with pytest.raises(CorruptFile, match=r"more than 10,737,418,240\n.*raise the limit: ZOO_MAX_WEIGHTS"):
        ForeignFolder(tmp_path).weights()
    os.truncate(path, 8 + len(header) + size - 1)
    with pytest.raises(CorruptFile, match="truncated"):
        tensors.read_file(path)
    assert peak_memory() - before < 64 << 10


def test_budgets_are_set_by_their_variables_which_the_readme_lists() -> None:
    assert LAYERS.limit({}) == LAYERS.usual and LAYERS.limit({LAYERS.variable: "2k"}) == 2048
    for wrong in ("0", "-1", "many", "1.5G", "9" * 30):
        with pytest.raises(UsageError, match="ZOO_MAX_LAYERS: expected a whole number like 500M or 4G"):
            LAYERS.limit({LAYERS.variable: wrong})
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [budget.variable for budget in BUDGETS if f"`{budget.variable}`" not in readme] == []


RULES = FieldRules(
    file="x.json",
    read=frozenset({"size"}),
    fixed={"mode": (None, False), "act": ("a",)},
    harmless=frozenset({"when"}),
    advice={"beams": "ask for them"},
)


def test_fields_are_read_fixed_harmless_or_named() -> None:
    assert RULES.check({"size": 3, "when": 1, "_private": 2, "mode": False, "beams": None}) == ()
    assert RULES.check({"beams": 4, "new": 1, "older": 2}) == (
        "x.json: beams is 4, which is not taken over; ask for them",
        "x.json: unknown fields are left out: new, older",
    )
    for theirs, message in (
        ({"mode": 0}, "x.json: mode: expected null, found 0"),
        ({"act": "b"}, 'x.json: act: expected "a", found "b"'),
        ({"auto_map": {"A": "b.C"}}, "x.json: auto_map: expected a class of the library itself"),
    ):
        with pytest.raises(UsageError, match=message):
            RULES.check(theirs)


def test_labels_are_numbered_from_zero_and_differ() -> None:
    assert numbered_labels({"1": "b", "0": "a"}, "f") == ("a", "b") == numbered_labels({0: "a", 1: "b"}, "f")
    assert distinct_labels(["x", "x", "y"]) == ("x (0)", "x (1)", "y")
    assert len(set(distinct_labels(["x", "x", "x (0)", "x (1)", "x (0)'"]))) == 5
    for wrong in ({"0": "a", "2": "b"}, {"x": "a"}, ["a"], None):
        with pytest.raises(CorruptFile, match="f doesn't number its labels from 0"):
            numbered_labels(wrong, "f")


def test_a_kind_of_problem_is_a_task_or_refused() -> None:
    tasks = {"single_label_classification": "one", "multi_label_classification": "some", "regression": "value"}
    assert [problem_task(word, labels, tasks, "f") for word, labels in ((None, 3), (None, 1), ("regression", 2))] == [
        "one",
        "some",
        "value",
    ]
    with pytest.raises(UsageError, match=r"f: expected one of single_label_classification, .*no word, and 1 output"):
        problem_task(None, 1, {"single_label_classification": "one"}, "f")
    with pytest.raises(UsageError, match=r"f: expected one of .*found \[1\]"):
        problem_task([1], 1, tasks, "f")


@pytest.mark.parametrize("data", [b"", b"[1]", b"[" * 100_000, b"\xff", b'{"a": 1', b'{"a": 1e999}', b'{"a": NaN}'])
def test_files_that_are_no_objects_are_one_error(data: bytes) -> None:
    with pytest.raises(ZooError, match=r"x.json: (not JSON|expected an object)"):
        read_object({"x.json": data}, "x.json")
