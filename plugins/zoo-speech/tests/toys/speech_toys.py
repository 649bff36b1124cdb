"""What the tests of encoders share: a small Whisper, its tokenizer and reader, sounds, and folders of Transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoFeatureExtractor
from zoo_speech.configs.models import WhisperConfig, WhisperReaderConfig
from zoo_speech.interop.whisper import WhisperInterop
from zoo_speech.models import whisper
from zoo_speech.preprocessor import WhisperReader

from zoo_core import Zoo, export, import_folder
from zoo_core.contract import ForeignCheckpoint, Head, to_data
from zoo_core.testing import fs, tensors

SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")
WINDOW = 2.0
"""Seconds that the small Whisper hears at once."""
SMALL: dict[str, Any] = {
    "vocab_size": 259, "hidden_size": 32, "encoder_layers": 2, "decoder_layers": 1, "num_heads": 2, "intermediate_size": 48,
    "max_frames": 200, "max_length": 24, "start_id": 257, "eos_id": 256,
}  # fmt: skip

Samples = NDArray[np.float32]


def tokenizer(special: Sequence[str] = SPECIAL) -> Tokenizer:
    """Of bytes, and the special tokens behind them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({character: number for number, character in enumerate(alphabet)}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    return made


def whisper_reader(**settings: Any) -> WhisperReader:
    """For the small Whisper."""
    return WhisperReader(WhisperReaderConfig(**{"max_seconds": WINDOW, **settings}), tokenizer())


def scaled(model: Any, scale: float = 3.0) -> Any:
    """Weights that are large enough for recordings to differ."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
    return model.eval()


def noise(seconds: float, seed: int) -> Samples:
    """White, at 16 kHz."""
    draws = np.random.default_rng(seed).standard_normal(max(1, round(16_000 * seconds)))
    return (0.1 * draws).astype(np.float32)


def tone(label: str, number: int) -> Samples:
    """Half a second, low, middle or high."""
    time = np.arange(8_000) / 16_000
    pitch = {"low": 200, "middle": 900, "high": 3_000}[label] * (1 + 0.02 * number)
    return (0.3 * np.sin(2 * np.pi * pitch * time + number) + 0.01 * noise(0.5, number)).astype(np.float32)


def registered_whisper(name: str, root: Path, zoo: Zoo) -> None:
    """Register a recogniser of random weights as it is imported."""
    torch.manual_seed(0)
    config = WhisperConfig(**SMALL)
    foreign = ForeignCheckpoint(config=to_data(config), head=Head(), preprocessor=whisper_reader(), license="MIT")
    model = scaled(whisper.build(config, Head()))
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "proj_out.weight"}
    folder = root / "folder"
    folder.mkdir()
    for file, data in WhisperInterop().write(foreign).items():
        (folder / file).write_bytes(data)
    fs.write_file(folder / "model.safetensors", *tensors.dump(state, metadata={"format": "pt"}))
    import_of(folder, name, zoo)


def import_of(folder: Path, name: str, zoo: Zoo) -> Any:
    """The card of a Whisper's folder, registered."""
    return import_folder(folder, model="whisper", name=name, zoo=zoo)


def export_of(name: str, folder: Path, zoo: Zoo) -> None:
    """Write a checkpoint as Transformers' folder."""
    export(name, folder, zoo=zoo)


def logits_of(theirs: Any, folder: Path, sounds: list[Samples]) -> Any:
    """A classifier's, by the folder's own features."""
    extractor = AutoFeatureExtractor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return theirs(**extractor(sounds, sampling_rate=16_000, return_tensors="pt")).logits
