"""What the README claims of zoo-speech."""

from __future__ import annotations

import gzip
import os
from collections import Counter, defaultdict
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures.common import RUNS, data_wait, facts, mean_and_sd, named, run
from numpy.typing import NDArray
from zoo_speech.audio.audio import read_audio, resampled
from zoo_speech.configs.tasks import RecognitionConfig, RecognitionOptions
from zoo_speech.evaluation.word_errors import plain_errors, word_errors
from zoo_speech.tasks.whisper_recognition import Recognition

from zoo_core import (
    Fetcher,
    Recipe,
    UnknownName,
    create_model,
    evaluate,
    export,
    import_packaged,
    load,
    load_recipe,
    open_zoo,
)
from zoo_core.contract import TaskContext
from zoo_core.data import data_root
from zoo_core.tasks import cross_entropy
from zoo_core.testing import CrossEntropyConfig, fs

WHISPER = "whisper_tiny_en.openai"
PUBLISHED_WER = 0.019
"""Of the same weights through Transformers on the first 48 prompts of six words and more."""
SEEDS = (0, 1, 2)
WEIGHTS = (0.25, 0.5, 1.0)
"""Of language models, to choose from."""


def whisper() -> dict[str, Any]:
    """Whisper tiny.en from its package: tokens beside Transformers', and word error rates of English prompts."""
    card = imported(WHISPER)
    prompts = english_prompts()
    first = prompts[:48]
    model = load(WHISPER)
    texts = [answer["text"] for answer in model.predict([path for path, _ in prompts])]
    rates = {
        "first 48": word_error_rates(texts[:48], [text for _, text in first]),
        "all": word_error_rates(texts, [text for _, text in prompts]),
    }
    same, differ = tokens_beside_transformers([path for path, _ in first])
    gap = abs(rates["first 48"]["wer_with_whispers_normaliser"] - PUBLISHED_WER)
    return {
        "claim": "real weights: Whisper tiny.en from its package, English prompts of six words and more",
        "imported_sha256": card.weights.sha256,
        "data": "Debian asterisk-core-sounds-en 1.6.1-1, in the order of its list",
        "prompts": rates,
        "recordings_with_the_same_tokens_as_transformers": same,
        "recordings_with_other_tokens": differ,
        "published_wer": PUBLISHED_WER,
        "holds": gap <= 0.005 and not differ,
    }


def whisper_windows() -> dict[str, Any]:
    """Whisper tiny.en with windows of 12 seconds beside its own of 30, on prompts one behind the other."""
    imported(WHISPER)
    recordings = long_recordings(english_prompts(), seconds=42, count=6)
    rates, lengths = {}, {}
    for frames in (3_000, 1_200):
        task = recogniser(frames)
        answers = task.predict([(samples, 16_000) for samples, _ in recordings], RecognitionOptions())
        rates[f"{frames // 100} s"] = round(
            plain_errors([answer["text"] for answer in answers], [text for _, text in recordings])["wer"], 4
        )
        segments = [segment for answer in answers for segment in answer["segments"]]
        lengths[f"{frames // 100} s"] = sum(segment["end"] <= segment["start"] for segment in segments)
    return {
        "claim": "windows: Whisper tiny.en's own weights on recordings of 40 to 60 s, heard 12 s at once",
        "data": "prompts of Debian's asterisk-core-sounds-en-g722, one behind the other with 0.3 s between them",
        "recordings": [round(len(samples) / 16_000, 1) for samples, _ in recordings],
        "wer": rates,
        "segments_without_length": lengths,
        "holds": rates["12 s"] <= rates["30 s"] + 0.05 and not any(lengths.values()),
    }


def not_speech() -> dict[str, Any]:
    """What Whisper tiny.en writes where nobody speaks: tones of a telephone, noise, silence."""
    imported(WHISPER)
    seconds = np.arange(30 * 16_000) / 16_000
    ringing = 0.2 * (np.sin(2 * np.pi * 440 * seconds) + np.sin(2 * np.pi * 480 * seconds)) * (seconds % 6 < 2)
    beeps = 0.4 * np.sin(2 * np.pi * 1_000 * seconds) * (seconds % 1 < 0.2)
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(seconds))
    sounds = {"ringing": ringing, "beeps": beeps, "noise": noise, "silence": 0 * seconds}
    inputs = [(sound.astype(np.float32), 16_000) for sound in sounds.values()]
    words = {}
    for timestamps in (False, True):
        answers = recogniser(3_000).predict(inputs, RecognitionOptions(timestamps=timestamps))
        for name, answer in zip(sounds, answers, strict=True):
            words[f"{name}{', timestamps' if timestamps else ''}"] = len(answer["text"].split())
    return {
        "claim": "no speech: words that Whisper tiny.en writes for 30 s of tones, noise and silence",
        "words": words,
        "holds": max(words.values()) <= 5,
    }


def czech() -> dict[str, Any]:
    """Whisper's English model on Czech, before and after fine-tuning."""
    imported(WHISPER)
    tuned = facts(run("whisper_tiny_en_czech"))
    before, *_ = evaluate(WHISPER, "czech", batch_size=8)
    rates = {metric.name: round(metric.value, 4) for metric in before}
    return {
        "claim": "fine-tuning: Whisper tiny.en, which knows English only, on held-out lines of Czech dialogue",
        "before": rates,
        "run": tuned,
        "holds": tuned["metrics"]["wer"] < min(rates["wer"], tuned["baselines"]["always the same"]["wer"]),
    }


def speech_pretraining() -> dict[str, Any]:
    """wav2vec 2.0 on speech alone, then CTC, beside fresh weights; 3 seeds each."""
    pretrained = run("wav2vec2_tiny_mix")
    found = {kind: [facts(run(czech_recipe(kind, seed))) for seed in SEEDS] for kind in ("pretrained", "fresh")}
    cer = {kind: mean_and_sd([r["metrics"]["cer"] for r in runs]) for kind, runs in found.items()}
    gain = cer["fresh"]["mean"] - cer["pretrained"]["mean"]
    return {
        "claim": "pretraining: wav2vec 2.0 on 7 hours without transcripts, then CTC on Czech, test CER over 3 seeds",
        "cer": cer,
        "gain": round(gain, 4),
        "pretraining": facts(pretrained),
        "runs": found,
        "holds": gain > max(figures["sd"] for figures in cer.values()),
    }


def decoding() -> dict[str, Any]:
    """Beams and their language models, beside the likeliest path; settings are chosen on the validation split."""
    card = run("wav2vec2_nano_czech")
    assert card is not None
    data = named("czech")
    folder = RUNS / "language"
    fs.make_folder(folder)
    model: Any = load(card.full_name)
    sentences = [model.preprocessor.normalize_transcript(sample.text) for sample in data.samples("train")]
    fs.write_file(folder / "sentences.txt", "".join(f"{text}\n" for text in sentences).encode())
    fs.write_file(folder / "words.arpa", arpa_of(sentences).encode())
    tries: dict[str, list[dict[str, Any]]] = {
        "likeliest path": [{}],
        "20 beams": [{"beams": 20}],
        "20 beams, characters of the training transcripts": [
            {"beams": 20, "lm": str(folder / "sentences.txt"), "lm_order": 6, "lm_weight": weight} for weight in WEIGHTS
        ],
        "100 beams, words of the training transcripts (ARPA)": [
            {"beams": 100, "lm": str(folder / "words.arpa"), "lm_weight": weight, "word_score": score}
            for weight in WEIGHTS
            for score in (0.0, 1.0)
        ],
    }
    found: dict[str, dict[str, Any]] = {}
    for name, settings in tries.items():
        rated = [
            (decoded(model, data.samples("validation"), one)["cer"], number) for number, one in enumerate(settings)
        ]
        chosen = settings[min(rated)[1]] if len(settings) > 1 else settings[0]
        told = {key: value for key, value in chosen.items() if key != "lm"}
        found[name] = {**decoded(model, data.samples("test"), chosen), "settings": told}
    plain, *searched = (figures["cer"] for figures in found.values())
    return {
        "claim": "decoding: Czech by CTC from the bundled encoder, what beams and a language model add",
        "run": facts(card),
        "decoding": found,
        "holds": min(searched) < plain,
    }


def loading() -> dict[str, Any]:
    """How long steps wait for recordings, which a worker decodes and augments beside them."""
    zoo, waits = open_zoo(), {}
    for recipe in ("wav2vec2_tiny_mix", "wav2vec2_nano_czech", "whisper_tiny_en_languages"):
        name = f"{recipe.rpartition('_')[0]}.loading_{recipe.rpartition('_')[2]}"
        overrides = ["steps=120", "evaluate_every=120", "evaluate_samples=16", "log_every=20", f"name={name}"]
        imported(WHISPER)
        run(load_recipe(recipe, overrides, zoo.host))
        waits[recipe] = round(data_wait(name), 4)
    return {
        "claim": "data wait: share of a step spent waiting for recordings, two cores, one of them for a worker",
        "data_wait": waits,
        "holds": max(waits.values()) <= 0.05,
    }


def languages() -> dict[str, Any]:
    """Language identification, tested on other recordings of the voices that were trained on."""
    return classified(
        "languages: 15 of them, in other recordings of the same voices",
        {"languages": run("wav2vec2_nano_languages")},
    )


def telephone_languages() -> dict[str, Any]:
    """Language identification, tested on voices and a line that weren't trained on, others being shared by all languages."""
    imported(WHISPER)
    return classified(
        "languages: 4 of them, in telephone prompts whose voices and line weren't trained on",
        {"languages": run("whisper_tiny_en_languages")},
    )


def other_voices() -> dict[str, Any]:
    """Language identification, tested on voices that weren't trained on, each language having its own in training."""
    imported(WHISPER)
    settings = ["data.test=voices", "name=whisper_tiny_en.languages_by_source"]
    return classified(
        "languages: 11 of them, in voices that weren't trained on, training having one source of each",
        {"languages": run("whisper_tiny_en_languages", settings)},
    )


def words() -> dict[str, Any]:
    """Digits and letters in many languages."""
    imported(WHISPER)
    return classified(
        "words: digits and names of letters in many languages",
        {"digits": run("whisper_tiny_en_digits"), "letters": run("whisper_tiny_en_letters")},
    )


def voices() -> dict[str, Any]:
    """Whether one voice speaks in two recordings, of voices and languages that weren't trained on."""
    imported(WHISPER)
    result = facts(run("whisper_tiny_en_voices"))
    baseline = result["baselines"]["MFCC statistics"]["eer"]
    return {
        "claim": "voices: equal error rate of pairs in one language, voices and languages not trained on",
        "run": result,
        "holds": result["metrics"]["eer"] < baseline,
    }


CLAIMS = (
    whisper,
    whisper_windows,
    not_speech,
    czech,
    speech_pretraining,
    languages,
    telephone_languages,
    other_voices,
    words,
    voices,
    decoding,
    loading,
)


def decoded(model: Any, samples: Any, settings: dict[str, Any]) -> dict[str, float]:
    """Word and character error rates of what a checkpoint writes with these options."""
    answers = model.predict([sample.source for sample in samples], **settings)
    spelled = [model.preprocessor.normalize_transcript(sample.text) for sample in samples]
    rates = word_errors([answer["text"] for answer in answers], spelled)
    return {name: round(rate, 4) for name, rate in rates.items()}


def arpa_of(sentences: list[str]) -> str:
    """Words and pairs of words in ARPA's format, by Witten and Bell's method C; the rest falls back on single words."""
    pairs: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        words = ["<s>", *sentence.split(), "</s>"]
        for before, word in pairwise(words):
            pairs[before][word] += 1
    single = Counter(word for followers in pairs.values() for word in followers.elements())
    whole = single.total() + len(single)
    alone = {word: count / whole for word, count in single.items()}
    ones, twos = [f"{log10(len(single) / whole):.6f}\t<unk>", ""], []
    for before, followers in pairs.items():
        total, kinds = followers.total(), len(followers)
        rest = kinds / (total + kinds) / (1 - sum(alone[word] for word in followers))
        number = -99.0 if before == "<s>" else log10(alone[before])
        ones.append(f"{number:.6f}\t{before}\t{log10(rest):.6f}")
        twos += [f"{log10(count / (total + kinds)):.6f}\t{before} {word}" for word, count in followers.items()]
    ones[1] = f"{log10(alone['</s>']):.6f}\t</s>"
    head = f"\\data\\\nngram 1={len(ones)}\nngram 2={len(twos)}\n"
    return "\n".join([head, "\\1-grams:", *ones, "", "\\2-grams:", *twos, "", "\\end\\", ""])


def czech_recipe(kind: str, seed: int) -> Recipe:
    """CTC on Czech, from the pretrained encoder or from fresh weights."""
    overrides = [f"fresh={str(kind == 'fresh').lower()}", f"seed={seed}", f"name=wav2vec2_tiny.czech_{kind}_{seed}"]
    return load_recipe("wav2vec2_tiny_czech", overrides, open_zoo().host)


def classified(claim: str, cards: dict[str, Any]) -> dict[str, Any]:
    """Accuracies beside the baselines' of each run; holds where every one is above both baselines."""
    runs = {what: facts(card) for what, card in cards.items()}
    margins = {
        what: round(
            found["metrics"]["accuracy"] - max(baseline["accuracy"] for baseline in found["baselines"].values()), 4
        )
        for what, found in runs.items()
    }
    return {"claim": claim, "margins": margins, "runs": runs, "holds": min(margins.values()) > 0}


def imported(name: str) -> Any:
    """The card of a checkpoint that a package ships, fetched where it isn't registered yet."""
    zoo = open_zoo()
    try:
        return zoo.registry.find(name).card
    except UnknownName:
        return import_packaged(name, fetcher=Fetcher(data_root(os.environ), print), zoo=zoo)


def english_prompts() -> list[tuple[Path, str]]:
    """Recordings and texts of the package's prompts of six words and more, in its own order, tones included."""
    fetcher = Fetcher(data_root(os.environ), print)
    path = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    listing = gzip.decompress(fetcher.debian("asterisk-core-sounds-en", select=[path])[path])
    members = fetcher.debian("asterisk-core-sounds-en-g722", select=["usr/share/asterisk/sounds/*.g722"])
    sounds = {name.split("/", 5)[5].removesuffix(".g722"): data for name, data in members.items()}
    lines = [line.strip() for line in listing.decode("utf-8-sig").splitlines()]
    rows = [line.partition(":") for line in lines if line and not line.startswith(";")]
    texts = [(name.strip(), text.strip()) for name, colon, text in rows if colon]
    chosen = [(name, text) for name, text in texts if len(text.split()) >= 6 and name in sounds]
    folder = RUNS / "prompts"
    fs.make_folder(folder)
    kept = []
    for number, (name, text) in enumerate(chosen):
        recording = folder / f"{number:03}.g722"  # which nothing but its ending tells to be a recording
        fs.write_file(recording, sounds[name])
        kept.append((recording, text))
    return kept


def long_recordings(
    prompts: list[tuple[Path, str]], *, seconds: float, count: int
) -> list[tuple[NDArray[np.float32], str]]:
    """The first recordings of at least so many seconds that prompts make one behind the other, and what is said in them."""
    made, parts, texts = [], [], []
    for path, text in prompts:
        parts += [resampled(read_audio(path), 16_000).samples, np.zeros(4_800, np.float32)]
        texts.append(text)
        if sum(map(len, parts)) >= seconds * 16_000:
            made.append((np.concatenate(parts), " ".join(texts)))
            parts, texts = [], []
    return made[:count]


def recogniser(frames: int) -> Recognition:
    """Whisper's task on weights that nobody trained further, so many frames of which are heard at once."""
    loaded: Any = load(WHISPER)
    model: Any = create_model(WHISPER, pretrained=True, task="automatic-speech-recognition", max_frames=frames)
    context = TaskContext(model=model, preprocessor=loaded.preprocessor, loss=cross_entropy(CrossEntropyConfig()))
    return Recognition(RecognitionConfig(), context)


def word_error_rates(found: list[str], expected: list[str]) -> dict[str, Any]:
    """By Whisper's normaliser of English, which writes numbers as digits, and by the zoo's."""
    import jiwer
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer
    from zoo_speech.evaluation.transcripts import normalised

    whispers: Any = EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    due, heard = [whispers(text) for text in expected], [whispers(text) for text in found]
    plain_due, plain = (
        [normalised(one, lower=True, punctuation=False) for one in texts] for texts in (expected, found)
    )
    return {
        "recordings": len(found),
        "words": sum(len(text.split()) for text in due),
        "wer_with_whispers_normaliser": round(jiwer.wer(due, heard), 4),
        "wer": round(jiwer.wer(plain_due, plain), 4),
    }


def tokens_beside_transformers(recordings: list[Path]) -> tuple[int, int]:
    """How many recordings get the same tokens from the exported folder in Transformers, through its own features."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor
    from zoo_speech.decoding.long_form import spectrograms
    from zoo_speech.decoding.whisper import WhisperState, greedy

    zoo, folder = open_zoo(), RUNS / "exported" / WHISPER
    if not folder.is_dir():
        export(WHISPER, folder, zoo=zoo)
    theirs: Any = WhisperForConditionalGeneration.from_pretrained(folder)
    theirs.eval()
    processor: Any = WhisperProcessor.from_pretrained(folder)
    ours: Any = load(WHISPER)
    reader, task = ours.preprocessor, ours.task
    prompt = torch.tensor([reader.prompt])
    most = theirs.config.max_target_positions - prompt.shape[1]
    same = 0
    for path in recordings:
        samples = resampled(read_audio(path), reader.sampling_rate).samples
        heard = processor(samples, sampling_rate=reader.sampling_rate, return_tensors="pt")["input_features"]
        features = spectrograms(torch.from_numpy(samples)[None], torch.tensor([len(samples)]), task.window)
        with torch.no_grad():
            expected = theirs.generate(heard)[0].tolist()
            found = greedy(WhisperState(ours.model.eval(), features), prompt, task.rules, most)[0].tokens
        same += [token for token in expected if token not in (*reader.prompt, task.rules.eos_id)] == found
    return same, len(recordings) - same
