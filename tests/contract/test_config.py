from __future__ import annotations

import math
import pydoc
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, is_dataclass, replace
from typing import Annotated, Any, Literal

import pytest

from zoo_core.config.settings import Training
from zoo_core.contract import (
    Alias,
    Config,
    DataSpec,
    FieldError,
    Interval,
    Layers,
    MinLen,
    MultipleOf,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ProperShare,
    Seed,
    Share,
    Size,
    Sizes,
    StageLayers,
)
from zoo_core.contract.schema import AnyFloat, from_data, parse_yaml, to_data
from zoo_core.errors import RecipeError


class Everything(Config):
    """A configuration with a bound of every kind."""

    num_layers: Annotated[Layers, Alias("depth"), Alias("layers")] = 2
    num_heads: Annotated[PositiveInt, Alias("heads")] = 2
    width: Annotated[Size, MultipleOf(32)] = 64
    widths: Sizes = (1, 2)
    blocks: StageLayers = (1, 2)
    dropout: ProperShare = 0.1
    lr: PositiveFloat = 1.0
    seed: Seed = 0
    offset: float = 0.0
    steps: PositiveInt | None = None
    size: PositiveInt | Literal["auto"] = "auto"
    names: Annotated[tuple[str, ...], MinLen(1)] = ("a",)
    path: Annotated[str, MinLen(1)] = "p"
    betas: tuple[Share, NonNegativeFloat] = (0.0, 1.0)
    scale: tuple[Share, ...] | None = None
    weights: Mapping[str, Share] = field(default_factory=dict)
    best: AnyFloat = math.inf

    def check(self) -> None:
        self.require("width", f"a multiple of num_heads {self.num_heads}", self.width % self.num_heads == 0)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A dataclass of an author who doesn't know `Config`."""

    share: Share = 2.0
    inner: tuple[Everything, ...] = ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_layers": 0}, "num_layers: expected at least 1, found 0"),
        ({"num_layers": 513}, "num_layers: expected at most 512 (ZOO_MAX_LAYERS raises it), found 513"),
        ({"width": 33}, "width: expected a multiple of 32, found 33"),
        ({"width": 1 << 21}, "width: expected at most 1,048,576 (ZOO_MAX_SIZE raises it), found 2097152"),
        ({"widths": (3, 0)}, "widths[1]: expected at least 1, found 0"),
        ({"widths": (1,) * 513}, "widths: expected at most 512 (ZOO_MAX_LAYERS raises it) values, found (1, 1"),
        ({"blocks": (500, 13)}, "blocks: expected at most 512 (ZOO_MAX_LAYERS raises it), found (500, 13)"),
        ({"dropout": 1.0}, "dropout: expected at least 0 and below 1, found 1.0"),
        ({"lr": 0.0}, "lr: expected above 0, found 0.0"),
        ({"seed": 1 << 62}, "seed: expected at least 0 and below 2^62, found 4611686018427387904"),
        ({"steps": 0}, "steps: expected at least 1, found 0"),
        ({"size": 0}, "size: expected at least 1, found 0"),
        ({"names": ()}, "names: expected at least 1 item, found ()"),
        ({"path": ""}, "path: expected at least 1 character, found ''"),
        ({"betas": (0.5, -1.0)}, "betas[1]: expected at least 0, found -1.0"),
        ({"scale": (0.5, 1.5)}, "scale[1]: expected from 0 to 1, found 1.5"),
        ({"weights": {"a": 0.5, "b": -0.5}}, "weights.b: expected from 0 to 1, found -0.5"),
        ({"num_heads": 3}, "width: expected a multiple of num_heads 3, found 64"),
    ],
)
def test_a_field_keeps_its_bounds_from_a_file_and_from_python(values: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError) as direct:
        Everything(**values)
    with pytest.raises(RecipeError) as read:
        from_data(Everything, values, where="r.yaml", path=("model",))
    assert str(direct.value).startswith(message) and str(read.value).startswith(f"r.yaml: model.{message}")
    assert Everything() == from_data(Everything, {}, where="x")


@pytest.mark.parametrize(("name", "value"), [("lr", math.inf), ("offset", math.nan), ("offset", -math.inf)])
def test_numbers_are_finite_unless_their_type_says_otherwise(name: str, value: float) -> None:
    with pytest.raises(FieldError, match=f"^{name}: expected (a finite number|above 0), found"):
        Everything(**{name: value})  # type: ignore[arg-type]
    assert Everything(best=-math.inf).best == -math.inf


def test_bounds_of_any_dataclass_are_checked_with_file_line_and_path() -> None:
    document = parse_yaml("share: 0.5\ninner:\n  - {}\n  - betas: [0.5,\n      -1]\n", where="r.yaml")
    with pytest.raises(RecipeError, match=r"^r.yaml:\d: inner\[1\].betas\[1\]: expected at least 0, found -1.0"):
        from_data(Plain, document.data, where=document.where, lines=document.lines)
    with pytest.raises(RecipeError, match=r"^r.yaml: share: expected from 0 to 1, found 1.5"):
        from_data(Plain, {"share": 1.5}, where="r.yaml")


class Careless(Config):
    """Its author forgot what a configuration does when it is built."""

    width: PositiveInt = 1

    def __post_init__(self) -> None:
        """Does nothing."""


def test_bounds_hold_in_a_file_whatever_a_configuration_does_when_it_is_built() -> None:
    with pytest.raises(RecipeError, match=r"^r.yaml: width: expected at least 1, found 0"):
        from_data(Careless, {"width": 0}, where="r.yaml")


def test_a_configuration_is_a_frozen_dataclass_of_keywords() -> None:
    config = Everything(steps=3)
    assert is_dataclass(config) and replace(config, steps=4) == Everything(steps=4)
    with pytest.raises(FrozenInstanceError):
        config.steps = 5  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        Everything(3)  # type: ignore[misc]
    with pytest.raises(FieldError, match="steps"):
        replace(config, steps=0)


def test_a_budget_is_asked_when_a_configuration_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_LAYERS", "1000")
    assert Everything(num_layers=900).num_layers == 900
    with pytest.raises(FieldError, match="expected at most 1,000 "):
        Everything(num_layers=1001)


def test_words_of_intervals() -> None:
    assert str(Interval(gt=0, le=1)) == "above 0 and at most 1" and str(Interval(ge=4, le=8192)) == "from 4 to 8,192"
    assert str(Interval(lt=2)) == "below 2"


def test_a_field_is_read_by_its_earlier_names_and_written_by_its_own() -> None:
    for old in ("depth", "layers", "num_layers"):
        read = from_data(Everything, {old: 3, "heads": 4}, where="x")
        assert read == Everything(num_layers=3, num_heads=4)
        assert to_data(read).keys() >= {"num_layers", "num_heads"} and not to_data(read).keys() & {"depth", "heads"}
    for both in ({"depth": 3, "num_layers": 3}, {"num_layers": 3, "depth": 3}):
        with pytest.raises(RecipeError, match="depth: given twice, also as num_layers"):
            from_data(Everything, both, where="x")
    with pytest.raises(RecipeError, match="given twice, also as num_layers"):
        from_data(Everything, {"depth": 3, "layers": 3}, where="x")
    with pytest.raises(RecipeError, match="num_layers: expected at least 1, found 0"):
        from_data(Everything, {"depth": 0}, where="x")


def test_help_shows_what_stands_below_each_field() -> None:
    shown = pydoc.plain(pydoc.render_doc(Training))
    assert "batch_size: PositiveInt = 32" in shown and "Samples per optimizer step" in shown
    spec = pydoc.plain(pydoc.render_doc(DataSpec))
    assert spec.index("Unique within its plugin and kind") < spec.index("What its samples are"), (
        "a base's fields come first"
    )
    assert type("Bare", (Config,), {"__annotations__": {"width": "int"}}).__doc__ == "Bare(*, width: 'int')", (
        "without source there is nothing more"
    )
