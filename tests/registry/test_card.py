from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.contract.schema import dump_yaml, parse_yaml
from zoo_core.errors import CardError, UsageError
from zoo_core.registry.card import (
    CARD_SCHEMA,
    Card,
    Reference,
    card_to_data,
    looks_like_path,
    natural_key,
    parse_card,
    parse_reference,
    valid_name,
)
from zoo_core.registry.catalogue import parse_registry
from zoo_core.registry.records import DataRecord, FileEntry, Metric

FUZZ = settings(max_examples=100, deadline=None, derandomize=True, database=None)
SHA = "0123456789abcdef" * 4
WEIGHTS = FileEntry(path="model.safetensors", sha256=SHA, size=12)
PLAIN: dict[str, Any] = {
    "name": "tiny.words",
    "version": 1,
    "plugin": "zoo-toy",
    "model": "zoo-toy/toy",
    "files": [{"path": "model.safetensors", "sha256": SHA, "size": 12}],
}
FULL = Card(
    name="toy_tiny.words-2",
    version=3,
    summary="a toy: small",
    plugin="zoo-toy",
    model="zoo-toy/toy",
    size="tiny",
    config={"width": 4, "rate": 0.1, "nested": {"kinds": ["a", "b"], "none": None}},
    task="sorting",
    modality="numbers",
    labels=("no", "yes", "1"),
    preprocessor=("words.json",),
    license="Apache-2.0",
    paper="Nobody, arXiv:0000.00000",
    files=(WEIGHTS, FileEntry(path="words.json", sha256="f" * 64, size=0)),
    parameters=7,
    parent=f"toy_tiny.words@sha256:{SHA}",
    data=DataRecord(name="words", digest="e" * 64, license="CC0", source="typed", splits={"train": 9, "test": 1}),
    recipe={"training": {"steps": 3, "lr": 1e-5}},
    seed=0,
    environment={"python": "3.11", "torch": "2.10"},
    metrics=(
        Metric(name="accuracy", value=0.5, data="words", split="test", seed=0, samples=1, baselines={"majority": 0.5}),
        Metric(name="perplexity", value=math.inf, data="words", split="test"),
    ),
    training={"steps": 3, "seconds": 0.5},
    notes="one\ntwo\n",
)


def refusal(changes: dict[str, Any]) -> CardError:
    text = dump_yaml({key: value for key, value in {**PLAIN, **changes}.items() if value != "DELETE"})
    document = parse_yaml(text, where="c.yaml", error=CardError)
    with pytest.raises(CardError) as caught:
        parse_card(document.data, document.where, document.lines)
    return caught.value


def test_a_card_round_trips_through_yaml_and_json() -> None:
    data = card_to_data(FULL)
    assert parse_card(parse_yaml(dump_yaml(data), where="c.yaml").data, "c.yaml") == FULL
    assert parse_card(json.loads(json.dumps(data, allow_nan=False)), "c.json") == FULL
    assert dump_yaml(card_to_data(parse_card(data, "c.yaml"))) == dump_yaml(data)


def test_defaults_are_left_out() -> None:
    metric = {"name": "a", "value": 0.5, "data": "b", "split": "c"}
    data = {**PLAIN, "data": {"name": "x", "digest": SHA}, "metrics": [metric]}
    card = parse_card(data, "c.yaml")
    assert card_to_data(card) == {"schema_version": 1, **data}
    assert (card.parameters, card.metrics[0].samples) == (0, 0)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ENTRIES = st.builds(
    FileEntry,
    path=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(0, 10**15),
)
CARDS = st.builds(
    Card,
    name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}(\.[a-z0-9][a-z0-9_-]{0,5})?", fullmatch=True),
    version=st.none() | st.integers(1, 99),
    summary=TEXTS,
    plugin=st.just("zoo-toy"),
    model=st.just("zoo-toy/toy"),
    config=st.dictionaries(
        TEXTS, st.none() | st.integers(0, 9) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
    ),
    labels=st.lists(TEXTS, unique=True, max_size=4).map(tuple),
    files=st.lists(ENTRIES, unique_by=lambda entry: entry.path.lower(), max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**62),
    metrics=st.lists(
        st.builds(Metric, name=TEXTS, value=st.floats(allow_nan=False), data=TEXTS, split=TEXTS), max_size=2
    ).map(tuple),
)


@FUZZ
@given(CARDS)
def test_any_card_round_trips(card: Card) -> None:
    text = dump_yaml(card_to_data(card))
    again = parse_card(parse_yaml(text, where="c.yaml").data, "c.yaml")
    assert again == card
    assert again.same_checkpoint(card)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sumary": "x"}, "c.yaml:7: sumary: unknown key\ndid you mean summary?"),
        ({"plugin": "DELETE"}, "c.yaml: plugin: missing; expected text"),
        ({"files": "DELETE"}, "c.yaml: files: missing; expected a list"),
        ({"version": "1"}, "c.yaml:2: version: expected a whole number, found '1'"),
        ({"labels": [1, 2]}, 'c.yaml:7: labels[0]: expected text, found the number 1\nquote it: "1"'),
        (
            {"environment": {"torch": 2.1}},
            'c.yaml:8: environment.torch: expected text, found the number 2.1\nquote it: "2.1"',
        ),
        (
            {"metrics": [{"name": "a", "data": "b", "split": "c"}]},
            "c.yaml:8: metrics[0].value: missing; expected a number",
        ),
    ],
)
def test_row_29_schema_errors_name_the_line(changes: dict[str, Any], message: str) -> None:
    assert str(refusal(changes)) == message


BAD_PATHS = [
    "../../x",
    "/etc/passwd",
    "~",
    "~/x",
    "file://x",
    "..\\x",
    "a/b",
    "http://169.254.169.254/x",
    "..",
    ".",
    ".x",
    "-x",
]


@pytest.mark.parametrize("path", [*BAD_PATHS, "", "a\n", "a\x00", "ä", "x" * 129, "a b", "a:b"])
def test_row_30_a_file_is_a_flat_name(path: str) -> None:
    wrong = refusal({"files": [{"path": path, "sha256": SHA, "size": 1}]})
    assert "files[0].path" in wrong.message
    assert wrong.message.startswith("c.yaml:6: ")


BAD_NAMES = [
    "",
    "a/b",
    "..",
    "a..b",
    "-a",
    ".a",
    "a.",
    "a.b.c",
    "A",
    "a b",
    "a\n",
    "a\x00",
    "a" * 129,
    "ä",
    "a@1",
    "a.-b",
    "_a",
    "~",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_row_31_names(name: str) -> None:
    assert not valid_name(name)
    assert refusal({"name": name}).message.startswith("c.yaml:1: name: ")
    if name not in ("a@1", "a/b"):  # a version, and a plugin or a layer in front
        with pytest.raises(UsageError):
            parse_reference(name)


def test_row_31_good_names() -> None:
    for name in ("bert", "bert_tiny.mlm-2", "0", "a" * 128, "a.b", "3d_unet.x"):
        assert valid_name(name)


def test_row_31_files_that_differ_only_in_case_are_refused() -> None:
    entries = [{"path": path, "sha256": SHA, "size": 1} for path in ("model.safetensors", "Model.safetensors")]
    assert "files: 'model.safetensors' occurs twice" in refusal({"files": entries}).message


@pytest.mark.parametrize(
    ("sha256", "size", "field"),
    [
        ("0" * 63, 1, "sha256"),
        ("0" * 65, 1, "sha256"),
        (SHA.upper(), 1, "sha256"),
        ("md5:" + "0" * 60, 1, "sha256"),
        ("sha256:" + SHA, 1, "sha256"),
        ("g" * 64, 1, "sha256"),
        ("", 1, "sha256"),
        (SHA, -1, "size"),
        (SHA, 1.0, "size"),
        (SHA, True, "size"),
    ],
)
def test_row_32_digests_and_sizes(sha256: str, size: Any, field: str) -> None:
    wrong = refusal({"files": [{"path": "model.safetensors", "sha256": sha256, "size": size}]})
    assert wrong.message.startswith(f"c.yaml:6: files[0].{field}: ")


def test_row_28_an_unquoted_digest_of_digits_is_refused() -> None:
    with pytest.raises(CardError, match=r"c\.yaml:1: .*quote it"):
        parse_yaml("sha256: " + "1" * 64, where="c.yaml", error=CardError)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": 0}, "version"),
        ({"parameters": -1}, "parameters"),
        ({"plugin": "Zoo_Toy"}, "plugin"),
        ({"plugin": "zoo-toy; rm -rf ."}, "plugin"),
        ({"model": "toy"}, "model"),
        ({"model": "zoo-other/toy"}, "model"),
        ({"model": "zoo-toy/../toy"}, "model"),
        ({"labels": ["a", "b", "a"]}, "labels"),
        ({"preprocessor": ["words.json"]}, "preprocessor"),
        ({"parent": "tiny.words"}, "parent"),
        ({"parent": "tiny.words@sha256:0123"}, "parent"),
        ({"parent": "../x@sha256:" + SHA}, "parent"),
        ({"data": {"name": "x", "digest": "1"}}, "data.digest"),
        ({"metrics": [{"name": "a", "value": 1, "data": "b", "split": "c", "samples": -1}]}, "metrics[0].samples"),
    ],
)
def test_impossible_values_are_refused(changes: dict[str, Any], field: str) -> None:
    assert f" {field}: " in refusal(changes).message


def test_row_36_a_future_schema_is_refused_before_anything_else() -> None:
    wrong = refusal({"schema_version": CARD_SCHEMA + 1, "name": "../x", "brand_new": 1})
    assert "newer zoo-core" in wrong.message
    assert "c.yaml:7: schema_version" in wrong.message
    assert "upgrade zoo-core" in wrong.hint
    for version in (0, "1", True, 1.0):
        assert "schema_version" in refusal({"schema_version": version}).message


def test_names_and_files_of_a_card() -> None:
    assert FULL.full_name == "toy_tiny.words-2@3"
    assert replace(FULL, version=None).full_name == "toy_tiny.words-2"
    assert FULL.weights == WEIGHTS
    assert FULL.file("words.json") == FULL.files[1]
    assert FULL.digest == SHA
    bare = replace(FULL, files=(), preprocessor=())
    assert bare.digest == ""
    with pytest.raises(CardError, match=r"toy_tiny\.words-2@3: no file 'model\.safetensors'"):
        _ = bare.weights


def test_what_makes_two_cards_one_checkpoint() -> None:
    assert FULL.same_checkpoint(replace(FULL, summary="other", metrics=(), notes="", version=9, files=FULL.files[::-1]))
    for other in (
        replace(FULL, labels=("yes", "no", "1")),
        replace(FULL, config={**FULL.config, "width": 5}),
        replace(FULL, files=(replace(WEIGHTS, sha256="1" * 64), FULL.files[1])),
        replace(FULL, name="other"),
    ):
        assert not FULL.same_checkpoint(other)


# References


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("a_b.c", Reference(name="a_b.c")),
        ("a@3", Reference(name="a", version=3)),
        ("a@sha256:01234567", Reference(name="a", digest_prefix="01234567")),
        (f"a@sha256:{SHA}", Reference(name="a", digest_prefix=SHA)),
    ],
)
def test_a_reference(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(reference) == text


BAD_REFERENCES = [
    "a@",
    "a@0",
    "a@-1",
    "a@1.0",
    "a@01",
    "a@latest",
    "a@1@2",
    "a@md5:01234567",
    "@1",
    "a @1",
    "a@1\n",
    "./a",
]
BAD_DIGESTS = ["", "0123456", "0123456G", "ABCDEF01", "0" * 65]


@pytest.mark.parametrize(
    "text", [*BAD_REFERENCES, "a@" + "9" * 5000, *(f"a@sha256:{digest}" for digest in BAD_DIGESTS)]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError, match="is not a checkpoint's name") as caught:
        parse_reference(text)
    assert "name@3" in caught.value.hint
    assert len(str(caught.value)) < 300


def test_a_reference_matches_by_name_version_and_digest() -> None:
    for text in ("toy_tiny.words-2", "toy_tiny.words-2@3", "toy_tiny.words-2@sha256:01234567"):
        assert parse_reference(text).matches(FULL)
    for text in ("toy_tiny.words", "toy_tiny.words-2@2", "toy_tiny.words-2@sha256:11234567"):
        assert not parse_reference(text).matches(FULL)
    assert not parse_reference("toy_tiny.words-2@sha256:01234567").matches(replace(FULL, files=(), preprocessor=()))


def test_paths() -> None:
    for text in ("./a", "a/b", "/a", "../a", ".", "~", "~/a", "a\\b", "file:a", "file:///a", ".hidden"):
        assert looks_like_path(text)
    for text in ("a", "a_b.c", "a@3", "a.b@sha256:01234567"):
        assert not looks_like_path(text)


def test_natural_order() -> None:
    names = ["bert_10", "bert_2.b", "bert_2", "bert", "2", "10", "bert_2.a10", "bert_2.a9", "a"]
    expected = ["2", "10", "a", "bert", "bert_2", "bert_2.a9", "bert_2.a10", "bert_2.b", "bert_10"]
    assert sorted(names, key=natural_key) == expected


# Registries


def registry(text: str) -> list[Card]:
    return parse_registry(parse_yaml(text, where="r.yaml", error=CardError))


def models(*cards: dict[str, Any]) -> str:
    return dump_yaml({"schema_version": 1, "models": list(cards)})


def test_a_registry() -> None:
    other = {**PLAIN, "version": 2}
    assert [card.full_name for card in registry(models(PLAIN, other))] == ["tiny.words@1", "tiny.words@2"]
    assert registry("{}") == registry("models: []") == []


def test_row_33_the_same_checkpoint_twice_counts_once_and_another_one_is_refused() -> None:
    assert len(registry(models(PLAIN, {**PLAIN, "summary": "again"}))) == 1
    changed = {**PLAIN, "files": [{"path": "model.safetensors", "sha256": "1" * 64, "size": 12}]}
    with pytest.raises(CardError, match=r"r\.yaml:9: models\[1\]: differs from the tiny\.words@1 on line 3"):
        registry(models(PLAIN, changed))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.yaml: expected a mapping"),
        ("[]", "r.yaml: expected a mapping"),
        ("models: {}", "r.yaml:1: models: expected a list"),
        ("models:", "r.yaml:1: models: expected a list"),
        ("\nmodel: []", "r.yaml:2: model: unknown key"),
        ("schema_version: 3\nmodel: []", "r.yaml:1: schema_version: written by a newer"),
        ("models:\n- 1", "r.yaml:2: models[0]: expected a mapping"),
        (models({**PLAIN, "version": None}), "r.yaml:4: models[0].version: missing"),
    ],
)
def test_a_malformed_registry_names_the_line(text: str, message: str) -> None:
    with pytest.raises(CardError) as caught:
        registry(text)
    assert caught.value.message.startswith(message)
