"""Voices: the loss by hand, embeddings that padding leaves alone, splits without a common voice, a run."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from zoo_speech.audio.audio import Waveform, wav_bytes
from zoo_speech.configs.data import LabelledRecordings, Voices
from zoo_speech.configs.losses import AdditiveAngularMarginConfig
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config
from zoo_speech.configs.tasks import SpeakerVerificationConfig, SpeakerVerificationOptions
from zoo_speech.datasets import sources
from zoo_speech.datasets import speakers as voices
from zoo_speech.datasets.packages import Record
from zoo_speech.datasets.readers import read_labelled_recordings
from zoo_speech.datasets.samples import Recording
from zoo_speech.evaluation.baselines import cosine_of_statistics
from zoo_speech.evaluation.verification import draw_trials
from zoo_speech.losses import additive_angular_margin
from zoo_speech.models import wav2vec2
from zoo_speech.models.speakers import statistics
from zoo_speech.preprocessor import SpeechReader
from zoo_speech.tasks.speaker_verification import SpeakerVerification

from zoo_core import DataError, TrainingError, UnknownName, UsageError, Zoo, evaluate, export, load, open_zoo, train
from zoo_core.contract import At, Head, SampleKey, TaskContext
from zoo_core.data import PreparedFiles
from zoo_core.tasks import figures_of
from zoo_core.testing import PluginHost, fs, gathered, open_data, parameter_count, tensors

SMALL: dict[str, Any] = {
    "conv_widths": (8,) * 7, "hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32, "position_kernel": 8,
    "position_groups": 4, "dropout": 0.0, "attention_dropout": 0.0, "embedding_size": 12,
}  # fmt: skip


def said(voice: int, number: int, seconds: float = 0.5) -> NDArray[np.float32]:
    """A harmonic tone whose two formants are the voice's, at a pitch of the recording's own."""
    draws = np.random.default_rng([voice, number])
    pitch = 110 * draws.uniform(0.9, 1.3)
    formants = 300 + 260 * voice, 3500 - 330 * voice
    time = np.arange(round(16_000 * seconds)) / 16_000
    sound = sum(
        math.exp(-min(((k * pitch - f) / 150) ** 2 for f in formants)) * np.sin(2 * np.pi * k * pitch * time + k)
        for k in range(1, 40)
    )
    whole = 0.2 * sound / np.abs(sound).max() + 0.002 * draws.standard_normal(len(time))
    return np.asarray(whole, dtype=np.float32)


def sample(voice: int, number: int, language: str = "", seconds: float = 0.5) -> Recording:
    return Recording(Waveform(said(voice, number, seconds), 16_000), label=f"v{voice}", language=language)


def verification(**config: Any) -> SpeakerVerification:
    torch.manual_seed(0)
    reader = SpeechReader(SpeechReaderConfig(text="none"), None)
    model = wav2vec2.build(Wav2Vec2Config(**SMALL), Head(task="speaker-verification"))
    loss = additive_angular_margin(AdditiveAngularMarginConfig())
    context = TaskContext(model=model, preprocessor=reader, loss=loss)
    return SpeakerVerification(SpeakerVerificationConfig(**config), context)


# ---- the loss


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.4, 2.9])
def test_the_margin_widens_the_angle_to_a_recordings_own_class(angle: float) -> None:
    margin, scale = 0.5, 4.0
    loss = additive_angular_margin(AdditiveAngularMarginConfig(margin=margin, scale=scale))
    cosines = torch.tensor([[math.cos(angle), 0.2, -0.6]], dtype=torch.float64)
    # Beyond pi - m = 2.64 the cosine of the wider angle would rise again.
    own = math.cos(angle + margin) if angle < math.pi - margin else math.cos(angle) - margin * math.sin(margin)
    powers = [math.exp(scale * value) for value in (own, 0.2, -0.6)]
    loss_sum, weight = loss(cosines, torch.tensor([0]))
    assert float(loss_sum) == pytest.approx(-math.log(powers[0] / sum(powers)), rel=1e-9) and int(weight) == 1


def test_without_a_margin_it_is_cross_entropy_over_scaled_cosines_and_sums_over_recordings() -> None:
    cosines = torch.rand(5, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    labels = torch.tensor([0, 2, 1, 1, 0])
    plain = additive_angular_margin(AdditiveAngularMarginConfig(margin=0.0, scale=7.0))
    expected = torch.nn.functional.cross_entropy(7.0 * cosines, labels, reduction="sum")
    assert torch.allclose(plain(cosines, labels)[0], expected, rtol=1e-5)
    loss = additive_angular_margin(AdditiveAngularMarginConfig())
    apart = sum(float(loss(cosines[[row]], labels[[row]])[0]) for row in range(5))
    assert float(loss(cosines, labels)[0]) == pytest.approx(apart, rel=1e-6) and int(loss(cosines, labels)[1]) == 5


def test_its_gradient_is_finite_where_a_recording_lies_on_its_class_and_a_wider_angle_never_costs_less() -> None:
    loss = additive_angular_margin(AdditiveAngularMarginConfig(margin=0.5))
    cosines = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss(cosines, torch.tensor([0, 0]))[0].backward()  # type: ignore[no-untyped-call]
    assert cosines.grad is not None and bool(cosines.grad.isfinite().all())
    angles = torch.linspace(0.0, math.pi, 200, dtype=torch.float64)
    costs = [float(loss(torch.stack([a.cos(), a.new_zeros(())])[None], torch.tensor([0]))[0]) for a in angles]
    assert np.all(np.diff(costs) >= 0)


def test_labels_and_settings_that_cannot_be_meant() -> None:
    loss = additive_angular_margin(AdditiveAngularMarginConfig())
    for labels in ([0, 3], [0, -1], [0]):
        with pytest.raises(TrainingError, match="labels of shape"):
            loss(torch.zeros(2, 3), torch.tensor(labels))
    for settings in ({"margin": -0.1}, {"margin": 1.6}, {"scale": 0.0}, {"scale": math.nan}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            AdditiveAngularMarginConfig(**settings)


# ---- a baseline


def test_a_baseline_hears_formants() -> None:
    sounds = [sample(voice, number) for voice in range(6) for number in range(4)]
    trials = draw_trials([one.label for one in sounds], [""] * 24, 1000)
    assert cosine_of_statistics(sounds, sounds, trials, 16_000)["eer"] < 0.2


# ---- embeddings


def test_statistics_see_nothing_behind_a_recording() -> None:
    states = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    found = statistics(states, torch.tensor([3, 1]))
    assert torch.allclose(found[0], torch.cat([states[0, :3].mean(0), states[0, :3].std(0, correction=0)]), atol=1e-6)
    assert torch.allclose(found[1, :3], states[1, 0]) and torch.allclose(found[1, 3:], torch.full((3,), 1e-5**0.5))
    states[0, 3:] = torch.nan
    assert bool(statistics(states, torch.tensor([3, 1]))[0].isfinite().all())


def test_a_padded_batch_gives_what_recordings_give_alone() -> None:
    task = verification()
    sounds = [said(n, 0, seconds) for n, seconds in enumerate((0.3, 1.7, 0.02, 0.9))]
    options = SpeakerVerificationOptions(normalize=False)
    for sound, answer in zip(sounds, task.predict(sounds, options), strict=True):
        (alone,) = task.predict([sound], options)
        assert answer["embedding"] == pytest.approx(alone["embedding"], abs=1e-5)
    samples = [Recording(Waveform(sound, 16_000), label=f"v{n % 2}") for n, sound in enumerate(sounds)]
    dataset = task.dataset(samples, train=True)
    drawn = [dataset.sample(SampleKey(0, 0, number)) for number in range(4)]
    modules = {"model": task.model}
    with torch.no_grad():
        whole = task.step("train", modules, dataset.collate(drawn), At())
        parts = [task.step("train", modules, dataset.collate([one]), At()) for one in drawn]
    assert float(whole.loss_sum) == pytest.approx(sum(float(part.loss_sum) for part in parts), rel=1e-5)


def test_voices_of_an_evaluation_needn_t_be_known_and_figures_do_not_depend_on_the_order() -> None:
    task = verification(trials=20)
    task.dataset([sample(voice, 0) for voice in range(2)], train=True)
    strangers = task.dataset([sample(voice, number) for number in range(6) for voice in (4, 5)], train=False)
    assert strangers.known == ("v4", "v5")
    modules = {"model": task.model.eval()}
    figures = []
    for order in ([[*range(6)], [*range(6, 12)]], [[11, 3], [7, 2, 5, 9, 0, 1, 10, 4, 8, 6]]):
        found = []
        for places in order:
            batch = strangers.collate([strangers.sample(SampleKey(0, 0, place)) for place in places])
            with torch.no_grad():
                found.append(task.evaluate(modules, batch, At()))
        figures.append(task.summarize(gathered(found)))
        assert task.artifacts(modules, gathered(found))["thresholds.txt"].count(b"\n") == 2
    assert figures[0] == pytest.approx(figures[1]) and set(figures[0]) == {"eer", "min_dcf", "auc"}


def test_trials_stay_within_a_language_where_it_is_told() -> None:
    test = [sample(voice, number, "de" if voice < 2 else "fr") for voice in range(3) for number in range(2)]
    within, all_ = (verification(pairs=pairs).baselines(test, test) for pairs in ("language", "all"))
    assert within["chance"] == all_["chance"] == {"eer": 0.5, "min_dcf": 1.0, "auc": 0.5}
    with pytest.raises(DataError, match="without two voices"):
        verification().baselines(test, test[4:])
    assert set(figures_of(all_["MFCC statistics"])) == {"eer", "min_dcf", "auc"}
    voices_, languages = zip(*((one.label, one.language) for one in test), strict=True)
    counts = [len(verification(pairs=pairs)._trials(voices_, languages).same) for pairs in ("language", "all")]
    assert counts == [4 * 3 // 2 + 1, 6 * 5 // 2]


def test_bad_samples_and_options_are_named() -> None:
    task = verification()
    with pytest.raises(DataError, match="sample 2 has no label"):
        task.dataset([sample(0, 0), Recording(Waveform(said(0, 1), 16_000))], train=False)
    with pytest.raises(DataError, match="every recording is of 'v3'"):
        task.dataset([sample(3, number) for number in range(3)], train=True)
    with pytest.raises(DataError, match=r"against: none\.wav: no such file"):
        task.predict([said(0, 0)], SpeakerVerificationOptions(against="none.wav"))
    for settings, words in (
        ({"threshold": 0.5}, "null where `against` is empty"),
        ({"threshold": 2.0, "against": "a.wav"}, "-1 to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            SpeakerVerificationOptions(**settings)
    with pytest.raises(UsageError, match="expected WaveformPreprocessor"):
        SpeakerVerification(SpeakerVerificationConfig(), TaskContext(model=torch.nn.Linear(1, 1), preprocessor=None))


# ---- the data set


READERS = {
    "asterisk-en": [(f"digits/{n}.wav", "en", "") for n in range(40)],
    "asterisk-es": [(f"digits/{n}.wav", "es", "") for n in range(40)],
    "tuxpaint-speech": [
        *((f"animals/a{n}_desc_{code}.ogg", code, "") for code in ("es", "ru", "lt", "fr") for n in range(12)),
        *((f"symbols/math/{n}_ru.ogg", "ru", "") for n in range(9)),
    ],
    "czech": [
        *((f"cave/{role}{n}.ogg", "cs", role) for role in ("big", "small", "cyan") for n in range(20)),
        *((f"cave/parrot{n}.ogg", "cs", "parrot") for n in range(3)),
    ],
    "letters-words": [
        *((f"klettres/{code}/alpha/{n}.ogg", code[:2], "") for code in ("ru", "lt", "it", "de") for n in range(9)),
        *((f"klettres/de/syllab/{n}.ogg", "de", "") for n in range(9)),
        *((f"ktuberling/de/{n}.ogg", "de", "") for n in range(9)),
    ],
}


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedFiles:
    """Prepared folders of the packages' names with recordings that differ by their first sample."""
    count, pins = 0, {}
    for part, told in READERS.items():
        found = []
        for name, language, speaker in told:
            count += 1
            sound = np.array([count / 32768, 0.5, *[0.0] * 98], np.float32)
            found.append(Record(name, wav_bytes(sound, 1000), language, speaker=speaker))
        files, _ = sources.prepare(found, part)
        (tmp_path / part).mkdir()
        for file, content in files.items():
            (tmp_path / part / file).write_bytes(content)
        pins[part] = {file: fs.digest_of(content) for file, content in files.items()}
    return PreparedFiles.find("voices", pins, tmp_path)


def test_voices_and_languages_of_the_splits_are_disjoint(prepared: PreparedFiles) -> None:
    read = voices.read_speakers(Voices(most=11), prepared)
    counts: dict[str, dict[str, int]] = {}
    languages: dict[str, set[str]] = {}
    for split in read.splits():
        assert isinstance(read.samples(split)[0], Recording)
        for one in read.samples(split):
            counts.setdefault(split, {}).setdefault(one.label, 0)
            counts[split][one.label] += 1
            languages.setdefault(split, set()).add(one.language)
    labels = [label for found in counts.values() for label in found]
    assert sorted(labels) == [
        "asterisk-en-es", "czech-big", "czech-small", "klettres-de", "klettres-it", "klettres-lt", "klettres-ru",
        "ktuberling-de", "tuxpaint-es", "tuxpaint-lt", "tuxpaint-ru",
    ]  # fmt: skip
    spoken = [language for found in languages.values() for language in found]
    assert len(spoken) == len(set(spoken)) == 7
    assert all(9 <= count <= 11 for found in counts.values() for count in found.values())
    # One alone in its language has nobody to be compared with.
    assert "klettres-it" in counts["train"] and min(map(len, counts.values())) >= 2
    assert read.labels == () and "left out whose voice isn't known" in read.notices[0]


def test_settings_of_voices(prepared: PreparedFiles) -> None:
    whole, few = voices.read_speakers(Voices(), prepared), voices.read_speakers(Voices(fewest=12), prepared)
    assert {row.label for split in few.splits() for row in few.samples(split)} == {
        "asterisk-en-es", "czech-big", "czech-small", "tuxpaint-es", "tuxpaint-lt", "tuxpaint-ru",
    }  # fmt: skip
    place = {row.language: split for split in whole.splits() for row in whole.samples(split)}
    czech = voices.read_speakers(Voices(languages=("cs",)), prepared)
    assert {row.label for row in czech.samples(place["cs"])} == {"czech-big", "czech-small"}
    assert voices.read_speakers(Voices(), prepared).digest() == whole.digest() != few.digest()
    with pytest.raises(UnknownName, match="language 'xx'"):
        voices.read_speakers(Voices(languages=("xx",)), prepared)
    with pytest.raises(ValueError, match="fewest"):
        Voices(fewest=9, most=8)


def test_a_recording_in_two_voices_is_in_none() -> None:
    one = Recording(Path("a"), label="x", name="asterisk-fr/a.g722", key="1" * 64, language="fr")
    other = Recording(Path("a"), label="y", name="b", key="1" * 64)
    alone = Recording(Path("a"), label="x", name="b", key="2" * 64)
    assert voices._without_shared([one, other, alone]) == ([alone], 2)


def test_labels_of_a_folder_can_be_split_so_that_none_is_in_two_splits(tmp_path: Path) -> None:
    folder(tmp_path, range(8), 2, 0.1)
    read = read_labelled_recordings(LabelledRecordings(path=str(tmp_path), split="label", test_fraction=0.3))
    found = [{row.label for row in read.samples(split)} for split in read.splits()]
    assert len(set.union(*found)) == 8 == sum(map(len, found)) and all(found)
    assert read.labels == () and read.notices[0].startswith("split by label: ")


@pytest.mark.skipif("ZOO_DATA" not in os.environ, reason="needs prepared data sets: zoo data fetch voices")
def test_the_prepared_voices() -> None:
    host = PluginHost()
    read = open_data(host.find("data", "voices"), Voices(), host)
    found = {split: {row.label for row in read.samples(split)} for split in read.splits()}
    assert {split: len(labels) for split, labels in found.items()} == {"train": 26, "validation": 12, "test": 15}
    assert len(set.union(*found.values())) == 53
    keys = [row.key for split in read.splits() for row in read.samples(split)]
    assert len(keys) == len(set(keys))


# ---- a run


def folder(root: Path, speakers: range, each: int, seconds: float) -> Path:
    for voice in speakers:
        (root / f"v{voice}").mkdir(parents=True)
        for number in range(each):
            (root / f"v{voice}" / f"{number}.wav").write_bytes(wav_bytes(said(voice, number, seconds), 16_000))
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Zoo, Path, Any]:
    """Ten steps on five voices, tested on five others; ten without a learning rate leave an error rate of 0.37."""
    root = tmp_path_factory.mktemp("voices")
    zoo = open_zoo({"ZOO_HOME": str(root / "home")})
    folder(root / "train", range(0, 10, 2), 6, 0.4)
    folder(root / "test", range(1, 10, 2), 4, 0.4)
    recipe = {
        "name": "wav2vec2_tiny.tones",
        "model": {"name": "wav2vec2_tiny", **SMALL, "conv_widths": (32,) * 7, "hidden_size": 32},
        "preprocessor": {"text": "none"},
        "task": {"name": "speaker-verification", "crop_seconds": 0.3},
        "data": {
            "name": "labelled-speech", "train": str(root / "train"), "validation": str(root / "test"),
            "test": str(root / "test"), "split": "label",
        },
        "loss": {"name": "additive-angular-margin", "scale": 15.0, "margin": 0.1},
        "optimizer": {"name": "adamw", "lr": 5e-3},
        "training": {"steps": 10, "batch_size": 10, "evaluate_every": 5},
    }  # fmt: skip
    result = train(recipe, folder=root / "run", zoo=zoo)
    return zoo, root, result


def test_ten_steps_tell_voices_that_were_not_trained_on(run: tuple[Zoo, Path, Any]) -> None:
    _, root, result = run
    assert result.metrics["eer"] < 0.3 < result.baselines["chance"]["eer"] and result.metrics["auc"] > 0.75
    assert set(result.baselines) == {"chance", "MFCC statistics"}
    assert (
        result.card is not None and result.card.labels == () and result.card.task == "zoo-speech/speaker-verification"
    )
    kept = {path.name for path in (root / "run" / "artifacts").iterdir()}
    assert {"000000000-heard.png", "000000010-validation-thresholds.txt"} <= kept


def test_directions_of_trained_voices_are_in_the_run_and_not_in_the_checkpoint(run: tuple[Zoo, Path, Any]) -> None:
    zoo, root, result = run
    state = next((root / "run" / "checkpoints").glob("*/state.safetensors"))
    assert any("voices.weight" in name for name in tensors.load(bytearray(state.read_bytes()), where="state"))
    model = load("wav2vec2_tiny.tones", zoo=zoo).model
    assert not any(name.startswith("voices") for name in model.state_dict())
    assert "embedder.weight" in model.state_dict()
    assert result.card.parameters == parameter_count(model)


def test_a_checkpoint_compares_recordings(run: tuple[Zoo, Path, Any]) -> None:
    zoo, root, _ = run
    loaded = load("wav2vec2_tiny.tones", zoo=zoo)
    one, other, stranger = (root / "test" / name for name in ("v1/0.wav", "v1/1.wav", "v9/0.wav"))
    plain = loaded.predict(str(one))
    assert list(plain) == ["embedding"] and np.linalg.norm(plain["embedding"]) == pytest.approx(1.0, abs=1e-5)
    same, apart = loaded.predict([str(other), str(stranger)], against=str(one), threshold=0.0)
    expected = float(np.dot(plain["embedding"], same["embedding"]))
    assert list(same) == ["embedding", "score", "same"] and same["score"] == pytest.approx(expected, abs=1e-5)
    assert same["score"] != apart["score"] and apart["same"] == (apart["score"] >= 0.0)
    (itself,) = loaded.predict([str(one)], against=str(one), threshold=0.99)
    assert itself["score"] == pytest.approx(1.0, abs=1e-5) and itself["same"] is True
    assert "same" not in loaded.predict([str(one)], against=str(one))[0]


def test_a_checkpoint_is_measured_on_voices_of_others(run: tuple[Zoo, Path, Any]) -> None:
    zoo, root, _ = run
    settings = {"split": "label", "validation_fraction": 0.0, "test_fraction": 0.9}
    metrics, *_ = evaluate("wav2vec2_tiny.tones", str(root / "test"), settings=settings, zoo=zoo)
    eer = next(metric for metric in metrics if metric.name == "eer")
    assert 0 <= eer.value <= 1 and set(eer.baselines) == {"chance", "MFCC statistics"}


def test_no_folder_of_another_library_holds_such_a_model(run: tuple[Zoo, Path, Any], tmp_path: Path) -> None:
    zoo, _, _ = run
    with pytest.raises(UsageError, match="no class for a wav2vec2 of speaker-verification"):
        export("wav2vec2_tiny.tones", tmp_path / "out", zoo=zoo)
