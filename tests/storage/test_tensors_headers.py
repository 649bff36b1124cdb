from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
import torch

from zoo_core.errors import CorruptFile, ZooError
from zoo_core.storage.tensors import MAX_HEADER, MAX_TENSORS, check_header, dump, load


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
