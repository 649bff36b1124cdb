"""Recognition of speech by an encoder whose frames are symbols or blanks.

Paper: Graves, Fernández, Gomez, Schmidhuber, Connectionist Temporal Classification, ICML 2006.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo_core import UsageError
from zoo_core.contract import At, Batch, SampleKey, StepOutput, TaskContext
from zoo_core.data import even_places
from zoo_speech.audio.masks import spans
from zoo_speech.audio.timed import Alignment, Segment, Track, View
from zoo_speech.augment import WaveAugmentation
from zoo_speech.configs.tasks import CTCConfig, CTCOptions
from zoo_speech.decoding.alignment import align, frames_due, words
from zoo_speech.decoding.ctc import Decode, decoder_of, greedy
from zoo_speech.decoding.segmentation import split_at_silence
from zoo_speech.models.encoders import padded
from zoo_speech.models.frames import frame_model_of
from zoo_speech.preprocessor import Samples, SpeechReader
from zoo_speech.tasks.common import Recordings, batch_of, padded_masks, plot_file, transcript, word_file
from zoo_speech.tasks.transcription import Transcription, TranscriptResult
from zoo_speech.visualization import plots
from zoo_speech.visualization.subtitles import as_data


class CTCRecognition(Transcription):
    """The task; its symbols are the characters that the checkpoint's transcripts were spelled with."""

    monitor = ("cer", "min")
    config: CTCConfig
    preprocessor_type = SpeechReader
    needs = "set preprocessor.text=characters"
    preprocessor: SpeechReader

    def __init__(self, config: CTCConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model whose reader has no symbols."""
        super().__init__(config, context)
        if self.preprocessor.characters is None:
            raise UsageError("recognition needs a reader with symbols", hint=self.needs)
        self.characters = self.preprocessor.characters
        self.frames = frame_model_of(self.model, self.preprocessor.sampling_rate, len(self.characters))
        self.clock = self.frames.clock
        if config.mask_probability and not self.frames.hides:
            hint = "set task.mask_probability=0"
            raise UsageError(f"a {type(self.model).__name__} can't hide frames while training", hint=hint)

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Utterances:
        """Waveforms with their transcripts as symbols. Raises `DataError` for what has none, or is too long."""
        augmentation = WaveAugmentation(self.config.augment) if train else None
        return Utterances(samples, self.preprocessor, augmentation, self.config if train else None, self.frames.count)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The loss of every transcript, and the symbols of those that have no path and are left out of it."""
        log_probs, lengths = self._heard(modules["model"], batch)
        loss, weight = self.loss(log_probs, lengths, batch["targets"], batch["target_lengths"])
        return StepOutput(loss, weight, {"left_out": batch["target_lengths"].sum() - weight})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> TranscriptResult:
        """Sum of the losses, and the likeliest path's text beside the transcript; all of the recordings to show."""
        log_probs, lengths = self._heard(modules["model"], batch)
        loss, weight = self.loss(log_probs, lengths, batch["targets"], batch["target_lengths"])
        found = greedy(self.characters, log_probs, lengths)
        examples = [
            _Example(
                batch["samples"][row, : batch["lengths"][row]].cpu().numpy(),
                log_probs[row, : lengths[row]].cpu(),
                batch["texts"][row],
                found[row],
            )
            for row in batch["shown"].nonzero().flatten().tolist()
        ]
        return TranscriptResult(loss=loss, weight=weight, found=found, expected=list(batch["texts"]), examples=examples)

    def read(self, item: Any, number: int, options: CTCOptions) -> list[Samples]:
        """The pieces of a recording: what is longer than the reader's `max_seconds` is heard piece by piece."""
        return split_at_silence(self.preprocessor.waveform(item, number), self.preprocessor.most_samples)

    def predict(self, inputs: Sequence[Any], options: CTCOptions) -> list[dict[str, Any]]:
        """The text of each recording, and what else is asked for. Raises `DataError` for an input that is no recording."""
        decode = decoder_of(self.characters, options, self.preprocessor.normalize_transcript)

        def answer(cut: Sequence[list[Samples]]) -> list[dict[str, Any]]:
            read = self._read(list(chain(*cut)), decode)
            return [self._answer(list(islice(read, len(parts))), options) for parts in cut]

        return self.answered(inputs, options, answer)

    def artifacts(self, modules: Mapping[str, nn.Module], result: TranscriptResult) -> dict[str, bytes]:
        """`transcripts.txt`: what was due and what was found; `alignment.png`: when, in some of the recordings."""
        files, views = super().artifacts(modules, result), [self._compared(example) for example in result.examples]
        return {**files, "alignment.png": plots.recordings(views)} if views else files

    def view(self, dataset: Any, key: SampleKey) -> View:
        """A standardised waveform, its transcript, and what is hidden of it."""
        waveform, _, text, hidden, _ = dataset.sample(key)
        stretches = self.clock.stretches(hidden) if hidden is not None else ()
        return View(samples=waveform, rate=self.preprocessor.sampling_rate, title=text, hidden=stretches)

    def _read(self, parts: Sequence[Samples], decode: Decode) -> Iterator[_Read]:
        """Each piece with its text."""
        for start in range(0, len(parts), self.together):
            group = parts[start : start + self.together]
            standardised = [self.preprocessor.standardised(samples) for samples in group]
            log_probs, lengths = self._heard(self.model, batch_of(standardised, self.device))
            texts = decode(log_probs, lengths)
            for samples, row, length, text in zip(group, log_probs, lengths.tolist(), texts, strict=True):
                yield _Read(samples, row[:length], text)

    def _answer(self, parts: Sequence[_Read], options: CTCOptions) -> dict[str, Any]:
        """Of one recording's pieces; the plot is of the first."""
        between = " " if " " in self.characters.symbols else ""
        answer: dict[str, Any] = {"text": between.join(part.text for part in parts if part.text)}
        if not (options.timestamps or options.format or options.plot):
            return answer
        alignments = [align(part.log_probs, part.text, self.characters, self.clock) for part in parts]
        said, before = [], 0.0
        for part, alignment in zip(parts, alignments, strict=True):
            said += [Segment(before + start, before + end, text) for start, end, text in words(alignment.symbols)]
            before += len(part.samples) / self.preprocessor.sampling_rate
        if options.timestamps:
            answer["segments"] = as_data(said)
        if options.format:
            answer["file"] = word_file(said, options.format)
        if options.plot:
            first = parts[0]
            answer["plot"] = plot_file(self._drawn(first.samples, first.text, {"heard": alignments[0]}))
        return answer

    def _compared(self, example: _Example) -> View:
        """The transcript's own likeliest path, where it has one, above the one that was found."""
        texts = {"due": example.expected, "heard": example.found}
        paths = {
            name: align(example.log_probs, text, self.characters, self.clock)
            for name, text in texts.items()
            if frames_due(self.characters.encode(text)) <= len(example.log_probs)
        }
        return self._drawn(example.samples, example.expected, paths)

    def _drawn(self, samples: Samples, title: str, paths: Mapping[str, Alignment]) -> View:
        """The probabilities are those of the first path."""
        lanes = [Track(name, alignment.symbols) for name, alignment in paths.items()]
        first = next(iter(paths.values()))
        rate = self.preprocessor.sampling_rate
        return View(samples=samples, rate=rate, title=title, lanes=lanes, path=first)

    def _heard(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, T, C) of symbols, and how many frames each recording has."""
        logits, lengths = self.frames.logits(model, batch)
        return logits.float().log_softmax(-1), lengths


class _Read(NamedTuple):
    """A piece of a recording, and what was read in it."""

    samples: Samples
    """(N,)."""
    log_probs: Tensor
    """(T, C) of its own frames."""
    text: str


class _Example(NamedTuple):
    """A recording that an evaluation shows."""

    samples: Samples
    """(N,), standardised."""
    log_probs: Tensor
    """(T, C)."""
    expected: str
    found: str


@dataclass(eq=False)
class Utterances(Recordings):
    """Waveforms, transcripts as symbols, and the frames that training hides."""

    reader: SpeechReader
    config: CTCConfig | None
    """None for evaluation, which hides nothing."""
    frames: Callable[[int], int]
    """The encoder's frames of samples."""

    def __post_init__(self) -> None:
        """Raises `DataError`, naming the sample, for one without a transcript, or that is too long."""
        super().__post_init__()
        self.refuse_long(self.reader.most_samples, "raise preprocessor.max_seconds, or cut the recording")
        symbols = self.reader.characters
        assert symbols is not None  # the task asks for them
        self.texts = [transcript(sample, number, self.reader) for number, sample in enumerate(self.samples)]
        self.targets = [torch.tensor(symbols.encode(text), dtype=torch.long) for text in self.texts]
        self.shown = frozenset() if self.config else frozenset(even_places(len(self), plots.MOST))

    def sample(self, key: SampleKey) -> tuple[Any, Tensor, str, Any, bool]:
        """A waveform (N,), its symbols (L,), its text, which of its frames (T,) are hidden, and whether it is shown."""
        generator = key.generator()
        waveform = self.reader.standardised(self.waveform(key.index, generator))
        hidden = None
        if self.config:
            probability, length = self.config.mask_probability, self.config.mask_length
            hidden = spans(max(1, self.frames(len(waveform))), generator, probability=probability, length=length)
        return waveform, self.targets[key.index], self.texts[key.index], hidden, key.index in self.shown

    def collate(self, samples: list[Any]) -> Batch:
        """`samples` (B, N), `lengths`, `targets` (B, L), `target_lengths`, `texts`, `shown`, and `masks` in training."""
        waveforms, targets, texts, hidden, shown = zip(*samples, strict=True)
        batch: dict[str, Any] = padded(waveforms)
        batch["targets"] = nn.utils.rnn.pad_sequence(list(targets), batch_first=True)
        batch["target_lengths"] = torch.tensor([len(target) for target in targets])
        batch["texts"], batch["shown"] = list(texts), torch.tensor(shown)
        if self.config:
            batch["masks"] = padded_masks(hidden, max(1, self.frames(batch["samples"].shape[1])))
        return batch
