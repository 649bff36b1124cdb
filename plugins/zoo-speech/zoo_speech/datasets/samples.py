"""What raw speech samples look like, and how whatever a caller has is turned into one."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Mapping
from contextlib import suppress
from inspect import getattr_static
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from zoo_core import DataError
from zoo_core.data import digest_of, expanded, file_key
from zoo_speech.audio.audio import Limits, Waveform, check_audio, read_audio, scaled
from zoo_speech.audio.channels import LOUDEST, mixed
from zoo_speech.datasets.excerpts import Excerpt

Source = Path | bytes | Waveform
"""A sound file, the bytes of one, or the sound itself."""

DEFAULT_RATE = 16_000
"""Hz; what arrays are taken to have that come without a rate."""

_MOST_CHANNELS = Limits().max_channels
_VALID = (
    "valid: a path, the bytes of a sound file, an array or tensor (N,), (N, C) or (C, N) at 16,000 Hz, "
    'a pair (array, rate), a mapping with "array" and "sampling_rate" or with "bytes" or "path"'
)


class Clip(NamedTuple):
    """Bytes of a sound file that lie within another file."""

    file: Path
    start: int
    """First byte."""
    size: int
    """Bytes."""

    def read(self, name: str) -> bytes:
        """The bytes. Raises `DataError`, naming the recording, where the file has been cut short."""
        try:
            with self.file.open("rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise DataError(f"{self.file}: can't be read: {error.strerror}") from None
        if len(data) != self.size:
            raise DataError(f"{self.file}: it ends within {name}", hint="fetch the data set again")
        return data


class Recording:
    """Sound, decoded each time it is asked for, and what is known of it; nothing is where nobody knows."""

    __slots__ = ("_key", "_source", "label", "language", "name", "part", "speaker", "text")

    def __init__(
        self,
        source: Source | Clip,
        *,
        text: str = "",
        speaker: str = "",
        language: str = "",
        label: str = "",
        name: str = "",
        part: Excerpt | None = None,
        key: str = "",
    ) -> None:
        """`name` is for messages; a path names itself. Bytes of raw G.722 are told by a name that ends in .g722.

        `part` is what of it is meant; None for all. `key` is its sha256, where that is known.
        """
        self.text, self.speaker, self.language, self.label = text, speaker, language, label
        self.name = name or (str(source) if isinstance(source, Path) else "")
        self.part = part
        self._source, self._key = source, key

    @property
    def source(self) -> Source:
        """What it is made from. Raises `DataError` where that can't be read."""
        return self._source.read(self.name) if isinstance(self._source, Clip) else self._source

    @property
    def key(self) -> str:
        """sha256 of its file in hex: equal for copies. Raises `DataError` for one that can't be read."""
        self._key = self._key or self._digest()
        return self._key

    def _digest(self) -> str:
        source = self.source
        if isinstance(source, Path):
            return file_key(source, Limits().max_bytes, self.name)
        return digest_of(source if isinstance(source, bytes) else source.samples.tobytes())

    @property
    def waveform(self) -> Waveform:
        """float32 (N,) and its rate. Raises `DataError`, naming a file that is bad."""
        source = self.source
        whole = source if isinstance(source, Waveform) else read_audio(source, name=self.name)
        if self.part is None or self.part.whole:
            return whole
        first, length = round(self.part.begin * whole.rate), round(self.part.length(whole.seconds) * whole.rate)
        if length < 1:
            raise DataError(f"{self.name}: {self.part.fault(whole.seconds)[0]}")
        return Waveform(whole.samples[first : first + length], whole.rate)

    @property
    def seconds(self) -> float | None:
        """Its length by the header, nothing decoded; None where that doesn't tell. Raises as `waveform` does."""
        source = self.source
        seconds = source.seconds if isinstance(source, Waveform) else check_audio(source, name=self.name).seconds
        return seconds if seconds is None or self.part is None else self.part.length(seconds)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def sample_name(sample: Any, number: int) -> str:
    """What messages call a sample of a data set: its own name, or else its place, from 0, in the split."""
    return getattr(sample, "name", "") or f"sample {number + 1}"


def is_recording(sample: Any) -> bool:
    """Whether a sample has a `waveform`, a `Recording` or another's; nothing is decoded."""
    return getattr_static(sample, "waveform", None) is not None


def recording_of(item: Any, number: int) -> Recording:
    """A recording of an input; files are read when its waveform is asked for, arrays are checked here.

    An input is a sample with a `waveform`, a path (a string is always one), the bytes of a sound file, an array or tensor, a pair
    of one and its rate, or a mapping as Hugging Face data sets hold them: "array" and "sampling_rate", else "bytes" or "path".
    Arrays are (N,), (N, C) or (C, N), C being the one axis of at most 8, averaged as in files; without a rate they are taken
    to have 16,000 Hz. They hold floats, full scale 1, or uint8, int16 or int32 by their range. `number` is the input's position,
    from 0. Raises `DataError`, naming the input from 1, for anything else, here or when it is decoded.
    """
    where = f"input {number + 1}"
    if is_recording(item):
        return cast("Recording", item)
    if isinstance(item, str | Path):
        return _file(where, item)
    if isinstance(item, bytes | bytearray | memoryview):
        return Recording(bytes(item), name=where)
    if isinstance(item, Mapping):
        return _of_mapping(where, item)
    if isinstance(item, tuple):
        if len(item) != 2 or not _is_array(item[0]):
            raise DataError(f"{where}: expected a pair (array, rate), found {_kinds(item)}", hint=_VALID)
        return _of_array(where, *item)
    if _is_array(item):
        return _of_array(where, item, DEFAULT_RATE)
    raise DataError(f"{where}: expected a recording, found {type(item).__name__}", hint=_VALID)


def _file(where: str, item: str | Path) -> Recording:
    path = Path(item)
    with suppress(DataError):  # `~nobody`: no file of that name will be found
        path = expanded(path)
    return Recording(path, name=f"{where}: {path}")


def _of_mapping(where: str, item: Mapping[Any, Any]) -> Recording:
    if _is_array(item.get("array")):
        if "sampling_rate" not in item:
            raise DataError(f'{where}: "array" without its "sampling_rate"', hint=_VALID)
        return _of_array(where, item["array"], item["sampling_rate"])
    path, content = item.get("path"), item.get("bytes")
    if isinstance(content, bytes):
        return Recording(content, name=f"{where}: {path}" if isinstance(path, str) and path else where)
    if isinstance(path, str | Path) and "array" not in item:
        return _file(where, path)
    found = ", ".join(f"{key!r}: {type(value).__name__}" for key, value in list(item.items())[:6]) or "nothing in it"
    raise DataError(f"{where}: a mapping that is no recording ({found})", hint=_VALID)


def _is_array(item: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever holds a tensor has imported it
    return isinstance(item, np.ndarray) or (torch is not None and isinstance(item, torch.Tensor))


def _of_array(where: str, item: Any, rate: Any) -> Recording:
    if not isinstance(item, np.ndarray):
        item = _values(where, item)
    try:
        samples = scaled(_mono(where, item))
    except TypeError as error:
        raise DataError(f"{where}: {error}", hint="give floats from -1 to 1, or int16") from None
    peak = float(max(samples.max(), -samples.min()))
    if not peak <= LOUDEST:  # also for NaN
        raise DataError(
            f"{where}: expected samples from -1 to 1, found up to {peak:g}", hint="scale them, or give int16"
        )
    return Recording(Waveform(samples, _rate(where, rate)), name=where)


def _values(where: str, tensor: Any) -> Any:
    """The tensor as an array. Raises `DataError` where NumPy can't hold it: sparse, quantised and meta ones."""
    try:
        held = tensor.detach().cpu()
        return (held.float() if held.is_floating_point() else held).numpy()
    except (TypeError, RuntimeError):
        kind = f"{tensor.layout} tensor of {tensor.dtype} on {tensor.device}"
        raise DataError(f"{where}: a {kind} can't be taken for samples", hint="give a dense one of floats") from None


def _mono(where: str, values: Any) -> Any:
    shape = values.shape
    if not values.size:
        raise DataError(f"{where}: a recording without samples, {shape}")
    if values.ndim == 1:
        return values
    few = [axis for axis, length in enumerate(shape) if length <= _MOST_CHANNELS]
    if values.ndim != 2 or len(few) != 1:
        hint = f"with up to {_MOST_CHANNELS} channels in the one axis and more samples than that in the other"
        raise DataError(f"{where}: expected (N,), (N, C) or (C, N), found {shape}", hint=hint)
    with np.errstate(all="ignore"):  # what isn't finite is refused afterwards
        return mixed(scaled(values if few[0] else values.T))


def _rate(where: str, rate: Any) -> int:
    limits = Limits()
    whole = isinstance(rate, numbers.Real) and not isinstance(rate, bool) and rate == rate // 1
    if not whole or not limits.min_rate <= rate <= limits.max_rate:
        allowed = f"a whole number from {limits.min_rate:,} to {limits.max_rate:,} Hz"
        raise DataError(f"{where}: the rate must be {allowed}, found {rate!r:.40}", hint=_VALID)
    return int(rate)


def _kinds(items: tuple[Any, ...]) -> str:
    return "(" + ", ".join(type(item).__name__ for item in items[:4]) + ("" if len(items) <= 4 else ", ...") + ")"
