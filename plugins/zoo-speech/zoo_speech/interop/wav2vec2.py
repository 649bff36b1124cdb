"""Checkpoint folders of Hugging Face Transformers: wav2vec 2.0 read from theirs and written for their Auto classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.models.wav2vec2.configuration_wav2vec2 import Wav2Vec2Config as Architecture
from zoo_transformers import WORDS, TransformersInterop, json_bytes, whole_numbers

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, KeyTable, read_object
from zoo_core.contract import from_data as typed
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config
from zoo_speech.evaluation.transcripts import Characters, normalised
from zoo_speech.interop.fields import SYMBOLS, WAV2VEC2, WAV2VEC2_FIELDS, WAVEFORMS
from zoo_speech.models.wav2vec2 import CLASSIFICATION, CTC, FEATURES, PRETRAINING, architecture_of
from zoo_speech.preprocessor import SpeechReader

_NORM = "*pos_conv_embed.conv.parametrizations.weight.original"
_KEYS = KeyTable(
    pairs=(
        (f"{_NORM}*", f"{_NORM}*"),
        ("*pos_conv_embed.conv.weight_g", f"{_NORM}0"),  # as old files have it
        ("*pos_conv_embed.conv.weight_v", f"{_NORM}1"),
    )
)


class Wav2Vec2Interop(TransformersInterop):
    """Folders of `Wav2Vec2Model` and its kin in either layout.

    Of their five kinds of dropout the one of the blocks counts for all but attention's; it matters in training only.
    """

    configuration = Wav2Vec2Config
    library = Architecture
    architecture_of = staticmethod(architecture_of)
    fields = WAV2VEC2_FIELDS
    rules = (WAV2VEC2, WAVEFORMS, SYMBOLS)
    heads: ClassVar[Mapping[str, str]] = {
        "Wav2Vec2Model": FEATURES,
        "Wav2Vec2ForPreTraining": PRETRAINING,
        "Wav2Vec2ForCTC": CTC,
        "Wav2Vec2ForSequenceClassification": CLASSIFICATION,
    }
    problems: ClassVar[Mapping[str, str]] = {WORDS[0]: CLASSIFICATION}
    keys = _KEYS

    def fields_of(self, task: str) -> Mapping[str, str]:
        """Heads have the sizes of what they stand on."""
        heads = {CLASSIFICATION: {"hidden_size": "hidden_size classifier_proj_size"}}
        heads[PRETRAINING] = {"code_size": "codevector_dim proj_codevector_dim"}
        return {**self.fields, **heads.get(task, {})}

    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """With the layout, and for CTC the symbols, of which some of theirs stand for no sound."""
        config, keys, characters = {"layout": _layout(theirs), **foreign.config}, foreign.keys, None
        if foreign.head.task == CTC:
            characters, chosen = _symbols(files, theirs)
            config["vocab_size"] = len(characters)
            keys = replace(keys, rows={"lm_head.weight": chosen, "lm_head.bias": chosen})
        return replace(foreign, config=config, keys=keys, preprocessor=_speech_reader(files, characters))

    def preprocessor_files(self, foreign: ForeignCheckpoint, ours: Any) -> dict[str, bytes]:
        """`preprocessor_config.json`, and for CTC `vocab.json` and `tokenizer_config.json`.

        Raises `UsageError` for a symbol `|`.
        """
        reader = foreign.preprocessor
        if not isinstance(reader, SpeechReader):
            return {}
        files = {"preprocessor_config.json": json_bytes(_waveform_settings(reader, ours.layout))}
        if reader.characters is not None and foreign.head.task == CTC:
            _refuse_delimiter(reader.characters)
            symbols = ["<pad>", *("|" if one == " " else one for one in reader.characters.symbols)]
            files["vocab.json"] = json_bytes({symbol: number for number, symbol in enumerate(symbols)})
            files["tokenizer_config.json"] = json_bytes(_CTC_TOKENIZER)
        return files

    def convert(self, tensors: Mapping[str, Tensor], foreign: ForeignCheckpoint) -> dict[str, Tensor]:
        """By the keys; a vector for hidden frames, which old files lack, is zeros."""
        ours = super().convert(tensors, foreign)
        norm = "encoder.layer_norm.weight"
        for name in [name for name in ours if name in (norm, f"wav2vec2.{norm}")]:
            ours.setdefault(name.removesuffix(norm) + "masked_spec_embed", torch.zeros_like(ours[name]))
        return ours


def _layout(theirs: Mapping[str, Any]) -> str:
    """Raises `UsageError` for a mixture of the two."""
    layouts = {"large": ("layer", True, True), "base": ("group", False, False)}
    names = ("feat_extract_norm", "do_stable_layer_norm", "conv_bias")
    found = tuple(theirs[name] for name in names)
    for layout, due in layouts.items():
        if found == due:
            return layout
    told = ", ".join(f"{name} {value!r:.20}" for name, value in zip(names, found, strict=True))
    raise UsageError(
        f"config.json: {told}: neither the layout of the base models nor that of the large ones",
        hint=f"due are {', '.join(map(str, layouts['base']))}, or {', '.join(map(str, layouts['large']))}",
    )


_CTC_TOKENIZER = {
    "tokenizer_class": "Wav2Vec2CTCTokenizer",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "word_delimiter_token": "|",
    "do_lower_case": False,
}


def _refuse_delimiter(characters: Characters) -> None:
    # Their 5.23 reads no other word delimiter from a folder, whatever tokenizer_config.json says.
    if "|" in characters.symbols:
        raise UsageError(
            "Transformers' CTC tokenizer writes a space for the symbol '|', which transcripts of this model hold as it is",
            hint="train with preprocessor.punctuation=remove",
        )


def _symbols(files: Mapping[str, bytes], theirs: Mapping[str, Any]) -> tuple[Characters, list[int]]:
    """Our symbols, and the row of their head for each, the blank's first.

    Their begin, end and unknown stand for no sound, so they are left out; capitals become small where nothing is
    else. Raises `CorruptFile`, or `UsageError` for symbols of several characters.
    """
    vocabulary = read_object(files, "vocab.json")
    whole_numbers(list(vocabulary.values()), "vocab.json")
    numbers = [theirs["pad_token_id"], theirs["vocab_size"]]
    blank, most = whole_numbers(numbers, "config.json: pad_token_id and vocab_size")
    if len(set(vocabulary.values())) != len(vocabulary) or not all(
        0 <= n < most for n in [blank, *vocabulary.values()]
    ):
        raise CorruptFile(f"vocab.json: the numbers of its symbols must differ, from 0 to {most - 1}")
    settings = read_object(files, "tokenizer_config.json") if "tokenizer_config.json" in files else {}
    space = str(settings.get("word_delimiter_token") or "|")
    found = []
    for symbol, number in sorted(vocabulary.items(), key=lambda pair: pair[1]):
        if symbol == space:
            found.append((" ", number))
        elif len(symbol) == 1 and number != blank:
            found.append((symbol, number))
        elif number != blank and (symbol[:1], symbol[-1:]) not in (("<", ">"), ("[", "]")):
            raise UsageError(f"vocab.json: the symbol {symbol!r} has several characters; zoo-speech's have one")
    symbols = [symbol for symbol, _ in found]
    if not any(symbol.islower() for symbol in symbols):
        symbols = [symbol.lower() for symbol in symbols]
    try:
        return Characters(symbols), [blank, *(number for _, number in found)]
    except ValueError as error:
        raise CorruptFile(f"vocab.json: {error}") from None


def _speech_reader(files: Mapping[str, bytes], characters: Characters | None) -> SpeechReader:
    settings = read_object(files, "preprocessor_config.json") if "preprocessor_config.json" in files else {}
    if settings.get("do_normalize", True) is not True:
        raise UsageError(
            "preprocessor_config.json: do_normalize is False; zoo-speech's models hear waveforms of one level"
        )
    symbols = characters.symbols if characters else ()
    plain = all(normalised(f"a{one}a", lower=False, punctuation=False) == f"a{one}a" for one in symbols)
    reader = {
        "sampling_rate": settings.get("sampling_rate", 16_000),
        "text": "characters" if characters else "none",
        "case": "lower" if all(symbol == symbol.lower() for symbol in symbols) else "keep",
        "punctuation": "remove" if plain else "keep",
    }
    return SpeechReader(
        typed(SpeechReaderConfig, reader, where="preprocessor_config.json", error=CorruptFile), characters
    )


def _waveform_settings(reader: SpeechReader, layout: str) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": reader.sampling_rate,
        "padding_value": 0.0,
        "do_normalize": True,
        # Theirs of the base layout were trained without, and what a recording is padded with changes their answers.
        "return_attention_mask": layout == "large",
    }
