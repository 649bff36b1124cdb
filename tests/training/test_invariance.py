"""Every task of the shipped plugins has the same gradients however its batch is dealt, or docs/plugins.md says how far off.

All with what they draw at random: dropout, stochastic depth, masks, latents, augmentation.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from speech_toys import registered_whisper
from zoo_speech.audio.audio import wav_bytes

from zoo_core import Zoo, open_zoo
from zoo_core.contract import Task
from zoo_core.testing import first_gradients, gradient_difference

BAR = 1e-6
"""What all that isn't below holds: the largest difference of a gradient, as a share of the largest gradient of its phase."""
DEALS = ((4, 1), (1, 2))
"""Micro-batches and ranks that 16 samples are dealt to."""
DROPOUT = {"dropout": 0.1, "attention_dropout": 0.1}
SMALL = {"hidden_size": 32, "num_heads": 2}
BERT = {"name": "bert_tiny", **SMALL, "intermediate_size": 64, **DROPOUT}
GPT2 = {"name": "gpt2_tiny", **SMALL, "num_layers": 2, **DROPOUT}
MARIAN = {"name": "marian_tiny", **SMALL, "intermediate_size": 64, **DROPOUT}
LSTM = {"name": "lstm_tiny", "dropout": 0.5}
WAV2VEC2 = {
    "name": "wav2vec2_tiny", "conv_widths": [8] * 7, "hidden_size": 16, "num_layers": 2, "num_heads": 2,
    "intermediate_size": 32, "position_kernel": 8, "position_groups": 4, "codes": 8, "code_size": 8, **DROPOUT,
    "layer_drop": 0.2,
}  # fmt: skip
WHISPER = "whisper_tiny_en.random"
VIT = {
    "name": "vit_tiny", "embed_dim": 32, "depth": 2, "num_heads": 2, "decoder_dim": 32, "decoder_depth": 1, "patch_size": 4,
    "drop_rate": 0.1, "drop_path_rate": 0.2,
}  # fmt: skip
RESNET = {"name": "resnet_tiny", "channels": [8] * 4, "drop_rate": 0.1, "drop_path_rate": 0.2}
R3GAN = {"name": "r3gan_nano", "width": 16, "full_width_until": 8, "group_width": 8}
DCGAN = {"name": "dcgan_tiny", "width": 8, "latent_dim": 8}
PLANE = {"name": "plane_gan_tiny", "width": 16}
PIX2PIX = {"name": "pix2pix_tiny", "width": 8, "depth": 3, "dropout": 0.5}
DIGITS = {"name": "digits", "train_samples": 32}
MADE = {
    "gradient_penalty": 1.0,
    "r1": 0.1,
    "r1_every": 2,
    "path_length": 0.1,
    "augment": "colour,translation,cutout",
    "noise": 0.1,
}
SPEECH = {"augment": {"noise": 0.5, "gain": 6.0}}
HIDDEN = {"mask_probability": 0.1, "mask_length": 3}

NORMS = "batch normalisation"
UNEQUAL = "dropout, samples of unequal lengths"


class Case(NamedTuple):
    """One way to learn by a task."""

    task: str
    model: Mapping[str, Any] | str
    """A family with its settings, or a checkpoint to start from."""
    data: Mapping[str, Any]
    settings: Mapping[str, Any] = {}
    """Of the task."""
    when: str = ""
    """In which case the bar can't be held."""
    bound: float = BAR


def cases(texts: str = "", recordings: str = "") -> list[Case]:
    """All of them, by the folders of texts and of recordings."""
    lines = {"name": "text", "path": f"{texts}/lines.txt"}
    found = [
        Case("image-classification", VIT, DIGITS, {"augment": {"crop": "pad", "flip": 0.5, "policy": "randaugment"}}),
        Case("image-classification", RESNET, DIGITS, when=NORMS, bound=3.0),
        Case("image-classification", VIT, DIGITS, {"mixup": 0.4}, "mixup or cutmix, with partners in the micro-batch", 2.0),
        Case("masked-image-modeling", VIT, DIGITS),
        Case("image-contrastive", VIT, DIGITS),
        Case("image-contrastive", RESNET, DIGITS, when=NORMS, bound=3.0),
        Case("point-generation", PLANE, {"name": "plane-points", "samples": 100}, {**MADE, "augment": ""}),
        Case("image-generation", R3GAN, DIGITS, MADE),
        Case("image-generation", DCGAN, DIGITS, when=NORMS, bound=0.5),
        Case("class-conditional-image-generation", R3GAN, DIGITS, MADE),
        Case("class-conditional-image-generation", DCGAN, DIGITS, when=NORMS, bound=0.5),
        Case("image-to-image", PIX2PIX, DIGITS, {"condition": "outline"}),
        Case("fill-mask", BERT, lines),
        Case("text-generation", GPT2, lines),
        Case(
            "wav2vec2-pretraining", WAV2VEC2, {"name": "speech", "path": f"{recordings}/equal"},
            {"mask_length": 3, "distractors": 5, "crop_seconds": 0.6},
            "codes are drawn for hidden frames, and their diversity is the micro-batch's", 1.0,
        ),
    ]  # fmt: skip
    for name in ("equal", "unequal"):
        unlike = name == "unequal"
        labelled = {"name": "labelled-text", "path": f"{texts}/{name}.csv"}
        paired = {"name": "parallel-text", "path": f"{texts}/{name}-pairs.csv"}
        spoken = {"name": "transcribed-speech", "path": f"{recordings}/{name}"}
        voices = {"name": "labelled-speech", "path": f"{recordings}/{name}-voices"}
        masks = {"spec_augment": {"frequency_masks": 2, "time_masks": 2}}
        for case, bound in (
            (Case("text-classification", BERT, labelled), 0.5),
            (Case("translation", MARIAN, paired), 1.0),
            (Case("summarization", MARIAN, paired), 1.0),
            (Case("ctc-speech-recognition", WAV2VEC2, spoken, {**SPEECH, **HIDDEN}), 0.2),
            (Case("audio-classification", WAV2VEC2, voices, SPEECH), 0.02),
            (Case("speaker-verification", WAV2VEC2, voices, SPEECH), 0.5),
            (Case("automatic-speech-recognition", WHISPER, spoken, {**SPEECH, **masks}), 0.5),
        ):
            found.append(case._replace(when=UNEQUAL, bound=bound) if unlike else case)
        found.append(Case("text-classification", LSTM, labelled))
    return found


def recipe_of(case: Case) -> dict[str, Any]:
    """The case as a recipe, of one update."""
    made: dict[str, Any] = {
        "task": {"name": case.task, **case.settings},
        "data": case.data,
        "training": {"steps": 1, "batch_size": 16, "device": "cpu", "extras": "off"},
    }
    if isinstance(case.model, str):
        return made | {"name": "whisper_tiny_en.dealt", "init": case.model, "model": {"dropout": 0.1}}
    family = str(case.model["name"]).split("_")[0]
    readers = {
        "image": {"img_size": 16, "in_chans": 1},
        "gan": {"image_size": 8 if family == "dcgan" else 16, "in_channels": 1},
        "text": {"vocab_size": 300, "max_length": 12 if case.data["name"] == "text" else 64, "min_frequency": 1},
        "speech": {"text": "characters" if case.task == "ctc-speech-recognition" else "none"},
    }
    kinds = {"vit": "image", "resnet": "image", "r3gan": "gan", "dcgan": "gan", "pix2pix": "gan", "wav2vec2": "speech"}
    made |= {"name": f"{case.model['name']}.dealt", "model": case.model}
    return made if family == "plane" else made | {"preprocessor": readers[kinds.get(family, "text")]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts and recordings, all of one length and of several."""
    root = tmp_path_factory.mktemp("dealt")
    draws = np.random.default_rng(0)
    words = ["the", "cat", "and", "a", "dog", "ran", "to", "sea"]
    for name in ("equal", "unequal"):
        counts = np.full(32, 8) if name == "equal" else draws.integers(3, 24, 32)
        # The same words in any order are as many tokens; three of four have one label, so that gradients don't cancel out.
        sides = [
            [" ".join(draws.permutation(words * 3 if few > 8 else words)[:few]) for few in counts] for _ in range(2)
        ]
        _write(root / f"{name}.csv", ["text", "label"], zip(sides[0], "aaab" * 8, strict=True))
        _write(root / f"{name}-pairs.csv", ["source", "target"], zip(*sides, strict=True))
        for number, few in enumerate(counts):
            sound = wav_bytes(0.1 * draws.standard_normal(6_000 + 800 * few), 16_000)
            for place in (root / name, root / f"{name}-voices" / "aaab"[number % 4]):
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{number}.wav").write_bytes(sound)
            (root / name / f"{number}.txt").write_text(" ".join(draws.permutation(list("abcdefgh"))[: 1 + few // 3]))
    (root / "lines.txt").write_text("\n".join(sides[0] * 4) + "\n")
    return root


def _write(path: Path, names: Sequence[str], rows: Any) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture(scope="module")
def zoo(folder: Path) -> Zoo:
    found = open_zoo({"ZOO_HOME": str(folder / "home")})
    (folder / "whisper").mkdir()
    registered_whisper(WHISPER, folder / "whisper", found)
    return found


def name_of(case: Case) -> str:
    """For a reader of the results."""
    model = case.model if isinstance(case.model, str) else case.model["name"]
    return f"{case.task}, {model}{', ' + case.when if case.when else ''}"


NUMBERS = range(len(cases()))


@pytest.mark.parametrize("number", NUMBERS, ids=[name_of(case) for case in cases()])
def test_gradients_do_not_depend_on_how_a_batch_is_dealt(number: int, zoo: Zoo, folder: Path) -> None:
    case = cases(str(folder), str(folder))[number]
    recipe = recipe_of(case)
    whole = first_gradients(recipe, zoo)
    apart = [
        max(gradient_difference(whole, first_gradients(recipe, zoo, accumulation=parts, ranks=ranks)).values())
        for parts, ranks in DEALS
    ]
    assert max(apart) <= case.bound
    if case.bound > BAR:
        assert max(apart) > case.bound / 10, "less would do: state a tighter bound"


def test_every_task_that_learns_has_a_case_with_the_bar_or_says_why_not(zoo: Zoo) -> None:
    learning = {
        provided.spec.name
        for provided in zoo.host.all("task")
        if issubclass(provided.resolve(provided.spec.target), Task)
    }
    assert learning == {case.task for case in cases()}
    assert learning - {case.task for case in cases() if case.bound == BAR} == {"wav2vec2-pretraining"}


def test_the_bounds_are_those_of_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    rows = [f"| `{case.task}` | {case.when} | {case.bound:g} |\n" for case in cases() if case.bound > BAR]
    table = "| task | when | by at most |\n|---|---|---|\n" + "".join(rows)
    assert table in text, f"docs/plugins.md should hold:\n{table}"
