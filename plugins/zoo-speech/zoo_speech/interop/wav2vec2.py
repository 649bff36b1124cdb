"""Checkpoint folders of Hugging Face Transformers: wav2vec 2.0 read from theirs and written for their Auto classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.models.wav2vec2.configuration_wav2vec2 import Wav2Vec2Config as Architecture

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, Head, Interop, KeyTable, read_json
from zoo_core.contract import from_data as typed
from zoo_speech.configs.models import SpeechReaderConfig, Wav2Vec2Config
from zoo_speech.evaluation.transcripts import Characters, normalised
from zoo_speech.interop.fields import SYMBOLS, WAV2VEC2, WAVEFORMS
from zoo_speech.interop.whisper import (
    configuration_of,
    json_bytes,
    labels_of,
    notices_of,
    numbers_of,
    plain_object,
    refuse_unlike,
    task_of,
    whole_numbers,
)
from zoo_speech.models.wav2vec2 import CLASSIFICATION, CTC, FEATURES, PRETRAINING, VERIFICATION, architecture_of
from zoo_speech.preprocessor import SpeechReader

_NORM = "*pos_conv_embed.conv.parametrizations.weight.original"
_KEYS = KeyTable(
    pairs=(
        (f"{_NORM}*", f"{_NORM}*"),
        ("*pos_conv_embed.conv.weight_g", f"{_NORM}0"),  # as old files have it
        ("*pos_conv_embed.conv.weight_v", f"{_NORM}1"),
    )
)


class Wav2Vec2Interop(Interop):
    """Folders of `Wav2Vec2Model` and its kin in either layout."""

    fields: ClassVar[Mapping[str, str]] = {
        "vocab_size": "vocab_size",
        "hidden_size": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "feed_forward": "intermediate_size",
        "position_kernel": "num_conv_pos_embeddings",
        "position_groups": "num_conv_pos_embedding_groups",
        "dropout": "hidden_dropout",
        "attention_dropout": "attention_dropout",
        "layer_drop": "layerdrop",
        "code_groups": "num_codevector_groups",
        "codes": "num_codevectors_per_group",
        "code_size": "codevector_dim",
    }
    lists: ClassVar[Mapping[str, str]] = {
        "conv_widths": "conv_dim",
        "conv_kernels": "conv_kernel",
        "conv_strides": "conv_stride",
    }
    fixed: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "hidden_act": ("gelu",),
        "feat_extract_activation": ("gelu",),
        "layer_norm_eps": (1e-5,),
        "add_adapter": (False,),
        "adapter_attn_dim": (None,),
        "use_weighted_layer_sum": (False,),
    }
    heads: ClassVar[Mapping[str, str]] = {
        "Wav2Vec2Model": FEATURES,
        "Wav2Vec2ForPreTraining": PRETRAINING,
        "Wav2Vec2ForCTC": CTC,
        "Wav2Vec2ForSequenceClassification": CLASSIFICATION,
    }

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """Configuration, labels, symbols. Raises `CorruptFile`, or `UsageError` for what ours can't express.

        Of their five kinds of dropout the one of the blocks counts for all but attention's; it matters in training only.
        """
        theirs = configuration_of(files, Architecture)
        notices = notices_of(files, WAV2VEC2, WAVEFORMS, SYMBOLS)
        task = task_of(theirs, self.heads)
        refuse_unlike(theirs, self.fixed)
        layout = _layout(theirs)
        self._refuse_other_head(theirs, task)
        config: dict[str, Any] = {"layout": layout, **numbers_of(theirs, self.fields)}
        for ours, name in self.lists.items():
            config[ours] = whole_numbers(theirs[name], f"config.json: {name}")
        characters, rows = None, {}
        if task == CTC:
            characters, chosen = _symbols(files, theirs)
            config["vocab_size"] = len(characters)
            rows = {"lm_head.weight": chosen, "lm_head.bias": chosen}
        labels = labels_of(theirs, task) if task == CLASSIFICATION else ()
        return ForeignCheckpoint(
            config=config,
            head=Head(task=task, labels=len(labels)),
            labels=labels,
            preprocessor=_speech_reader(files, characters),
            license=str(theirs.get("license") or ""),
            notices=notices,
            keys=replace(_KEYS, rows=rows),
        )

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """`config.json`, `preprocessor_config.json`, and for CTC `vocab.json` and `tokenizer_config.json`.

        Raises `UsageError` for an embedding of voices, whose head no class of theirs has, and for a symbol `|`.
        """
        if foreign.head.task == VERIFICATION:
            hint = "their Wav2Vec2ForXVector has layers over time before its statistics, and ours has none"
            raise UsageError("Transformers has no class for a model of speaker-verification", hint=hint)
        ours = typed(Wav2Vec2Config, dict(foreign.config), where="configuration")
        theirs = architecture_of(ours, foreign.head).to_diff_dict()
        task = foreign.head.task or FEATURES
        theirs["architectures"] = [next(name for name, known in self.heads.items() if known == task)]
        if foreign.labels:
            theirs["id2label"] = {str(number): label for number, label in enumerate(foreign.labels)}
            theirs["label2id"] = {label: number for number, label in enumerate(foreign.labels)}
        if foreign.license:
            theirs["license"] = foreign.license
        files = {}
        if isinstance(reader := foreign.preprocessor, SpeechReader):
            files["preprocessor_config.json"] = json_bytes(_waveform_settings(reader, ours.layout))
            if reader.characters is not None and task == CTC:
                _refuse_delimiter(reader.characters)
                symbols = ["<pad>", *("|" if one == " " else one for one in reader.characters.symbols)]
                files["vocab.json"] = json_bytes({symbol: number for number, symbol in enumerate(symbols)})
                files["tokenizer_config.json"] = json_bytes(_CTC_TOKENIZER)
                theirs["pad_token_id"] = 0
        return {"config.json": json_bytes(theirs), **files}

    def convert(self, tensors: Mapping[str, Tensor], foreign: ForeignCheckpoint) -> dict[str, Tensor]:
        """By the keys; a vector for hidden frames, which old files lack, is zeros."""
        ours = super().convert(tensors, foreign)
        norm = "encoder.layer_norm.weight"
        for name in [name for name in ours if name in (norm, f"wav2vec2.{norm}")]:
            ours.setdefault(name.removesuffix(norm) + "masked_spec_embed", torch.zeros_like(ours[name]))
        return ours

    def _refuse_other_head(self, theirs: Mapping[str, Any], task: str) -> None:
        same = {CLASSIFICATION: ("classifier_proj_size", "hidden_size")}
        same[PRETRAINING] = ("proj_codevector_dim", "codevector_dim")
        one, other = same.get(task, ("hidden_size", "hidden_size"))
        if theirs.get(one) != theirs.get(other):
            raise UsageError(f"config.json: {one} and {other} differ; zoo-speech's models have one value for both")


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
    vocabulary = plain_object(read_json(files, "vocab.json"), "vocab.json")
    whole_numbers(list(vocabulary.values()), "vocab.json")
    numbers = [theirs["pad_token_id"], theirs["vocab_size"]]
    blank, most = whole_numbers(numbers, "config.json: pad_token_id and vocab_size")
    if len(set(vocabulary.values())) != len(vocabulary) or not all(
        0 <= n < most for n in [blank, *vocabulary.values()]
    ):
        raise CorruptFile(f"vocab.json: the numbers of its symbols must differ, from 0 to {most - 1}")
    settings = read_json(files, "tokenizer_config.json") if "tokenizer_config.json" in files else {}
    space = str(plain_object(settings, "tokenizer_config.json").get("word_delimiter_token") or "|")
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
    settings: dict[str, Any] = {}
    if "preprocessor_config.json" in files:
        settings = plain_object(read_json(files, "preprocessor_config.json"), "preprocessor_config.json")
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
