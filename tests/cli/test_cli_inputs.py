"""What an input of a prediction is: words, lines and tables are parsed by the command line, and Python's values are checked."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo_core
from zoo_core import DataError, TaskSpec

Zoo = Callable[..., Any]


def echoed(zoo: Zoo, kind: str, *words: str) -> tuple[int, list[object], str]:
    shown = zoo("predict", "toy_tiny.coins", "--task", f"echo-{kind}", "--json", *words)
    return shown.code, [answer.get("value", answer.get("error")) for answer in shown.data], shown.err


def test_inputs_are_what_the_task_says(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert zoo("pretrain", "coins", "steps=1").code == 0
    work = tmp_path / "work"

    bad = "input 2: not valid JSON: Expecting value: line 1 column 1 (char 0)"
    assert echoed(zoo, "json", '{"a": [1, 2.5, null]}', "one", "true")[:2] == (1, [{"a": [1, 2.5, None]}, bad, True])
    (work / "values.txt").write_text('"word"\n\n[1e999]\n"\\ud800"\n3\n')
    assert echoed(zoo, "json", "--file", "values.txt")[1] == [
        "word", bad, "input 3: 1e999 is too large a number", "input 4: not valid JSON: half a surrogate pair", 3,
    ]  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[" * 40 + b"\n-7\n")))
    assert echoed(zoo, "json", "-")[1] == ["input 1: nested more than 32 deep", -7]

    code, found, said = echoed(zoo, "row", '{"size": 3}', "[3]")
    assert code == 1 and found[0] == {"size": 3} and "input 2: expected a row, values by column, found list" in said
    (work / "table.csv").write_text('size,name\n3,"one, two"\n4\n5,x\n')
    code, found, said = echoed(zoo, "row", '{"size": 1}', "--file", "table.csv")
    assert (
        code == 1 and found[:2] == [{"size": 1}, {"size": "3", "name": "one, two"}] and "input 3: table.csv:3" in said
    )
    assert found[3] == {"size": "5", "name": "x"}
    (work / "table.tsv").write_text("size\tname\n3\tone\n")
    assert echoed(zoo, "row", "--file", "table.tsv")[:2] == (0, [{"size": "3", "name": "one"}])
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(__import__("pyarrow").table({"size": [3, None], "name": ["a", "b"]}), work / "table.parquet")
    code, found, said = echoed(zoo, "row", "--file", "table.parquet")
    assert code == 1 and found[0] == {"size": "3", "name": "a"} and "row 2: column 'size' has no value" in str(found[1])
    (work / "table.jsonl").write_text('{"size": 3}\n')
    assert echoed(zoo, "row", "--file", "table.jsonl")[1] == [{"size": 3}]

    code, found, said = echoed(zoo, "file", "table.csv", "tabel.tsv")
    assert code == 1 and found == ["table.csv", "input 2: tabel.tsv: no such file"] and "did you mean table.tsv" in said
    code, found, said = echoed(zoo, "number", "3", "03", "x", "--num", "2")
    assert (code, found) == (1, [3, 3, "input 3: expected a whole number, found 'x'", 0, 1])
    assert re.search(
        r"^int +4 +4$", zoo("predict", "toy_tiny.coins", "--task", "echo-number", "3", "4").out, re.MULTILINE
    )

    for kind, words in {"majority": "text", "echo-json": "a JSON value", "echo-number": "a whole number"}.items():
        assert f"an input is: {words}" in zoo("show", kind).out


def test_inputs_from_python_are_checked(zoo: Zoo) -> None:
    assert zoo("pretrain", "coins", "steps=1").code == 0
    numbers, rows, values = (zoo_core.load("toy_tiny.coins", task=f"echo-{kind}") for kind in ("number", "row", "json"))
    assert [answer["value"] for answer in numbers.predict([3, "4"])] == [3, 4] and rows.predict({"a": 1})["value"] == {
        "a": 1
    }
    with pytest.raises(DataError, match=r"^input 2: expected a whole number, found bool"):
        numbers.predict([1, True])
    assert rows.predict([{"a": 1}, [1]], on_error="skip")[1]["error"].startswith("input 2: expected a row")
    with pytest.raises(DataError, match=r"^input 1: expected a JSON value, found set"):
        values.predict({1})
    with pytest.raises(DataError, match=r"^input 1: expected a whole number"):
        next(numbers.stream("x"))


@pytest.mark.parametrize(
    ("fields", "said"), [({"input": "words"}, "expected text, json"), ({"input_suffixes": (".a",)}, "has none")]
)
def test_a_spec_of_inputs_that_can_not_be_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TaskSpec(name="a", summary="s", target="t:f", reads=(), labelled=False, **{"input": "row", **fields})
