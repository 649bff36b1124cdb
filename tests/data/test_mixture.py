"""Several data sets as one: what a recipe may say, what an epoch has of each, what goes to the card, and what is refused."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import train
from zoo_core.config.components import open_data, open_with_sources
from zoo_core.config.recipe import Component, load_recipe
from zoo_core.contract.data import Data, Portion
from zoo_core.data.mixture import joined
from zoo_core.data.sampling import Weighted
from zoo_core.errors import DataError, PluginError, RecipeError, UnknownName, UsageError
from zoo_core.plugins.discovery import installed
from zoo_core.plugins.fetched import fetched_parts
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight.setup import prepare
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.runs.publish import data_record
from zoo_core.testing.sites import on_path, write_plugin
from zoo_core.training.hardware import Hardware


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return toy_zoo(tmp_path_factory.mktemp("home"))


def mixed(*parts: Mapping[str, Any], labels: Sequence[str] = (), **training: Any) -> dict[str, Any]:
    made = recipe("single", **training)
    return {
        **made,
        "data": {"name": "mixture", "parts": [{"name": "points", **part} for part in parts], "labels": labels},
    }


def opened(zoo: Zoo, *parts: Mapping[str, Any], labels: Sequence[str] = ()) -> Data:
    data = load_recipe(mixed(*parts, labels=labels), [], zoo.host).data
    return open_data(data.provided, data.config, zoo.host)


def test_splits_are_joined_part_after_part_and_counted(zoo: Zoo) -> None:
    data = opened(zoo, {"samples": 8}, {"samples": 6, "weight": 0.5})
    first, second = opened(zoo, {"samples": 8}), opened(zoo, {"samples": 6})
    for split in ("train", "validation", "test"):
        assert list(data.samples(split)) == [*first.samples(split), *second.samples(split)]
    assert data.labels == ("inner", "outer") and data.portions == (Portion(8, 1.0), Portion(6, 0.5))
    assert data.notices[:2] == (
        "train is 8 of part 1 (zoo-toys/points) and 6 of part 2 (zoo-toys/points)",
        "validation is 8 of part 1 (zoo-toys/points) and 6 of part 2 (zoo-toys/points)",
    )
    assert len({data.digest(), first.digest(), opened(zoo, {"samples": 6}, {"samples": 8}).digest()}) == 3


def test_a_recipe_resolves_each_part_as_a_section_of_its_own(zoo: Zoo) -> None:
    resolved = load_recipe(mixed({"samples": 8}, {"weight": 2}), ["data.parts.0.jitter=0.5"], zoo.host)
    first, second = resolved.to_data()["data"]["parts"]
    assert first["name"] == "zoo-toys/points" and first["jitter"] == 0.5 and first["max_bad"] == 0.05
    assert first["weight"] == 1 and second["weight"] == 2 and second["samples"] == 64
    assert load_recipe(resolved.to_data(), [], zoo.host) == resolved


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"parts": []}, r"data\.parts: expected at least 1 item"),
        ({"parts": [{"weight": 1}]}, r"data\.parts\[0\]\.name: expected the name of a data set, found None"),
        ({"parts": [{"name": "points", "weight": 0}]}, r"data\.parts\[0\]\.weight: expected a number above 0"),
        ({"parts": [{"name": "points", "weight": "much"}]}, r"parts\[0\]\.weight: expected .*, found 'much'"),
        ({"parts": [{"name": "points", "sample": 8}]}, r"data\.parts\[0\]\.sample: unknown key"),
        ({"parts": [{"name": "points"}, {"name": "frames"}]}, "one type, found several: .*points is point .*, .*frames is frames"),
        ({"parts": [{"name": "frames"}]}, r"reads point \(place, label\); zoo-core/mixture has frames \(frames, symbols\)"),
        ({"parts": [{"name": "mixture", "parts": [{"name": "points"}]}]}, r"data\.parts\[0\]: zoo-core/mixture is made of parts"),
    ],
)  # fmt: skip
def test_a_mixture_that_can_not_be_is_refused_with_its_place(zoo: Zoo, section: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe({**recipe("single"), "data": {"name": "mixture", **section}}, [], zoo.host)


def test_a_part_that_nobody_has_is_named_with_its_line(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="points"):
        load_recipe(mixed({}), ["data.parts.0.name=point"], zoo.host)
    written = load_recipe(mixed({"samples": 8}), [], zoo.host).to_yaml().replace("samples: 8", "samples: eight")
    (tmp_path / "r.yaml").write_text(written)
    line = written[: written.index("samples: eight")].count("\n") + 1
    with pytest.raises(RecipeError, match=rf"r\.yaml:{line}: data\.parts\[0\]\.samples: expected a whole number"):
        load_recipe(str(tmp_path / "r.yaml"), [], zoo.host)


def test_classes_are_those_of_all_parts_or_stated(zoo: Zoo) -> None:
    turned = opened(zoo, {"labels": ["inner", "outer"]}, {"labels": ["outer", "inner"]})
    assert turned.labels == ("inner", "outer")
    with pytest.raises(
        DataError, match=r"part 2 .*: its classes aren't those of part 1 .*: it has far and lacks outer"
    ) as caught:
        opened(zoo, {}, {"labels": ["inner", "far"]})
    assert caught.value.hint.endswith("state them: data.labels=['inner', 'outer', 'far']")
    data = opened(zoo, {}, {"labels": ["inner", "far"]}, labels=["far", "outer", "inner"])
    assert data.labels == ("far", "outer", "inner")
    with pytest.raises(DataError, match=r"part 2 .* aren't those of the stated labels: it has far"):
        opened(zoo, {}, {"labels": ["inner", "far"]}, labels=["outer", "inner"])


def test_weights_say_how_often_an_epoch_has_each_sample() -> None:
    order = Weighted(np.repeat([0, 1, 2], [4, 6, 5]), (2, 0.5, 1))
    drawn = [Counter(order(7, epoch).tolist()) for epoch in (0, 1)]
    for found in drawn:
        assert all(found[place] == 2 for place in range(4)) and all(found[place] == 1 for place in range(10, 15))
        assert sum(found[place] for place in range(4, 10)) == 3 and found.total() == 16
    assert drawn[0] != drawn[1] and not np.array_equal(order(7, 0), order(8, 0))
    assert np.array_equal(order(7, 0), order(7, 0))
    assert len(Weighted(np.zeros(3, int), (1e-3,))(0, 0)) == 1


def test_a_mixture_without_weights_is_trained_on_as_the_whole_would_be(zoo: Zoo, tmp_path: Path) -> None:
    parts = [
        prepare(
            load_recipe(made, [], zoo.host), zoo.host, Hardware(load_recipe(made, [], zoo.host).training), None, None
        )
        for made in (mixed({"samples": 64}), recipe("single"))
    ]
    assert [one.plan.batches() for one in parts] == [4, 4] and parts[0].plan.order is None
    assert all(np.array_equal(*pair) for pair in zip(*(one.plan.epoch(3) for one in parts), strict=True))
    assert final_digest(train(mixed({"samples": 64}), folder=tmp_path / "a", zoo=zoo).folder) == final_digest(
        train(recipe("single"), folder=tmp_path / "b", zoo=zoo).folder
    )


def test_weights_change_the_length_of_an_epoch_and_the_run(zoo: Zoo) -> None:
    made = mixed({"weight": 2, "jitter": 0.1}, {"samples": 32, "weight": 0.5}, steps=None, epochs=1, batch_size=16)
    resolved = load_recipe(made, [], zoo.host)
    parts = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
    assert parts.steps == (2 * 64 + 16) // 16
    met = Counter(np.concatenate([*parts.plan.epoch(0)]).tolist())
    assert all(met[place] == 2 for place in range(64)) and sum(met[place] for place in range(64, 96)) == 16


def test_what_was_mixed_stands_on_the_card(zoo: Zoo, tmp_path: Path) -> None:
    result = train(mixed({"samples": 32}, {"samples": 16, "weight": 2}), folder=tmp_path / "run", zoo=zoo)
    record = result.card.data
    assert record is not None and record.name == "zoo-core/mixture" and record.splits["train"] == 48
    digests = [opened(zoo, {"samples": count}) for count in (32, 16)]
    named = [f"zoo-toys/points@sha256:{one.parts[0].data.digest()}" for one in digests]  # type: ignore[attr-defined]
    assert record.source.split("; ") == named
    told = "32 of the 32 training samples of part 1 (weight 1), 32 of the 16 training samples of part 2 (weight 2)"
    assert f"an epoch has 64 draws: {told}" in result.card.notes.splitlines()


def test_parts_that_are_read_late_stay_so() -> None:
    samples = joined([range(3), [7, 8], range(10, 12)])
    assert len(samples) == 7 and list(samples) == [0, 1, 2, 7, 8, 10, 11] and samples[-1] == 11
    assert samples[2:5] == [2, 7, 8] and isinstance(joined([[1], [2]]), list)
    with pytest.raises(IndexError):
        samples[7]


PLUGIN = """
from zoo_core import DataSpec, SampleType, hookimpl
zoo_api = (2, 0)

@hookimpl
def zoo_data():
    point = SampleType(name="point", fields=("place", "label", "sound"))
    common = {"summary": "", "samples": point, "license": "CC0-1.0", "modality": "points"}
    far = {"files": {"a": "0" * 64}, "fetch": "zoo_more.read:fetch"}
    return [DataSpec(name="both", target="zoo_more.read:both", opens=("zoo-toys/points", "far", "own"), **common),
            DataSpec(name="own", target="zoo_more.read:own", source="a field", **common),
            DataSpec(name="sly", target="zoo_more.read:sly", opens=("far",), **common),
            DataSpec(name="far", target="zoo_more.read:far", **far, **common)]
"""
READ = """
from zoo_toys.parts import Points
from zoo_toys.plugin import PointsConfig

def both(config, context):
    context.open("own", {})
    return context.open("points", {"samples": 4})

def own(config):
    return Points(PointsConfig(samples=2))

def sly(config, context):
    return context.open("zoo-toys/points", {})
"""


def test_a_data_set_opens_others_that_its_spec_lists(tmp_path: Path) -> None:
    write_plugin(tmp_path / "site", "zoo-more", PLUGIN, modules={"read.py": READ})
    with on_path(tmp_path / "site"):
        importlib.invalidate_caches()
        more = installed([str(tmp_path / "site")])
        host = PluginHost([EntryPoint("zoo-toys", "zoo_toys.plugin", "zoo.plugins"), *more])
        both = host.find("data", "both")
        data, sources = open_with_sources(both, both.config(), host)
        assert len(data.samples("train")) == 4
        assert [one.id for one in sources] == ["zoo-more/own", "zoo-toys/points"]
        assert sources[1].digest == data.digest()
        record = data_record(Component(provided=both, config=both.config()), data, data.digest(), sources)
        assert (record.license, record.licenses) == ("CC0-1.0", {"zoo-more/own": "CC0-1.0"})
        words = [f"zoo-more/own@sha256:{sources[0].digest}: a field", f"zoo-toys/points@sha256:{data.digest()}"]
        assert record.source == "; ".join(words)
        assert [part.id for part in fetched_parts(both, host)] == ["zoo-more/far"]
        sly = host.find("data", "sly")
        with pytest.raises(
            PluginError, match="zoo-more/sly: opens zoo-toys/points, which its spec doesn't list"
        ) as caught:
            open_data(sly, sly.config(), host)
        assert caught.value.hint == "opens: zoo-more/far"


def test_streams_are_reserved(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match="Mixture: data can't be streamed yet"):
        opened(zoo, {}).stream("train", (0, 0))
