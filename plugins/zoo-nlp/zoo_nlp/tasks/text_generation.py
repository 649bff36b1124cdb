"""Causal language modelling: predict every next token, and continue a user's text.

Paper: Radford et al., Language Models are Unsupervised Multitask Learners, OpenAI 2019, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.contract import At, Batch, StepOutput
from zoo_core.tasks import LossResult
from zoo_nlp.configs.models import TextGenerationConfig, TextGenerationOptions
from zoo_nlp.datasets.samples import text_of
from zoo_nlp.evaluation import metrics
from zoo_nlp.tasks.common import PackedBlocks, TextTask, texts_of, too_long
from zoo_nlp.tasks.decoding import StreamingDetokenizer, causal, generate, streamed, written

_SAMPLE = TextGenerationOptions(temperature=0.8, top_p=0.95)
"""How the samples of an evaluation are drawn."""


class TextGeneration(TextTask):
    """The causal language model's task."""

    config: TextGenerationConfig

    def dataset(self, samples: Sequence[Any], *, train: bool) -> PackedBlocks:
        """Blocks that share one token with the next, so that each token but the first is predicted once.

        Documents are joined by the token that ends them. Raises `DataError` for what isn't text.
        """
        rows = self.preprocessor.ended(texts_of(samples))
        return PackedBlocks(rows, length=self.limit + 1, stride=self.limit)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """Loss of every token but a block's first."""
        loss, weight = self._loss(modules["model"], batch["input_ids"])
        return StepOutput(loss, weight)

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> LossResult:
        """Sum of the losses and number of predicted tokens."""
        loss, weight = self._loss(modules["model"], batch["input_ids"])
        return LossResult(loss=loss, weight=torch.tensor(weight, device=loss.device))

    def summarize(self, result: LossResult) -> dict[str, float]:
        """Mean loss in nats per token, and its perplexity."""
        return metrics.loss_and_perplexity(result.mean_loss)

    def read(self, item: Any, number: int, options: TextGenerationOptions) -> list[int]:
        """The tokens to go on from. Raises `DataError` for an input that leaves the model no room, unless it may be cut."""
        # An empty prompt is the beginning of a document, which is where the document before it ended.
        ids = self.preprocessor.encode_plain([text_of(item, number)]).row(0).tolist()
        ids = ids or [self.preprocessor.separator_id()]
        most = self.limit - 1
        if len(ids) > most and not options.truncate:
            raise too_long(number, len(ids), most)
        return ids[-most:]

    def answer(self, inputs: Sequence[Any], options: TextGenerationOptions) -> list[dict[str, Any]]:
        """What comes after each input: `text`, and `alternatives` where more than one was asked for."""
        answers = [written(self._pieces(start, options, self.model), options.num_return) for start in inputs]
        return [
            {"text": texts[0], "alternatives": texts[1:]} if len(texts) > 1 else {"text": texts[0]} for texts in answers
        ]

    def stream(self, item: Any, options: TextGenerationOptions) -> Iterator[str]:
        """What comes after the input, piece by piece: the same text as `predict` gives."""
        start = self.read(item, 0, options)
        yield from streamed(self.model, lambda: self._pieces(start, replace(options, num_return=1), self.model))

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Losses of a unigram and a trigram model over the same tokens."""
        from zoo_nlp.evaluation.ngrams import ngram_losses

        known, new = (self.preprocessor.pack(texts_of(part)).astype(np.int64) for part in (train, test))
        losses = ngram_losses(known, new, self.preprocessor.vocab_size)
        return {name: metrics.loss_and_perplexity(loss) for name, loss in losses.items()}

    def artifacts(self, modules: Mapping[str, nn.Module], result: LossResult) -> dict[str, bytes]:
        """`samples.txt`: continuations of the configured prompts, with the same draws in every evaluation."""
        parts = []
        for seed, prompt in enumerate(self.config.prompts):
            options = replace(_SAMPLE, max_new_tokens=self.config.sample_tokens, seed=seed, truncate=True)
            pieces = self._pieces(self.read(prompt, seed, options), options, modules["model"])
            parts.append(prompt + written(pieces, 1)[0])
        return {"samples.txt": ("\n\n-----\n\n".join(parts) + "\n").encode()} if parts else {}

    def _loss(self, model: nn.Module, blocks: Tensor) -> tuple[Tensor, float]:
        inputs, targets = blocks[:, :-1], blocks[:, 1:]  # (B, T) of (B, T + 1)
        logits = model(input_ids=inputs, use_cache=False).logits.float()  # (B, T, V)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"), float(targets.numel())

    def _pieces(self, start: list[int], options: TextGenerationOptions, model: nn.Module) -> Iterator[list[str]]:
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
