"""Tensors of a .pth state dict without an unpickler: its opcodes are disassembled and only what a plain one needs is understood."""

from __future__ import annotations

import io
import math
import pickletools
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from zoo_core import CorruptFile, UnsafeFormat
from zoo_core.data import silenced

if TYPE_CHECKING:
    from torch import Tensor

MAX_PICKLE = 4 << 20
"""Bytes of the part that describes the tensors; 300 tensors take about 50,000."""
MAX_RANK = 8
"""Most dimensions of a tensor."""
MAX_MEMBERS = 100_000
"""Most files in a zip archive, and storages in an older file."""

_DTYPES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
"""Class of a storage: name of its dtype in torch and bytes of an element."""

_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""A pickled number that files from before torch 1.6 begin with."""
_LEGACY_VERSION = 1001
_ZIP = b"PK\x03\x04"
_DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
)


class _Global(NamedTuple):
    """A name that the file mentions. It is never looked up."""

    name: str


class _Storage(NamedTuple):
    """A run of numbers that tensors look into."""

    storage: str
    """Class of the storage, as in `_DTYPES`."""
    key: str
    numel: int


class _View(NamedTuple):
    """A tensor as the file describes it, in elements of its storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_DICT = _Global("collections OrderedDict")
_TENSOR = _Global("torch._utils _rebuild_tensor_v2")
_GLOBALS = {_DICT, _TENSOR, *(_Global(f"torch {storage}") for storage in _DTYPES)}


def read_archive(data: bytes, *, where: str) -> dict[str, Tensor]:
    """The tensors of a state dict that `torch.save` wrote, as a zip archive or in the format before that, by name.

    Nothing in the file is executed, imported or looked up. Tensors that shared memory share it again. Raises
    `UnsafeFormat` for opcodes and names that a plain state dict doesn't need, naming them, and `CorruptFile` for bytes
    that don't fit together.
    """
    try:
        if data.startswith(_ZIP):
            return _read_zip(data, where)
        if data.startswith(_LEGACY):
            return _read_legacy(data, where)
    except _DAMAGED as error:
        raise CorruptFile(f"{where}: damaged: {str(error)[:200]}") from None
    raise UnsafeFormat(f"{where}: not a state dict as torch saves it; it was not opened")


def _read_zip(data: bytes, where: str) -> dict[str, Tensor]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = _members(archive, len(data), where)
        description = next((name for name in members if name.endswith("/data.pkl")), "")
        if not description:
            raise CorruptFile(f"{where}: no data.pkl in it")
        folder = description.removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if sys.byteorder != "little" or (order and archive.read(order) != b"little"):
            raise CorruptFile(f"{where}: its numbers have another byte order than this machine's")
        if members[description].file_size > MAX_PICKLE:
            raise CorruptFile(f"{where}: data.pkl has more than {MAX_PICKLE} bytes")
        with archive.open(members[description]) as file:
            described = _Machine(where).run(io.BytesIO(file.read()))

        def bytes_of(storage: _Storage) -> bytearray:
            member = members.get(f"{folder}data/{storage.key}")
            if member is None:
                raise CorruptFile(f"{where}: storage {storage.key[:80]!r} is missing")
            return bytearray(archive.read(member))

        return _tensors(described, bytes_of, where)


def _members(archive: zipfile.ZipFile, size: int, where: str) -> dict[str, zipfile.ZipInfo]:
    """Members by name, none packed: what an archive holds is then never more than its own size."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise CorruptFile(f"{where}: more than {MAX_MEMBERS} members")
    members = {info.filename: info for info in infos}
    if len(members) < len(infos):
        raise CorruptFile(f"{where}: two members have one name")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise UnsafeFormat(f"{where}: member {info.filename[:80]!r} is packed; torch.save packs nothing")
    if sum(info.file_size for info in infos) > size:
        raise CorruptFile(f"{where}: its members are larger than the archive")
    return members


def _read_legacy(data: bytes, where: str) -> dict[str, Tensor]:
    """Four pickles (magic number, version, system, state dict), one more with the storages' order, then the storages."""
    place = len(_LEGACY)
    found: list[Any] = []
    for _ in range(4):
        stream = io.BytesIO(data[place : place + MAX_PICKLE])
        found.append(_Machine(where).run(stream))
        place += stream.tell()
    version, system, described, keys = found
    if version != _LEGACY_VERSION:
        raise CorruptFile(f"{where}: unknown version of the format")
    if not isinstance(system, dict) or system.get("little_endian") is not True or sys.byteorder != "little":
        raise CorruptFile(f"{where}: its numbers have another byte order than this machine's")
    if not isinstance(keys, list) or not all(type(key) is str for key in keys) or len(set(keys)) < len(keys):
        raise CorruptFile(f"{where}: the list of storages is none")
    sizes = {view.storage.key: _byte_size(view.storage) for view in _views(described, where).values()}
    if set(sizes) != set(keys):
        raise CorruptFile(f"{where}: the list of storages is not the one that the tensors look into")
    starts = {}
    for key in keys:
        starts[key] = place + 8  # the number of elements stands before them
        place += 8 + sizes[key]
    if place != len(data):
        raise CorruptFile(f"{where}: {len(data)} bytes, its tensors take {place}")

    def bytes_of(storage: _Storage) -> bytearray:
        start = starts[storage.key]
        if int.from_bytes(data[start - 8 : start], "little") != storage.numel:
            raise CorruptFile(f"{where}: storage {storage.key[:80]!r} is not of the size that tensors give it")
        return bytearray(data[start : start + sizes[storage.key]])

    return _tensors(described, bytes_of, where)


def _tensors(described: Any, bytes_of: Callable[[_Storage], bytearray], where: str) -> dict[str, Tensor]:
    views = _views(described, where)
    storages: dict[str, tuple[_Storage, Tensor]] = {}
    for name, view in views.items():
        key = view.storage.key
        if key not in storages:
            storages[key] = view.storage, _numbers(view.storage, bytes_of(view.storage), where)
        if storages[key][0] != view.storage:
            raise CorruptFile(f"{where}: tensor {name[:80]!r} describes storage {key[:80]!r} as no other does")
    return {
        name: storages[view.storage.key][1].as_strided(view.shape, view.strides, view.offset)
        for name, view in views.items()
    }


def _views(described: Any, where: str) -> Mapping[str, _View]:
    """The state dict, every view within its storage."""
    if not isinstance(described, dict):
        raise CorruptFile(f"{where}: not a state dict")
    for name, view in described.items():
        place = f"{where}: {str(name)[:80]!r}"
        if not isinstance(view, _View):
            raise CorruptFile(f"{place} is not a tensor", hint="only plain state dicts are read")
        last = view.offset + sum(
            (size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True) if size
        )
        empty = 0 in view.shape
        # A stride of 0 would show one number any number of times.
        if math.prod(view.shape) > view.storage.numel or view.offset > view.storage.numel:
            raise CorruptFile(f"{place} is larger than its storage")
        if not empty and last >= view.storage.numel:
            raise CorruptFile(f"{place} reaches beyond its storage")
    return described


def _numbers(storage: _Storage, raw: bytearray, where: str) -> Tensor:
    """The whole storage as a flat tensor on `raw`."""
    import torch

    dtype = getattr(torch, _DTYPES[storage.storage][0])
    if len(raw) != _byte_size(storage):
        raise CorruptFile(f"{where}: storage {storage.key[:80]!r}: {len(raw)} bytes, not {_byte_size(storage)}")
    if not raw:
        return torch.empty(0, dtype=dtype)
    flat = torch.frombuffer(raw, dtype=dtype)
    if dtype is torch.bool and int(flat.view(torch.uint8).max()) > 1:
        raise CorruptFile(f"{where}: storage {storage.key[:80]!r}: a boolean that is neither 0 nor 1")
    return flat


def _byte_size(storage: _Storage) -> int:
    return storage.numel * _DTYPES[storage.storage][1]


class _Machine:
    """Builds dicts, lists, tuples and scalars from opcodes. A call is one of two known ones, or the end."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        """What the pickle at the stream's place describes; the stream then stands behind it."""
        with silenced():  # strange escapes in operands of opcodes that are refused anyway
            for opcode, operand, _ in pickletools.genops(stream):
                self._step(opcode.name, operand)
        if len(self.stack) != 1 or self.marks:
            raise CorruptFile(f"{self.where}: its description doesn't come to an end")
        return self.stack[0]

    def _step(self, name: str, operand: Any) -> None:
        if name in _SCALARS:
            self.stack.append(operand)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _SIMPLE:
            _SIMPLE[name](self, operand)
        else:
            self._refuse(f"opcode {name}")

    def _refuse(self, what: str) -> NoReturn:
        raise UnsafeFormat(
            f"{self.where}: {what} is not needed for a plain state dict; the file was not opened",
            hint="convert it to safetensors with the library that wrote it, where you trust its source",
        )

    def _protocol(self, version: int) -> None:
        if version != 2:
            self._refuse(f"pickle protocol {version}")

    def _mark(self, _: None) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def _get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def _empty_dict(self, _: None) -> None:
        self.stack.append({})

    def _empty_list(self, _: None) -> None:
        self.stack.append([])

    def _tuple(self, _: None) -> None:
        items = self._to_mark()
        self.stack.append(tuple(items))

    def _tuple_of(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def _set_items(self, _: None) -> None:
        items = self._to_mark()
        self._fill(items)

    def _set_item(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2 or not all(type(key) is str for key in items[::2]):
            raise CorruptFile(f"{self.where}: items that belong to no dictionary")
        before = len(target)
        target.update(zip(items[::2], items[1::2], strict=True))
        if len(target) != before + len(items) // 2:
            raise CorruptFile(f"{self.where}: a key occurs twice")

    def _append_item(self, _: None) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _append_items(self, _: None) -> None:
        items = self._to_mark()
        self._extend(items)

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise CorruptFile(f"{self.where}: items that belong to no list")
        self.stack[-1].extend(items)

    def _global(self, name: str) -> None:
        if _Global(name) not in _GLOBALS:
            self._refuse(f"the name {name[:80]!r}")
        self.stack.append(_Global(name))

    def _persistent(self, _: None) -> None:
        match self.stack.pop():
            case ("storage", _Global(name), str(key), str(), int(numel), *rest) if rest in ([], [None]):
                storage = name.removeprefix("torch ")
                if storage in _DTYPES and type(numel) is int and numel >= 0:
                    self.stack.append(_Storage(storage, key, numel))
                    return
        raise CorruptFile(f"{self.where}: a storage that is described in another way than torch's")

    def _call(self, _: None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function == _DICT and arguments == ():
            self.stack.append({})
        elif function == _TENSOR:
            self.stack.append(self._view(arguments))
        else:
            self._refuse(f"a call of {function.name!r}" if isinstance(function, _Global) else "a call")

    def _view(self, arguments: Any) -> _View:
        match arguments:
            case (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), {}):
                if len(shape) == len(strides) <= MAX_RANK and _whole((offset, *shape, *strides)):
                    return _View(storage, offset, shape, strides)
        raise CorruptFile(f"{self.where}: a tensor that is described in another way than torch's")

    def _state(self, _: None) -> None:
        """Attributes of a state dict are versions of its modules, which nobody needs."""
        attributes = self.stack.pop()
        if type(attributes) is not dict or type(self.stack[-1]) is not dict or list(attributes) != ["_metadata"]:
            self._refuse("a state for an object")


def _whole(values: tuple[Any, ...]) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


_SCALARS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
_CONSTANTS = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None, "EMPTY_TUPLE": ()}
_SIMPLE: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine._protocol,
    "MARK": _Machine._mark,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "EMPTY_DICT": _Machine._empty_dict,
    "EMPTY_LIST": _Machine._empty_list,
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "SETITEMS": _Machine._set_items,
    "SETITEM": _Machine._set_item,
    "APPEND": _Machine._append_item,
    "APPENDS": _Machine._append_items,
    "GLOBAL": _Machine._global,
    "BINPERSID": _Machine._persistent,
    "REDUCE": _Machine._call,
    "BUILD": _Machine._state,
    "STOP": lambda machine, _: None,
}
