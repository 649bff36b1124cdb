"""Strict typed building: plain data to dataclasses and back, with file, line and dotted path in every message."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union

from zoo_core.contract.config import WHEN_SET, AnyFloat, Config, FieldError, aliases, check_bounds, type_hints
from zoo_core.contract.yamltext import Document, Place, dump_yaml, format_location, parse_scalar, parse_yaml
from zoo_core.errors import PluginError, RecipeError, ZooError, nearest

__all__ = [
    "AnyFloat",
    "Document",
    "FieldError",
    "Place",
    "dump_yaml",
    "from_data",
    "locate",
    "merge",
    "parse_override",
    "parse_scalar",
    "parse_yaml",
    "set_path",
    "to_data",
]

_T = TypeVar("_T")
_Reader = Callable[[Any], Any]
_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_OVERRIDE = re.compile(r"\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*=(.*)", re.DOTALL | re.ASCII)


def from_data(
    cls: type[_T],
    data: Any,
    *,
    where: str,
    lines: Mapping[Place, int] | None = None,
    path: Place = (),
    error: type[ZooError] = RecipeError,
) -> _T:
    """An instance of the dataclass `cls` from plain data, checked against its type hints.

    `path` is the place of `data` in its document. Raises `error` with file, line, dotted path and the nearest names for
    an unknown key, a missing one, a wrong type, and for a ValueError of `__post_init__`; `PluginError` for a type hint
    that has no meaning here.
    """
    try:
        return typing.cast(_T, _dataclass_reader(typing.cast(Any, cls))(data))
    except _Mismatch as wrong:
        place = locate(where, path + tuple(reversed(wrong.steps)), lines)
        raise error(f"{place}: {wrong.message}" if place else wrong.message, hint=wrong.hint) from None


def locate(where: str, path: Place = (), lines: Mapping[Place, int] | None = None) -> str:
    """`file:line: dotted.path`, with the line of the nearest enclosing value that has one."""
    known = lines or {}
    line = next((known[path[:length]] for length in range(len(path), 0, -1) if path[:length] in known), 0)
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return ": ".join(part for part in (format_location(where, line), dotted) if part)


def to_data(value: Any) -> Any:
    """Dataclasses, mappings and tuples as dicts, lists and scalars that JSON and YAML can hold. Raises ValueError."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        written = (field for field in dataclasses.fields(value) if not _left_out(field, getattr(value, field.name)))
        return {field.name: to_data(getattr(value, field.name)) for field in written}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a mapping with keys that are not text is not plain data")
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"{type(value).__name__} is not plain data")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on top, mapping by mapping; everything else in `over` replaces. Neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def set_path(data: dict[str, Any], path: str, value: Any) -> None:
    """Put `value` at the dotted `path` of `data`, in place; missing mappings are made, digits count list items.

    Raises `RecipeError` where the path runs through something that is neither a mapping nor a list.
    """
    *parents, last = path.split(".")
    here: Any = data
    for depth, name in enumerate(parents):
        if isinstance(here, dict) and here.get(name) is None:
            here[name] = {}
        here = here[_step(here, name, parents[:depth], path)]
    here[_step(here, last, parents, path)] = value


def parse_override(text: str) -> tuple[str, Any]:
    """`a.b=1e-3` as its path and its value: a scalar, a quoted text, or a list or mapping as in JSON or inline YAML.

    Everything after the `=` of an unquoted text belongs to it; nothing after it is the empty text. Raises `RecipeError`.
    """
    where = f"override {text!r}"
    match = _OVERRIDE.fullmatch(text)
    if match is None:
        raise RecipeError(f"{where}: not of the form key=value", hint="for example training.steps=100")
    path, raw = match[1], match[2].strip()
    if raw[:1] in ("[", "{") or (len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\""):
        return path, parse_yaml(raw, where=where).data
    try:
        return path, parse_scalar(raw) if raw else ""
    except ValueError as wrong:
        raise RecipeError(f"{where}: {wrong}", hint=f"""'{path}="{raw}"' for the text""") from None


def _left_out(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a field that is written only when it is set isn't."""
    if WHEN_SET.keys() - field.metadata.keys():
        return False
    made = field.default_factory
    return bool(value == (field.default if made is dataclasses.MISSING else made()))


def _step(here: Any, name: str, parents: Sequence[str], path: str) -> str | int:
    """`name` as what indexes `here`."""
    if isinstance(here, dict) and name:
        return name
    if isinstance(here, list) and name.isdecimal() and int(name) < len(here):
        return int(name)
    above = ".".join(parents) or "the top"
    raise RecipeError(f"{path}: there is no {name!r} below {above}", hint=f"it holds {_found(here)}")


class _Mismatch(Exception):
    """Data that doesn't fit; collects its path, innermost first, while it travels up."""

    def __init__(self, message: str, hint: str = "", steps: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.steps = list(steps)


@functools.cache
def _dataclass_reader(cls: Any) -> _Reader:
    """A function that builds `cls` from a mapping; made once for a class, as resolving its type hints is slow."""
    fields = [field for field in dataclasses.fields(cls) if field.init]
    try:
        hints = type_hints(cls)
        readers = {field.name: _reader(hints[field.name]) for field in fields}
        renamed = aliases(cls)
    except (NameError, TypeError) as failure:
        raise PluginError(
            f"{cls.__module__}.{cls.__qualname__} has a type hint that can't be read: {failure}"
        ) from None
    required = {
        field.name: _expected(hints[field.name])
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def read(data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise _Mismatch(f"expected a mapping, found {_found(data)}")
        values = {}
        for given, value in data.items():
            key: Any = renamed.get(given, given)
            reader = readers.get(key)
            if reader is None:
                raise _Mismatch("unknown key", nearest(str(given), readers), (given,))
            if key in values or (key != given and key in data):
                raise _Mismatch(f"given twice, also as {key}", steps=(given,))
            try:
                values[key] = reader(value)
            except _Mismatch as wrong:
                wrong.steps.append(key)
                raise
        for name, expected in required.items():
            if name not in values:
                raise _Mismatch(f"missing; expected {expected}", steps=(name,))
        try:
            # A configuration holds its fields to their bounds itself, unless its author took that over.
            if getattr(cls, "__post_init__", None) is not Config.__post_init__:
                check_bounds(cls, values)
            return cls(**values)
        except FieldError as wrong:
            raise _Mismatch(wrong.message, steps=wrong.path[::-1]) from None
        except ValueError as wrong:
            raise _Mismatch(str(wrong)) from None

    return read


@functools.cache
def _reader(hint: Any) -> _Reader:
    """A function that checks a value against a type hint and gives it in that type. Raises TypeError for other hints."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        return _dataclass_reader(typing.cast(Any, hint))
    if origin is Annotated:
        return _read_any_float if hint == AnyFloat else _reader(arguments[0])
    if origin is Literal:
        return functools.partial(_read_literal, arguments)
    if origin in (Union, types.UnionType):
        return functools.partial(_read_union, hint, tuple(_reader(argument) for argument in arguments))
    if hint is tuple or (origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis):
        return functools.partial(_read_tuple, _reader(arguments[0] if arguments else Any))
    if origin is tuple:
        return functools.partial(_read_fixed, tuple(_reader(argument) for argument in arguments))
    if hint in (Mapping, dict) or (origin in (Mapping, dict) and arguments[0] is str):
        return functools.partial(_read_mapping, _reader(arguments[1] if arguments else Any))
    raise TypeError(f"{hint} is none of str, int, float, bool, None, Literal, tuple, Mapping, dataclass or Any")


def _mismatch(hint: Any, value: Any) -> _Mismatch:
    advice = f'quote it: "{value}"' if hint is str and isinstance(value, int | float) else ""
    return _Mismatch(f"expected {_expected(hint)}, found {_found(value)}", advice)


def _read_float(value: Any) -> float:
    # A whole number may be larger than any float.
    if type(value) is int and abs(value) > sys.float_info.max:
        raise _mismatch(float, value)
    if type(value) in (float, int) and math.isfinite(value):
        return float(value)
    raise _mismatch(float, value)


def _read_any_float(value: Any) -> float:
    if isinstance(value, str) and value in _NONFINITE:
        return _NONFINITE[value]
    return value if type(value) is float else _read_float(value)


def _read_exact(kind: type, value: Any) -> Any:
    if type(value) is kind:
        return value
    raise _mismatch(kind, value)


def _read_any(value: Any) -> Any:
    return value


def _read_literal(choices: tuple[Any, ...], value: Any) -> Any:
    if any(type(choice) is type(value) and choice == value for choice in choices):
        return value
    expected = ", ".join(_word(choice) for choice in choices)
    hint = nearest(value, (str(choice) for choice in choices)) if isinstance(value, str) else ""
    raise _Mismatch(f"expected {'one of ' if len(choices) > 1 else ''}{expected}, found {_found(value)}", hint)


def _read_union(hint: Any, readers: tuple[_Reader, ...], value: Any) -> Any:
    failures = []
    for reader in readers:
        try:
            read = reader(value)
        except _Mismatch as wrong:
            failures.append(wrong)
            continue
        if type(read) is type(value) or not isinstance(value, int):
            return read
        # An int is offered to `int` before `float` takes it, whatever their order in the union.
        return value if int in typing.get_args(hint) else read
    deep = [wrong for wrong in failures if wrong.steps]
    present = [wrong for wrong in failures if not wrong.message.startswith("expected nothing")]
    raise deep[0] if deep else present[0] if len(present) == 1 else _mismatch(hint, value)


def _read_item(reader: _Reader, step: str | int, value: Any) -> Any:
    try:
        return reader(value)
    except _Mismatch as wrong:
        wrong.steps.append(step)
        raise


def _read_tuple(reader: _Reader, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(tuple, value)
    return tuple(_read_item(reader, index, item) for index, item in enumerate(value))


def _read_fixed(readers: tuple[_Reader, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != len(readers):
        raise _Mismatch(f"expected a list of {len(readers)} items, found {_found(value)}")
    return tuple(_read_item(reader, index, value[index]) for index, reader in enumerate(readers))


def _read_mapping(reader: _Reader, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(type(key) is str for key in value):
        raise _mismatch(Mapping, value)
    return {key: _read_item(reader, key, item) for key, item in value.items()}


_SCALARS: dict[Any, _Reader] = {
    Any: _read_any,
    float: _read_float,
    str: functools.partial(_read_exact, str),
    int: functools.partial(_read_exact, int),
    bool: functools.partial(_read_exact, bool),
    types.NoneType: functools.partial(_read_exact, types.NoneType),
}
_EXPECTED = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    types.NoneType: "nothing",
    Any: "anything",
    tuple: "a list",
}


def _expected(hint: Any) -> str:
    """What a type hint asks for, in words."""
    if hint in _EXPECTED:
        return _EXPECTED[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(_word(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is Annotated:
        return _expected(arguments[0])
    return "a list" if origin is tuple else "a mapping"


def _found(value: Any) -> str:
    """What a value is, in words and short enough for one line."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else _word(value)
    return f"the number {value}" if isinstance(value, int | float) else type(value).__name__


def _word(choice: Any) -> str:
    return str(choice).lower() if isinstance(choice, bool) else "null" if choice is None else str(choice) or '""'
