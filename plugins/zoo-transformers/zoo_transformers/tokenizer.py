"""Tokenizers in the format of the `tokenizers` library, a checkpoint's own and somebody else's."""

from __future__ import annotations

from tokenizers import Tokenizer

from zoo_core import CorruptFile
from zoo_core.contract import panics_as, refuse_slow
from zoo_core.data import rehearse


def tokenizer_of(data: bytes, where: str) -> Tokenizer:
    """The tokenizer of a file. Raises `CorruptFile`, naming the file, where it can't be parsed, `UsageError` for a slow pattern."""
    text = _decoded(data, where)
    with panics_as(CorruptFile, where):
        return Tokenizer.from_str(text)


def foreign_tokenizer_of(data: bytes, where: str) -> Tokenizer:
    """A tokenizer of somebody else's file, tried in a process of its own first. Raises as `tokenizer_of` does."""
    text = _decoded(data, where)
    calm = ("no_truncation", "no_padding")
    rehearse("tokenizers:Tokenizer", "from_str", calm, "encode", text, error=CorruptFile, what=where)
    return tokenizer_of(data, where)


def _decoded(data: bytes, where: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{where}: {error}") from None
    refuse_slow(text, where)
    return text
