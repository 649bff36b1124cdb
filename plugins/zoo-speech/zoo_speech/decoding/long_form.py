"""Recordings of any length as Whisper reads them: one window after the other, of many recordings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from zoo_core import UsageError
from zoo_speech.audio.features import log_mel, pad_or_trim
from zoo_speech.configs.tasks import RecognitionOptions
from zoo_speech.datasets.languages import language_code
from zoo_speech.decoding.fallback import Decoder, is_silent
from zoo_speech.decoding.segmentation import quietest_frame
from zoo_speech.decoding.whisper import STEP, DecodingResult, Rules, Stretch, WhisperState, stretches
from zoo_speech.preprocessor import Samples, WhisperReader

HOP = 160
"""Samples of a frame."""
TAIL = 8_000
"""Samples, 0.5 s, or a twentieth of a window of less than 10 s: less than that behind other windows isn't read, since models
invent words for it."""
MARGIN = 40_960
"""Samples, 2.56 s, or a quarter of a window of less than 10 s: the end of a window that is shorter than the one a model learned
with stays silent where a recording is read in pieces; filled to its end, models write sentences twice."""


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
    """What a checkpoint's transcripts obey. Raises `UsageError` where its reader forbids tokens that the tokenizer lacks."""
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
        last_timestamp=None if timestamps is None else timestamps + config.max_source_positions,
    )


class Recording:
    """How far a recording has been read."""

    def __init__(self, samples: Samples, tail: int = TAIL) -> None:
        """`tail` is the least number of samples that are read behind others."""
        self.samples, self._tail = samples, tail
        self.place = 0
        self.language = ""
        """What is spoken, where the model was asked and somebody speaks."""
        self.certainty: float | None = None
        """The model's probability of that language."""
        self.silence = 1.0
        """The model's probability that nobody speaks, of the window where it is lowest."""
        self.stretches: list[Stretch] = []
        """What was found so far, in seconds of the recording."""

    @property
    def unread(self) -> bool:
        """Whether there is more of it than a tail that no word fits into."""
        return self.place == 0 or len(self.samples) - self.place >= self._tail

    def take(self, found: Sequence[Stretch], samples: int, rate: int) -> None:
        """Keep what was found in the window here, and go on behind so many samples."""
        before = self.place / rate
        self.stretches += [Stretch(before + start, before + end, tokens) for start, end, tokens in found]
        self.place += samples


class LongFormTranscriber:
    """Reads recordings with a model; batches are of windows, each of another recording."""

    def __init__(self, model: nn.Module, reader: WhisperReader, options: RecognitionOptions) -> None:
        """Raises `UsageError` for what the checkpoint can't do, `UnknownName` for a language that it doesn't know."""
        self._model, self._reader, self._options = model, reader, options
        self._window = window_of(model)
        self._most = min(self._window.samples, reader.most_samples)
        """Samples of a recording that is read as a whole."""
        self._piecewise = self._most if self._is_whole else self._most - min(MARGIN, self._most // 4)
        """Samples of a piece of a longer one."""
        self._tail = min(TAIL, self._most // 20)
        self._timestamps = self._known_timestamps()
        if options.timestamps and self._timestamps is None:
            raise UsageError("this checkpoint's model has no tokens for timestamps", hint="leave timestamps out")
        if options.language and not reader.config.multilingual:
            raise UsageError("this checkpoint knows one language only", hint="leave language out")
        self._language = language_code(options.language, reader.languages) if options.language else ""

    def read(self, waveforms: Sequence[Samples], *, together: int) -> list[Recording]:
        """All recordings to their ends, windows of at most `together` at once.

        A window ends where its last whole segment does. Without timestamps, or where the model hears less at once than it
        learned them for, it ends at the quietest place of its last third; a recording that fits into one is read so unless
        timestamps are wanted.
        """
        recordings = [Recording(samples, self._tail) for samples in waveforms]
        timed = [recording for recording in recordings if self._is_timed(recording)]
        plain = [recording for recording in recordings if recording not in timed]
        for group, timestamps in ((timed, self._timestamps), (plain, None)):
            rules = rules_of(self._model, self._reader, timestamps)
            while waiting := [recording for recording in group if recording.unread]:
                for start in range(0, len(waiting), together):
                    self._go_on(waiting[start : start + together], rules)
        return recordings

    @property
    def _is_whole(self) -> bool:
        """Whether the model hears as much at once as it learned timestamps for."""
        return self._window.samples >= self._reader.most_samples

    def _known_timestamps(self) -> int | None:
        """The first one, if the model has a token for each of its encoder's frames."""
        begin, vocabulary = self._reader.timestamps, cast("Any", self._model).config.vocab_size
        most = self._window.frames // 2 + 1
        return begin if begin is not None and begin + most <= vocabulary else None

    def _is_timed(self, recording: Recording) -> bool:
        if self._timestamps is None or not self._reader.config.timestamps:
            return False
        longer = self._is_whole and len(recording.samples) > self._most
        return longer or self._options.timestamps or bool(self._options.format)

    def _go_on(self, recordings: Sequence[Recording], rules: Rules) -> None:
        pieces = [self._piece(recording, rules) for recording in recordings]
        spoken = [number for number, piece in enumerate(pieces) if not is_silent(piece)]
        found: list[DecodingResult | None] = [None] * len(pieces)
        if spoken:
            rows = self._written([recordings[row] for row in spoken], [pieces[row] for row in spoken], rules)
            for row, written in zip(spoken, rows, strict=True):
                found[row] = written
        for recording, piece, written in zip(recordings, pieces, found, strict=True):
            self._take(recording, len(piece), written, rules)

    def _take(self, recording: Recording, samples: int, written: DecodingResult | None, rules: Rules) -> None:
        """Keep what was written for the next so many samples of the recording, and go on behind what was understood."""
        rate = self._reader.sampling_rate
        seconds = samples / rate
        if written is None:
            recording.take([], samples, rate)
        elif rules.timestamps is None:
            recording.take([Stretch(0.0, seconds, written.tokens)] if written.tokens else [], samples, rate)
        else:
            found, end = stretches(written.tokens, rules.timestamps, seconds)
            # Whole steps, so that rounding can't creep in; and never on the spot.
            steps = round(end / STEP) * round(STEP * rate)
            whole = end >= seconds or not self._is_whole
            recording.take(found, samples if whole else max(HOP, steps), rate)

    def _piece(self, recording: Recording, rules: Rules) -> Samples:
        rest = recording.samples[recording.place :]
        if len(rest) <= (self._piecewise if recording.place else self._most):
            return rest
        most = min(self._piecewise, len(rest) - 2 * self._tail)  # so that what comes last isn't a fraction of a word
        return rest[: most if rules.timestamps is not None and self._is_whole else quietest_frame(rest[:most])]

    def _written(
        self, recordings: Sequence[Recording], pieces: Sequence[Samples], rules: Rules
    ) -> list[DecodingResult | None]:
        """None where nobody speaks."""
        device = next(self._model.parameters()).device
        lengths = torch.tensor([len(piece) for piece in pieces], device=device)
        rows = pad_sequence([torch.from_numpy(np.ascontiguousarray(piece)) for piece in pieces], batch_first=True)
        heard = WhisperState(self._model, spectrograms(rows.to(device), lengths, self._window))
        first = heard.first(self._reader.prompt[0])
        silence = silence_of(first, self._reader)
        languages = self._languages(recordings, first)
        prompt = self._prompt([code for code, _ in languages], device, timed=rules.timestamps is not None)
        most = cast("Any", self._model).config.max_target_positions - prompt.shape[1]
        decode = Decoder(rules, self._options, self._reader.decode, beams=self._options.beams)
        found = decode(heard, prompt, most, silence)
        for recording, one, chance, (code, certainty) in zip(recordings, found, silence, languages, strict=True):
            recording.silence = min(chance, recording.silence)
            if one is not None and not recording.language:
                recording.language, recording.certainty = code, certainty
        return found

    def _languages(self, recordings: Sequence[Recording], first: Tensor) -> list[tuple[str, float | None]]:
        """The language of each recording, which is that of its first window with speech where nobody says it."""
        if not self._reader.config.multilingual or self._options.language or self._reader.names_language:
            return [(self._language, None)] * len(recordings)
        codes = list(self._reader.languages)
        chances = first[:, list(self._reader.languages.values())].softmax(-1).max(-1)  # among the languages alone
        found = [
            (codes[number], chance)
            for number, chance in zip(chances.indices.tolist(), chances.values.tolist(), strict=True)
        ]
        return [
            (one.language, one.certainty) if one.language else guess
            for one, guess in zip(recordings, found, strict=True)
        ]

    def _prompt(self, languages: Sequence[str], device: torch.device, *, timed: bool) -> Tensor:
        """(B, P)."""
        none = None if self._reader.timestamps is None else self._reader.timestamps - 1  # <|notimestamps|>
        rows = [self._reader.prompt_in(language) for language in languages]
        return torch.tensor([[one for one in row if not (timed and one == none)] for row in rows], device=device)


def silence_of(first: Tensor, reader: WhisperReader) -> list[float]:
    """The probabilities that nobody speaks, of the scores (B, V) behind the first token; 0 where the model can't tell."""
    if reader.silence is None:
        return [0.0] * len(first)
    return first.softmax(-1)[:, reader.silence].tolist()
