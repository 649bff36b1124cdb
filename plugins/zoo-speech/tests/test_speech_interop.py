"""Folders of Transformers: theirs gives the same numbers here, ours opens there, and what can't be had is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from speech_toys import scaled, tokenizer
from torch import Tensor, nn
from transformers import AutoProcessor
from transformers.models.wav2vec2 import modeling_wav2vec2 as theirs_wav2vec2
from transformers.models.wav2vec2.configuration_wav2vec2 import Wav2Vec2Config as TheirWav2Vec2
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config, WhisperConfig, WhisperReaderConfig
from zoo_speech.decoding import ctc as decoding
from zoo_speech.decoding.long_form import rules_of, spectrograms, window_of
from zoo_speech.decoding.whisper import WhisperState, greedy
from zoo_speech.evaluation.transcripts import Characters
from zoo_speech.interop.wav2vec2 import Wav2Vec2Interop
from zoo_speech.interop.whisper import WhisperInterop
from zoo_speech.models import wav2vec2, whisper
from zoo_speech.preprocessor import SpeechReader, WhisperReader
from zoo_speech.tasks.common import batch_of

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, Head, Interop, to_data
from zoo_core.contract import from_data as typed
from zoo_core.testing import fs, tensors

SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"),
    *("<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
WHISPER = WhisperConfig(
    vocab_size=265 + 101,
    hidden_size=32,
    encoder_layers=1,
    decoder_layers=2,
    num_heads=2,
    intermediate_size=48,
    max_frames=200,
    max_length=24,
    start_id=257,
    eos_id=256,
)


def whisper_reader(**settings: Any) -> WhisperReader:
    usual = {"max_seconds": 2.0, "suppressed": (1, 2, 256 + 7), "suppressed_first": (3, 256)}
    return WhisperReader(WhisperReaderConfig(**{**usual, **settings}), tokenizer(SPECIAL))


def written(folder: Path, interop: Interop, foreign: ForeignCheckpoint, state: Mapping[str, Tensor]) -> Path:
    folder.mkdir()
    for name, data in interop.write(foreign).items():
        (folder / name).write_bytes(data)
    fs.write_file(folder / "model.safetensors", *tensors.dump(dict(state), metadata={"format": "pt"}))
    return folder


def processor_of(folder: Path) -> Any:
    return AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]


def small_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def weights(interop: Interop, folder: Path) -> dict[str, Tensor]:
    theirs = tensors.load(fs.read_into(folder / "model.safetensors"), where="test")
    return interop.convert(theirs, interop.read(small_files(folder)))


def with_settings(files: Mapping[str, bytes], name: str, **changes: Any) -> dict[str, bytes]:
    return {**files, name: json.dumps({**json.loads(files[name]), **changes}).encode()}


# ------------------------------------------------------------------------------------------------------ Whisper


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = scaled(whisper.build(WHISPER, Head()))
    foreign = ForeignCheckpoint(config=to_data(WHISPER), head=Head(), preprocessor=whisper_reader(), license="MIT")
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "proj_out.weight"}
    return written(tmp_path_factory.mktemp("x") / "whisper", WhisperInterop(), foreign, state)


def test_a_whisper_of_ours_writes_the_same_there(whisper_folder: Path) -> None:
    """Through their own processor, features and `generate`, and through ours from the same folder."""
    sound = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    theirs: Any = WhisperForConditionalGeneration.from_pretrained(whisper_folder)
    processor = processor_of(whisper_folder)
    heard = processor(sound, sampling_rate=16_000, return_tensors="pt")["input_features"]
    expected = theirs.eval().generate(heard)[0].tolist()
    interop = WhisperInterop()
    foreign = interop.read(small_files(whisper_folder))
    reader = foreign.preprocessor
    assert isinstance(reader, WhisperReader) and reader.config == whisper_reader().config
    assert typed(WhisperConfig, dict(foreign.config), where="test") == WHISPER and foreign.license == "MIT"
    model: Any = whisper.build(WHISPER, foreign.head)
    model.load_state_dict(weights(interop, whisper_folder), strict=False)
    features = spectrograms(torch.from_numpy(sound)[None], torch.tensor([24_000]), window_of(model))
    assert torch.allclose(features, heard, atol=1e-4)
    prompt = torch.tensor([reader.prompt])
    with torch.no_grad():
        found = greedy(WhisperState(model.eval(), features), prompt, rules_of(model, reader), WHISPER.max_length - 2)[0]
    assert [token for token in expected if token not in (256, *reader.prompt)] == found.tokens
    assert processor.batch_decode([found.tokens], skip_special_tokens=True)[0].strip() == reader.decode(found.tokens)


def test_a_multilingual_whisper_keeps_its_languages(tmp_path: Path) -> None:
    prompt = ("<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>")
    for words in (prompt, (prompt[0], *prompt[2:])):
        reader = whisper_reader(multilingual=True, prompt=words)
        foreign = ForeignCheckpoint(config=to_data(WHISPER), head=Head(), preprocessor=reader)
        files = WhisperInterop().write(foreign)
        again = WhisperInterop().read(files).preprocessor
        assert isinstance(again, WhisperReader) and again.config == reader.config
    assert json.loads(files["generation_config.json"])["lang_to_id"] == {"<|en|>": 258, "<|de|>": 259}


def test_a_language_in_words_and_a_translation_are_asked_for_as_their_generate_asks() -> None:
    reader = whisper_reader(multilingual=True, prompt=("<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>"))
    files = WhisperInterop().write(ForeignCheckpoint(config=to_data(WHISPER), head=Head(), preprocessor=reader))
    for settings, words in (
        ({"language": "German"}, "<|de|><|transcribe|>"),
        ({"language": "de", "task": None}, "<|de|><|transcribe|>"),
        ({"language": "<|de|>", "task": "translate"}, "<|de|><|translate|>"),
    ):
        again = WhisperInterop().read(with_settings(files, "generation_config.json", **settings))
        assert isinstance(again.preprocessor, WhisperReader)
        assert "".join(again.preprocessor.config.prompt) == f"<|startoftranscript|>{words}<|notimestamps|>"
        generation = json.loads(WhisperInterop().write(again)["generation_config.json"])
        assert generation["language"] == "<|de|>" and f"<|{generation['task']}|>" in words
    for settings, message in (
        ({"language": ["de"]}, r"generation_config\.json: language"),
        ({"language": "french"}, r"no token '<\|fr\|>'"),
        ({"task": "sing"}, r"generation_config\.json: task: expected transcribe or translate, found 'sing'"),
    ):
        with pytest.raises(CorruptFile, match=message):
            WhisperInterop().read(with_settings(files, "generation_config.json", **settings))


def test_the_tied_layer_is_left_out(whisper_folder: Path) -> None:
    interop = WhisperInterop()
    foreign = interop.read(small_files(whisper_folder))
    assert list(interop.convert({"proj_out.weight": torch.ones(2), "a": torch.ones(2)}, foreign)) == ["a"]


def test_whispers_that_ours_can_not_be_are_refused(whisper_folder: Path) -> None:
    files = small_files(whisper_folder)

    def refused(error: type[Exception], message: str, files: Mapping[str, bytes]) -> None:
        with pytest.raises(error, match=message):
            WhisperInterop().read(files)

    refused(
        UsageError,
        'activation_function: expected "gelu", found "relu"',
        with_settings(files, "config.json", activation_function="relu"),
    )
    refused(UsageError, "encoder_ffn_dim and decoder", with_settings(files, "config.json", decoder_ffn_dim=64))
    refused(UsageError, "architecture", with_settings(files, "config.json", architectures=["WhisperModel"]))
    refused(UsageError, "architecture", with_settings(files, "config.json", architectures=[["WhisperModel"]]))
    refused(CorruptFile, "d_model: expected a number", with_settings(files, "config.json", d_model="x"))
    refused(CorruptFile, "decoder_start_token_id is 3", with_settings(files, "config.json", decoder_start_token_id=3))
    refused(
        UsageError, "expected hop_length 160, found 80", with_settings(files, "preprocessor_config.json", hop_length=80)
    )
    refused(
        UsageError,
        "expected chunk_length [0-9]+, found 30",
        with_settings(files, "preprocessor_config.json", chunk_length=30),
    )
    refused(CorruptFile, "names tokens", with_settings(files, "generation_config.json", suppress_tokens=[9999]))
    refused(CorruptFile, "whole numbers", with_settings(files, "generation_config.json", suppress_tokens="x"))
    refused(CorruptFile, r"tokenizer\.json is missing", {n: d for n, d in files.items() if n != "tokenizer.json"})
    refused(CorruptFile, r"config\.json: expected an object", {**files, "config.json": b"[]"})


# ------------------------------------------------------------------------------------------------------ wav2vec 2.0

ARCHITECTURE = {
    "vocab_size": 10,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16, 16],
    "conv_kernel": [10, 8],
    "conv_stride": [5, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "classifier_proj_size": 32,
    "codevector_dim": 16,
    "proj_codevector_dim": 16,
    "num_codevectors_per_group": 4,
}
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}
"""What the base models have in these places."""
VOCABULARY = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "T": 6, "'": 7, "A": 8, "O": 9}


def their_folder(folder: Path, kind: str = "Wav2Vec2ForCTC", **changes: Any) -> tuple[Any, Path]:
    torch.manual_seed(1)
    model = getattr(theirs_wav2vec2, kind)(TheirWav2Vec2(**{**ARCHITECTURE, **changes}))
    model = scaled(model)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    return model, folder


@pytest.mark.parametrize("changes", [{}, BASE], ids=["large", "base"])
def test_their_ctc_gives_the_same_frames_and_text_here(changes: dict[str, Any], tmp_path: Path) -> None:
    theirs, folder = their_folder(tmp_path / "x", **changes)
    interop = Wav2Vec2Interop()
    foreign = interop.read(small_files(folder))
    reader = foreign.preprocessor
    assert isinstance(reader, SpeechReader) and reader.characters is not None
    assert reader.characters.symbols == (" ", "e", "t", "'", "a", "o") and reader.config.case == "lower"
    assert foreign.head == Head(task="ctc-speech-recognition") and foreign.config["vocab_size"] == 7
    config = typed(Wav2Vec2Config, dict(foreign.config), where="test")
    model: Any = wav2vec2.build(config, foreign.head).eval()
    model.load_state_dict(weights(interop, folder))
    sound = reader.standardised(np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32))
    kept = [0, 4, 5, 6, 7, 8, 9]
    with torch.no_grad():
        expected = theirs(torch.from_numpy(sound)[None]).logits[..., kept]
        batch = batch_of([sound], torch.device("cpu"))
        frames = wav2vec2.frames_of(model.wav2vec2, batch["samples"], batch["lengths"], None)
        found = model.lm_head(frames.states)
        # Theirs hear it alone; here a longer neighbour changes nothing.
        batch = batch_of([sound, np.tile(3 * sound, 2)], torch.device("cpu"))
        beside = wav2vec2.frames_of(model.wav2vec2, batch["samples"], batch["lengths"], None)
        assert torch.allclose(model.lm_head(beside.states)[:1, : found.shape[1]], expected, atol=1e-4)
    assert torch.allclose(found, expected, atol=1e-4) and found.std() > 0.1
    symbols = "_ et'ao"
    path = "".join(symbols[number] for number in expected[0].argmax(-1).tolist())
    merged = "".join(one for place, one in enumerate(path) if place == 0 or path[place - 1] != one).replace("_", "")
    assert decoding.greedy(reader.characters, found.log_softmax(-1), frames.lengths) == [" ".join(merged.split())]


@pytest.mark.parametrize("changes", [{}, BASE], ids=["large", "base"])
@pytest.mark.parametrize("kind", ["Wav2Vec2Model", "Wav2Vec2ForPreTraining", "Wav2Vec2ForSequenceClassification"])
def test_their_other_heads_fit_ours(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    _, folder = their_folder(tmp_path / "x", kind, num_labels=3, **changes)
    interop = Wav2Vec2Interop()
    foreign = interop.read(small_files(folder))
    model = wav2vec2.build(typed(Wav2Vec2Config, dict(foreign.config), where="test"), foreign.head)
    model.load_state_dict(weights(interop, folder))
    assert len(foreign.labels) == (3 if "Classification" in kind else 0)
    files = interop.write(foreign)
    assert json.loads(files["config.json"])["architectures"] == [kind]
    assert Wav2Vec2Interop().read(files).config == foreign.config


def test_old_names_and_old_gaps(tmp_path: Path) -> None:
    foreign = Wav2Vec2Interop().read(small_files(their_folder(tmp_path / "x")[1]))
    rows = {name: [0, 2] for name in ("lm_head.weight", "lm_head.bias")}
    found = Wav2Vec2Interop().convert(
        {
            "wav2vec2.encoder.pos_conv_embed.conv.weight_g": torch.ones(1),
            "wav2vec2.encoder.pos_conv_embed.conv.weight_v": torch.ones(2),
            "wav2vec2.encoder.layer_norm.weight": torch.ones(4),
            "lm_head.weight": torch.arange(6.0).reshape(3, 2),
            "lm_head.bias": torch.arange(3.0),
        },
        replace(foreign, keys=replace(foreign.keys, rows=rows)),
    )
    conv = "wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original"
    assert f"{conv}0" in found and f"{conv}1" in found
    assert found["wav2vec2.masked_spec_embed"].tolist() == [0.0] * 4
    assert found["lm_head.weight"].tolist() == [[0.0, 1.0], [4.0, 5.0]] and found["lm_head.bias"].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("changes", [{}, BASE], ids=["large", "base"])
def test_a_ctc_model_of_ours_opens_there(changes: dict[str, Any], tmp_path: Path) -> None:
    _, folder = their_folder(tmp_path / "x", **changes)
    interop = Wav2Vec2Interop()
    foreign = interop.read(small_files(folder))
    model: nn.Module = wav2vec2.build(typed(Wav2Vec2Config, dict(foreign.config), where="test"), foreign.head)
    state = weights(interop, folder)
    model.load_state_dict(state)
    out = written(tmp_path / "out", interop, foreign, model.state_dict())
    again: Any = theirs_wav2vec2.Wav2Vec2ForCTC.from_pretrained(out)
    assert all(tensor.equal(state[name]) for name, tensor in again.state_dict().items())
    processor = processor_of(out)
    assert processor.batch_decode(torch.tensor([[0, 5, 5, 0, 1, 2, 3, 0, 3]])) == ["a ett"]
    sound = np.random.default_rng(0).normal(0.2, 0.1, 4000).astype(np.float32)
    values = processor(sound, sampling_rate=16_000, return_tensors="pt")["input_values"]
    assert isinstance(foreign.preprocessor, SpeechReader)
    assert np.allclose(values[0], foreign.preprocessor.standardised(sound), atol=1e-5)
    # Where padding would change their answers, theirs pad with zeros and mask nothing, as they were trained.
    assert json.loads((out / "preprocessor_config.json").read_text())["return_attention_mask"] is (not changes)
    assert Wav2Vec2Interop().read(small_files(out)).config == foreign.config


def test_wav2vec2_that_ours_can_not_be_is_refused(tmp_path: Path) -> None:
    _, folder = their_folder(tmp_path / "x")
    files = small_files(folder)

    def refused(error: type[Exception], message: str, **changes: Any) -> None:
        with pytest.raises(error, match=message):
            Wav2Vec2Interop().read(with_settings(files, "config.json", **changes))

    for name, value in BASE.items():
        refused(UsageError, "neither the layout of the base models nor that of the large", **{name: value})
    refused(UsageError, "add_adapter: expected false, found true", add_adapter=True)
    refused(UsageError, "proj_codevector_dim", architectures=["Wav2Vec2ForPreTraining"], proj_codevector_dim=8)
    refused(CorruptFile, "conv_dim: expected whole numbers", conv_dim="x")
    refused(CorruptFile, "from 0 to 8", vocab_size=9)
    for blank in (None, "0", [0], True):
        refused(CorruptFile, "pad_token_id and vocab_size: expected whole numbers", pad_token_id=blank)
    for vocabulary, error, message in (
        ({**VOCABULARY, "TH": 3}, CorruptFile, "must differ"),
        ({"<pad>": 0, "TH": 1}, UsageError, "'TH' has several characters"),
        ({"<pad>": 0, "A": 1, "|": 2, " ": 3}, CorruptFile, "each once"),
    ):
        with pytest.raises(error, match=message):
            Wav2Vec2Interop().read({**files, "vocab.json": json.dumps(vocabulary).encode()})
    with pytest.raises(CorruptFile, match=r"vocab\.json is missing"):
        Wav2Vec2Interop().read({"config.json": files["config.json"]})
    with pytest.raises(UsageError, match="do_normalize"):
        Wav2Vec2Interop().read({**files, "preprocessor_config.json": b'{"do_normalize": false}'})


def test_letters_of_both_sizes_and_marks_are_kept(tmp_path: Path) -> None:
    _, folder = their_folder(tmp_path / "x")
    vocabulary = {"[PAD]": 0, "|": 1, "a": 2, "A": 3, "-": 4}
    reader = Wav2Vec2Interop().read({**small_files(folder), "vocab.json": json.dumps(vocabulary).encode()}).preprocessor
    assert isinstance(reader, SpeechReader) and reader.characters is not None
    assert reader.characters.symbols == (" ", "a", "A", "-")
    assert (reader.config.case, reader.config.punctuation) == ("keep", "keep")


@pytest.mark.parametrize("symbols", ["a b|", "ab|"])
def test_a_symbol_that_there_is_the_word_delimiter_can_not_be_written(symbols: str) -> None:
    reader = SpeechReader(SpeechReaderConfig(punctuation="keep"), Characters(symbols))
    foreign = ForeignCheckpoint(
        config={**to_data(Wav2Vec2Config()), "vocab_size": len(symbols) + 1},
        head=Head(task="ctc-speech-recognition"),
        preprocessor=reader,
    )
    with pytest.raises(UsageError, match=r"a space for the symbol '\|'"):
        Wav2Vec2Interop().write(foreign)
