"""How fast the speech plugin makes what models hear, against Transformers' own feature extractors.

Whisper's log-mel spectrograms padded to 30 seconds, Kaldi's filterbanks with mean 0 and deviation 1, and waveforms with
mean 0 and variance 1: of the same recordings, one by one and in batches of like lengths, as training has them. Every
contender first has to give the same numbers. Then they take turns in one process with one thread; ours runs twice, and
what it differs by from itself is the error of the figure.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from measure import Mark, compare, parser_of, record
from torch import Tensor
from transformers import Speech2TextFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor
from zoo_speech.audio.features import SAMPLE_RATE, fbank
from zoo_speech.configs.models import SpeechReaderConfig
from zoo_speech.decoding.long_form import Window, spectrograms
from zoo_speech.models.encoders import padded
from zoo_speech.preprocessor import Samples, SpeechReader

from zoo_core import DataError, open_zoo
from zoo_core.testing import open_data

OURS, AGAIN, BASE, NUMPY = "zoo", "zoo again", "Transformers", "Transformers, NumPy"
TOLERANCE = 1e-3
"""Largest difference of any number."""
BAR = 1.0
"""The rate that ours has to have at least, as a multiple of the faster of theirs."""
RECORDINGS, TOGETHER = 32, 8
SECONDS = (
    *(0.3, 0.5, 0.6, 0.7, 0.7, 0.8, 0.9, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7),
    *(1.8, 2.0, 2.2, 2.4, 2.6, 2.9, 3.2, 3.5, 3.9, 4.4, 5.1, 5.9, 7.2, 9.4, 13.5, 29.0),
)
"""Of noise, where the recordings aren't on this machine."""

Extract = Callable[[Sequence[Samples]], Tensor]
"""What a model takes, (B, ...), of a batch of waveforms."""


class Work(NamedTuple):
    """One kind of features."""

    contenders: Mapping[str, Extract]
    batches: Sequence[Sequence[Samples]]


class Arrays(WhisperFeatureExtractor):
    """Transformers' extractor as it is where torch isn't installed."""

    def _torch_extract_fbank_features(self, waveform: Any, device: str = "cpu") -> Any:
        return self._np_extract_fbank_features(waveform, device)


def main() -> int:
    """Check, measure, print and write the record."""
    parser = parser_of("features", __doc__, rounds=20, unit="turns of every contender")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: at least 2, for a spread")
    torch.set_num_threads(1)
    source, waveforms = recordings()
    seconds = [round(len(waveform) / SAMPLE_RATE, 2) for waveform in waveforms]
    print(f"{len(seconds)} recordings of {source}, {seconds[0]:g} to {seconds[-1]:g} s, {sum(seconds):.0f} s in all")
    tables = {name: measure(name, work, options.rounds) for name, work in works(waveforms).items()}
    if not options.no_record:
        body = {
            "threads": torch.get_num_threads(),
            "rounds": options.rounds,
            "recordings": source,
            "seconds": seconds,
            "bar_rate": BAR,
            "base": BASE,
            "workloads": tables,
        }
        path = record(f"features-{options.machine}", body, libraries=("zoo-speech", "transformers", "torchaudio"))
        print(f"written: {path.parent.name}/{path.name}")
    return 0 if all(table["met"] for table in tables.values()) else 1


def recordings() -> tuple[str, list[Samples]]:
    """Where they come from, and waveforms at 16 kHz in order of length, from the shortest to the longest."""
    host = open_zoo().host
    prompts = host.find("data", "asterisk-en")
    try:
        samples = open_data(prompts, prompts.config(), host).samples("train")
    except DataError as missing:
        print(f"noise instead of recordings: {missing}", flush=True)
        draws = np.random.default_rng(0)
        noise = [0.1 * draws.standard_normal(round(SAMPLE_RATE * length)) for length in SECONDS]
        return "noise", [wave.astype(np.float32) for wave in noise]
    reader = _reader()
    order = sorted(range(len(samples)), key=lambda place: (samples[place].seconds or 0.0, place))
    fitting = [place for place in order if (samples[place].seconds or 0.0) <= 30]
    chosen = np.linspace(0, len(fitting) - 1, RECORDINGS).round().astype(int)
    return "asterisk-en", [reader.waveform(samples[fitting[place]], place) for place in chosen.tolist()]


def works(waveforms: Sequence[Samples]) -> dict[str, Work]:
    """Every kind of features, one by one and in batches."""
    kinds = {"log-mel": _log_mel(), "filterbanks": _filterbanks(), "standardised": _standardised()}
    found = {}
    for name, contenders in kinds.items():
        found[f"{name}, single"] = Work(contenders, [[waveform] for waveform in waveforms])
        batches = [waveforms[start : start + TOGETHER] for start in range(0, len(waveforms), TOGETHER)]
        found[f"{name}, batches of {TOGETHER}"] = Work(contenders, batches)
    longest = [waveform for waveform in waveforms if len(waveform) > len(waveforms[-1]) // 2]
    whole = [np.resize(waveform, 30 * SAMPLE_RATE) for waveform in longest or waveforms[-1:]]
    found["log-mel, no silence"] = Work(kinds["log-mel"], [[waveform] for waveform in whole])
    return found


def measure(name: str, work: Work, rounds: int) -> dict[str, Any]:
    """All contenders in turn on one kind of features."""
    difference = check_equal_work(name, work)
    names, count = [*work.contenders, AGAIN], sum(map(len, work.batches))
    blocks: dict[str, list[Mark]] = {one: [] for one in names}
    for number in range(-1, rounds):  # the first round warms up
        for place in range(len(names)):
            one = names[(place + number) % len(names)]
            extract = work.contenders[OURS if one == AGAIN else one]
            gc.collect()
            cpu, wall = time.process_time(), time.perf_counter()
            for batch in work.batches:
                extract(batch)
            took = Mark((time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6)
            if number >= 0:
                blocks[one].append(took)
    table: dict[str, dict[str, Any]] = dict(compare(blocks, BASE))
    for one, marks in blocks.items():
        table[one] |= _rates("cpu", [mark.cpu for mark in marks], [mark.cpu for mark in blocks[BASE]])
        table[one] |= _rates("wall", [mark.wall for mark in marks], [mark.wall for mark in blocks[BASE]])
    met = all(table[OURS]["cpu_us_median"] * BAR <= table[one]["cpu_us_median"] for one in names if one != AGAIN)
    _show(name, table, difference)
    return {"recordings": count, "checked_difference": difference, "met": met, "contenders": table}


def check_equal_work(name: str, work: Work) -> float:
    """The largest difference of any number between contenders; ends the script where it is large."""
    difference = 0.0
    for batch in work.batches:
        expected = work.contenders[BASE](batch)
        for one, extract in work.contenders.items():
            found = extract(batch)
            if found.shape != expected.shape:
                sys.exit(f"{name}: {one} gives {tuple(found.shape)}, {BASE} {tuple(expected.shape)}")
            difference = max(difference, float((found - expected).abs().max()))
    if not difference <= TOLERANCE:
        sys.exit(f"{name}: contenders differ by {difference:g}: they don't do the same work")
    return difference


def _log_mel() -> dict[str, Extract]:
    """(B, 80, 3000); with torch installed, Transformers' extractor computes with it unless another is asked for."""
    window = Window(80, 3_000)

    def ours(waveforms: Sequence[Samples]) -> Tensor:
        batch = padded(waveforms)
        return spectrograms(batch["samples"], batch["lengths"], window)

    def theirs(kind: Any) -> Extract:
        extractor = kind()
        return lambda waveforms: _values(extractor, waveforms, "input_features")

    return {BASE: theirs(WhisperFeatureExtractor), NUMPY: theirs(Arrays), OURS: ours}


def _filterbanks() -> dict[str, Extract]:
    """(B, T, 80), each band with mean 0 and deviation 1."""
    kind: Any = Speech2TextFeatureExtractor
    extractor = kind()

    def ours(waveforms: Sequence[Samples]) -> Tensor:
        batch = padded(waveforms)
        return fbank(batch["samples"], batch["lengths"]).values

    return {BASE: lambda waveforms: _values(extractor, waveforms, "input_features", padding=True), OURS: ours}


def _standardised() -> dict[str, Extract]:
    """(B, N) with mean 0 and variance 1."""
    kind: Any = Wav2Vec2FeatureExtractor
    extractor = kind(return_attention_mask=True)
    reader = _reader()

    def ours(waveforms: Sequence[Samples]) -> Tensor:
        return padded([reader.standardised(waveform) for waveform in waveforms])["samples"]

    return {BASE: lambda waveforms: _values(extractor, waveforms, "input_values", padding=True), OURS: ours}


def _values(extractor: Any, waveforms: Sequence[Samples], name: str, **padding: bool) -> Tensor:
    found: Tensor = extractor(list(waveforms), sampling_rate=SAMPLE_RATE, return_tensors="pt", **padding)[name]
    return found


def _reader() -> SpeechReader:
    return SpeechReader(SpeechReaderConfig(text="none"), None)


def _rates(clock: str, mine: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    """How many times as fast as the base: the ratio of medians, and quartiles of the ratios within a round."""
    pairs = zip(mine, base, strict=True)
    quartiles = statistics.quantiles((other / one for one, other in pairs), n=4, method="inclusive")
    return {
        f"{clock}_rate": round(statistics.median(base) / statistics.median(mine), 3),
        f"{clock}_rate_quartiles": [round(value, 3) for value in quartiles],
    }


def _show(name: str, table: Mapping[str, Mapping[str, Any]], difference: float) -> None:
    print(f"\n{name}: microseconds a recording, and the rate as a multiple of {BASE}'; equal to {difference:.0e}")
    print(f"{'':<22}{'cpu median':>11}{'wall median':>12}{'rate':>7}{'quartiles, processor':>28}")
    for one, row in table.items():
        quartiles = "".join(f"{value:>9.2f}" for value in row["cpu_rate_quartiles"])
        print(
            f"{one:<22}{row['cpu_us_median']:>11.0f}{row['wall_us_median']:>12.0f}{row['cpu_rate']:>7.2f}{quartiles:>28}"
        )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
