"""What text tasks share: length limits, padding and packed blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core import DataError
from zoo_core.contract import Batch, Dataset, Predictor, SampleKey, Task, TaskContext
from zoo_nlp.datasets.samples import text_of
from zoo_nlp.interfaces import TokenPreprocessor, output_of
from zoo_nlp.preprocessor import Ids, TextPreprocessor, Tokens


class TextPredictor(Predictor):
    """Answers with a model that reads token ids."""

    preprocessor_type: ClassVar[type] = TokenPreprocessor
    preprocessor: TextPreprocessor  # where a task names no more than the protocol, no more of it is used

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a tokenizer."""
        super().__init__(config, context)
        longest = getattr(getattr(context.model, "config", None), "max_position_embeddings", None)
        self.limit = min(self.preprocessor.max_length, longest or self.preprocessor.max_length)
        """Most tokens of a sample: what the tokenizer was set to, or less where the model has fewer positions."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Ids of texts as the model reads them, cut to its length."""
        return self.preprocessor.encode(texts, self.limit)

    def read(self, item: Any, number: int, options: Any) -> Any:
        """Ids (T,) of a raw input. Raises `DataError` for one longer than the model reads, unless it may be cut."""
        tokens = self.tokenize([text_of(item, number)])
        if len(tokens.cut()) and not options.truncate:
            raise too_long(number, int(tokens.whole[0]), self.limit)
        return tokens.row(0)

    def batch_of(self, inputs: Sequence[Ids]) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask` (B, T) of rows of ids."""
        ids, mask = pad(inputs, self.preprocessor.special_id("pad"))
        return {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask` (rows, T) of texts of different lengths, the longer the more there are."""
        tokens = self.tokenize(["example " * (4 * rows - row) for row in range(rows)])
        return self.batch_of([tokens.row(row) for row in range(rows)])

    def logits(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """What the model gives for each label of each text, (B, C)."""
        found = modules["model"](input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        return output_of(found, "logits", batch["input_ids"].shape[0], len(self.labels))


class TextTask(TextPredictor, Task):
    """A task whose model reads token ids."""


def texts_of(samples: Sequence[Any]) -> list[str]:
    """The texts of raw samples. Raises `DataError` naming the first that has none."""
    return [text_of(sample, number) for number, sample in enumerate(samples)]


def too_long(number: int, length: int, limit: int) -> DataError:
    """The error for an input of `length` tokens at position `number`, from 0."""
    return DataError(
        f"input {number + 1} has {length} tokens; this model takes at most {limit}",
        hint="shorten it, or allow the cut with truncate=true",
    )


def cut_notices(cut: int, total: int, what: str, limit: int) -> tuple[str, ...]:
    """A notice of samples whose end training doesn't see; `what` names them in the plural."""
    return (f"{cut:,} of {total:,} {what} are cut to the {limit:,} tokens that the model takes",) if cut else ()


def pad(rows: Sequence[Ids], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids (B, T), filled up on the right, and the mask (B, T) that is 1 on real tokens; both int64."""
    lengths = np.asarray([len(row) for row in rows])
    mask = np.arange(int(lengths.max())) < lengths[:, None]  # (B, T)
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate(rows)  # a mask is filled row by row, in the order of the rows
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


class PackedBlocks(Dataset):
    """Blocks of equal length out of one flat array of ids: nothing is padded, nothing is lost but the tail.

    Blocks of `length` start every `stride` ids; a corpus that is too small for one block is one shorter block.
    """

    truncated = 0
    """Samples that were cut: none, as texts are packed whole."""

    def __init__(self, rows: Sequence[Ids], *, length: int, stride: int) -> None:
        """`rows` are the ids of each text. Raises `DataError` where there is no text."""
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        if not len(ends) or ends[-1] < 2:
            raise DataError("the texts are empty")
        self.flat = np.concatenate(rows)
        self.length = min(length, len(self.flat))
        self.stride = stride
        self.origins = np.searchsorted(ends, np.arange(len(self)) * stride, side="right")

    def __len__(self) -> int:
        return (len(self.flat) - self.length) // self.stride + 1  # whole blocks only

    def sample(self, key: SampleKey) -> NDArray[np.int64]:
        """Ids (T,) of one block."""
        start = key.index * self.stride
        return self.flat[start : start + self.length].astype(np.int64)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`input_ids` (B, T)."""
        return {"input_ids": torch.from_numpy(np.stack(samples))}
