from __future__ import annotations

import io
import random
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_vision.interop.torch_archive import MAX_PICKLE, read_archive

from zoo_core import CorruptFile, UnsafeFormat

Save = Callable[[Any], bytes]


def as_zip(tensors: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def as_legacy(tensors: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


FORMATS = pytest.mark.parametrize("save", [as_zip, as_legacy])


def plain() -> dict[str, Tensor]:
    torch.manual_seed(0)
    base = torch.randn(6, 5)
    return {
        "float": torch.randn(3, 4),
        "half": torch.randn(7).half(),
        "bfloat": torch.randn(2, 2).bfloat16(),
        "double": torch.randn(2, dtype=torch.float64),
        "long": torch.tensor(7),
        "int": torch.tensor([1, -2], dtype=torch.int32),
        "short": torch.tensor([1, -2], dtype=torch.int16),
        "char": torch.tensor([1, -2], dtype=torch.int8),
        "byte": torch.tensor([1, 250], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
        "transposed": torch.randn(4, 3).T,
        "part": base[2:4, 1:3],
        "column": base[:, 4],
    }


@FORMATS
def test_the_tensors_are_those_that_were_saved(save: Save) -> None:
    theirs = plain()
    found = read_archive(save(theirs), where="a.pth")
    assert list(found) == list(theirs)
    for name, tensor in theirs.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor), name


@FORMATS
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_tensors_are_written_with_other_opcodes(save: Save, count: int) -> None:
    tensors = {str(number): torch.full((2,), float(number)) for number in range(count)}
    for described in (tensors, OrderedDict(tensors)):
        found = read_archive(save(described), where="a.pth")
        assert list(found) == list(tensors) and all(torch.equal(found[name], tensors[name]) for name in tensors)


@FORMATS
def test_a_modules_state_dict_with_its_versions(save: Save) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    found = read_archive(save(module.state_dict()), where="a.pth")
    assert list(found) == list(module.state_dict())
    module.load_state_dict(found)


@FORMATS
def test_shared_memory_stays_shared_and_is_the_callers_own(save: Save) -> None:
    tied = torch.arange(4.0)
    data = save({"one": tied, "two": tied, "other": torch.arange(4.0)})
    found = read_archive(data, where="a.pth")
    found["one"][0] = 9
    assert found["two"][0] == 9 and found["other"][0] == 0
    assert read_archive(data, where="a.pth")["one"][0] == 0


# Opcodes of a pickle, as the protocol writes them.
def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def tensor(
    *,
    storage: str = "FloatStorage",
    key: str = "0",
    numel: int = 4,
    offset: int = 0,
    shape: Any = (4,),
    strides: Any = (1,),
) -> bytes:
    place = tuple_of(text("storage"), f"ctorch\n{storage}\n".encode(), text(key), text("cpu"), number(numel)) + b"Q"
    sides, steps = (tuple_of(*map(number, values)) for values in (shape, strides))
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(place, number(offset), sides, steps, b"\x89", hooks) + b"R"


def state(**entries: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02}(" + items + b"u."


def archive(description: bytes, *, packed: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as file:
        file.writestr("a/data.pkl", description)
        for name, data in ({"data/0": bytes(16)} | members).items():
            file.writestr(f"a/{name}", data)
    return buffer.getvalue()


def test_the_opcodes_above_are_a_state_dict() -> None:
    found = read_archive(archive(state(x=tensor())), where="a.pth")
    assert torch.equal(found["x"], torch.zeros(4))


def hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make a file, or do anything but describe tensors, and what has to be named."""
    touch = text(f"touch {marker}")
    call = b"(" + touch + b"tR"
    plain_call = b"cos\nsystem\n" + call
    return {
        "os.system": (b"\x80\x02" + plain_call + b".", "the name 'os system'"),
        "posix": (b"\x80\x02cposix\nsystem\n" + call + b".", "the name 'posix system'"),
        "in an entry": (state(x=plain_call), "the name 'os system'"),
        "eval": (b"\x80\x02cbuiltins\neval\n(" + text("1") + b"tR.", "the name 'builtins eval'"),
        "torch.load": (b"\x80\x02ctorch\nload\n" + call + b".", "the name 'torch load'"),
        "near names": (b"\x80\x02ctorch._utils\n_rebuild_tensor\n" + call + b".", "_rebuild_tensor'"),
        "nested names": (b"\x80\x02ctorch\nFloatStorage.__init__\n.", "FloatStorage.__init__"),
        "a call of a storage": (b"\x80\x02ctorch\nFloatStorage\n)R.", "a call of 'torch FloatStorage'"),
        "a call of a text": (b"\x80\x02" + touch + b")R.", "a call"),
        "a dictionary from items": (
            b"\x80\x02ccollections\nOrderedDict\n(]tR.",
            "a call of 'collections OrderedDict'",
        ),
        "INST": (b"\x80\x02(" + touch + b"ios\nsystem\n.", "opcode INST"),
        "OBJ": (b"\x80\x02(" + touch + b"o.", "opcode OBJ"),
        "NEWOBJ": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
        "EXT": (b"\x80\x02\x82\x01.", "opcode EXT1"),
        "PERSID": (b"\x80\x02Pmodule\n.", "opcode PERSID"),
        "STACK_GLOBAL": (b"\x80\x02" + text("os") + text("system") + b"\x93" + call + b".", "opcode STACK_GLOBAL"),
        "BUILD": (b"\x80\x02}}(" + text("__class__") + b"Nub.", "a state for an object"),
        "BUILD on a storage": (
            b"\x80\x02ctorch\nFloatStorage\n}(" + text("_metadata") + b"Nub.",
            "a state for an object",
        ),
        "protocol": (b"\x80\x04}.", "pickle protocol 4"),
        "old protocol": (b"(dp0\n.", "opcode DICT"),
    }


@pytest.mark.parametrize("name", list(hostile(Path("x"))))
@pytest.mark.parametrize("wrapped", ["zip", "legacy"])
def test_what_is_not_a_state_dict_is_refused_by_name_and_not_run(name: str, wrapped: str, tmp_path: Path) -> None:
    description, message = hostile(tmp_path / "marker")[name]
    whole = as_legacy({"x": torch.zeros(4)})
    start = whole.index(b"\x80\x02}q\x00X\x01\x00\x00\x00x")
    data = archive(description) if wrapped == "zip" else whole[:start] + description + whole[start:]
    with pytest.raises(UnsafeFormat) as caught:
        read_archive(data, where="a.pth")
    assert message in caught.value.message and caught.value.message.startswith("a.pth: ")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (tensor(shape=(5,)), "larger than its storage"),
        (tensor(offset=1), "reaches beyond its storage"),
        (tensor(offset=5, shape=(0,)), "larger than its storage"),
        (tensor(shape=(2, 2), strides=(3, 1)), "reaches beyond its storage"),
        (tensor(shape=(100000, 100000), strides=(0, 0)), "larger than its storage"),
        (tensor(shape=(4,), strides=(0,), numel=2), "larger than its storage"),
        (tensor(offset=-1), "described in another way"),
        (tensor(shape=(-1,)), "described in another way"),
        (tensor(strides=(-1,)), "described in another way"),
        (tensor(strides=()), "described in another way"),
        (tensor(shape=(1,) * 9, strides=(1,) * 9), "described in another way"),
        (tensor(numel=5), "16 bytes, not 20"),
        (tensor(numel=-4), "described in another way"),
        (tensor(storage="DoubleStorage"), "16 bytes, not 32"),
        (tensor(key="1"), "storage '1' is missing"),
        (tensor(key="../../etc/passwd"), "is missing"),
        (tensor(storage="BoolStorage", numel=16), "neither 0 nor 1"),
        (number(7), "'x' is not a tensor"),
        (b"}", "'x' is not a tensor"),
        (tensor() + b"0", "opcode POP"),
    ],
)
def test_sizes_that_lie_are_refused(entry: bytes, message: str) -> None:
    with pytest.raises((CorruptFile, UnsafeFormat), match=message):
        read_archive(archive(state(x=entry), **{"data/0": b"\x02" * 16}), where="a.pth")


def test_two_tensors_that_disagree_about_a_storage_are_refused() -> None:
    two = state(x=tensor(), y=tensor(storage="DoubleStorage", numel=2, shape=(2,)))
    with pytest.raises(CorruptFile, match="as no other does"):
        read_archive(archive(two), where="a.pth")


def test_archives_that_unfold_or_have_too_much_in_them_are_refused() -> None:
    with pytest.raises(UnsafeFormat, match="is packed"):
        read_archive(archive(state(x=tensor()), packed=zipfile.ZIP_DEFLATED), where="a.pth")
    with pytest.raises(CorruptFile, match=f"more than {MAX_PICKLE} bytes"):
        read_archive(archive(state(x=tensor()) + bytes(MAX_PICKLE)), where="a.pth")
    with pytest.raises(CorruptFile, match="another byte order"):
        read_archive(archive(state(x=tensor()), byteorder=b"big"), where="a.pth")
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = archive(state(x=tensor()), **{"data.pkl": state(x=tensor())})
    with pytest.raises(CorruptFile, match="two members have one name"):
        read_archive(twice, where="a.pth")
    with pytest.raises(CorruptFile, match=r"no data\.pkl"):
        read_archive(as_zip({}).replace(b"data.pkl", b"data.pkx"), where="a.pth")


def test_other_files_are_not_opened() -> None:
    for data in (b"", b"\x80\x02}.", b"\x93NUMPY", b"{}", bytes(100)):
        with pytest.raises(UnsafeFormat, match="not a state dict"):
            read_archive(data, where="a.pth")


def test_a_key_that_occurs_twice_and_nesting_without_end_are_refused() -> None:
    twice = b"\x80\x02}(" + (text("x") + tensor()) * 2 + b"u."
    with pytest.raises(CorruptFile, match="a key occurs twice"):
        read_archive(archive(twice), where="a.pth")
    with pytest.raises(CorruptFile, match="doesn't come to an end"):
        read_archive(archive(b"\x80\x02" + b"(" * 100_000 + b"}."), where="a.pth")
    deep = b"\x80\x02}(" + text("x") + b")" + b"\x85" * 200_000 + b"u."
    with pytest.raises(CorruptFile, match="not a tensor"):
        read_archive(archive(deep), where="a.pth")


@FORMATS
def test_cut_files_are_refused(save: Save) -> None:
    data = save(OrderedDict(a=torch.randn(5), b=torch.randn(2, 3)))
    for length in range(0, len(data), 7):
        with pytest.raises((CorruptFile, UnsafeFormat)):
            read_archive(data[:length], where="a.pth")


def test_bytes_behind_an_old_file_are_refused() -> None:
    with pytest.raises(CorruptFile, match="its tensors take"):
        read_archive(as_legacy({"a": torch.zeros(3)}) + b"\0", where="a.pth")


@FORMATS
def test_flipped_bits_give_tensors_or_an_error_of_ours(save: Save) -> None:
    original = {"a": torch.randn(4), "b": torch.tensor([True, False]), "c": torch.tensor(3)}
    data, rng, refused = save(original), random.Random(0), 0
    # The end of a zip archive and the beginning of an old file are where its structure is.
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 8))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            read_archive(bytes(damaged), where="a.pth")
        except (CorruptFile, UnsafeFormat):
            refused += 1
    assert refused > 100
