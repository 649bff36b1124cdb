"""The one door between safetensors bytes and tensors: a strict check of the header, then views on the bytes, without a copy."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from zoo_core.errors import CorruptFile, StoreError, UnsafeFormat, nearest
from zoo_core.storage import fs
from zoo_core.storage.fs import Buffer
from zoo_core.storage.kinds import HEAD as _HEAD
from zoo_core.storage.kinds import kind_of, read_head

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER = 8 << 20
"""Bytes of the longest header that is read or written."""
MAX_TENSORS = 100_000
"""Most tensors in one file."""
MAX_RANK = 8
"""Most dimensions of a tensor."""
_MAX_BYTES = 1 << 50
_MARKS = ((b'"data_offsets"', 1), (b'"', 12), (b",", 12), (b"[", 3), (b"{", 2))
"""Most of each per tensor; the largest entry has 1, 10, 11, 2 and 1. It bounds the time and memory that parsing takes."""

_DTYPES = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E8M0": ("float8_e8m0fnu", 1),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "F32": ("float32", 4),
    "C64": ("complex64", 8),
    "F64": ("float64", 8),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
}
"""Name in the file: name in torch and bytes per element, in the order of the safetensors library."""
_NAMES = {torch_name: name for name, (torch_name, _) in _DTYPES.items()}

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,512}")
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+\\?+"?+', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_UNSAFE_SUFFIXES = re.compile(r"\.(pth?|bin|ckpt|pkl|pickle|joblib|dill|np[yz]|h5|hdf5|keras|mar|nemo|zip|tar|t?gz|7z)")
_UNSAFE_HEADS = (
    (b"PK\x03\x04", "a zip archive, the usual wrapping of pickles"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "a numpy array, which may hold a pickle"),
    (b"\x1f\x8b", "a gzip file"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorInfo:
    """What the header says about one tensor."""

    dtype: str
    """Name in the file, for instance `BF16`."""
    shape: tuple[int, ...]
    """Sizes of the dimensions; empty for a scalar."""
    start: int
    """Place of its first byte in the whole file."""
    end: int
    """Place behind its last byte."""


def check_header(buffer: Buffer, *, where: str = "safetensors") -> dict[str, TensorInfo]:
    """The tensors of a safetensors file, after every check that its header allows. Touches no byte behind the header.

    Raises `CorruptFile`, which names the tensor, and `UnsafeFormat` for a file of another, dangerous kind.
    """
    return _checked(bytes(buffer[: 8 + MAX_HEADER]), len(buffer), where)


def check_file(path: Path) -> dict[str, TensorInfo]:
    """`check_header` of a file, of which only the header is read: its tensors fill it to the last byte.

    Raises `DiskError` too.
    """
    head, size = read_head(path, _HEAD)
    length = int.from_bytes(head[:8], "little")
    if _HEAD - 8 < length <= MAX_HEADER:
        head, size = read_head(path, 8 + length)
    return _checked(head, size, str(path))


def read_file(path: Path) -> bytearray:
    """A safetensors file for `load`, read whole once its header says that the file is what it should be.

    Raises what `check_file` raises.
    """
    check_file(path)
    return fs.read_into(path)


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with half and double precision in single, in which everything is trained and most processors compute."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _checked(start: bytes, size: int, where: str) -> dict[str, TensorInfo]:
    """The tensors of a file of `size` bytes that begins with `start`, its header or more."""
    _refuse_head(where, start[:_HEAD])
    if len(start) < 8:
        raise CorruptFile(f"{where}: truncated header, {size} bytes in all")
    length = int.from_bytes(start[:8], "little")
    if length > MAX_HEADER:
        raise CorruptFile(f"{where}: a header of {length} bytes, more than the {MAX_HEADER} that are allowed")
    if length > size - 8:
        raise CorruptFile(f"{where}: truncated header, {size - 8} of {length} bytes")
    entries = _parse(start[8 : 8 + length], where)
    _check_metadata(entries.pop("__metadata__", {}), where)
    if len(entries) > MAX_TENSORS:
        raise CorruptFile(f"{where}: {len(entries)} tensors, more than the {MAX_TENSORS} that are allowed")
    infos = {name: _entry(name, entry, 8 + length, where) for name, entry in entries.items()}
    _check_layout(infos, 8 + length, size, where)
    return infos


def load(buffer: bytearray, *, where: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file as views on `buffer`, which they keep alive; a misaligned one is copied.

    Raises what `check_header` raises, and `CorruptFile` for a boolean that is neither 0 nor 1.
    """
    import torch

    infos = check_header(buffer, where=where)
    address = torch.frombuffer(buffer, dtype=torch.uint8).data_ptr()
    return {name: _view(buffer, info, address, f"{where}: tensor {name!r}") for name, info in infos.items()}


def dump(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> list[Buffer]:
    """A safetensors file as a list of buffers: the same bytes for the same tensors, whatever their order in the mapping.

    Contiguous CPU tensors are not copied, so they must not change before the buffers are written. Raises `StoreError` for
    a tensor that can't be stored, and for two that share memory: leave the tied name out.
    """
    stored = {name: _storable(name, tensor) for name, tensor in tensors.items()}
    _refuse_shared(stored)
    rank = {name: number for number, name in enumerate(_DTYPES)}
    order = sorted(stored, key=lambda name: (-rank[_NAMES[_dtype(stored[name])]], name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    data: list[Buffer] = []
    offset = 0
    for name in order:
        view = _bytes_of(stored[name])
        shape, end = list(stored[name].shape), offset + view.nbytes
        header[name] = {"dtype": _NAMES[_dtype(stored[name])], "shape": shape, "data_offsets": [offset, end]}
        data.append(view)
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data starts aligned
    if len(text) > MAX_HEADER or len(stored) > MAX_TENSORS:
        raise StoreError(f"{len(stored)} tensors with a header of {len(text)} bytes are too many for one file")
    return [len(text).to_bytes(8, "little") + text, *data]


def refuse_unsafe(path: Path, head: bytes = b"") -> None:
    """Raise `UnsafeFormat` for formats that could run code, judged by the suffix and by the first bytes of the file."""
    if _UNSAFE_SUFFIXES.fullmatch(path.suffix.lower()):
        _refuse(str(path), f"files of the kind {path.suffix} may run code when they are read")
    _refuse_head(str(path), head)


def _refuse_head(where: str, head: bytes) -> None:
    if int.from_bytes(head[:8], "little") <= MAX_HEADER and head[8:9] == b"{":
        return  # the length of a header may happen to look like any of these
    for magic, kind in _UNSAFE_HEADS:
        if head.startswith(magic):
            _refuse(where, f"it is {kind}, and such files may run code when they are read")
    if (found := kind_of(head)) is not None:
        raise CorruptFile(f"{where}: {found.name}, where tensors are expected", hint=found.hint)


def _refuse(where: str, reason: str) -> NoReturn:
    raise UnsafeFormat(
        f"{where}: {reason}; it was not opened",
        hint="convert it to safetensors with the library that wrote it, where you trust its source",
    )


def _parse(header: bytes, where: str) -> dict[str, Any]:
    """The header as plain data; what could make the parser slow, deep or large is refused before it runs."""
    if not header.startswith(b"{") or not header.rstrip(b" ").endswith(b"}"):
        raise CorruptFile(f"{where}: the header is not a JSON object")
    if any(header.count(mark) > most * MAX_TENSORS for mark, most in _MARKS):
        raise CorruptFile(f"{where}: the header has more parts than the {MAX_TENSORS} tensors that are allowed need")
    brackets = _STRINGS.sub(b"", header).translate(None, _NO_BRACKETS)
    for _ in range(3):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise CorruptFile(f"{where}: the header is nested too deeply or its brackets don't match")
    try:
        data = json.loads(header.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError as error:
        raise CorruptFile(f"{where}: the header is not valid JSON: {str(error)[:200]}") from error
    assert isinstance(data, dict), "it starts with a brace"
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:80]!r} occurs twice")
    return data


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _check_metadata(metadata: Any, where: str) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CorruptFile(f"{where}: __metadata__ is not a mapping of strings to strings")


def _entry(name: str, entry: Any, data_start: int, where: str) -> TensorInfo:
    if not _NAME.fullmatch(name):
        rule = "letters, digits, '_', '.' and '-', at most 512"
        raise CorruptFile(f"{where}: tensor {name[:80]!r} has a name that is not allowed", hint=rule)
    place = f"{where}: tensor {name[:80]!r}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        found = ", ".join(sorted(entry))[:200] if isinstance(entry, dict) else type(entry).__name__
        raise CorruptFile(f"{place}: expected dtype, shape and data_offsets, found {found}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise CorruptFile(f"{place}: unknown dtype {str(dtype)[:80]!r}", hint=nearest(str(dtype)[:80], _DTYPES))
    if not _whole_numbers(shape) or len(shape) > MAX_RANK:
        raise CorruptFile(f"{place}: the shape is not a list of at most {MAX_RANK} whole numbers from 0")
    if math.prod(max(size, 1) for size in shape) > _MAX_BYTES:
        raise CorruptFile(f"{place}: a shape of {str(shape)[:200]} is impossibly large")
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CorruptFile(f"{place}: data_offsets is not two whole numbers from 0 in rising order")
    start, end = offsets
    size = math.prod(shape) * _DTYPES[dtype][1]
    if end - start != size:
        raise CorruptFile(f"{place}: {end - start} bytes, but {dtype} {shape} takes {size}")
    return TensorInfo(dtype=dtype, shape=tuple(shape), start=data_start + start, end=data_start + end)


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_layout(infos: Mapping[str, TensorInfo], start: int, size: int, where: str) -> None:
    """Every byte behind the header belongs to exactly one tensor."""
    place = start
    for name, info in sorted(infos.items(), key=lambda item: (item[1].start, item[1].end)):
        if info.start != place:
            kind = (
                "overlaps another one" if info.start < place else f"leaves {info.start - place} bytes before it unused"
            )
            raise CorruptFile(f"{where}: tensor {name[:80]!r} {kind}")
        place = info.end
    if place > size:
        raise CorruptFile(f"{where}: truncated, {size} of {place} bytes")
    if place < size:
        raise CorruptFile(f"{where}: {size - place} bytes behind the last tensor")


def _view(buffer: bytearray, info: TensorInfo, address: int, place: str) -> Tensor:
    import torch

    name, size = _DTYPES[info.dtype]
    dtype, count = getattr(torch, name), math.prod(info.shape)
    if count == 0:
        return torch.empty(info.shape, dtype=dtype)
    if (address + info.start) % size:
        raw = torch.frombuffer(buffer, dtype=torch.uint8, count=count * size, offset=info.start)
        return raw.clone().view(dtype).reshape(info.shape)
    flat = torch.frombuffer(buffer, dtype=dtype, count=count, offset=info.start)
    if dtype is torch.bool and int(flat.view(torch.uint8).max()) > 1:
        raise CorruptFile(f"{place}: a boolean that is neither 0 nor 1")
    return flat.reshape(info.shape)


def _storable(name: str, tensor: Tensor) -> Tensor:
    import torch

    if not _NAME.fullmatch(name):
        raise StoreError(f"tensor {name[:80]!r}: its name can't be stored", hint="letters, digits, '_', '.' and '-'")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or _dtype(tensor) not in _NAMES:
        kind = "a tensor without data" if tensor.is_meta else f"{tensor.dtype} with layout {tensor.layout}"
        raise StoreError(f"tensor {name!r}: {kind} can't be stored", hint=f"valid: {', '.join(_NAMES)}, dense")
    if tensor.dim() > MAX_RANK:
        raise StoreError(f"tensor {name!r}: {tensor.dim()} dimensions, more than {MAX_RANK}")
    return tensor.detach().resolve_conj().resolve_neg()


def _refuse_shared(tensors: Mapping[str, Tensor]) -> None:
    """Two names for the same memory would come back as two tensors, silently untied."""
    ranges = []
    for name, tensor in tensors.items():
        if tensor.numel():
            steps = zip(tensor.shape, tensor.stride(), strict=True)
            extent = (1 + sum((size - 1) * stride for size, stride in steps)) * tensor.element_size()
            # A view with gaps, like a column, may lie between the elements of another one; it only clashes with its equal.
            dense = extent == tensor.numel() * tensor.element_size()
            ranges.append((str(tensor.device), tensor.data_ptr(), tensor.data_ptr() + (extent if dense else 1), name))
    ranges.sort()
    for (device, _, end, first), (other_device, start, _, second) in itertools.pairwise(ranges):
        if device == other_device and start < end:
            raise StoreError(
                f"tensors {first!r} and {second!r} share memory",
                hint="store tied weights under one of their names and tie them again after loading",
            )


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    flat = tensor.cpu().contiguous().reshape(-1)
    # A single element counts as contiguous whatever its stride, but can't be seen as bytes then.
    return flat.as_strided((flat.numel(),), (1,)).view(torch.uint8).numpy().data


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
