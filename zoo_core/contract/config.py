"""Configurations: frozen dataclasses whose fields state their bounds in their types, and hold them however one is built."""

from __future__ import annotations

import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, Union, dataclass_transform

from zoo_core.contract.specs import documented
from zoo_core.storage.budgets import LAYERS, SIZE, Budget


class FieldError(ValueError):
    """Raised while a configuration is built: which of its fields is wrong, and how."""

    def __init__(self, name: str, message: str, inside: tuple[str | int, ...] = ()) -> None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inside)
        super().__init__(f"{name}{place}: {message}")
        self.message = message
        self.path = (name, *inside)


class Constraint:
    """What an `Annotated` type demands of a value beyond its type."""

    def expected(self, value: Any) -> str:
        """What the value should be, in words; empty where it is."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Interval(Constraint):
    """Numbers between bounds, each of which may be missing."""

    ge: float | None = None
    """Least value."""
    gt: float | None = None
    """Value that is too small itself."""
    le: float | None = None
    """Largest value."""
    lt: float | None = None
    """Value that is too large itself."""

    def expected(self, value: Any) -> str:
        """The bounds, unless the value is between them."""
        holds = (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )
        return "" if holds else str(self)

    def __str__(self) -> str:
        """`from 0 to 1`, `at least 1`, `above 0 and below 1`."""
        if self.ge is not None and self.le is not None:
            return f"from {_number(self.ge)} to {_number(self.le)}"
        bounds = {"at least": self.ge, "above": self.gt, "at most": self.le, "below": self.lt}
        return " and ".join(f"{word} {_number(bound)}" for word, bound in bounds.items() if bound is not None)


@dataclass(frozen=True, eq=False)
class MultipleOf(Constraint):
    """Whole numbers that `divisor` divides."""

    divisor: int

    def expected(self, value: Any) -> str:
        """The divisor, unless it divides the value."""
        return f"a multiple of {self.divisor}" if value % self.divisor else ""


@dataclass(frozen=True, eq=False)
class MinLen(Constraint):
    """Texts and lists of at least `least` characters or items."""

    least: int

    def expected(self, value: Any) -> str:
        """The least length, unless the value is as long."""
        unit = "character" if isinstance(value, str) else "item"
        return f"at least {self.least} {unit}{'s' * (self.least > 1)}" if len(value) < self.least else ""


@dataclass(frozen=True, eq=False)
class Matches(Constraint):
    """Texts that a pattern covers whole."""

    pattern: str
    words: str
    """What they are."""

    def expected(self, value: Any) -> str:
        """The words, unless the pattern covers the value."""
        return "" if re.fullmatch(self.pattern, value) else self.words


@dataclass(frozen=True, eq=False)
class Within(Constraint):
    """What a budget allows, which a user can raise: a number itself, or what `measure` makes of a list."""

    budget: Budget
    measure: Callable[[Any], int] = int

    def expected(self, value: Any) -> str:
        """The limit, unless the value keeps it."""
        what = " values" if self.measure is len else ""
        return self.budget.expected() + what if self.measure(value) > self.budget.limit() else ""


@dataclass(frozen=True)
class Alias:
    """Another name of a field, such as one that it had in an earlier version: read for ever and never written."""

    name: str


WHEN_SET: Mapping[str, bool] = {"when set": True}
"""`field(default=..., metadata=WHEN_SET)`: written only where it isn't the default, so that files of before it keep their
bytes."""

AnyFloat = Annotated[float, "may be nan or infinite"]
"""A number that needn't be finite; written as the words `nan`, `inf` and `-inf`."""
PositiveInt = Annotated[int, Interval(ge=1)]
NonNegativeInt = Annotated[int, Interval(ge=0)]
PositiveFloat = Annotated[float, Interval(gt=0)]
NonNegativeFloat = Annotated[float, Interval(ge=0)]
Share = Annotated[float, Interval(ge=0, le=1)]
"""A part of a whole, or a probability: from 0 to 1."""
ProperShare = Annotated[float, Interval(ge=0, lt=1)]
"""A share that is never the whole, such as dropout."""
Seed = Annotated[int, Interval(ge=0, lt=1 << 62)]
Layers = Annotated[int, Interval(ge=1), Within(LAYERS)]
"""A model's number of blocks."""
StageLayers = Annotated[tuple[PositiveInt, ...], Within(LAYERS, sum)]
"""Blocks of each stage, which count together."""
Size = Annotated[int, Interval(ge=1), Within(SIZE)]
"""Any other number of a model: a width, a length, a vocabulary."""
Sizes = Annotated[tuple[Size, ...], Within(LAYERS, len)]
"""Widths or lengths of a model's layers."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Config:
    """Base of configurations: every subclass is a frozen, keyword-only dataclass, without a decorator of its own.

    A field that breaks a bound in its type raises `FieldError`, from a file and from Python alike.
    """

    def __init_subclass__(cls) -> None:
        """Makes the subclass a dataclass."""
        super().__init_subclass__()
        documented(dataclass(frozen=True, kw_only=True)(cls))

    def __post_init__(self) -> None:
        """Holds each field to its bounds, then the fields to each other."""
        check_bounds(type(self), vars(self))
        self.check()

    def check(self) -> None:
        """Rules that tie fields together, each a call of `require`; called when every field keeps its own bounds."""

    def require(self, name: str, expected: str, holds: bool) -> None:
        """Raises `FieldError` for the field `name`, which should be as `expected`, unless that holds."""
        if not holds:
            raise FieldError(name, f"expected {expected}, found {getattr(self, name)!r:.80}")


def check_bounds(cls: type, values: Mapping[str, Any]) -> None:
    """Hold values of a dataclass's fields to the bounds in their types. Raises `FieldError`, TypeError for types unread."""
    for name, hint in bounded_fields(cls):
        for inside, expected, found in _violations(hint, values[name]) if name in values else ():
            raise FieldError(name, f"expected {expected}, found {found!r:.80}", inside)


@functools.cache
def type_hints(cls: type) -> dict[str, Any]:
    """The types of a class's fields with what annotates them; read once, as that is slow."""
    return typing.get_type_hints(cls, include_extras=True)


@functools.cache
def bounded_fields(cls: type) -> tuple[tuple[str, Any], ...]:
    """Fields of a dataclass whose types bound their values, with these types."""
    hints = type_hints(cls)
    return tuple((each.name, hints[each.name]) for each in fields(cls) if _bounds(hints[each.name]))


def present_names(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of fields under their present names; those given under both stay, so that reading them refuses one."""
    names = aliases(cls)
    return {key if names.get(key, key) in values else names[key]: value for key, value in values.items()}


@functools.cache
def aliases(cls: type) -> dict[str, str]:
    """What the fields of a dataclass are called, by their other names."""
    hints = type_hints(cls)
    return {
        mark.name: each.name
        for each in fields(cls)
        for mark in typing.get_args(hints[each.name])
        if isinstance(mark, Alias)
    }


@functools.cache
def _bounds(hint: Any) -> bool:
    """Whether a type bounds its values; a number has to be finite."""
    arguments = typing.get_args(hint)
    if hint is float or hint == AnyFloat or typing.get_origin(hint) is Literal:
        return hint is float
    return any(isinstance(each, Constraint) or _bounds(each) for each in arguments)


def _violations(hint: Any, value: Any) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """Where a value of the right type breaks a bound: the way to it from the value, what was expected, what was found."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if not _bounds(hint):
        return
    if hint is float and not math.isfinite(value):
        yield (), "a finite number", value
    elif origin is Annotated:
        yield from (((), words, value) for each in arguments[1:] for words in _expected(each, value))
        yield from _violations(arguments[0], value)
    elif origin in (Union, types.UnionType):
        yield from next((_violations(each, value) for each in arguments if isinstance(value, _kinds(each))), ())
    elif origin is tuple and Ellipsis not in arguments and len(value) != len(arguments):
        yield (), f"a list of {len(arguments)} items", value
    elif origin is tuple or isinstance(value, Mapping):
        for step, item, inner in _items(arguments, value):
            yield from (((step, *inside), words, found) for inside, words, found in _violations(inner, item))


def _expected(mark: Any, value: Any) -> Iterator[str]:
    if isinstance(mark, Constraint) and (words := mark.expected(value)):
        yield words


def _items(arguments: tuple[Any, ...], value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Items of a list or a mapping with their places and their types."""
    if isinstance(value, Mapping):
        yield from ((key, item, arguments[1]) for key, item in value.items())
    elif arguments[1:] == (Ellipsis,):
        yield from ((index, item, arguments[0]) for index, item in enumerate(value))
    else:
        yield from ((index, item, arguments[index]) for index, item in enumerate(value))


def _kinds(hint: Any) -> tuple[type, ...]:
    """Classes of the values that one type of a union takes."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _kinds(arguments[0])
    if origin is Literal:
        return tuple({type(each) for each in arguments})
    return (int, float) if hint is float else (origin or hint,)


def _number(bound: float) -> str:
    """A bound in words: 1,048,576, and powers of two from 2^31 on as powers."""
    if isinstance(bound, int) and bound >= 1 << 31 and bound & (bound - 1) == 0:
        return f"2^{bound.bit_length() - 1}"
    return f"{bound:,}".removesuffix(".0")
