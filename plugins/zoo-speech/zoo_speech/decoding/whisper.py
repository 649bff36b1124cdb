"""Tokens from what Whisper hears: the likeliest one after the other, or a beam search, within the rules for timestamps.

Transformers' own `generate` for Whisper also cuts recordings up, repairs and warns; what is here reads one batch of windows
and gives the tokens that it gives, as the tests say, through the same forward pass and the same key/value cache.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from zoo_transformers import cache_argument

FIRST_TIMESTAMP = 50
"""A window's first timestamp is at most so many steps of 0.02 s, as in OpenAI's code."""
STEP = 0.02
"""Seconds from one timestamp to the next."""
_NEVER = -1.0e9


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which tokens may follow which."""

    eos_id: int
    """Ends a transcript."""
    suppressed: tuple[int, ...] = ()
    """Never written."""
    suppressed_first: tuple[int, ...] = ()
    """Not written first."""
    timestamps: int | None = None
    """The token of 0.00 s, behind the one that says that there are none; None where none are wanted."""
    last_timestamp: int | None = None
    """The token of the window's end, behind which nothing is heard; None where that is the vocabulary's last."""

    def __call__(self, scores: Tensor, written: Tensor) -> Tensor:
        """Scores (R, V), minus infinity where a token may not follow `written` (R, n)."""
        allowed = scores.clone()
        allowed[:, list(self.suppressed)] = -torch.inf
        if not written.shape[1]:
            allowed[:, list(self.suppressed_first)] = -torch.inf
        if self.timestamps is None:
            return allowed
        allowed[:, self.timestamps - 1] = -torch.inf
        if self.last_timestamp is not None:
            allowed[:, self.last_timestamp + 1 :] = -torch.inf
        if written.shape[1]:
            self._in_pairs(allowed, written, self.timestamps)
        else:
            allowed[:, : self.timestamps] = -torch.inf
            allowed[:, self.timestamps + FIRST_TIMESTAMP + 1 :] = -torch.inf
        # A timestamp comes where all of them together are likelier than any one word (OpenAI's code, decoding.py).
        stamps = allowed[:, self.timestamps :].logsumexp(-1) > allowed[:, : self.timestamps].amax(-1)  # (R,)
        allowed[:, : self.timestamps].masked_fill_(stamps[:, None], -torch.inf)
        return allowed

    def _in_pairs(self, allowed: Tensor, written: Tensor, begin: int) -> None:
        """Timestamps come in pairs, save before the end, and don't fall: a segment's is followed by the next one's."""
        numbers = torch.arange(allowed.shape[1], device=allowed.device)
        stamps = written >= begin  # (R, n)
        last = stamps[:, -1]
        before = stamps[:, -2] if written.shape[1] > 1 else torch.ones_like(last)
        latest = written.where(stamps, written.new_tensor(begin - 1)).amax(1)
        # The second of a pair may equal the first; nothing else is said in no time.
        least = torch.where(last & ~before, latest, latest + 1)  # (R,)
        # Behind two timestamps comes no third; behind a single one its second, or the end; time never runs back.
        allowed.masked_fill_((last & before)[:, None] & (numbers >= begin), -torch.inf)
        allowed.masked_fill_((last & ~before)[:, None] & (numbers < self.eos_id), -torch.inf)
        allowed.masked_fill_((numbers >= begin) & (numbers < least[:, None]), -torch.inf)


class DecodingResult(NamedTuple):
    """What was written for one window."""

    tokens: list[int]
    """Without prompt and end."""
    mean: float
    """Mean log-probability of the tokens, the end included; natural logarithm."""


class WhisperState:
    """A batch of windows and what the decoder remembers of them; the encoder runs once."""

    def __init__(self, model: nn.Module, features: Tensor, encoded: Tensor | None = None) -> None:
        """features: (B, M, T), T as the model has it. encoded: (B, T / 2, H) where the encoder has run already."""
        self._model = model
        self._features = features
        self._encoded = None if encoded is None else BaseModelOutput(last_hidden_state=encoded)
        self._cache: Any = None
        self._cached = cache_argument(model)

    def __len__(self) -> int:
        return len(self._features)

    def of(self, rows: Sequence[int]) -> WhisperState:
        """Some of the windows, with nothing remembered but what the encoder made of them; which has run."""
        chosen, encoded = torch.tensor(rows, device=self.device), cast("Any", self._encoded).last_hidden_state
        return WhisperState(self._model, self._features[chosen], encoded[chosen])

    def checksums(self) -> list[int]:
        """Of each window's features, 32 bits."""
        return [zlib.crc32(row.cpu().contiguous().numpy().tobytes()) for row in self._features]

    @property
    def device(self) -> torch.device:
        """Where the windows are."""
        return self._features.device

    def first(self, start: int) -> Tensor:
        """Scores (B, V) of what follows the token `start`: languages, and whether anybody speaks."""
        tokens = torch.full((len(self), 1), start, device=self.device)
        return self._forward(tokens, use_cache=False).logits[:, -1].float()  # type: ignore[no-any-return]

    def scores(self, tokens: Tensor) -> Tensor:
        """Scores (R, V) of the next token, given those (R, n) that are new since the last call."""
        output = self._forward(tokens, use_cache=True)
        self._cache = getattr(output, self._cached)
        return output.logits[:, -1].float()  # type: ignore[no-any-return]

    def spread(self, count: int) -> None:
        """Each row `count` times."""
        self._cache.batch_repeat_interleave(count)

    def select_rows(self, rows: Tensor) -> None:
        """Go on from rows (R,), each of the same window as the one in its place; what was heard stays."""
        self._cache.self_attention_cache.reorder_cache(rows)

    def _forward(self, tokens: Tensor, *, use_cache: bool) -> Any:
        heard = {"input_features": self._features} if self._encoded is None else {"encoder_outputs": self._encoded}
        remembered = {self._cached: self._cache}
        output = self._model(decoder_input_ids=tokens, use_cache=use_cache, **remembered, **heard)
        if self._encoded is None:
            self._encoded = BaseModelOutput(last_hidden_state=output.encoder_last_hidden_state)
        return output


def greedy(heard: WhisperState, prompt: Tensor, rules: Rules, most: int) -> list[DecodingResult]:
    """The likeliest token after the other, at most `most`, behind prompt (B, P)."""
    return _one_by_one(heard, prompt, rules, most, lambda scores: scores.argmax(-1))


def sample(
    heard: WhisperState,
    prompt: Tensor,
    rules: Rules,
    most: int,
    *,
    temperature: float,
    draws: Sequence[torch.Generator],
) -> list[DecodingResult]:
    """Tokens drawn from softmax(scores / temperature), by a generator on the CPU for each window."""

    def draw(scores: Tensor) -> Tensor:
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=one) for one in draws])
        # The largest of scores with Gumbel's noise is a draw from their softmax.
        return (scores / temperature - noise.to(scores.device).log()).argmax(-1)

    return _one_by_one(heard, prompt, rules, most, draw)


def _one_by_one(
    heard: WhisperState, prompt: Tensor, rules: Rules, most: int, choose: Callable[[Tensor], Tensor]
) -> list[DecodingResult]:
    """What is written when each next token (B,) is chosen from the scores (B, V) that the rules allow."""
    tokens, written = prompt, prompt[:, :0]
    totals = torch.zeros(len(prompt), device=prompt.device)
    counts = torch.zeros_like(totals)
    ended = torch.zeros_like(totals, dtype=torch.bool)
    for _ in range(most):
        scores = rules(heard.scores(tokens), written)
        token = choose(scores)
        # Among what the rules allow, as OpenAI's and Transformers' means are, which thresholds are meant for.
        gained = scores.gather(1, token[:, None])[:, 0] - scores.logsumexp(-1)  # (B,)
        totals += gained.masked_fill(ended, 0.0)
        counts += ~ended
        tokens = token.masked_fill(ended, rules.eos_id)[:, None]  # (B, 1)
        written = torch.cat([written, tokens], dim=1)
        ended = ended | (tokens[:, 0] == rules.eos_id)
        if bool(ended.all()):
            break
    means = (totals / counts.clamp_min(1)).tolist()
    return [DecodingResult(_ended(row, rules.eos_id), mean) for row, mean in zip(written.tolist(), means, strict=True)]


def beam_search(heard: WhisperState, prompt: Tensor, rules: Rules, most: int, *, beams: int) -> list[DecodingResult]:
    """The transcripts with the best mean log-probability of a search that follows `beams` at once behind prompt (B, P).

    As Transformers' beam search with a length penalty of 1 and `early_stopping=False`: a window is done when its best
    unfinished transcript is no better than the worst of as many finished ones as there are beams.
    """
    size = len(prompt)
    scores = heard.scores(prompt).repeat_interleave(beams, 0)  # (B K, V)
    heard.spread(beams)
    vocabulary = scores.shape[1]
    written = prompt.repeat_interleave(beams, 0)[:, :0]
    totals = torch.full((size, beams), _NEVER, device=prompt.device)
    totals[:, 0] = 0.0  # all beams start alike: only the first may be continued
    offsets = torch.arange(size, device=prompt.device)[:, None] * beams  # (B, 1): first row of each window
    pools = [_Pool(beams) for _ in range(size)]
    for step in range(1, most + 1):
        log_probs = rules(scores.log_softmax(-1), written)
        sums = (totals[:, :, None] + log_probs.view(size, beams, -1)).flatten(1)  # (B, K V)
        best, places = sums.topk(2 * beams, dim=1)  # (B, 2 K): even if all beams end, as many go on
        ids = places % vocabulary  # (B, 2 K)
        rows = places // vocabulary + offsets
        ended = (ids == rules.eos_id) | (step == most)
        _collect(pools, written, rows[:, :beams], ids[:, :beams], best[:, :beams] / step, ended[:, :beams])
        if step == most:
            break
        totals, kept = best.masked_fill(ended, _NEVER).topk(beams, dim=1)  # (B, K)
        chosen, tokens = rows.gather(1, kept).flatten(), ids.gather(1, kept).flatten()  # (B K,)
        written = torch.cat([written[chosen], tokens[:, None]], dim=1)
        for pool, hope in zip(pools, (totals[:, 0] / step).tolist(), strict=True):
            pool.close_unless(hope)
        if all(pool.closed for pool in pools):
            break
        heard.select_rows(chosen)
        scores = heard.scores(tokens[:, None])
    return [DecodingResult(_ended(pool.best, rules.eos_id), pool.scores[0]) for pool in pools]


class _Pool:
    """The best finished transcripts of one window, best first."""

    def __init__(self, size: int) -> None:
        self.size, self.closed = size, False
        self.scores: list[float] = []
        self._rows: list[list[int]] = []

    @property
    def best(self) -> list[int]:
        return self._rows[0]

    def add(self, score: float, row: list[int]) -> None:
        place = sum(known >= score for known in self.scores)
        self.scores.insert(place, score)
        self._rows.insert(place, row)
        del self.scores[self.size :], self._rows[self.size :]

    def close_unless(self, hope: float) -> None:
        if len(self.scores) == self.size and hope <= self.scores[-1]:
            self.closed = True


def _collect(pools: Sequence[_Pool], written: Tensor, rows: Tensor, ids: Tensor, scores: Tensor, ended: Tensor) -> None:
    """Put the candidates (B, K) that ended into their windows' pools."""
    for window, column in ended.nonzero().tolist():
        if not pools[window].closed:
            row = [*written[rows[window, column]].tolist(), int(ids[window, column])]
            pools[window].add(float(scores[window, column]), row)


def _ended(row: list[int], eos_id: int) -> list[int]:
    return row[: row.index(eos_id)] if eos_id in row else row


class Stretch(NamedTuple):
    """Tokens between two timestamps of a window."""

    start: float
    """Seconds from the window's beginning."""
    end: float
    """Seconds."""
    tokens: list[int]
    """Of the text, without timestamps."""


def stretches(tokens: Sequence[int], begin: int, seconds: float) -> tuple[list[Stretch], float]:
    """A window's tokens cut at its timestamps, and where the next window starts, in seconds.

    `begin` is the token of 0.00 s, `seconds` how much of the window is sound. As OpenAI's transcribe.py: where the window
    ends within a segment, it is read again from that segment's beginning.
    """
    stamps = [place for place, token in enumerate(tokens) if token >= begin]
    cuts = [place for place in stamps if place and tokens[place - 1] >= begin]  # the second of each pair
    whole = bool(stamps) and stamps[-1] == len(tokens) - 1 and stamps[-1] not in cuts
    if not cuts:
        last = (tokens[stamps[-1]] - begin) * STEP if stamps else 0.0
        text = [token for token in tokens if token < begin]
        return [Stretch(0.0, min(last, seconds) or seconds, text)] if text else [], seconds
    found, start = [], 0
    for cut in [*cuts, len(tokens)] if whole else cuts:
        part = tokens[start:cut]
        text = [token for token in part if token < begin]
        first, last = (part[0] - begin) * STEP, (part[-1] - begin) * STEP
        if text:
            found.append(Stretch(min(first, seconds), min(last, seconds), text))
        start = cut
    return found, seconds if whole else min(seconds, (tokens[start - 1] - begin) * STEP)
