"""Whisper: the same tokens as Transformers' own search, losses by hand, and recordings of any length end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationConfig
from transformers.generation.logits_process import LogitsProcessorList, WhisperTimeStampLogitsProcessor
from transformers.generation.utils import GenerationMixin
from zoo_speech.audio.audio import Waveform
from zoo_speech.configs.augment import SpecAugmentConfig, WaveAugmentConfig
from zoo_speech.configs.models import SpeechReaderConfig, WhisperConfig, WhisperReaderConfig
from zoo_speech.configs.tasks import RecognitionConfig, RecognitionOptions
from zoo_speech.datasets.samples import Recording
from zoo_speech.decoding.long_form import LongFormTranscriber, spectrograms, window_of
from zoo_speech.decoding.segmentation import quietest_frame
from zoo_speech.decoding.whisper import Rules, WhisperState, beam_search, greedy, stretches
from zoo_speech.evaluation.word_errors import plain_errors
from zoo_speech.models.whisper import build
from zoo_speech.preprocessor import SpeechReader, WhisperReader
from zoo_speech.tasks.whisper_recognition import Recognition

from zoo_core import DataError, UnknownName, UsageError
from zoo_core.contract import At, File, Head, SampleKey, TaskContext, inference_mode
from zoo_core.tasks import cross_entropy
from zoo_core.testing import CrossEntropyConfig

SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"),
    *("<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
EOS, START, EN, DE, TRANSCRIBE, SILENCE, NO_TIMES = 256, 257, 258, 259, 261, 263, 264
TIME = 265
FRAMES = 64
SECONDS = FRAMES / 100
CONFIG = WhisperConfig(
    vocab_size=TIME + FRAMES // 2 + 1,
    hidden_size=32,
    encoder_layers=1,
    decoder_layers=1,
    num_heads=2,
    intermediate_size=64,
    max_frames=FRAMES,
    max_length=24,
    start_id=START,
    eos_id=EOS,
)

Samples = NDArray[np.float32]


def tokenizer() -> Tokenizer:
    """Bytes, and Whisper's special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({character: number for number, character in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    return made


def reader_of(**settings: Any) -> WhisperReader:
    return WhisperReader(WhisperReaderConfig(**{"max_seconds": SECONDS, **settings}), tokenizer())


MULTILINGUAL = {"multilingual": True, "prompt": ("<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>")}


def random_model(seed: int = 0, config: WhisperConfig = CONFIG, scale: float = 3.0) -> nn.Module:
    """Weights that are large enough for transcripts to differ."""
    torch.manual_seed(seed)
    model = build(config, Head()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
    return model


def prefer(model: Any, tokens: Sequence[int], amount: float) -> None:
    """Raise the scores of tokens, whatever was heard."""
    with torch.no_grad():
        norm = model.model.decoder.layer_norm
        if float(norm.weight[0]):
            norm.weight[0], norm.bias[0] = 0.0, 10.0
            model.proj_out.weight[:, 0] = 0.0
        model.proj_out.weight[list(tokens), 0] = amount / 10.0


def tone(frequency: float, seconds: float = SECONDS) -> Samples:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * 16_000)) / 16_000)).astype(np.float32)


def spoken(text: str, frequency: float = 400.0, seconds: float = SECONDS, **details: str) -> Recording:
    return Recording(Waveform(tone(frequency, seconds), 16_000), text=text, **details)


def task_of(model: nn.Module, reader: WhisperReader | None = None, **config: Any) -> Recognition:
    loss = cross_entropy(CrossEntropyConfig())
    return Recognition(
        RecognitionConfig(**config), TaskContext(model=model, preprocessor=reader or reader_of(), loss=loss)
    )


# ------------------------------------------------------------------------------------------------------ the search


def theirs(model: Any, features: Tensor, prompt: Tensor, rules: Rules, most: int, beams: int) -> list[list[int]]:
    """The same by Transformers' general search, which leaves recordings and prompts to the caller."""
    settings: Any = GenerationConfig(  # type: ignore[no-untyped-call]
        num_beams=beams,
        max_new_tokens=most,
        suppress_tokens=list(rules.suppressed),
        begin_suppress_tokens=list(rules.suppressed_first),
        eos_token_id=EOS,
        pad_token_id=EOS,
        decoder_start_token_id=START,
    )
    processors = LogitsProcessorList()
    if rules.timestamps is not None:
        settings.no_timestamps_token_id, settings.max_initial_timestamp_index = NO_TIMES, 50
        processors.append(WhisperTimeStampLogitsProcessor(settings, begin_index=prompt.shape[1]))
    rows = GenerationMixin.generate(
        model,
        input_features=features,
        decoder_input_ids=prompt,
        generation_config=settings,
        logits_processor=processors,
    )[:, prompt.shape[1] :].tolist()
    return [row[: row.index(EOS)] if EOS in row else row for row in rows]


@pytest.mark.parametrize("times", [None, TIME])
@pytest.mark.parametrize("beams", [1, 3])
def test_tokens_are_those_of_transformers(times: int | None, beams: int) -> None:
    rules = Rules(eos_id=EOS, suppressed=(1, 2, START, SILENCE, NO_TIMES), suppressed_first=(3, EOS), timestamps=times)
    ended = stamped = 0
    for seed in range(6):
        model = random_model(seed)
        prefer(model, [EOS], 2.2)
        prefer(model, range(TIME, CONFIG.vocab_size), 0.8)
        features = torch.randn(3, 80, FRAMES)
        prompt = torch.tensor([[START] if times else [START, NO_TIMES]] * 3)
        with torch.no_grad():
            heard = WhisperState(model, features)
            heard.first(START)  # may be asked before, and changes nothing
            found = (
                beam_search(heard, prompt, rules, 16, beams=beams) if beams > 1 else greedy(heard, prompt, rules, 16)
            )
            due = theirs(model, features, prompt, rules, 16, beams)
        assert [one.tokens for one in found] == due
        ended += sum(len(row) < 16 for row in due)
        stamped += sum(token >= TIME for row in due for token in row)
    assert ended and (stamped or times is None)


def test_the_mean_is_that_of_the_tokens_and_the_end() -> None:
    model = random_model(1)
    suppressed = torch.arange(60, 90)
    rules, prompt = Rules(eos_id=EOS, suppressed=tuple(suppressed.tolist())), torch.tensor([[START, NO_TIMES]] * 2)
    features = torch.randn(2, 80, FRAMES)
    prefer(model, [EOS], 2.2)
    with torch.no_grad():
        for row, one in enumerate(greedy(WhisperState(model, features), prompt, rules, 8)):
            tokens = [*one.tokens, EOS][:8]
            inputs = torch.tensor([[START, NO_TIMES, *tokens[:-1]]])
            logits = model(input_features=features[row : row + 1], decoder_input_ids=inputs).logits[0, 1:]
            # Among the tokens that may be written.
            chosen = (
                logits.index_fill(1, suppressed, -torch.inf).log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])
            )
            assert one.mean == pytest.approx(float(chosen.mean()), rel=1e-4)
        beams = beam_search(WhisperState(model, features), prompt, Rules(eos_id=EOS), 8, beams=4)
        single = greedy(WhisperState(model, features), prompt, Rules(eos_id=EOS), 8)
    assert all(several.mean >= one.mean - 1e-5 for several, one in zip(beams, single, strict=True))


def test_rules_for_timestamps_by_hand() -> None:
    rules = Rules(eos_id=EOS, suppressed=(5,), suppressed_first=(6,), timestamps=TIME)
    flat = torch.zeros(1, CONFIG.vocab_size)
    flat[:, [0, EOS]] = 10.0  # one word is likelier than all timestamps together

    def allowed(written: Sequence[int]) -> set[int]:
        scores = rules(flat, torch.tensor([list(written)], dtype=torch.long).reshape(1, -1))
        return set(scores[0].isfinite().nonzero()[:, 0].tolist())

    words, stamps = set(range(EOS)) - {5}, set(range(TIME, CONFIG.vocab_size))
    assert allowed([]) == stamps  # first a timestamp
    assert allowed([TIME + 3]) & stamps == set() and words <= allowed([TIME + 3])
    assert allowed([TIME + 3, 7]) & stamps == {stamp for stamp in stamps if stamp > TIME + 3}
    after = allowed([TIME + 3, 7, TIME + 9])  # the pair, or the end
    assert after & words == set() and EOS in after and after & stamps == {one for one in stamps if one >= TIME + 9}
    assert allowed([TIME + 3, 7, TIME + 9, TIME + 9]) & stamps == set()
    flat[:, [0, EOS]] = 1.0  # now the timestamps are likelier together
    assert allowed([TIME + 3, 7]) == {stamp for stamp in stamps if stamp > TIME + 3}
    assert 5 not in allowed([7]) and NO_TIMES not in allowed([7])


def test_stretches_by_hand() -> None:
    whole = [TIME, 1, 2, TIME + 10]
    assert stretches(whole, TIME, 0.64) == ([(0.0, 0.2, [1, 2])], 0.64)
    cut, end = stretches([TIME, 1, TIME + 10, TIME + 10, 2], TIME, 0.64)  # a segment that goes on
    assert cut == [(0.0, 0.2, [1])] and end == pytest.approx(0.2)
    two, end = stretches([TIME, 1, TIME + 10, TIME + 12, 2, TIME + 20], TIME, 0.5)
    assert [tokens for *_, tokens in two] == [[1], [2]] and end == 0.5
    assert two[1][:2] == pytest.approx((0.24, 0.4))
    pair, end = stretches([TIME, 1, TIME + 10, TIME + 10], TIME, 0.64)
    assert pair == [(0.0, 0.2, [1])] and end == pytest.approx(0.2)
    assert stretches([1, 2], TIME, 0.5) == ([(0.0, 0.5, [1, 2])], 0.5)
    assert stretches([], TIME, 0.5) == ([], 0.5) == stretches([TIME], TIME, 0.5)
    beyond, end = stretches([TIME, 1, TIME + 30], TIME, 0.5)  # nobody speaks behind the end
    assert beyond == [(0.0, 0.5, [1])] and end == 0.5


# ------------------------------------------------------------------------------------------------------ learning


def test_a_batch_asks_for_the_text_and_its_end_and_not_for_the_prompt() -> None:
    task = task_of(random_model())
    samples = [spoken("ab"), spoken("abcd", seconds=0.3)]
    dataset = task.dataset(samples, train=False)
    batch = dataset.collate([dataset.sample(SampleKey(0, 0, index)) for index in range(2)])
    ids = [[task.preprocessor.tokenizer.token_to_id(one) for one in "Ġ" + text] for text in ("ab", "abcd")]
    assert batch["labels"].tolist() == [[-100, *ids[0], EOS, -100, -100], [-100, *ids[1], EOS]]
    assert batch["decoder_input_ids"].tolist() == [
        [START, NO_TIMES, *ids[0], EOS, EOS],
        [START, NO_TIMES, *ids[1]],
    ]
    output = task.step("train", task.modules(), batch, At())
    labels = batch["labels"]
    expected = task.model(
        input_features=batch["input_features"], decoder_input_ids=batch["decoder_input_ids"], labels=labels
    ).loss
    assert int(output.weight) == 4 + 6 == int((labels >= 0).sum())
    assert float(output.loss_sum.detach() / output.weight) == pytest.approx(float(expected.detach()), rel=1e-5)
    short = spectrograms(torch.from_numpy(tone(400.0, 0.3))[None], torch.tensor([4800]), window_of(task.model))
    assert batch["input_features"].shape == (2, 80, FRAMES) and batch["input_features"][1].equal(short[0])
    assert dataset.lengths is not None and dataset.lengths.tolist() == [4, 6]


def test_augmentation_is_a_function_of_the_key_and_for_training_only() -> None:
    changes: dict[str, Any] = {
        "augment": WaveAugmentConfig(noise=1.0),
        "spec_augment": SpecAugmentConfig(time_masks=1, time_share=1.0, frequency_masks=1),
    }
    task, samples = task_of(random_model(), **changes), [spoken("a", seconds=0.4)]
    train, test = (task.dataset(samples, train=flag) for flag in (True, False))
    once, again, later = (train.sample(SampleKey(3, epoch, 0))[0] for epoch in (0, 0, 1))
    assert once.equal(again) and not once.equal(later)
    plain = task_of(random_model()).dataset(samples, train=True).sample(SampleKey(3, 0, 0))[0]
    assert test.sample(SampleKey(3, 0, 0))[0].equal(plain) and not once.equal(plain)
    only = task_of(random_model(), spec_augment=changes["spec_augment"]).dataset(samples, train=True)
    masked = only.sample(SampleKey(3, 0, 0))[0]
    assert masked[:, 40:].equal(plain[:, 40:]) and not masked[:, :40].equal(plain[:, :40])  # the padding is none of it


def test_an_evaluation_writes_what_it_is_asked_for() -> None:
    task = task_of(random_model(), generate_samples=2)
    samples = [spoken(text) for text in ("One, two!", "three", "four")]
    dataset = task.dataset(samples, train=False)
    batch = dataset.collate([dataset.sample(SampleKey(0, 0, index)) for index in range(3)])
    with inference_mode(task.model):
        result = task.evaluate(task.modules(), batch, At())
    assert result.expected == ["One, two!", "four"] and len(result.found) == 2
    answers = task.predict([samples[0], samples[2]], RecognitionOptions())
    assert [answer["text"] for answer in answers] == result.found  # the encoder's part is used twice
    figures = task.summarize(replace(result, found=["one two", "for"]))
    assert figures["wer"] == pytest.approx(1 / 3) and figures["loss"] > 0
    # Without its signs the first is right and the second wrong, so that a resample of two may have no error, or only errors.
    assert task.intervals(replace(result, found=["one two", "for"]))["wer"] == (0, 1)
    assert task.baselines(samples, samples)["always the same"]["wer"] == pytest.approx(0.75)
    with inference_mode(task.model):
        assert b"One, two!" in task.artifacts({}, result)["transcripts.txt"]
    assert plain_errors(["It's ’so’ - it is"], ["it's 'so' it is"])["wer"] == 0


def test_samples_that_can_not_be_learned_are_named() -> None:
    task = task_of(random_model())
    with pytest.raises(DataError, match=r"sample 2: 0\.7 s, at most 0\.64 s"):
        task.dataset([spoken("a"), spoken("a", seconds=0.7)], train=True)
    with pytest.raises(DataError, match="sample 1: a transcript of 42 tokens, 24 are read"):
        task.dataset([spoken("a" * 40)], train=True)
    task.dataset([spoken("a" * 21)], train=True)  # 2 + 1 + 21 + 1, of which the last is only written
    with pytest.raises(DataError, match="sample 1 has no transcript"):
        task.dataset([spoken("  ")], train=True)
    with pytest.raises(UsageError, match="expected WhisperReader"):
        Recognition(
            RecognitionConfig(),
            TaskContext(model=random_model(), preprocessor=SpeechReader(SpeechReaderConfig(), None)),
        )
    with pytest.raises(UsageError, match="token 9999"):
        task_of(random_model(), reader_of(suppressed=(9999,)))


def test_a_slow_speed_that_would_push_the_end_out_of_the_window_is_not_taken() -> None:
    end = np.concatenate([np.zeros(9_600, np.float32), tone(300.0, 0.04)])
    task = task_of(random_model(), augment=WaveAugmentConfig(speeds=(0.8,)), spec_augment=SpecAugmentConfig())
    samples = [Recording(Waveform(end, 16_000), text="end"), spoken("short", seconds=0.3)]
    slowed, plain = (task.dataset(samples, train=train) for train in (True, False))
    heard = [[dataset.sample(SampleKey(0, 0, index))[0] for index in range(2)] for dataset in (slowed, plain)]
    assert torch.equal(heard[0][0], heard[1][0]) and not torch.equal(heard[0][1], heard[1][1])


def test_a_sample_is_learned_in_its_language() -> None:
    task = task_of(random_model(), reader_of(**MULTILINGUAL))
    dataset = task.dataset([spoken("a", language="de"), spoken("a", language="en")], train=True)
    prompts = dataset.collate([dataset.sample(SampleKey(0, 0, index)) for index in range(2)])["prompts"]
    assert prompts.tolist() == [[START, DE, TRANSCRIBE, NO_TIMES], [START, EN, TRANSCRIBE, NO_TIMES]]
    with pytest.raises(DataError, match=r"sample 1 says that it is in 'cs', and neither does preprocessor\.prompt"):
        task.dataset([spoken("a", language="cs")], train=True)
    german = ("<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>")
    named = task_of(random_model(), reader_of(multilingual=True, prompt=german))
    dataset = named.dataset([spoken("a", language="cs"), spoken("a", language="en")], train=True)
    assert [prompt[1] for prompt, _ in dataset.targets] == [DE, EN]


def test_a_transcript_that_spells_a_special_token_is_text() -> None:
    reader = reader_of()
    tokens = reader.encode("a <|endoftext|>")
    assert max(tokens) < EOS and reader.decode([*tokens, TIME + 3, EOS]) == "a <|endoftext|>"


# ------------------------------------------------------------------------------------------------------ hearing


@pytest.fixture(scope="module")
def trained() -> Iterator[nn.Module]:
    """A model that writes `a` for a low tone, `b` for a high one, also with times; of the high one the end is open."""
    torch.manual_seed(0)
    model, reader = build(CONFIG, Head()).train(), reader_of()
    a, b = reader.encode("a"), reader.encode("b")
    rows = [
        (300.0, [START, NO_TIMES, *a, EOS]),
        (3000.0, [START, NO_TIMES, *b, EOS]),
        (300.0, [START, TIME, *a, TIME + 15, EOS]),
        (3000.0, [START, TIME, *b, TIME + 20, TIME + 20, *b, EOS]),
    ]
    longest = max(len(tokens) for _, tokens in rows)
    inputs = torch.tensor([tokens + [EOS] * (longest - len(tokens)) for _, tokens in rows])
    targets = torch.tensor([[-100, *tokens[2:]] + [-100] * (longest - len(tokens)) for _, tokens in rows])
    targets[2:, 0] = TIME
    generator = np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(200):
        sounds = [tone(pitch, generator.uniform(0.15, SECONDS)) for pitch, _ in rows]
        lengths = torch.tensor([len(sound) for sound in sounds])
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(sound) for sound in sounds], batch_first=True)
        features = spectrograms(padded, lengths, window_of(model))
        logits = model(input_features=features, decoder_input_ids=inputs[:, :-1], use_cache=False).logits
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert float(loss.detach()) < 0.05
    yield model.eval()


def test_what_was_learned_is_written(trained: nn.Module) -> None:
    task = task_of(trained)
    inputs = [spoken("", 300.0), (tone(3000.0, 0.4), 16_000), tone(300.0, 0.2)]
    answers = task.predict(inputs, RecognitionOptions())
    assert [answer["text"] for answer in answers] == ["a", "b", "a"]
    assert answers[1]["segments"] == [{"start": 0.0, "end": 0.4, "text": "b"}] and set(answers[1]) == {
        "text",
        "segments",
    }
    assert task.predict(inputs, RecognitionOptions(beams=3)) == answers
    assert list(task.stream(inputs[1], RecognitionOptions())) == ["b"]
    assert not trained.training


def test_long_recordings_go_on_where_the_last_whole_segment_ended(trained: nn.Module) -> None:
    task = task_of(trained)
    low, high = tone(300.0, 1.5), tone(3000.0, 1.1)
    answers = task.predict([low, tone(3000.0, 0.3), high], RecognitionOptions())
    # All of each window is read, as its segment is the last thing in it.
    assert [one["start"] for one in answers[0]["segments"]] == [0.0, 0.64, 1.28]
    assert [one["end"] for one in answers[0]["segments"][:2]] == [0.3, 0.94] and answers[0]["text"] == "a a a"
    # Here windows end at 0.4 s, and what began then is read again.
    assert [one["start"] for one in answers[2]["segments"]][:2] == [0.0, 0.4] and answers[2]["text"].startswith("b b")
    assert answers[1] == task.predict([tone(3000.0, 0.3)], RecognitionOptions())[0]
    timed = task.predict([tone(300.0, 0.5)], RecognitionOptions(timestamps=True))[0]
    assert timed["segments"] == [{"start": 0.0, "end": 0.3, "text": "a"}]


def test_subtitles_come_as_a_file(trained: nn.Module) -> None:
    answer = task_of(trained).predict([tone(300.0, 0.5)], RecognitionOptions(format="srt"))[0]
    assert answer["file"] == File(".srt", b"1\n00:00:00,000 --> 00:00:00,300\na\n")


def test_without_timestamps_recordings_are_cut_where_they_are_quiet(trained: nn.Module) -> None:
    reader = reader_of()
    reader.__dict__["timestamps"] = CONFIG.vocab_size - 3  # too few of them for this model
    gap = np.zeros(1600, np.float32)
    sound = np.concatenate([tone(300.0, 0.45), gap, tone(3000.0, 0.4)])
    answer = task_of(trained, reader).predict([sound], RecognitionOptions())[0]
    first, second = answer["segments"]
    assert first["end"] == second["start"] and 0.45 <= first["end"] <= 0.55 and second["end"] == pytest.approx(0.95)
    with pytest.raises(UsageError, match="no tokens for timestamps"):
        task_of(trained, reader).predict([sound], RecognitionOptions(timestamps=True))


def test_the_quietest_place_is_in_the_last_third() -> None:
    sound = np.ones(16_000, np.float32)
    sound[2000:6000] = 0.0
    sound[12_000:15_000] = 0.0
    assert 12_000 <= quietest_frame(sound) <= 15_000
    assert quietest_frame(np.zeros(16_000, np.float32)) > 14_000 and 6 < quietest_frame(np.ones(9, np.float32)) <= 9


def test_silence_is_left_out(trained: nn.Module) -> None:
    """A model that is sure that nobody speaks, and unsure of what it wrote; one of both alone is no reason."""
    silent = random_model(3, scale=0.2)
    prefer(silent, [SILENCE], 20.0)
    rules = {"suppressed": (SILENCE,)}
    assert task_of(silent, reader_of(**rules)).predict([tone(300.0)], RecognitionOptions())[0]["segments"] == []
    assert task_of(trained, reader_of(**rules)).predict([tone(300.0)], RecognitionOptions())[0]["text"] == "a"
    unsure = random_model(3, scale=0.2)
    assert task_of(unsure, reader_of(**rules)).predict([tone(300.0)], RecognitionOptions())[0]["segments"]


def test_languages_are_asked_for_told_or_refused() -> None:
    model, reader = random_model(2), reader_of(**MULTILINGUAL)
    features = spectrograms(torch.from_numpy(tone(300.0))[None], torch.tensor([10_240]), window_of(model))
    with torch.no_grad():
        scores = WhisperState(model, features).first(START)[0]
        asked = "en" if scores[EN] > scores[DE] else "de"
        prompt = torch.tensor([[START, DE, TRANSCRIBE, NO_TIMES]])
        german = greedy(WhisperState(model, features), prompt, Rules(eos_id=EOS), CONFIG.max_length - 4)[0].tokens
    task = task_of(model, reader)
    assert task.predict([tone(300.0)], RecognitionOptions())[0]["language"] == asked
    answer = task.predict([tone(300.0)], RecognitionOptions(language="de"))[0]
    assert answer["language"] == "de" and answer["text"] == reader.decode(german)
    with pytest.raises(UnknownName, match="cs"):
        task.predict([tone(300.0)], RecognitionOptions(language="cs"))
    with pytest.raises(UsageError, match="one language only"):
        task_of(model).predict([tone(300.0)], RecognitionOptions(language="de"))


def test_windows_of_other_sizes(trained: nn.Module) -> None:
    """A reader that hears less at once than its model could."""
    reader = WhisperReader(replace(reader_of().config, max_seconds=0.4), tokenizer())
    with torch.no_grad():
        read = LongFormTranscriber(trained, reader, RecognitionOptions()).read([tone(300.0, 0.7)], together=2)[0]
    assert [round(one.start, 3) for one in read.stretches] == [0.0, 0.4] and read.place == 11_200


def test_the_end_of_a_shorter_window_stays_silent_behind_pieces(trained: nn.Module) -> None:
    """Pieces of a longer recording leave a quarter of a small window; a recording that fits is read whole."""
    window = window_of(trained).samples
    reader = WhisperReader(replace(reader_of().config, max_seconds=2 * window / 16_000), tokenizer())
    sound = tone(300.0, 4 * window / 16_000)
    with torch.no_grad():
        long, whole = LongFormTranscriber(trained, reader, RecognitionOptions()).read(
            [sound, sound[:window]], together=2
        )
    lengths = [round(16_000 * (one.end - one.start)) for one in long.stretches]
    assert sum(lengths) == 4 * window and max(lengths) <= 3 * window // 4
    assert [round(16_000 * (one.end - one.start)) for one in whole.stretches] == [window]
