from __future__ import annotations

import math
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zoo_core.contract.yamltext import MAX_BYTES, MAX_DEPTH, dump_yaml, parse_scalar, parse_yaml
from zoo_core.errors import CardError, RecipeError, ZooError

FUZZ = settings(max_examples=250, deadline=None, derandomize=True, database=None)

AWKWARD = r"""null true false yes No on ~ 010 0x10 1_0 12:30:45 1e3 .5 1. - -a a: a:b #a a#b a\b <<= & * ! | > % @ ` {a} [b]
2024-01-01 y N .inf .nan nan = ,a a, '' "" ?a ? -- --- ... 1.10 4fc82b 1234567e8"""
UNSEEN = ["\ufeff", "\x85", "\u2028", "\x1b[0m", "\x00", "\ue000", "\U0001f600", "a\xa0b"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(AWKWARD.split() + UNSEEN)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.lists(TEXTS, min_size=2, max_size=4).map("\n".join)
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | TEXTS
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


def data_of(text: str | bytes) -> Any:
    return parse_yaml(text, where="f.yaml").data


def refusal(text: str | bytes, error: type[ZooError] = RecipeError) -> ZooError:
    with pytest.raises(error) as caught:
        parse_yaml(text, where="f.yaml", error=error)
    assert str(caught.value).startswith("f.yaml")
    return caught.value


def identical(left: Any, right: Any) -> bool:
    """Equal in type too, at every depth: 1, 1.0 and True are three things."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(identical(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(identical, left, right))
    return bool(left == right)


# Scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("12345678901234567890", 12345678901234567890),
        ("1e-3", 1e-3),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("0.10", 0.1),
        ("word", "word"),
        ("y", "y"),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        (".nan", ".nan"),
        ("nan", "nan"),
        (".inf", ".inf"),
        ("3x", "3x"),
        ("1e", "1e"),
    ],
)
def test_an_unquoted_word_means_one_thing(text: str, value: object) -> None:
    assert identical(parse_scalar(text), value)


DOUBTFUL = """~ yes Yes NO on off OFF True TRUE False Null NULL 010 0x10 0X1F 0o17 0b11 1_000 1_0.5 12:30:45 1:30 00 -01 00.5
1e999 01e5"""


@pytest.mark.parametrize(
    "word",
    [*DOUBTFUL.split(), "9" * 64, "123e" + "4" * 60, "1." + "0" * 40],
)
def test_row_28_a_doubtful_word_is_refused_and_quoted_it_is_text(word: str) -> None:
    with pytest.raises(ValueError, match="quote it"):
        parse_scalar(word)
    wrong = refusal(f"a: 1\nver: {word}\n")
    assert "f.yaml:2" in wrong.message
    assert "quote it" in wrong.message
    assert data_of(f"ver: '{word}'") == {"ver": word}
    assert data_of(f'ver: "{word}"') == {"ver": word}


@pytest.mark.parametrize("key", ["1", "null", "true", "1.5", "~"])
def test_a_key_is_text(key: str) -> None:
    assert "quote it" in str(refusal(f"a: 1\n{key}: 2\n"))


def test_a_key_that_is_a_list_is_refused() -> None:
    assert "f.yaml:1" in refusal("? [a, b]\n: 1\n").message
    assert "a key must be text" in refusal("{{a: 1}: 2}").message


# Documents


def test_row_25_a_duplicate_key_names_both_lines() -> None:
    wrong = refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", CardError)
    assert "f.yaml:5" in wrong.message
    assert "line 3" in wrong.message
    assert "'c'" in wrong.message


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']",
        "!!set {a}",
        "a: !!str 1",
        "a: ! x",
        "!local [1]",
        "a: !!binary eA==",
    ],
)
def test_row_26_a_tag_is_refused(text: str) -> None:
    assert "tag" in refusal(text).message


def alias_bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join(rows + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)])


def merge_bomb() -> str:
    rows = ["a0: &a0 {k: v}"]
    return "\n".join(rows + [f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)])


@pytest.mark.parametrize(
    "text",
    [
        alias_bomb(),
        merge_bomb(),
        "a: &a [*a]",
        "&a {b: *a}",
        "a: *b",
        "&a x: 1",
        "a: {<<: {b: 1}}",
        "[" * 500_000,
        "{a: " * 200_000,
        "- " * 300_000,
        "? " * 300_000,
        "'" + "x" * 900_000,
        "[" * 16 + "[]," * 300_000,
        "%TAG ! x\n" * 20_000,
    ],
    ids=range(14),
)
def test_row_27_bombs_are_refused_within_100_ms(text: str) -> None:
    started = time.process_time()
    refusal(text)
    assert time.process_time() - started < 0.1


def test_row_27_an_anchor_is_refused_even_when_nothing_refers_to_it() -> None:
    assert "anchor &x" in refusal("a: &x 1").message
    assert "anchor &x" in refusal("a: &x [1]").message


def test_row_27_merge_key_is_refused_but_quoted_it_is_a_key() -> None:
    assert "merge" in refusal("a:\n  <<: {b: 1}\n").message
    assert data_of("'<<': 1") == {"<<": 1}


def test_row_27_depth_is_limited() -> None:
    assert data_of("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert str(MAX_DEPTH) in refusal("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).message


def test_row_27_size_is_limited() -> None:
    assert data_of("a: " + "x" * (MAX_BYTES - 3)) is not None
    assert str(MAX_BYTES) in refusal("a: " + "x" * (MAX_BYTES - 2)).message
    assert str(MAX_BYTES) in refusal(b"a: " + b"x" * (MAX_BYTES - 2)).message


def test_row_35_byte_order_mark_and_line_ends() -> None:
    assert data_of(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == {"a": 1, "b": 2}
    assert data_of("\ufeffa: 1") == {"a": 1}
    assert "f.yaml:2" in refusal("a: 1\r\nb: no\r\n").message


@pytest.mark.parametrize("text", ["a: 1".encode("utf-16"), "a: ä".encode("latin-1"), b"a: 1\nb: \xff", "a: \ud800"])
def test_row_35_another_encoding_is_refused(text: bytes | str) -> None:
    assert "UTF-8" in str(refusal(text))


@pytest.mark.parametrize("text", [b"a: \x00", "a: \x1b[0m", "a: 1".encode("utf-16-le")])
def test_row_35_control_characters_are_refused(text: bytes | str) -> None:
    assert "UTF-8" in str(refusal(text)) or "control" in refusal(text).message


def test_row_35_tabs_empty_files_and_documents() -> None:
    assert "tabs" in refusal("a:\n\tb: 1").hint
    assert "tabs" in refusal("a:\n  - b\n\t- c").hint
    assert refusal("a: }").hint == ""
    assert data_of("") is None
    assert data_of("# only a comment\n") is None
    assert data_of("---\na: 1\n...\n") == {"a": 1}
    wrong = refusal("---\na: 1\n---\nb: 1\n")
    assert "f.yaml:3" in wrong.message
    assert "second document" in wrong.message
    assert "directive" in refusal("%YAML 1.1\n---\na: 1").message


@pytest.mark.parametrize("text", ["a: [1", "a: 'x", "a: b: c", "}", "a\nb: 1", "a: @x", "- a\nb: 1", '"\\q"'])
def test_a_syntax_error_names_the_line(text: str) -> None:
    assert "f.yaml:" in refusal(text).message


def test_lines_of_keys_and_items() -> None:
    document = parse_yaml("a:\n  - b: 1\n    c:\n      [x,\n       y]\n  - 2\nd: {e: 1}\n", where="f.yaml")
    assert document.lines == {
        ("a",): 1,
        ("a", 0): 2,
        ("a", 0, "b"): 2,
        ("a", 0, "c"): 3,
        ("a", 0, "c", 0): 4,
        ("a", 0, "c", 1): 5,
        ("a", 1): 6,
        ("d",): 7,
        ("d", "e"): 7,
    }


def test_messages_stay_short() -> None:
    for text in (
        "1" * 900_000,
        "0x" + "1" * 900_000,
        "&" + "a" * 900,
        "!" + "a" * 9000,
        "*" + "a" * 900,
        "{0" + "1" * 900 + ": 1}",
    ):
        assert len(str(refusal(text))) < 200


# Writing


@FUZZ
@given(DATA)
@example({"notes": "a\n\n  b: c\n# d\n", "more": ["x\ny", "x\n y\n", " x\ny", "x\ny\n\n", "x\n\ty", "x \ny"]})
@example({"last": "and so on ..."})
@example("and so on ...")
@example([[[]], {}, [{}], {"a": []}, {"": ""}, [[1, [2, [3]]]]])
@example({"rows": [{"name": "x" * 200, "inner": [{"y": "z" * 200, "w": [["v" * 140]]}]}, ["u" * 140, ["t" * 140]]]})
def test_what_is_written_is_read_back_equal(data: object) -> None:
    text = dump_yaml(data)
    assert identical(data_of(text), data)
    assert dump_yaml(data_of(text)) == text


@FUZZ
@given(DATA)
def test_what_is_written_means_the_same_to_another_reader(data: object) -> None:
    assert identical(yaml.safe_load(dump_yaml(data)), data)


def test_written_for_people() -> None:
    data = {
        "summary": "Devlin et al., BERT, arXiv:1810.04805",
        "lr": 1e-05,
        "version": "1.10",
        "answer": "no",
        "labels": ["a", "b, c", "y", "N"],
        "files": [{"path": "model.safetensors", "size": 3}],
        "notes": "one\n\ntwo\n",
        "empty": {},
        "splits": {"train": 1},
    }
    assert dump_yaml(data) == (
        "summary: Devlin et al., BERT, arXiv:1810.04805\n"
        "lr: 1.0e-05\n"
        'version: "1.10"\n'
        'answer: "no"\n'
        'labels: [a, "b, c", "y", "N"]\n'
        "files:\n"
        "  - {path: model.safetensors, size: 3}\n"
        "notes: |\n"
        "  one\n"
        "\n"
        "  two\n"
        "empty: {}\n"
        "splits:\n"
        "  train: 1\n"
    )


@pytest.mark.parametrize(
    "data",
    [
        math.nan,
        math.inf,
        {1: 2},
        {"a": {None: 1}},
        object(),
        {"a": b"x"},
        "\ud800",
        10**20,
        {"k" * 1001: 1},
        {"a": {1, 2}},
    ],
    ids=range(10),
)
def test_what_could_not_be_read_back_is_not_written(data: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        dump_yaml(data)


@pytest.mark.parametrize("kind", ["list", "mapping", "wide"])
def test_writing_stops_where_reading_does(kind: str) -> None:
    data: Any = "x" * 140 if kind == "wide" else 1
    for _ in range(MAX_DEPTH):
        data = {"a": data} if kind == "mapping" else [data]
    assert identical(data_of(dump_yaml(data)), data)
    with pytest.raises(ValueError, match="deeper"):
        dump_yaml({"a": data} if kind == "mapping" else [data])


def test_the_pure_python_reader_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        alias_bomb(),
        merge_bomb(),
        "a: [1, {b: no}]",
        "a: {b: [1.5, x]}\nc: |\n  d\n",
        "a: !!set {x}",
        "a: 1\na: 2",
        "a: b: c",
    ]

    def outcomes() -> list[Any]:
        found: list[Any] = []
        for text in texts:
            try:
                found.append(data_of(text))
            except RecipeError as wrong:
                found.append(wrong.message.split(": ")[0])
        return found

    fast = outcomes()
    monkeypatch.setattr("zoo_core.contract.yamltext._LOADER", yaml.SafeLoader)
    assert outcomes() == fast


def test_importing_stays_cheap() -> None:
    heavy = "torch numpy accelerate safetensors importlib.metadata"
    code = f"import sys, zoo_core.contract.schema; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
