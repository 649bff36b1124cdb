from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.contract.schema import (
    AnyFloat,
    FieldError,
    dump_yaml,
    from_data,
    locate,
    merge,
    parse_override,
    parse_yaml,
    set_path,
    to_data,
)
from zoo_core.errors import CardError, PluginError, RecipeError

FUZZ = settings(max_examples=200, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    name: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise FieldError("lr", "must be above 0")
        if self.betas[0] > self.betas[1]:
            raise ValueError("betas must rise")


@dataclass(frozen=True, kw_only=True)
class Run:
    name: str
    steps: int
    compile: bool = False
    notes: str | None = None
    optimizer: Optimizer = Optimizer()
    more: tuple[Optimizer, ...] = ()
    metrics: Mapping[str, AnyFloat] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    size: int | Literal["auto"] | None = None
    either: float | int | str = 0


@dataclass(frozen=True)
class Answer:
    format: Literal["", "srt"] = ""


@dataclass(frozen=True)
class Strange:
    values: set[str]


@dataclass(frozen=True)
class Unresolved:
    value: NoSuchType  # type: ignore[name-defined]  # noqa: F821


TEXT = """\
name: a
steps: 10
optimizer:
  lr: 1e-2
more:
  - {lr: 1}
  -
    name: sgd
    betas: [0.5, 0.9]
"""


def built(text: str) -> Run:
    document = parse_yaml(text, where="r.yaml")
    return from_data(Run, document.data, where=document.where, lines=document.lines)


def refusal(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        built(text)
    return str(caught.value)


def test_plain_data_becomes_typed() -> None:
    run = built(TEXT)
    assert run == Run(
        name="a",
        steps=10,
        optimizer=Optimizer(lr=0.01),
        more=(Optimizer(lr=1.0), Optimizer(name="sgd", betas=(0.5, 0.9))),
    )
    assert type(run.more[0].lr) is float
    assert type(run.more[1].betas) is tuple


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("more:\n  - lr: x", "r.yaml:4: more[0].lr: expected a number, found 'x'"),
        ("compile: 1", "r.yaml:3: compile: expected true or false, found the number 1"),
        ("compile: 'true'", "r.yaml:3: compile: expected true or false, found 'true'"),
        ("notes: 1.10", 'r.yaml:3: notes: expected text, found the number 1.1\nquote it: "1.1"'),
        ("notes: true", "r.yaml:3: notes: expected text, found true"),
        ("optimizer: adamw", "r.yaml:3: optimizer: expected a mapping, found 'adamw'"),
        ("optimizer:", "r.yaml:3: optimizer: expected a mapping, found nothing"),
        ("optimizer: {betas: [1]}", "r.yaml:3: optimizer.betas: expected a list of 2 items, found a list of 1"),
        ("optimizer: {lr: .nan}", "r.yaml:3: optimizer.lr: expected a number, found '.nan'"),
        ("optimizer: {lr: nan}", "r.yaml:3: optimizer.lr: expected a number, found 'nan'"),
        ("optimizer: {lr: true}", "r.yaml:3: optimizer.lr: expected a number, found true"),
        ("optimizer: {lr: 0}", "r.yaml:3: optimizer.lr: must be above 0"),
        ("optimizer: {betas: [0.9, 0.1]}", "r.yaml:3: optimizer: betas must rise"),
        (
            "optimizer: {name: adamq}",
            "r.yaml:3: optimizer.name: expected one of adamw, sgd, found 'adamq'\ndid you mean adamw?",
        ),
        ("more: {}", "r.yaml:3: more: expected a list, found a mapping"),
        ("more: [1]", "r.yaml:3: more[0]: expected a mapping, found the number 1"),
        ("metrics: {loss: low}", "r.yaml:3: metrics.loss: expected a number, found 'low'"),
        ("size: 1.5", "r.yaml:3: size: expected a whole number or auto or nothing, found the number 1.5"),
        ("optimiser: {}", "r.yaml:3: optimiser: unknown key\ndid you mean optimizer"),
        ("optimizer: {betta: 1}", "r.yaml:3: optimizer.betta: unknown key\ndid you mean betas?"),
    ],
)
def test_row_29_messages_name_file_line_path_and_a_way_out(change: str, message: str) -> None:
    assert refusal(f"name: a\nsteps: 1\n{change}\n").startswith(message)


def test_an_empty_choice_is_shown_as_one() -> None:
    with pytest.raises(RecipeError, match="format: expected one of \"\", srt, found 'str'"):
        from_data(Answer, {"format": "str"}, where="options")


def test_row_29_a_whole_number_is_not_a_float_a_bool_or_text() -> None:
    for value in ("1.0", "true", "'1'", "1e3", "null", "[1]"):
        assert "r.yaml:2: steps: expected a whole number" in refusal(f"name: a\nsteps: {value}\n")


def test_row_29_a_missing_key_is_named() -> None:
    assert refusal("steps: 1\n") == "r.yaml: name: missing; expected text"


def test_the_top_must_be_a_mapping() -> None:
    assert refusal("[1]") == "r.yaml: expected a mapping, found a list of 1"
    assert refusal("") == "r.yaml: expected a mapping, found nothing"


def test_row_56_numbers_that_are_not_finite_are_refused_unless_the_type_says_otherwise() -> None:
    for value in (math.nan, math.inf, -math.inf, 10**400, -(10**400)):
        with pytest.raises(RecipeError, match=r"lr: expected a number"):
            from_data(Optimizer, {"lr": value}, where="x")
    run = built("name: a\nsteps: 1\nmetrics: {a: nan, b: inf, c: -inf, d: 2}\n")
    assert math.isnan(run.metrics["a"])
    assert [run.metrics[key] for key in "bcd"] == [math.inf, -math.inf, 2.0]
    assert to_data(run)["metrics"] == {"a": "nan", "b": "inf", "c": "-inf", "d": 2.0}


def test_unions_take_the_value_as_it_is() -> None:
    assert built("name: a\nsteps: 1\nsize: auto").size == "auto"
    assert built("name: a\nsteps: 1\nsize: 3").size == 3
    assert built("name: a\nsteps: 1\nsize:").size is None
    for value, kind in (("3", int), ("3.0", float), ("x", str)):
        assert type(built(f"name: a\nsteps: 1\neither: {value}").either) is kind


def test_the_error_class_and_the_place_are_the_callers() -> None:
    document = parse_yaml("runs:\n  - name: a\n    steps: x\n", where="c.yaml")
    with pytest.raises(CardError, match=r"^c\.yaml:3: runs\[0\]\.steps: expected"):
        from_data(
            Run, document.data["runs"][0], where="c.yaml", lines=document.lines, path=("runs", 0), error=CardError
        )


@pytest.mark.parametrize("cls", [Strange, Unresolved])
def test_a_type_hint_without_meaning_is_the_plugins_fault(cls: type) -> None:
    with pytest.raises(PluginError, match=cls.__name__):
        from_data(cls, {}, where="x")


def test_locate() -> None:
    lines = {("a",): 1, ("a", 0): 2}
    assert locate("f", ("a", 0, "b"), lines) == "f:2: a[0].b"
    assert locate("f") == "f"
    assert locate("", ("a", "b")) == "a.b"
    assert locate("f", ("z",), lines) == "f: z"


def test_to_data_round_trip() -> None:
    run = built(TEXT)
    data = to_data(run)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert from_data(Run, data, where="x") == run
    assert from_data(Run, parse_yaml(dump_yaml(data), where="x").data, where="x") == run


def test_to_data_gives_plain_floats() -> None:
    assert type(to_data(np.float64(0.5))) is float
    assert to_data((np.float64("nan"), -math.inf)) == ["nan", "-inf"]


@pytest.mark.parametrize("value", [object(), {1: 2}, b"x", Run, {"a": {1}}], ids=range(5))
def test_to_data_refuses_what_is_not_plain(value: object) -> None:
    with pytest.raises(ValueError, match="plain data"):
        to_data(value)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
RUNS = st.builds(
    Run,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    steps=st.integers(-(10**19), 10**19),
    compile=st.booleans(),
    notes=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    optimizer=st.builds(Optimizer, lr=FLOATS.filter(lambda lr: lr > 0), name=st.sampled_from(["adamw", "sgd"])),
    more=st.lists(st.builds(Optimizer), max_size=3).map(tuple),
    metrics=st.dictionaries(st.text("abc_"), st.floats(allow_nan=False)),
    size=st.none() | st.just("auto") | st.integers(0, 9),
    either=FLOATS | st.integers(0, 9) | st.text("abc1.", max_size=4),
)


@FUZZ
@given(RUNS)
def test_a_dataclass_survives_the_way_through_yaml(run: Run) -> None:
    again = from_data(Run, parse_yaml(dump_yaml(to_data(run)), where="x").data, where="x")
    assert again == run
    assert type(again.either) is type(run.either)


def test_merge_goes_mapping_by_mapping_and_changes_nothing() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1], "e": {"f": 1}}
    over = {"a": {"c": 3, "g": 4}, "d": [2], "e": None, "h": 5}
    assert merge(base, over) == {"a": {"b": 1, "c": 3, "g": 4}, "d": [2], "e": None, "h": 5}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1], "e": {"f": 1}}
    assert over == {"a": {"c": 3, "g": 4}, "d": [2], "e": None, "h": 5}


def test_set_path() -> None:
    data: dict[str, Any] = {"a": {"b": 1}, "c": [{"d": 1}, 2], "n": None}
    for path, value in (("a.b", 2), ("a.x.y", 3), ("c.0.d", 4), ("c.1", 5), ("new", 6), ("n.o", 7)):
        set_path(data, path, value)
    assert data == {"a": {"b": 2, "x": {"y": 3}}, "c": [{"d": 4}, 5], "n": {"o": 7}, "new": 6}


@pytest.mark.parametrize("path", ["a.b.c", "c.2", "c.x", "c.-1", "", "a..b", "a."])
def test_set_path_refuses_a_way_that_leads_nowhere(path: str) -> None:
    with pytest.raises(RecipeError, match="there is no"):
        set_path({"a": {"b": 1}, "c": [1, 2]}, path, 0)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("training.lr=1e-3", "training.lr", 1e-3),
        ("a.b_c-d.0=3", "a.b_c-d.0", 3),
        ("a=true", "a", True),
        ("a=null", "a", None),
        ("a=", "a", ""),
        ("a = x y ", "a", "x y"),
        ("a=b=c", "a", "b=c"),
        ("a=C:\\data: x # y", "a", "C:\\data: x # y"),
        ("a=*.txt", "a", "*.txt"),
        ("a=~/data", "a", "~/data"),
        ("a='no'", "a", "no"),
        ('a="1"', "a", "1"),
        ("a='tis", "a", "'tis"),
        ('a=[1, "b", c, 1e-2]', "a", [1, "b", "c", 0.01]),
        ('a={"b":1,"c":[true,null]}', "a", {"b": 1, "c": [True, None]}),
        ("a={b: {c: d}}", "a", {"b": {"c": "d"}}),
    ],
)
def test_an_override(text: str, path: str, value: object) -> None:
    found = parse_override(text)
    assert found == (path, value)
    assert type(found[1]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "=1",
        ".a=1",
        "a.=1",
        "a b=1",
        "-a=1",
        "a=no",
        "a=010",
        "a=[1",
        "a=[no]",
        "a={x: 1, x: 2}",
        "a='b' c'",
        "a=[*x]",
    ],
)
def test_an_override_that_can_not_be_read(text: str) -> None:
    with pytest.raises(RecipeError, match="override"):
        parse_override(text)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | FLOATS
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=10,
)


@FUZZ
@given(PLAIN)
def test_any_value_can_be_given_as_inline_json(value: Any) -> None:
    path, found = parse_override(f"a.b={json.dumps(value, ensure_ascii=False)}")
    assert path == "a.b"
    assert json.dumps(found) == json.dumps(value)
