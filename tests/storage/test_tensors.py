from __future__ import annotations

import gzip
import io
import itertools
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from zoo_core.errors import StoreError, UnsafeFormat
from zoo_core.storage import tensors
from zoo_core.storage.tensors import dump, load, refuse_unsafe

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
FLOATS_OF_8_BITS = [
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
]
WHOLE = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64]
DTYPES = [*FLOATS, *FLOATS_OF_8_BITS, *WHOLE, torch.bool, torch.complex64]


def packed(header: Any, data: bytes = b"") -> bytearray:
    """A file with this header, as an object or as JSON text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return bytearray(len(text).to_bytes(8, "little") + text + data)


def joined(values: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> bytearray:
    return bytearray(b"".join(dump(values, metadata)))


GOOD = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_comes_back_bit_for_bit(dtype: torch.dtype) -> None:
    size = torch.empty(0, dtype=dtype).element_size()
    raw = torch.arange(24 * size, dtype=torch.uint8)
    values = {"a": (raw % 2 if dtype is torch.bool else raw).view(dtype).reshape(2, 3, 4)}
    loaded = load(joined(values), where="test")
    assert loaded["a"].dtype == dtype
    assert loaded["a"].shape == (2, 3, 4)
    assert torch.equal(loaded["a"].view(torch.uint8), values["a"].view(torch.uint8))


def test_every_dtype_of_the_library_that_torch_has_is_known() -> None:
    assert len(DTYPES) == len(tensors._DTYPES)
    assert set(safetensors.torch._TYPES) <= set(tensors._DTYPES)


def test_unusual_tensors_come_back_equal() -> None:
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    values = {
        "scalar": torch.tensor(3.5, dtype=torch.bfloat16),
        "empty": torch.empty(0),
        "empty.rows": torch.empty(3, 0, 5, dtype=torch.int64),
        "transposed": torch.randn(4, 6).t(),
        "every.second": torch.randn(10)[::2],
        "expanded": torch.randn(1, 3).expand(4, 3),
        "channels-last": image,
        "not.finite": torch.tensor([float("nan"), float("inf"), -0.0]),
        "needs.gradient": torch.randn(3, requires_grad=True),
        "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
        "negative": torch.randn(1, dtype=torch.complex64).conj().imag,
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "eight": torch.randn(1, 2, 1, 2, 1, 2, 1, 2),
    }
    loaded = load(joined(values), where="test")
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        assert loaded[name].shape == value.shape
        assert loaded[name].dtype == value.dtype
        assert loaded[name].is_contiguous()
        assert not loaded[name].requires_grad
        torch.testing.assert_close(loaded[name], value.detach(), rtol=0, atol=0, equal_nan=True)
    assert torch.signbit(loaded["not.finite"][2])
    assert load(joined({}), where="test") == {}


def test_the_bytes_are_those_of_the_library() -> None:
    values = {f"layer.{n}": torch.zeros(2, 3).to(dtype) for n, dtype in enumerate(DTYPES)}
    values |= {"b": torch.randn(5), "a": torch.randn(3, 3), "empty": torch.empty(0)}
    assert joined(values) == safetensors.torch.save(values)
    metadata = {"format": "é"}  # the library writes several in a random order
    assert joined(values, metadata) == safetensors.torch.save(values, metadata)
    known = {name: value for name, value in values.items() if value.dtype is not torch.float8_e8m0fnu}
    for name, value in safetensors.torch.load(bytes(joined(known))).items():
        assert torch.equal(value.view(-1).view(torch.uint8), values[name].view(-1).view(torch.uint8))


def test_the_bytes_do_not_depend_on_the_order() -> None:
    values = {name: torch.full((3,), float(n)) for n, name in enumerate("dcab")}
    values["wide"] = torch.ones(2, dtype=torch.float64)
    for order in itertools.permutations(values):
        assert joined({name: values[name] for name in order}, {"b": "1", "a": "2"}) == joined(
            values, {"a": "2", "b": "1"}
        )


def test_dumping_and_loading_copy_nothing() -> None:
    value = torch.zeros(1000)
    header, view = dump({"a": value})
    value.fill_(1)
    assert bytes(view) == value.numpy().tobytes(), "dump has copied"
    buffer = bytearray(header) + view
    loaded = load(buffer, where="test")["a"]
    buffer[-4:] = np.float32(7).tobytes()
    assert loaded[-1] == 7, "load has copied"
    loaded.add_(1)
    assert bytes(buffer[-4:]) == np.float32(8).tobytes()


def test_dumped_tensors_are_aligned_so_that_none_is_copied() -> None:
    values = {"a": torch.ones(3, dtype=torch.bool), "b": torch.ones(3, dtype=torch.float64), "c": torch.ones(3).half()}
    buffer = joined(values)
    address = torch.frombuffer(buffer, dtype=torch.uint8).data_ptr()
    for value in load(buffer, where="test").values():
        assert address <= value.data_ptr() < address + len(buffer)


@pytest.mark.parametrize("padding", range(8))
def test_misaligned_tensors_are_copied_to_an_aligned_place(padding: int) -> None:
    header = json.dumps(
        {
            "bytes": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
            "wide": {"dtype": "F64", "shape": [2], "data_offsets": [1, 17]},
        }
    )
    data = np.array([1.5, -2.5]).tobytes()
    loaded = load(packed(header.encode() + b" " * padding, b"\x09" + data), where="test")
    assert loaded["wide"].tolist() == [1.5, -2.5]
    assert loaded["wide"].data_ptr() % 8 == 0
    assert loaded["bytes"].tolist() == [9]


def test_tensors_outlive_the_name_of_their_buffer() -> None:
    loaded = load(joined({"a": torch.arange(1000)}), where="test")
    assert loaded["a"].sum() == 499500


SHARED = torch.randn(4, 4)


@pytest.mark.parametrize(
    "values",
    [
        {"a": SHARED, "b": SHARED},
        {"a": SHARED, "b": SHARED.view(16)},
        {"a": SHARED, "b": SHARED[1:3]},
        {"a": SHARED, "b": SHARED[:, 1]},
        {"a": SHARED[:, 1], "b": SHARED[:, 1]},
        {"a": SHARED, "b": SHARED.t()},
        {"a": SHARED, "b": torch.nn.Parameter(SHARED)},
    ],
)
def test_tensors_that_share_memory_are_refused(values: dict[str, torch.Tensor]) -> None:
    with pytest.raises(StoreError, match="share memory"):
        dump(values)


def test_neighbours_in_one_memory_are_no_sharing() -> None:
    query, key = torch.randn(4, 6).chunk(2, dim=1)
    first, second = torch.randn(4, 6).chunk(2)
    values = {
        "query": query,
        "key": key,
        "first": first,
        "second": second,
        "none": torch.empty(0),
        "no": torch.empty(0),
    }
    loaded = load(joined(values), where="test")
    assert all(torch.equal(loaded[name], values[name]) for name in values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a/b": torch.zeros(1)}, "name"),
        ({"": torch.zeros(1)}, "name"),
        ({"a" * 513: torch.zeros(1)}, "name"),
        ({"a": torch.zeros(1, device="meta")}, "without data"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "layout"),
        ({"a": torch.zeros(1, dtype=torch.complex128)}, "complex128"),
        ({"a": torch.zeros([1] * 9)}, "9 dimensions"),
    ],
)
def test_what_could_not_be_loaded_again_is_not_stored(values: dict[str, torch.Tensor], reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        dump(values)


def test_a_header_that_could_not_be_read_again_is_not_written() -> None:
    values = {f"{n:0512d}": torch.empty(0) for n in range(15_000)}
    with pytest.raises(StoreError, match="too many for one file"):
        dump(values)


def _archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return stream.getvalue()


UNSAFE_CONTENT = {
    **{f"pickle protocol {n}": pickle.dumps({"a": [1.0] * 100}, protocol=n) for n in (2, 3, 4, 5)},
    "zip": _archive(),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "numpy": b"\x93NUMPY\x01\x00" + bytes(100),
    "gzip": gzip.compress(b"x" * 100),
}


@pytest.mark.parametrize("kind", UNSAFE_CONTENT)
def test_dangerous_content_is_refused_whatever_it_is_called(kind: str) -> None:
    content = UNSAFE_CONTENT[kind]
    with pytest.raises(UnsafeFormat, match="run code"):
        refuse_unsafe(Path("model.safetensors"), content[:64])
    with pytest.raises(UnsafeFormat, match="run code"):
        load(bytearray(content), where="model.safetensors")


SUFFIXES = ".pt .pth .bin .ckpt .pkl .pickle .npz .npy .h5 .hdf5 .keras .joblib .zip .PT .tar.gz"


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_dangerous_suffixes_are_refused_unopened(suffix: str) -> None:
    with pytest.raises(UnsafeFormat, match="run code"):
        refuse_unsafe(Path("/nowhere") / f"model{suffix}")


def test_harmless_names_are_let_through() -> None:
    for name in ["model.safetensors", "card.json", "model.binary", "bin", "vocabulary.txt"]:
        refuse_unsafe(Path(name), b"{}")


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580, 0x8B1F, 0x28])
def test_a_header_length_that_looks_like_a_pickle_is_fine(length: int) -> None:
    buffer = (
        packed(GOOD + b" " * (length - len(GOOD)), bytes(8)) if length >= len(GOOD) else packed(b"{}".ljust(length))
    )
    refuse_unsafe(Path("model.safetensors"), bytes(buffer[:64]))
    load(buffer, where="test")


def test_importing_does_not_import_torch() -> None:
    code = "import sys, zoo_core.storage.tensors, zoo_core.registry.store; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "False\n"
