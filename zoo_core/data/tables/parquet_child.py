"""The process that decodes Parquet files for `parquet.py`: what a file can do to a decoder happens here, within a limit.

Run as a script: a line of JSON asks for the rows or the schema of a file; the answer is a line of JSON, a stream of Arrow
batches of a few MiB without dictionaries, and a line of JSON that says how it ended.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo_core.storage.children import limit
from zoo_core.storage.machine import data_memory

_TOGETHER = 8 << 20
"""Bytes of a batch, about."""


def main() -> None:
    """Answer requests until there are no more."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else writes between the answers
    base = data_memory()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        limit(resource.RLIMIT_DATA, base + request["memory"])
        end: dict[str, Any]
        try:
            end = {"rows": _answer(request, answers)}
        except MemoryError:
            end = {"memory": True}
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            end = {"error": (str(error).splitlines() or [type(error).__name__])[0][:500]}
        _line(answers, end)


def _answer(request: dict[str, Any], answers: BinaryIO) -> int:
    """Send the schema and, where columns are asked for, the rows; gives their number."""
    with pq.ParquetFile(request["path"], buffer_size=1 << 20, pre_buffer=False) as file:
        schema, columns = file.schema_arrow, request["columns"]
        described = {"names": schema.names, "rows": file.metadata.num_rows, "size": 0}
        if columns is None:
            _line(answers, described)
            with pa.ipc.new_stream(answers, schema):
                return 0
        size = described["size"] = _promised(file.metadata, columns)
        plain = pa.schema([_plain_field(schema.field(name)) for name in columns if schema.get_field_index(name) >= 0])
        _line(answers, described)  # what fails from here on ends the stream first
        per_row = max(1, size // max(1, file.metadata.num_rows))
        together = max(1, min(request["together"], _TOGETHER // per_row))
        number = 0
        with pa.ipc.new_stream(answers, plain) as stream:
            if len(plain) == len(columns):
                for batch in file.iter_batches(batch_size=together, columns=columns, use_threads=False):
                    number += batch.num_rows
                    for part in _parts(batch.select(columns)):
                        stream.write_batch(pa.RecordBatch.from_arrays([_plain(array) for array in part], schema=plain))
        return number


def _promised(metadata: Any, columns: list[str]) -> int:
    """Bytes that the columns unfold to, as the file says."""
    parts = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    chunks = (part.column(place) for part in parts for place in range(part.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)


def _parts(batch: Any) -> Iterator[Any]:
    """The rows in slices that stay small once their dictionaries are unfolded."""
    if batch.num_rows > 1 and sum(_unfolded(array) for array in batch) > 4 * _TOGETHER:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half))
        yield from _parts(batch.slice(half))
    else:
        yield batch


def _unfolded(array: Any) -> int:
    """Bytes of an array without its dictionary."""
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    values = array.dictionary
    if not (pa.types.is_large_binary(values.type) or pa.types.is_binary(values.type) or _is_text(values.type)):
        return int(len(array) * max(1, values.nbytes // max(1, len(values))))
    return int(pc.sum(pc.binary_length(values).take(array.indices)).as_py() or 0)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _plain(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _plain_field(field: Any) -> Any:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return field.with_type(kind.value_type)
    if "dictionary<" in str(kind):
        raise ValueError(f"column {field.name[:80]!r} has dictionaries inside a {str(kind)[:40]}")
    return field


def _line(answers: BinaryIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
