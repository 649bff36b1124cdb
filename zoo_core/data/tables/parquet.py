"""Rows of Parquet files, decoded in a process of their own: what a file unfolds to is counted there, and ends there."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from zoo_core.data.tables.lines import MAX_RATIO, check_file
from zoo_core.errors import DataError, nearest
from zoo_core.storage import children
from zoo_core.storage.budgets import ROWS, TABLE

SECONDS = 120
"""Time that a batch of rows may take to decode."""

_CHILD = Path(__file__).with_name("parquet_child.py")
_HINT = "install pyarrow again, or convert the file to .jsonl"


def parquet_schema(path: Path) -> Any:
    """Names and types of a Parquet file's columns, as pyarrow has them. Raises `DataError` for what isn't one."""
    check_file(path)
    status = path.stat()
    return _schema(path, status.st_mtime_ns, status.st_size)


def parquet_rows(path: Path, columns: Sequence[str], *, together: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number, from 1, and values of every row, at most `together` of them read at once.

    Raises `DataError`, naming the file, for missing columns, fewer rows than the footer states or none, and before it costs
    memory for what unfolds to far more than the file's size.
    """
    size = check_file(path)
    most = max(TABLE.limit(), MAX_RATIO * size)
    number = unfolded = 0
    with _asked(path, list(columns), size, together) as answer:
        promised = answer.described["rows"]
        for column in columns:
            if column not in answer.described["names"]:
                raise DataError(f"{path}: no column {column!r}", hint=nearest(column, answer.described["names"]))
        if answer.described["size"] + promised * len(columns) > most:
            raise _bomb(path, most)
        for batch in answer.batches():
            unfolded += batch.nbytes + batch.num_rows * len(columns)
            if unfolded > most:
                raise _bomb(path, most)
            try:
                rows = batch.to_pylist()
            except ValueError as error:  # strings that aren't UTF-8, dates that no calendar has
                raise DataError(f"{path}: not readable as Parquet: after row {number}: {error}") from None
            for values in rows:
                number += 1
                yield number, values
        if number != promised:
            raise DataError(f"{path}: its footer states {promised} rows, found {number}")
        if not number:
            raise DataError(f"{path}: no rows")


@lru_cache(maxsize=256)
def _schema(path: Path, changed: int, size: int) -> Any:
    with _asked(path, None, size, 1) as answer:
        list(answer.batches())
        return answer.schema


def _bomb(path: Path, most: int) -> DataError:
    return DataError(f"{path}: unfolds to more than {most:,} bytes, {MAX_RATIO} times its size", hint=TABLE.hint())


class _Answer:
    """What the child says of one request."""

    def __init__(self, child: subprocess.Popen[bytes], path: Path) -> None:
        self.child = child
        self.path = path
        self.schema: Any = None
        self.ended = False
        """Whether the child waits for the next request."""
        self.described = self._line()
        if "error" in self.described or "memory" in self.described:
            self.ended = True

    def batches(self) -> Iterator[Any]:
        """The batches of rows. Raises `DataError` where decoding failed, or ended the child."""
        import pyarrow as pa

        try:
            with self._in_time():
                stream = pa.ipc.open_stream(self._out())
            self.schema = stream.schema
            while True:
                with self._in_time():
                    batch = stream.read_next_batch()
                yield batch
        except StopIteration:
            pass
        except (pa.ArrowException, OSError) as error:
            raise self._died() from error
        end = self._line()
        self.ended = True
        self.refuse(end)

    def _line(self) -> dict[str, Any]:
        with self._in_time():
            line = self._out().readline()
        try:
            found = json.loads(line)
        except ValueError:
            raise self._died() from None
        assert isinstance(found, dict), "the child writes objects"
        return found

    def _out(self) -> IO[bytes]:
        assert self.child.stdout is not None, "it was started with a pipe"
        return self.child.stdout

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        timer = threading.Timer(SECONDS, self.child.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def refuse(self, end: Mapping[str, Any]) -> None:
        """Raise `DataError` for an answer that says that something went wrong."""
        if "memory" in end:
            raise DataError(f"{self.path}: some rows unfold to more memory than they may take", hint=ROWS.hint())
        if "error" in end:
            raise DataError(f"{self.path}: not readable as Parquet: {end['error']}")

    def _died(self) -> DataError:
        self.child.kill()
        code = self.child.wait()
        return DataError(f"{self.path}: not readable as Parquet: decoding it ended with {code}", hint=_HINT)


_idle: dict[int, list[subprocess.Popen[bytes]]] = {}
"""Children that wait for a request, by the process that started them: a fork has none of its parent's."""
_lock = threading.Lock()


@atexit.register
def _end_idle() -> None:
    for child in _idle.pop(os.getpid(), []):
        _end(child)


@contextmanager
def _asked(path: Path, columns: list[str] | None, size: int, together: int) -> Iterator[_Answer]:
    """The answer of a child to one request; a child whose answer isn't read to its end is ended."""
    with _lock:
        mine = _idle.setdefault(os.getpid(), [])
        child = mine.pop() if mine else None
    if child is None or child.poll() is not None:
        child = _started()
    # A page of a large file may hold large values, which no page of a small one does.
    memory = ROWS.limit() + 2 * size
    request = {"path": str(path.resolve()), "columns": columns, "together": together, "memory": memory}
    answer: _Answer | None = None
    try:
        assert child.stdin is not None, "it was started with a pipe"
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
        answer = _Answer(child, path)
        answer.refuse(answer.described)
        yield answer
    except BrokenPipeError:
        raise DataError(f"{path}: not readable as Parquet: its decoder doesn't start", hint=_HINT) from None
    finally:
        if answer is not None and answer.ended:
            with _lock:
                _idle.setdefault(os.getpid(), []).append(child)
        else:
            _end(child)


def _started() -> subprocess.Popen[bytes]:
    # Other pools and arenas reserve gigabytes, which a limit counts.
    environ = children.environment(MALLOC_ARENA_MAX="1", ARROW_DEFAULT_MEMORY_POOL="system")
    # Its complaints, like those of a library that aborts, are not the user's.
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(children.command(str(_CHILD)), stdin=pipe, stdout=pipe, stderr=nowhere, env=environ)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
