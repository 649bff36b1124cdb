"""A table of two rows: what the refusal says to do works when it is done."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo_core.cli.app import main

_NAMED = pa.table({"text": ["a", "b"], "label": pa.array([0, 1])}).replace_schema_metadata(
    {"huggingface": '{"info": {"features": {"label": {"names": ["negative", "positive"], "_type": "ClassLabel"}}}}'}
)


def table(folder: Path, kind: str) -> Path:
    path = folder / f"mine.{kind}"
    if kind == "csv":
        path.write_text("text,label\n" + "word " * 27_000 + ",a\nshort,b\n")
    elif kind == "jsonl":
        path.write_text('{"text": "a", "label": true}\n{"text": "b", "label": false}\n')
    else:
        pq.write_table(_NAMED, path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_following_the_refusal_of_two_rows_trains(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    command = [
        "finetune", "bert_tiny.sentiment", "--task", "text-classification", "--data", str(table(tmp_path, kind)),
        "--folder", str(tmp_path / "run"), "training.steps=1", 'training.extras="off"',
    ]  # fmt: skip
    assert main(command) != 0
    said = capsys.readouterr().err
    assert "split 'test' is empty\ngive more data, or do without it: data.test_fraction=0" in said
    (way,) = re.findall(r"do without it: (\S+)", said)
    assert main([*command, way]) == 0, capsys.readouterr().err
