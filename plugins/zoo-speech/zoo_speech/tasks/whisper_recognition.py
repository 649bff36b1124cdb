"""Recognition of speech by a decoder that writes what an encoder heard, learned by teacher forcing.

Paper: Radford, Kim, Xu, Brockman, McLeavey, Sutskever, Robust Speech Recognition via Large-Scale Weak Supervision, 2022,
arXiv 2212.04356. Word error rates compare small letters without punctuation, by one rule for all languages
(`transcripts.normalised`). The paper's English normaliser also writes numbers as digits, spells as Americans do and
undoes contractions, so its figures differ a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core import DataError
from zoo_core.contract import At, Batch, File, SampleKey, StepOutput, TaskContext
from zoo_speech.audio.timed import Segment, View
from zoo_speech.augment import WaveAugmentation, spec_augment
from zoo_speech.configs.tasks import RecognitionConfig, RecognitionOptions
from zoo_speech.datasets.languages import known_language, language_name
from zoo_speech.datasets.samples import sample_name
from zoo_speech.decoding.alignment import cross_attention
from zoo_speech.decoding.fallback import Decoder, is_silent
from zoo_speech.decoding.long_form import (
    HOP,
    LongFormTranscriber,
    Recording,
    Window,
    rules_of,
    silence_of,
    spectrograms,
    window_of,
)
from zoo_speech.decoding.whisper import WhisperState
from zoo_speech.evaluation.word_errors import plain
from zoo_speech.preprocessor import Samples, WhisperReader
from zoo_speech.tasks.common import Recordings, filter_by_duration, subtitle_file, transcript
from zoo_speech.tasks.transcription import Transcription, TranscriptResult
from zoo_speech.visualization import plots
from zoo_speech.visualization.subtitles import as_data

_IGNORED = -100


class Recognition(Transcription):
    """The task; its transcripts are spelled as the checkpoint's tokenizer does."""

    monitor = ("wer", "min")
    config: RecognitionConfig
    preprocessor_type = WhisperReader
    needs = "start from a Whisper"
    preprocessor: WhisperReader

    def __init__(self, config: RecognitionConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model whose reader isn't Whisper's."""
        super().__init__(config, context)
        self.window = window_of(self.model)
        self.rules = rules_of(self.model, self.preprocessor)

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Utterances:
        """Spectrograms with their transcripts as tokens. Raises `DataError` for what has none, or is too long."""
        architecture = cast("Any", self.model).config
        if train:
            self.preprocessor.forget_timestamps()
        most = min(self.window.samples, self.preprocessor.most_samples)
        return Utterances(
            filter_by_duration(samples, self.config.longest) if train and self.config.longest else samples,
            self.preprocessor,
            WaveAugmentation(self.config.augment, most=most) if train else None,
            self.config if train else None,
            self.window,
            self.rules.eos_id,
            architecture.max_target_positions,
            0 if train else min(self.config.generate_samples or len(samples), len(samples)),
        )

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """Loss of every token behind the prompt, the end included."""
        loss, weight, _ = self._loss(modules["model"], batch)
        return StepOutput(loss, weight)

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> TranscriptResult:
        """Sum of the losses, and what the model writes for the chosen recordings, beside references; all of one to show."""
        loss, weight, encoded = self._loss(modules["model"], batch)
        chosen = [row for row, text in enumerate(batch["texts"]) if text is not None]
        found: list[str] = []
        examples: list[_Example] = []
        if chosen:
            heard = WhisperState(modules["model"], batch["input_features"][chosen], encoded[chosen])
            written = self._written(heard, batch["prompts"][chosen], [batch["silent"][row] for row in chosen])
            found = [self.preprocessor.decode(tokens) for tokens in written]
            examples = [
                _Example(batch["input_features"][row].cpu(), seconds, batch["prompts"][row].tolist(), tokens)
                for row, tokens in zip(chosen, written, strict=True)
                if (seconds := batch["shown"][row])
            ]
        expected = [batch["texts"][row] for row in chosen]
        return TranscriptResult(loss=loss, weight=weight, found=found, expected=expected, examples=examples)

    def comparable(self, texts: Sequence[str]) -> list[str]:
        """In small letters without punctuation."""
        return plain(texts)

    def predict(self, inputs: Sequence[Any], options: RecognitionOptions) -> list[dict[str, Any]]:
        """Text and segments of each recording, whatever its length. Raises `DataError` for an input that is no recording.

        Where nothing is written, `no_speech` is the model's probability that nobody speaks, 1 for digital silence.

        Features are those of the window alone, also within a longer recording, so that memory doesn't grow with it.
        """
        listener = LongFormTranscriber(self.model, self.preprocessor, options)

        def answer(waveforms: Sequence[Samples]) -> list[dict[str, Any]]:
            return [self._answer(one, options) for one in listener.read(waveforms, together=self.together)]

        return self.answered(inputs, options, answer)

    def stream(self, item: Any, options: RecognitionOptions) -> Iterator[str]:
        """The text, when all of it is known."""
        yield self.predict([item], options)[0]["text"]

    def artifacts(self, modules: Mapping[str, nn.Module], result: TranscriptResult) -> dict[str, bytes]:
        """`transcripts.txt`: what was due and what was found; `attention.png`: where one of them was heard."""
        files = super().artifacts(modules, result)
        return {**files, "attention.png": self._attended(result.examples[0])} if result.examples else files

    def view(self, dataset: Any, key: SampleKey) -> View:
        """The spectrogram that the encoder is given, as far as there is speech, and the waveform that it is made of."""
        waveform = dataset.waveform(key.index, key.generator())[: self.window.samples]
        features, _, tokens, *_ = dataset.sample(key)
        title = self.preprocessor.decode(tokens)
        rate = self.preprocessor.sampling_rate
        return View(samples=waveform, rate=rate, title=title, spectrogram=features.numpy())

    def _loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, its weight, and what the encoder made of the batch."""
        output = model(
            input_features=batch["input_features"], decoder_input_ids=batch["decoder_input_ids"], use_cache=False
        )
        return *self.loss(output.logits, batch["labels"]), output.encoder_last_hidden_state

    def _written(self, heard: WhisperState, prompt: Tensor, silent: Sequence[bool]) -> list[list[int]]:
        """Tokens behind prompt (B, P) for each window, as `predict` gives them; none where nobody speaks."""
        most = cast("Any", self.model).config.max_target_positions - prompt.shape[1]
        silence = silence_of(heard.first(int(prompt[0, 0])), self.preprocessor)
        decode = Decoder(self.rules, self.config.decoding, self.preprocessor.decode)
        found = decode(heard, prompt, most, silence)
        return [one.tokens if one and not nothing else [] for one, nothing in zip(found, silent, strict=True)]

    def _answer(self, recording: Recording, options: RecognitionOptions) -> dict[str, Any]:
        reader = self.preprocessor
        segments = [Segment(start, end, reader.decode(tokens)) for start, end, tokens in recording.stretches]
        # Decoded together: some languages are written without spaces.
        tokens = [token for part in recording.stretches for token in part.tokens]
        answer: dict[str, Any] = {"text": reader.decode(tokens), "segments": as_data(segments)}
        if recording.language:
            answer |= {"language": recording.language, "language_name": language_name(recording.language)}
        if recording.certainty is not None:
            answer["language_probability"] = round(recording.certainty, 4)
        if not answer["text"]:
            answer["no_speech"] = round(recording.silence, 4)
        if options.format:
            answer["file"] = subtitle_file(segments, options.format)
        if options.plot:
            answer["plot"] = File(".png", self._attended(self._first_window(recording)))
        return answer

    def _first_window(self, recording: Recording) -> _Example:
        """As much of a recording as is read at once, and what was found in it."""
        samples = torch.from_numpy(np.array(recording.samples[: self.window.samples]))
        features = spectrograms(samples[None], torch.tensor([len(samples)]), self.window)[0]
        seconds = len(samples) / self.preprocessor.sampling_rate
        parts = [part.tokens for part in recording.stretches if part.end <= seconds]
        prompt = self.preprocessor.prompt_in(recording.language)
        return _Example(features, seconds, prompt, [token for tokens in parts for token in tokens])

    def _attended(self, example: _Example) -> bytes:
        """PNG of what the decoder attends to when it writes each token."""
        tokens = example.tokens[: cast("Any", self.model).config.max_target_positions - len(example.prompt)]
        # (K, n, T) to (n, T)
        weights = cross_attention(self.model, example.features.to(self.device), example.prompt, tokens).mean(0)
        return plots.attention(
            example.features.numpy(),
            weights.cpu().numpy(),
            [self.preprocessor.decode([token]) for token in tokens],
            seconds=example.seconds,
            title=self.preprocessor.decode(tokens),
        )


class _Example(NamedTuple):
    """A window whose plot is shown."""

    features: Tensor
    """(M, T)."""
    seconds: float
    """Of speech in it."""
    prompt: list[int]
    tokens: list[int]
    """Behind the prompt."""


@dataclass(eq=False)
class Utterances(Recordings):
    """Spectrograms of whole windows, transcripts as tokens; some are marked for writing."""

    reader: WhisperReader
    config: RecognitionConfig | None
    """None for evaluation, which masks nothing."""
    window: Window
    eos_id: int
    most: int
    """Tokens that are read with the prompt."""
    marks: int
    """Texts that come along."""

    def __post_init__(self) -> None:
        """Raises `DataError`, naming the sample, for one without a transcript, or that is too long in time or text, or whose
        language nobody says."""
        super().__post_init__()
        hint = "cut the recording into pieces, each with its transcript"
        self.refuse_long(min(self.window.samples, self.reader.most_samples), hint)
        texts = [transcript(sample, number, self.reader) for number, sample in enumerate(self.samples)]
        self.targets: list[tuple[list[int], list[int]]] = []
        for number, (sample, text) in enumerate(zip(self.samples, texts, strict=True)):
            prompt = _prompt(sample, number, self.reader)
            tokens = [*self.reader.encode(text), self.eos_id]
            if len(prompt) + len(tokens) - 1 > self.most:
                raise DataError(
                    f"{sample_name(sample, number)}: a transcript of {len(tokens)} tokens, {self.most} are read with its prompt",
                    hint="cut the recording into pieces",
                )
            self.targets.append((prompt, tokens))
        # All windows are alike long; what differs is what has to be written.
        self.lengths = np.array([len(tokens) for _, tokens in self.targets], dtype=np.int64)
        chosen = np.linspace(0, len(self) - 1, self.marks).round().astype(int).tolist() if self.marks else []
        self.marked = {index: texts[index] for index in chosen}
        self.shown = chosen[:1]

    def sample(self, key: SampleKey) -> tuple[Tensor, list[int], list[int], str | None, float, bool]:
        """A spectrogram (M, T), the prompt, the tokens behind it, the text where it is marked; seconds where it is shown.

        The last says whether it is digital silence.
        """
        generator = key.generator()
        waveform = self.waveform(key.index, generator)[: self.window.samples]
        rows = torch.from_numpy(np.array(waveform, dtype=np.float32))[None]
        features = spectrograms(rows, torch.tensor([rows.shape[1]]), self.window)[0]  # (M, T)
        if self.config:
            used = max(1, rows.shape[1] // HOP)
            # Whisper has (M, T), `spec_augment` (T, M); the silence behind the recording stays as it is.
            features[:, :used] = spec_augment(features[:, :used].T, self.config.spec_augment, generator).T
        seconds = rows.shape[1] / self.reader.sampling_rate if key.index in self.shown else 0.0
        return features, *self.targets[key.index], self.marked.get(key.index), seconds, is_silent(waveform)

    def collate(self, samples: list[Any]) -> Batch:
        """`input_features` (B, M, T), `decoder_input_ids`, `labels` (B, L), `prompts` (B, P), `texts`, `shown`, `silent`."""
        features, prompts, targets, texts, shown, silent = zip(*samples, strict=True)
        longest = max(map(len, targets)) + len(prompts[0]) - 1
        inputs = torch.full((len(samples), longest), self.eos_id)
        labels = torch.full((len(samples), longest), _IGNORED)
        for row, (prompt, tokens) in enumerate(zip(prompts, targets, strict=True)):
            whole = torch.tensor([*prompt, *tokens])
            inputs[row, : len(whole) - 1] = whole[:-1]  # each place predicts the next token
            labels[row, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]  # none within the prompt
        return {
            "input_features": torch.stack(features),
            "decoder_input_ids": inputs,
            "labels": labels,
            "prompts": torch.tensor(prompts),
            "texts": list(texts),
            "shown": list(shown),
            "silent": list(silent),
        }


def _prompt(sample: Any, number: int, reader: WhisperReader) -> list[int]:
    """The reader's prompt in the sample's language, where that is one that the model knows."""
    said = getattr(sample, "language", "")
    language = known_language(said, reader.languages)
    if language not in reader.languages and not reader.names_language:
        known = f"says that it is in {said!r}" if said else "doesn't say its language"
        raise DataError(
            f"{sample_name(sample, number)} {known}, and neither does preprocessor.prompt",
            hint='put a language behind its first token, as "<|de|>"',
        )
    return reader.prompt_in(language)
