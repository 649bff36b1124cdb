"""Causal language modelling: predict every next token, and continue a user's text.

Paper: Radford et al., Language Models are Unsupervised Multitask Learners, OpenAI 2019, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.contract import Batch, TaskContext
from zoo_core.tasks import GenerationTask, LossResult, Pieces, loss_and_perplexity, written
from zoo_nlp.configs.models import TextGenerationConfig, TextGenerationOptions
from zoo_nlp.datasets.samples import text_of
from zoo_nlp.interfaces import output_of, remembers
from zoo_nlp.preprocessor import TextPreprocessor
from zoo_nlp.tasks.common import PackedBlocks, TextTask, texts_of, too_long
from zoo_nlp.tasks.decoding import StreamingDetokenizer, causal, generate

_SAMPLE = TextGenerationOptions(temperature=0.8, top_p=0.95)
"""How the samples of an evaluation are drawn."""


class TextGeneration(TextTask, GenerationTask):
    """The causal language model's task."""

    config: TextGenerationConfig
    preprocessor_type = TextPreprocessor

    def __init__(self, config: TextGenerationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a tokenizer."""
        super().__init__(config, context)
        self._uncached: dict[str, bool] = {"use_cache": False} if remembers(context.model) else {}

    def dataset(self, samples: Sequence[Any], *, train: bool) -> PackedBlocks:
        """Blocks that share one token with the next, so that each token but the first is predicted once.

        Documents are joined by the token that ends them. Raises `DataError` for what isn't text.
        """
        rows = self.preprocessor.ended(texts_of(samples))
        return PackedBlocks(rows, length=self.limit + 1, stride=self.limit)

    def next_items(self, modules: Mapping[str, nn.Module], batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores (B, T, V) of every token but a block's first, and these tokens (B, T)."""
        blocks = batch["input_ids"]  # (B, T + 1)
        found = modules["model"](input_ids=blocks[:, :-1], **self._uncached)
        return output_of(found, "logits", len(blocks), blocks.shape[1] - 1, None), blocks[:, 1:]

    def read(self, item: Any, number: int, options: TextGenerationOptions) -> list[int]:
        """The tokens to go on from. Raises `DataError` for an input that leaves the model no room, unless it may be cut."""
        # An empty prompt is the beginning of a document, which is where the document before it ended.
        ids = self.preprocessor.encode_plain([text_of(item, number)]).row(0).tolist()
        ids = ids or [self.preprocessor.separator_id()]
        most = self.limit - 1
        if len(ids) > most and not options.truncate:
            raise too_long(number, len(ids), most)
        return ids[-most:]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Losses of a unigram and a trigram model over the same tokens."""
        from zoo_nlp.evaluation.ngrams import ngram_losses

        known, new = (self.preprocessor.pack(texts_of(part)).astype(np.int64) for part in (train, test))
        losses = ngram_losses(known, new, self.preprocessor.vocab_size)
        return {name: loss_and_perplexity(loss) for name, loss in losses.items()}

    def artifacts(self, modules: Mapping[str, nn.Module], result: LossResult) -> dict[str, bytes]:
        """`samples.txt`: continuations of the configured prompts, with the same draws in every evaluation."""
        parts = []
        for seed, prompt in enumerate(self.config.prompts):
            options = replace(_SAMPLE, max_new_tokens=self.config.sample_tokens, seed=seed, truncate=True)
            pieces = self.generate(self.read(prompt, seed, options), options, modules["model"])
            parts.append(prompt + written(pieces, 1)[0])
        return {"samples.txt": ("\n\n-----\n\n".join(parts) + "\n").encode()} if parts else {}

    def generate(self, start: list[int], options: TextGenerationOptions, model: nn.Module) -> Pieces:
        """The tokens that follow, as text, in `options.num_return` rows."""
        steps = [min(options.max_new_tokens, self.limit - len(start))] * options.num_return
        pad, eos = self.preprocessor.special_id("pad"), self.preprocessor.separator_id()
        return generate(
            causal(model),
            torch.tensor([start] * options.num_return, device=self.device),
            [StreamingDetokenizer(self.preprocessor, options.stop) for _ in steps],
            options,
            eos_id=eos,
            banned=[] if pad == eos else [pad],
            steps=steps,
        )
