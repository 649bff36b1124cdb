"""Packaged weights: CTranslate2's file read strictly, and a folder that Transformers and we read alike."""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration
from zoo_speech.configs.models import WhisperConfig
from zoo_speech.interop.packaged import TINY_EN, layout, read_model
from zoo_speech.interop.whisper import WhisperInterop
from zoo_speech.models.whisper import build

from zoo_core import CorruptFile, DataError
from zoo_core.contract import Head
from zoo_core.contract import from_data as typed
from zoo_core.data import Fetcher
from zoo_core.testing import fs, tensors

SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|nocaptions|>", "<|notimestamps|>")
CONFIG = WhisperConfig(
    vocab_size=300,
    hidden_size=32,
    encoder_layers=2,
    decoder_layers=1,
    num_heads=4,
    intermediate_size=48,
    max_frames=64,
    max_length=20,
    start_id=257,
    eos_id=256,
)
PACKAGE = replace(TINY_EN, name="whisper_x.y", requirement="tiny==1.0", sha256="0" * 64, layout=partial(layout, CONFIG))
_KINDS = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.float16: 4}


def tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({character: number for number, character in enumerate(alphabet)}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    return made


def original() -> Any:
    """A Whisper whose weights half precision holds exactly."""
    torch.manual_seed(0)
    model = build(CONFIG, Head()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float() if parameter.ndim > 1 else torch.randn(parameter.shape).half())
    return model


def variables(model: Any) -> dict[str, Tensor]:
    """Its weights as CTranslate2's converter lays them out."""
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    found: dict[str, Tensor] = {}

    def linear(theirs: str, *ours: str) -> None:
        found[f"{theirs}/weight"] = torch.cat([state[f"{name}.weight"] for name in ours])
        biases = [state.get(f"{name}.bias", torch.zeros(CONFIG.hidden_size, dtype=torch.half)) for name in ours]
        found[f"{theirs}/bias"] = torch.cat(biases)

    def norm(theirs: str, ours: str) -> None:
        found[f"{theirs}/gamma"], found[f"{theirs}/beta"] = state[f"{ours}.weight"], state[f"{ours}.bias"]

    for side, layers in (("encoder", CONFIG.encoder_layers), ("decoder", CONFIG.decoder_layers)):
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        found[f"{side}/position_encodings/encodings"] = state[f"model.{side}.embed_positions.weight"]
        found[f"{side}/num_heads"] = torch.tensor(CONFIG.num_heads, dtype=torch.int16)
        for number in range(layers):
            theirs, ours = f"{side}/layer_{number}", f"model.{side}.layers.{number}"
            attention = f"{ours}.self_attn"
            linear(f"{theirs}/self_attention/linear_0", *(f"{attention}.{part}_proj" for part in "qkv"))
            linear(f"{theirs}/self_attention/linear_1", f"{attention}.out_proj")
            norm(f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
            if side == "decoder":
                other = f"{ours}.encoder_attn"
                linear(f"{theirs}/attention/linear_0", f"{other}.q_proj")
                linear(f"{theirs}/attention/linear_1", f"{other}.k_proj", f"{other}.v_proj")
                linear(f"{theirs}/attention/linear_2", f"{other}.out_proj")
                norm(f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
            linear(f"{theirs}/ffn/linear_0", f"{ours}.fc1")
            linear(f"{theirs}/ffn/linear_1", f"{ours}.fc2")
            norm(f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
    for part in ("conv1", "conv2"):
        linear(f"encoder/{part}", f"model.encoder.{part}")
    found["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    return found | {"decoder/pre_norm": torch.tensor(1, dtype=torch.int8)}


def model_bin(held: Mapping[str, Tensor], *, revision: int = 3, aliases: Mapping[str, str] | None = None) -> bytes:
    def text(name: str) -> bytes:
        return struct.pack("<H", len(name) + 1) + name.encode() + b"\0"

    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", revision, len(held))]
    for name, tensor in held.items():
        data = tensor.contiguous().numpy().tobytes()
        parts += [text(name), struct.pack(f"<B{tensor.ndim}I", tensor.ndim, *tensor.shape)]
        parts += [struct.pack("<BI", _KINDS[tensor.dtype], len(data)), data]
    chosen = {"decoder/projection/weight": "decoder/embeddings/weight"} if aliases is None else aliases
    parts.append(struct.pack("<I", len(chosen)))
    return b"".join([*parts, *(text(name) + text(target) for name, target in chosen.items())])


class Shelf:
    """A package index with one package, which counts how often it is asked."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members, self.asked = dict(members), 0

    def pypi(self, requirement: str, sha256: str, folder: Path) -> None:
        self.asked += 1
        with zipfile.ZipFile(folder / "tiny.whl", "w") as wheel:
            for name, data in self.members.items():
                wheel.writestr(name, data)

    def debian(self, package: str, folder: Path) -> None:
        raise AssertionError(package)

    def npm(self, package: str, folder: Path) -> None:
        raise AssertionError(package)


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    settings = {"suppress_ids": [1, 2], "suppress_ids_begin": [3, 256], "lang_ids": []}
    return {
        "tiny/model/model.bin": model_bin(variables(original())),
        "tiny/model/config.json": json.dumps(settings).encode(),
        "tiny/model/tokenizer.json": tokenizer().to_str().encode(),
    }


def fetcher_of(root: Path, shelf: Shelf) -> Fetcher:
    return Fetcher(root, lambda line: None, client=shelf)


def test_a_package_becomes_a_folder_for_both_libraries(members: dict[str, bytes], tmp_path: Path) -> None:
    shelf = Shelf(members)
    folder = PACKAGE(fetcher_of(tmp_path, shelf))
    assert folder == tmp_path / "checkpoints" / "whisper_x.y"
    assert PACKAGE(fetcher_of(tmp_path, shelf)) == folder and shelf.asked == 1
    reader = WhisperInterop()
    foreign = reader.read({path.name: path.read_bytes() for path in folder.glob("*.json")})
    assert typed(WhisperConfig, dict(foreign.config), where="test") == CONFIG and foreign.license == "MIT"
    settings = foreign.preprocessor.config  # type: ignore[union-attr]
    assert (settings.suppressed, settings.suppressed_first, settings.multilingual) == ((1, 2), (3, 256), False)
    ours = reader.convert(tensors.load(fs.read_into(folder / "model.safetensors"), where="test"), foreign)
    expected = original().state_dict()
    assert {*ours, "proj_out.weight"} == set(expected)
    assert all(tensor.dtype == torch.float32 and tensor.equal(expected[name]) for name, tensor in ours.items())
    theirs: Any = WhisperForConditionalGeneration.from_pretrained(folder)
    assert all(tensor.equal(expected[name]) for name, tensor in theirs.state_dict().items())
    assert theirs.generation_config.begin_suppress_tokens == [3, 256]


def test_nothing_is_left_of_a_package_that_is_not_what_it_should_be(members: dict[str, bytes], tmp_path: Path) -> None:
    def refused(changed: Mapping[str, bytes], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            PACKAGE(fetcher_of(tmp_path, Shelf({**members, **changed})))
        assert not (tmp_path / "checkpoints").exists()

    refused(
        {"other/model.bin": b""}, DataError, r"expected one \*/model\.bin, found tiny/model/model.bin, other/model.bin"
    )
    refused({"tiny/model/config.json": b"{}"}, CorruptFile, r"tiny==1\.0: config\.json")
    forbidden = b'{"suppress_ids": [1e400], "suppress_ids_begin": []}'
    refused({"tiny/model/config.json": forbidden}, CorruptFile, r"tiny==1\.0: config\.json: not JSON: 1e400")
    refused({"tiny/model/config.json": b"[" * 100_000}, CorruptFile, r"tiny==1\.0: config\.json: not JSON")
    refused({"tiny/model/tokenizer.json": b"{}"}, CorruptFile, r"tokenizer\.json")
    refused({"tiny/model/model.bin": b"\x80\x02cos\nsystem\n"}, CorruptFile, r"model\.bin: not a Whisper")
    refused(
        {"tiny/model/model.bin": model_bin({}, revision=2, aliases={})}, CorruptFile, r"found \(6, 'WhisperSpec', 2\)"
    )


HELD = {"a/b": torch.arange(6.0).reshape(2, 3), "c": torch.tensor(7, dtype=torch.int16), "d": torch.zeros(1, 5)}


def test_variables_are_read_as_they_were_written() -> None:
    found = read_model(model_bin(HELD, aliases={"e": "a/b"}), where="x")
    assert list(found) == ["a/b", "c", "d", "e"]
    assert all(found[name].equal(tensor) and found[name].dtype == tensor.dtype for name, tensor in HELD.items())
    assert found["e"] is found["a/b"]


def test_files_that_are_cut_or_lie_are_refused() -> None:
    whole = model_bin(HELD, aliases={"e": "a/b"})
    shape = whole.index(b"a/b\0") + 4
    cut = [whole[:size] for size in range(len(whole))]
    lies = {
        "bytes behind the end": whole + b"\0",
        "found (7, ": b"\x07" + whole[1:],
        "index out of range": whole[: shape + 9] + b"\x09" + whole[shape + 10 :],
        "'f'": model_bin(HELD, aliases={"e": "f"}),
    }
    for message, data in [*lies.items(), *(("not a Whisper", data) for data in cut)]:
        with pytest.raises(CorruptFile, match=re.escape(message)):
            read_model(data, where="x")


def test_what_the_plugin_offers_is_pinned() -> None:
    assert "==" in TINY_EN.requirement and len(TINY_EN.sha256) == 64 and TINY_EN.license == "MIT"
