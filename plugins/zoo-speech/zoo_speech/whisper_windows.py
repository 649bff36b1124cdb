"""Recordings of any length as Whisper reads them: one window after the other, of many recordings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.errors import UnknownName, UsageError
from zoo_speech.features import log_mel, pad_or_trim
from zoo_speech.pieces import quietest
from zoo_speech.preprocessor import Samples, WhisperReader
from zoo_speech.task_configs import RecognitionOptions
from zoo_speech.whisper_decoding import STEP, Heard, Rules, Stretch, Written, beam_search, greedy, stretches

HOP = 160
"""Samples of a frame."""
_SILENT, _DOUBTFUL = 0.6, -1.0
"""A window is silence where the model says so with this probability, and is unsure of what it wrote: mean
log-probability; OpenAI's transcribe.py has these numbers."""


class Window(NamedTuple):
    """What a model hears at once."""

    mels: int
    frames: int

    @property
    def samples(self) -> int:
        """Of the waveform."""
        return self.frames * HOP


def window_of(model: nn.Module) -> Window:
    """A model's window."""
    config: Any = model.config
    return Window(config.num_mel_bins, 2 * config.max_source_positions)


def spectrograms(samples: Tensor, lengths: Tensor, window: Window) -> Tensor:
    """(B, M, T) of samples (B, N), with silence after each row's length up to the whole window, as Whisper learned."""
    return log_mel(pad_or_trim(samples, lengths, size=window.samples), mels=window.mels).values


def rules_of(model: nn.Module, reader: WhisperReader, timestamps: int | None = None) -> Rules:
    """What a checkpoint's transcripts obey. Raises `UsageError` where its reader forbids tokens that there are not."""
    config: Any = model.config
    settings = reader.config
    for number in (*settings.suppressed, *settings.suppressed_first):
        if not 0 <= number < config.vocab_size:
            raise UsageError(f"preprocessor: suppressed: token {number}, of {config.vocab_size} in all")
    return Rules(
        eos_id=config.eos_token_id,
        suppressed=settings.suppressed,
        suppressed_first=settings.suppressed_first,
        timestamps=timestamps,
    )


class Recording:
    """How far a recording has been read."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.place = 0
        self.language = ""
        """What is spoken, where the model was asked."""
        self.stretches: list[Stretch] = []
        """What was found so far, in seconds of the recording."""

    @property
    def unread(self) -> bool:
        """Whether there is more of it than the last fraction of a frame."""
        return self.place == 0 or len(self.samples) - self.place >= HOP

    def take(self, found: Sequence[Stretch], samples: int, rate: int) -> None:
        """Keep what was found in the window here, and go on behind so many samples."""
        before = self.place / rate
        self.stretches += [Stretch(before + start, before + end, tokens) for start, end, tokens in found]
        self.place += samples


class Listener:
    """Reads recordings with a model; batches are of windows, each of another recording."""

    def __init__(self, model: nn.Module, reader: WhisperReader, options: RecognitionOptions) -> None:
        """Raises `UsageError` for what the checkpoint can't do, `UnknownName` for a language that it doesn't know."""
        self._model, self._reader, self._options = model, reader, options
        self._window = window_of(model)
        self._most = min(self._window.samples, reader.most_samples)
        self._timestamps = self._known_timestamps()
        if options.timestamps and self._timestamps is None:
            raise UsageError("this checkpoint's model has no tokens for timestamps", hint="leave timestamps out")
        if options.language and not reader.config.multilingual:
            raise UsageError("this checkpoint knows one language only", hint="leave language out")
        if options.language and options.language not in reader.languages:
            raise UnknownName("language", options.language, reader.languages)

    def read(self, waveforms: Sequence[Samples], *, together: int) -> list[Recording]:
        """All recordings to their ends, windows of at most `together` at once.

        A window ends where its last whole segment does. Without timestamps it ends at the quietest place of its last
        third; a recording that fits into one is read so unless timestamps are wanted.
        """
        recordings = [Recording(samples) for samples in waveforms]
        timed = [recording for recording in recordings if self._is_timed(recording)]
        plain = [recording for recording in recordings if recording not in timed]
        for group, timestamps in ((timed, self._timestamps), (plain, None)):
            rules = rules_of(self._model, self._reader, timestamps)
            while waiting := [recording for recording in group if recording.unread]:
                for start in range(0, len(waiting), together):
                    self._go_on(waiting[start : start + together], rules)
        return recordings

    def _known_timestamps(self) -> int | None:
        """The first one, if the model has a token for each of its encoder's frames."""
        begin, vocabulary = self._reader.timestamps, cast("Any", self._model).config.vocab_size
        most = self._window.frames // 2 + 1
        return begin if begin is not None and begin + most <= vocabulary else None

    def _is_timed(self, recording: Recording) -> bool:
        wanted = self._options.timestamps or bool(self._options.format) or len(recording.samples) > self._most
        return wanted and self._timestamps is not None

    def _go_on(self, recordings: Sequence[Recording], rules: Rules) -> None:
        pieces = [self._piece(recording, rules) for recording in recordings]
        rate = self._reader.sampling_rate
        for recording, piece, written in zip(recordings, pieces, self._written(recordings, pieces, rules), strict=True):
            seconds = len(piece) / rate
            if written is None:
                recording.take([], len(piece), rate)
            elif rules.timestamps is None:
                found = [Stretch(0.0, seconds, written.tokens)] if written.tokens else []
                recording.take(found, len(piece), rate)
            else:
                found, end = stretches(written.tokens, rules.timestamps, seconds)
                # Whole steps, so that rounding can't creep in; and never on the spot.
                steps = round(end / STEP) * round(STEP * rate)
                recording.take(found, len(piece) if end >= seconds else max(HOP, steps), rate)

    def _piece(self, recording: Recording, rules: Rules) -> Samples:
        rest = recording.samples[recording.place :]
        if len(rest) <= self._most:
            return rest
        return rest[: self._most if rules.timestamps is not None else quietest(rest[: self._most])]

    def _written(
        self, recordings: Sequence[Recording], pieces: Sequence[Samples], rules: Rules
    ) -> list[Written | None]:
        """None where nobody speaks."""
        device = next(self._model.parameters()).device
        lengths = torch.tensor([len(piece) for piece in pieces], device=device)
        rows = torch.zeros(len(pieces), int(lengths.max()))
        for row, piece in zip(rows, pieces, strict=True):
            row[: len(piece)] = torch.from_numpy(np.ascontiguousarray(piece))
        heard = Heard(self._model, spectrograms(rows.to(device), lengths, self._window))
        first = heard.first(self._reader.prompt[0])
        prompt = self._prompt(recordings, first, timed=rules.timestamps is not None)
        most = cast("Any", self._model).config.max_target_positions - prompt.shape[1]
        beams = self._options.beams
        found = (
            beam_search(heard, prompt, rules, most, beams=beams) if beams > 1 else greedy(heard, prompt, rules, most)
        )
        silent = [0.0] * len(pieces)
        if self._reader.silence is not None:
            silent = first.softmax(-1)[:, self._reader.silence].tolist()
        return [
            None if chance > _SILENT and one.mean < _DOUBTFUL else one
            for one, chance in zip(found, silent, strict=True)
        ]

    def _prompt(self, recordings: Sequence[Recording], first: Tensor, *, timed: bool) -> Tensor:
        """(B, P); the language of each recording is that of its first window where nobody says it."""
        asked = self._reader.config.multilingual and not (self._options.language or self._reader.names_language)
        if asked:
            codes = list(self._reader.languages)
            best = first[:, list(self._reader.languages.values())].argmax(-1).tolist()
            for recording, number in zip(recordings, best, strict=True):
                recording.language = recording.language or codes[number]
        else:
            for recording in recordings:
                recording.language = self._options.language
        none = None if self._reader.timestamps is None else self._reader.timestamps - 1
        rows = [self._reader.prompt_in(recording.language) for recording in recordings]
        return torch.tensor([[one for one in row if not (timed and one == none)] for row in rows], device=first.device)
