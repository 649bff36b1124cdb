"""Parquet files that unfold, lie, hang or kill their decoder: one error each, within bounds, and the process lives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo_core.data.tables import parquet
from zoo_core.data.tables.parquet import parquet_rows, parquet_schema
from zoo_core.errors import DataError

COST = """
import json, resource, sys, time
from pathlib import Path
from zoo_core.data.tables.parquet import parquet_rows
from zoo_core.errors import DataError
import pyarrow
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    for _ in parquet_rows(Path(sys.argv[1]), sys.argv[2:], together=4096): pass
    said = "read"
except DataError as error:
    said = str(error)
from zoo_core.data.tables import parquet
parquet._end_idle()
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([said, own + child, time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])]))
"""


def cost(path: Path, *columns: str) -> tuple[str, int, float]:
    """What is said of a file, KiB above the process with the child's, and CPU seconds."""
    done = subprocess.run([sys.executable, "-c", COST, str(path), *columns], capture_output=True, text=True, check=True)
    said, size, seconds = json.loads(done.stdout)
    return said, size, seconds


def dictionary_bomb(path: Path, *, nested: bool, stated: bool) -> None:
    """One value of 400 kB, and 4,096 rows that point to it; `stated` says that it is a dictionary in Arrow, too."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 4096, pa.int32()), ["a" * 400_000])
    column = pa.StructArray.from_arrays([values], ["inner"]) if nested else values
    pq.write_table(pa.table({"text": column, "label": ["x"] * 4096}), path, compression="zstd", store_schema=stated)


@pytest.mark.parametrize("kind", ["dictionary", "nested", "plain", "struct", "nulls"])
def test_a_small_file_never_unfolds_to_gigabytes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    if kind != "nulls":
        nested = kind in ("nested", "struct")
        dictionary_bomb(path, nested=nested, stated=kind in ("dictionary", "nested"))
    else:
        pq.write_table(pa.table({"text": pa.nulls(200_000_000, pa.null())}), path)
    assert path.stat().st_size < 1_000_000
    said, size, seconds = cost(path, "text")
    expected = ("unfolds to more than", "unfold to more memory", "has dictionaries inside a struct")
    assert any(word in said for word in expected), said
    assert size < 256 << 10 and seconds < 5, (size, seconds)


def test_what_is_fine_is_read(tmp_path: Path) -> None:
    rows = {
        "text": pa.array(["b", "a", None, "b"]).dictionary_encode(),
        "number": [1, 2, 3, 4],
        "image": [{"bytes": b"x", "path": None}] * 4,
    }
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(rows), path)
    assert parquet_schema(path).names == ["text", "number", "image"]
    assert pa.types.is_dictionary(parquet_schema(path).field("text").type)
    found = list(parquet_rows(path, ["number", "text", "image"], together=3))
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [values["text"] for _, values in found] == ["b", "a", None, "b"]
    assert found[0][1]["image"] == {"bytes": b"x", "path": None} and found[3][1]["number"] == 4
    pq.write_table(pa.table({"other": [1]}), path)
    assert parquet_schema(path).names == ["other"]
    with pytest.raises(DataError, match=r"no column 'text'\ndid you mean|no column 'text'\nvalid: other"):
        list(parquet_rows(path, ["text"], together=3))


def test_large_values_are_read_within_a_limit_that_grows_with_the_file(tmp_path: Path) -> None:
    values = [random.Random(number).randbytes(1 << 20) for number in range(24)]
    pq.write_table(pa.table({"bytes": values * 2}), tmp_path / "a.parquet", use_dictionary=False)
    found = parquet_rows(tmp_path / "a.parquet", ["bytes"], together=4096)
    assert [row["bytes"] for _, row in found] == values * 2


def test_a_decoder_that_dies_is_one_error_and_the_next_file_is_read(tmp_path: Path) -> None:
    good = tmp_path / "good.parquet"
    pq.write_table(pa.table({"text": ["a" * 99] * 3000}), good)  # more than a pipe holds, one by one
    rows = parquet_rows(good, ["text"], together=2)
    next(rows)
    rows.close()
    with parquet._asked(good, ["text"], 1, 1) as answer:
        os.kill(answer.child.pid, signal.SIGKILL)
        with pytest.raises(DataError, match=r"good.parquet: not readable as Parquet: decoding it ended with -9"):
            list(answer.batches())
    assert len(list(parquet_rows(good, ["text"], together=99))) == 3000


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a" * 99] * 3000}), path)
    with parquet._asked(path, ["text"], 1, 1) as answer:
        os.kill(answer.child.pid, signal.SIGSTOP)
        monkeypatch.setattr(parquet, "SECONDS", 0.2)
        with pytest.raises(DataError, match="decoding it ended with -9"):
            list(answer.batches())


def test_mutated_files_are_read_or_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["good", "bad"] * 50, "label": [0, 1] * 50}), path)
    whole, draws = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(draws.randint(1, 4)):
            data[draws.randrange(len(data))] = draws.randrange(256)
        path.write_bytes(data)
        try:
            parquet_schema(path)
            list(parquet_rows(path, ["text", "label"], together=16))
        except DataError as error:
            assert "\n" not in error.message
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 9, b"\0" * 100])
def test_what_isnt_parquet_is_one_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with pytest.raises(DataError, match="not readable as Parquet"):
        parquet_schema(path)
