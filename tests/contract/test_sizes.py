"""Numbers that no model has are refused by name for every model there is, before anything is allocated."""

from __future__ import annotations

import dataclasses
import time
import typing
from contextlib import suppress
from typing import Any

import pytest

from zoo_core import Head
from zoo_core.contract.schema import from_data
from zoo_core.errors import ZooError
from zoo_core.models.build import build_shapes
from zoo_core.plugins.host import RegisteredComponent
from zoo_core.registry.zoo import open_zoo
from zoo_core.testing import peak_memory

HUGE = 10**9
UNSIZED = {
    "min_frequency": "a tokenizer's threshold of a count: no word is that frequent, and none gets a token",
    "suppressed": "token ids that are looked up among those there are",
    "suppressed_first": "token ids that are looked up among those there are",
}
"""Fields that may be huge because nothing is as large as they say, with the reason."""


def models() -> list[RegisteredComponent]:
    return [
        one for one in open_zoo().host.all("model") if one.plugin in ("zoo-nlp", "zoo-vision", "zoo-speech", "zoo-gan")
    ]


def integers(config: type[Any]) -> list[tuple[str, bool]]:
    """Names of the fields that hold whole numbers, and whether they hold several."""
    hints = typing.get_type_hints(config)
    found = []
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        several = typing.get_origin(hint) is tuple and int in typing.get_args(hint)
        if several or hint is int or int in typing.get_args(hint):
            found.append((field.name, several))
    return found


def cases() -> list[Any]:
    """Each field of each model and of its preprocessor: the dataclass, the smallest values known, name, several."""
    found = {}
    for provided in models():
        smallest = dict(next(iter(provided.spec.sizes.values()), {"architecture": "swin_tiny_patch4_window7_224"}))
        for config, values in ((provided.config, smallest), (provided.preprocessor_config, {})):
            for name, several in (pair for pair in integers(config) if pair[0] not in UNSIZED):
                found[f"{provided.plugin}/{config.__name__}.{name}"] = (config, values, name, several)
    return [pytest.param(*case, id=place) for place, case in found.items()]


@pytest.mark.parametrize(("config", "values", "name", "several"), cases())
def test_a_number_that_no_model_has_is_refused_by_its_field(
    config: type[Any], values: dict[str, Any], name: str, several: bool
) -> None:
    default = getattr(from_data(config, values, where="model"), name)
    began, before = time.monotonic(), peak_memory()
    with pytest.raises(ZooError, match=name):
        from_data(config, {**values, name: [HUGE, *default[1:]] if several else HUGE}, where="model")
    assert time.monotonic() - began < 5
    assert peak_memory() - before < 64 << 10


@pytest.mark.parametrize("provided", [pytest.param(one, id=one.id) for one in models() if one.spec.sizes])
def test_the_largest_numbers_that_are_allowed_cost_shapes_alone(provided: RegisteredComponent) -> None:
    host = open_zoo().host
    values = dict(next(iter(provided.spec.sizes.values())))
    build_shapes(host, provided, from_data(provided.config, values, where="model"), Head())  # imports what is needed
    for name, several in integers(provided.config):
        default = getattr(from_data(provided.config, values, where="model"), name)
        huge = [1 << 20, *default[1:]] if several else 1 << 20
        began, before = time.monotonic(), peak_memory()
        # As many blocks, and widths that are no multiple of something, are errors.
        with suppress(ZooError):
            config = from_data(provided.config, {**values, name: huge}, where="model")
            build_shapes(host, provided, config, Head(task=provided.spec.tasks[0]))
        assert time.monotonic() - began < 5, name
        assert peak_memory() - before < 256 << 10, name


def test_blocks_of_all_stages_count_together() -> None:
    provided = next(one for one in models() if one.id == "zoo-gan/r3gan")
    with pytest.raises(
        ZooError, match=r"blocks: expected at most 512 \(ZOO_MAX_LAYERS raises it\) in all stages, found \(200,\)"
    ):
        from_data(provided.config, {"image_size": 32, "blocks": [200]}, where="model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depths": [500, 500, 1, 1]}, r"depths: expected at most 512 \(ZOO_MAX_LAYERS raises it\)"),
        ({"depths": [1] * 1000}, "depths: expected at most 512 .* numbers, found 1,000"),
        ({"embed_dim": HUGE}, "embed_dim: expected at most 1,048,576"),
        ({"embed_dim": [96, [-HUGE]]}, "embed_dim: expected at most 1,048,576"),
        ({"block_args": {"num_stages": HUGE}}, "num_stages: expected at most 512"),
        ({"img_size": 16384}, "would compute masks and positions of 1,199,443,560 numbers"),
        ({"img_size": [16384, 16384]}, "would compute masks and positions of 1,199,443,560 numbers"),
    ],
)
def test_arguments_of_another_library_are_bounded_as_well(arguments: dict[str, Any], message: str) -> None:
    host = open_zoo().host
    provided = next(one for one in host.all("model") if one.id == "zoo-vision/timm")
    with pytest.raises(ZooError, match=message):
        values = {"architecture": "swin_tiny_patch4_window7_224", "model_args": arguments}
        build_shapes(host, provided, from_data(provided.config, values, where="model"), Head())
