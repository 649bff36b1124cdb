from __future__ import annotations

import gzip
import io
import itertools
import json
import pickle
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from zoo_core import tensors
from zoo_core.errors import CorruptFile, StoreError, UnsafeFormat, ZooError
from zoo_core.tensors import MAX_HEADER, MAX_TENSORS, check_header, dump, load, refuse_unsafe

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


def one(**changes: Any) -> bytearray:
    """A file with one tensor of six floats, and something changed."""
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}
    return packed({"a": {key: value for key, value in entry.items() if value is not ...}}, bytes(24))


def two(first: list[int], second: list[int], size: int, shapes: tuple[list[int], list[int]] = ([2], [2])) -> bytearray:
    """A file with two tensors of floats at these offsets, and `size` bytes of data."""
    entries = zip("ab", shapes, (first, second), strict=True)
    return packed({n: {"dtype": "F32", "shape": s, "data_offsets": o} for n, s, o in entries}, bytes(size))


def named(name: str) -> bytearray:
    """A file with one tensor of this name."""
    return packed({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8))


def joined(values: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> bytearray:
    return bytearray(b"".join(dump(values, metadata)))


GOOD = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
ENTRY = b'"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
DISGUISED = b",".join(b'"%d":0' % n for n in range(100_001))

BAD: dict[str, tuple[bytearray, str]] = {
    "empty file": (bytearray(), "truncated header, 0 bytes"),
    "seven bytes": (bytearray(7), "truncated header, 7 bytes"),
    "header longer than the file": (packed(GOOD, bytes(8))[:40], "truncated header, 32 of 54"),
    "header of 2^63 bytes": (bytearray(b"\xff" * 8 + GOOD), "more than the"),
    "header over the cap": (bytearray((MAX_HEADER + 1).to_bytes(8, "little") + GOOD), "more than the"),
    "header of 60 MB": (packed(b'{"a":' + b" " * (60 << 20) + b"}"), "more than the"),
    "empty header": (packed(b"", bytes(8)), "not a JSON object"),
    "header of spaces": (packed(b"        "), "not a JSON object"),
    "leading space": (packed(b" " + GOOD, bytes(8)), "not a JSON object"),
    "byte order mark": (packed(b"\xef\xbb\xbf" + GOOD, bytes(8)), "not a JSON object"),
    "list": (packed(b"[1]"), "not a JSON object"),
    "text behind the object": (packed(GOOD + b" x", bytes(8)), "not a JSON object"),
    "two objects": (packed(GOOD + GOOD, bytes(8)), "not valid JSON"),
    "newline behind the object": (packed(GOOD + b"\n", bytes(8)), "not a JSON object"),
    "not JSON": (packed(b'{"a":}'), "not valid JSON"),
    "invalid UTF-8": (packed(GOOD.replace(b"a", b"\xff", 1), bytes(8)), "not valid JSON"),
    "UTF-16": (packed(GOOD.decode().encode("utf-16-le"), bytes(8)), "not a JSON object"),
    "NaN": (packed(GOOD.replace(b"[2]", b"[NaN]"), bytes(8)), "NaN is not JSON"),
    "control character in a name": (packed(GOOD.replace(b"a", b"\n", 1), bytes(8)), "not valid JSON"),
    "5000 digits": (packed(GOOD.replace(b"[2]", b"[%s]" % (b"9" * 5000)), bytes(8)), "not valid JSON"),
    "100,000 brackets": (packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "100,000 braces": (packed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nested too deeply"),
    "unclosed bracket": (packed(b'{"a":[}'), "nested too deeply or its brackets"),
    "a million lists": (packed(b'{"a":[' + b"[]," * 1_000_000 + b"1]}"), "more parts than"),
    "a million commas": (packed(b'{"a":[' + b"0," * 1_300_000 + b"1]}"), "more parts than"),
    "eight million quotes": (packed(b'{"a":[' + b'"",' * 2_000_000 + b"1]}"), "more parts than"),
    "unclosed quotes": (packed(b"{" + b'"\\' * 500_000 + b"}"), "brackets don't match"),
    "too many tensors": (packed(b"{" + ENTRY * 100_001 + b"}"), "more parts than the 100000 tensors"),
    "too many tensors in disguise": (packed(b"{" + DISGUISED + b"}"), "100001 tensors, more than the 100000"),
    "tensor twice": (packed(b"{" + GOOD[1:-1] + b"," + GOOD[1:-1] + b"}", bytes(8)), "'a' occurs twice"),
    "key of a tensor twice": (
        packed(GOOD.replace(b'"shape"', b'"dtype":"I32","shape"'), bytes(8)),
        "'dtype' occurs twice",
    ),
    "unknown key": (one(strides=[3, 1]), "found data_offsets, dtype, shape, strides"),
    "missing dtype": (one(dtype=...), "expected dtype, shape and data_offsets"),
    "missing shape": (one(shape=...), "expected dtype, shape and data_offsets"),
    "missing offsets": (one(data_offsets=...), "expected dtype, shape and data_offsets"),
    "entry that is a list": (packed({"a": []}), "found list"),
    "entry that is null": (packed({"a": None}), "found NoneType"),
    "unknown dtype": (one(dtype="F33"), "unknown dtype 'F33'"),
    "packed dtype": (one(dtype="F4"), "unknown dtype 'F4'"),
    "dtype in lower case": (one(dtype="f32"), "unknown dtype"),
    "dtype that is a number": (one(dtype=32), "unknown dtype"),
    "dtype that is a list": (one(dtype=["F32"]), "unknown dtype"),
    "negative size": (one(shape=[-2, -3]), "whole numbers from 0"),
    "float size": (one(shape=[2.0, 3]), "whole numbers from 0"),
    "boolean size": (one(shape=[True, 6]), "whole numbers from 0"),
    "size in quotes": (one(shape=["2", 3]), "whole numbers from 0"),
    "shape that is a number": (one(shape=6), "not a list"),
    "shape that is null": (one(shape=None), "not a list"),
    "nine dimensions": (one(shape=[1] * 7 + [2, 3]), "at most 8"),
    "shape that overflows 64 bits": (one(shape=[2**32, 2**32]), "impossibly large"),
    "shape that wraps to the right size": (one(shape=[2**62 + 6, 4]), "impossibly large"),
    "empty but huge": (
        packed({"a": {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]}}),
        "impossibly large",
    ),
    "size that is not shape times dtype": (one(shape=[2, 2]), "24 bytes, but F32 .* takes 16"),
    "one offset": (one(data_offsets=[24]), "data_offsets"),
    "three offsets": (one(data_offsets=[0, 12, 24]), "data_offsets"),
    "offsets reversed": (one(data_offsets=[24, 0]), "rising order"),
    "negative offset": (one(data_offsets=[-24, 0]), "data_offsets"),
    "float offset": (one(data_offsets=[0, 24.0]), "data_offsets"),
    "boolean offset": (one(data_offsets=[False, 24]), "data_offsets"),
    "offsets beyond the file": (two([0, 8], [8, 16], 12), "truncated, 74|truncated, "),
    "trailing bytes": (two([0, 8], [8, 16], 17), "1 bytes behind the last tensor"),
    "zip behind the data": (two([0, 8], [8, 16], 16) + b"PK\x03\x04" + bytes(40), "44 bytes behind"),
    "no tensors, but data": (packed(b"{}", bytes(8)), "8 bytes behind"),
    "hole": (two([0, 8], [12, 20], 20), "leaves 4 bytes before it unused"),
    "hole in front": (two([4, 12], [12, 20], 20), "leaves 4 bytes"),
    "overlap": (two([0, 8], [4, 12], 12), "overlaps"),
    "same bytes twice": (two([0, 8], [0, 8], 8), "overlaps"),
    "empty tensor inside another": (two([0, 8], [4, 4], 8, ([2], [0])), "overlaps"),
    "empty tensor behind the end": (two([0, 8], [64, 64], 8, ([2], [0])), "unused"),
    "name with a path": (named("../../etc/passwd"), "not allowed"),
    "empty name": (named(""), "not allowed"),
    "name with NUL": (named("a\0"), "not allowed"),
    "name with ESC": (named("\x1b[2J"), "not allowed"),
    "name of 513 characters": (named("a" * 513), "not allowed"),
    "name with a letter that only looks like one": (named("\N{CYRILLIC SMALL LETTER A}"), "not allowed"),
    "name with a combining accent": (named("e\N{COMBINING ACUTE ACCENT}"), "not allowed"),
    "name with a lone surrogate": (packed(GOOD.replace(b"a", b"\\ud800", 1), bytes(8)), "not allowed"),
    "name with a newline at its end": (named("a\n"), "not allowed"),
    "metadata that is a list": (packed({"__metadata__": []}), "__metadata__"),
    "metadata that is null": (packed({"__metadata__": None}), "__metadata__"),
    "metadata with a number": (packed({"__metadata__": {"step": 1}}), "__metadata__"),
    "metadata twice": (packed(b'{"__metadata__":{},"__metadata__":{}}'), "occurs twice"),
    "boolean of 7": (
        packed({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\7"),
        "neither 0 nor 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_header_is_refused(case: str) -> None:
    buffer, reason = BAD[case]
    started = time.process_time()
    with pytest.raises(CorruptFile, match=reason) as caught:
        load(buffer, where="model.safetensors")
    assert time.process_time() - started < 1
    assert caught.value.message.startswith("model.safetensors: ")
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


def test_a_header_over_the_cap_is_refused_before_it_is_read() -> None:
    buffer = packed(b"{" + b" " * (60 << 20) + b"}")
    started = time.process_time()
    with pytest.raises(CorruptFile, match="more than the 8388608"):
        check_header(buffer)
    assert time.process_time() - started < 0.05


def test_a_bad_boolean_is_seen_by_load_only() -> None:
    """All other cases fall to the header check alone, before any tensor exists."""
    accepted = [case for case, (buffer, _) in BAD.items() if _accepted(buffer)]
    assert accepted == ["boolean of 7"]


def test_the_limits_themselves_are_accepted() -> None:
    name = "aZ0_.-" + "x" * 506
    info = check_header(packed({name: {"dtype": "U8", "shape": [1] * 8, "data_offsets": [0, 1]}}, b"x"))
    assert info[name].shape == (1,) * 8
    assert list(check_header(packed(b"{}" + b" " * (MAX_HEADER - 2)))) == []
    assert check_header(packed({"__metadata__": {"notes": "[[[[{{{{" * 20}})) == {}
    assert MAX_TENSORS == 100_000


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
        "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
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
    metadata = {"format": "pt", "a": "é"}
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


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580, 0x8B1F, 0x28])
def test_a_header_length_that_looks_like_a_pickle_is_fine(length: int) -> None:
    buffer = (
        packed(GOOD + b" " * (length - len(GOOD)), bytes(8)) if length >= len(GOOD) else packed(b"{}".ljust(length))
    )
    refuse_unsafe(Path("model.safetensors"), bytes(buffer[:64]))
    load(buffer, where="test")


def test_importing_does_not_import_torch() -> None:
    code = "import sys, zoo_core.tensors, zoo_core.store; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "False\n"


SEED = joined(
    {
        "encoder.weight": torch.randn(4, 6),
        "encoder.bias": torch.randn(6).bfloat16(),
        "mask": torch.ones(5, dtype=torch.bool),
        "step": torch.tensor(7),
        "empty": torch.empty(0, 3),
    },
    {"format": "pt"},
)
TOKENS = (
    b'"a"|"dtype"|"shape"|"data_offsets"|"__metadata__"|"F32"|"I64"|"BOOL"|null|true|-1|0|1|2|3|4|6|1e9|1.5|'
    b'18446744073709551615|4611686018427387904|[]|{}|[|]|{|}|,|:|"|\\|\\u0000|\\ud800|\x00|\x1b|\xff| |NaN'
).split(b"|")


def _mutant(dice: random.Random) -> bytearray:
    """The seed file with one to four random changes in its length and header."""
    length = int.from_bytes(SEED[:8], "little")
    header, data = bytearray(SEED[8 : 8 + length]), SEED[8 + length :]
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(header) + 1)
        other = min(len(header), place + dice.randint(1, 30))
        match dice.randrange(7):
            case 0:
                header[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                header[place:place] = dice.choice(TOKENS)
            case 2:
                header[place:other] = b""
            case 3:
                header[place:place] = header[place:other] * dice.randint(1, 3)
            case 4:
                header[place:other] = dice.choice(TOKENS)
            case 5:
                digits = [n for n, byte in enumerate(header) if 48 <= byte < 58]
                if digits:
                    header[dice.choice(digits)] = dice.choice(b"0123456789")
            case 6:
                data = data[: dice.randrange(len(data) + 1)] if dice.random() < 0.5 else data + b"x"
    size = (
        len(header) if dice.random() < 0.8 else dice.choice([0, 1, len(header) + 1, len(SEED), 2**31, 2**63, 2**64 - 1])
    )
    return bytearray(size.to_bytes(8, "little") + header + data)


def test_random_mutants_end_in_one_of_our_errors() -> None:
    dice = random.Random(0)
    tried, accepted, slowest, started = 20_000, 0, 0.0, time.perf_counter()
    for _ in range(tried):
        mutant = _mutant(dice)
        before = time.perf_counter()
        try:
            loaded = load(mutant, where="mutant")
        except ZooError:
            continue
        finally:
            slowest = max(slowest, time.perf_counter() - before)
        accepted += 1
        data = sum(value.numel() * value.element_size() for value in loaded.values())
        assert 8 + int.from_bytes(mutant[:8], "little") + data == len(mutant)
    seconds = time.perf_counter() - started
    print(
        f"seed 0: {tried} tried, {tried} ok ({accepted} well formed), {tried / seconds:.0f}/s, slowest {slowest:.4f} s"
    )
    assert slowest < 1
    assert 0 < accepted < tried


def _accepted(buffer: bytearray) -> bool:
    try:
        check_header(buffer)
    except ZooError:
        return False
    return True
