"""Checkpoint folders of Hugging Face Transformers: Whisper read from theirs and written for their Auto classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from transformers.models.whisper.configuration_whisper import WhisperConfig as Architecture
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE
from zoo_transformers import WORDS, TransformersInterop, foreign_tokenizer_of, json_bytes, whole_numbers

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, KeyTable, panics_as, read_object, unsupported
from zoo_speech.configs.models import WhisperConfig, WhisperReaderConfig
from zoo_speech.decoding.whisper import FIRST_TIMESTAMP
from zoo_speech.interop.fields import SPECTROGRAMS, WHISPER, WHISPER_FIELDS, WHISPER_GENERATION
from zoo_speech.models.whisper import CLASSIFICATION, PROJECTION, RECOGNITION, architecture_of
from zoo_speech.preprocessor import NO_TIMESTAMPS, WhisperReader

_START = "<|startoftranscript|>"
_TASKS = ("transcribe", "translate")
_MULTILINGUAL = 51865
"""Tokens from which on Whisper's vocabularies have languages, where the folder doesn't say."""


class WhisperInterop(TransformersInterop):
    """Folders of `WhisperForConditionalGeneration` and of `WhisperForAudioClassification`.

    Dropout of attention and activations, and layers left out at random, which a folder may name for training, are not taken
    over.
    """

    configuration = WhisperConfig
    library = Architecture
    architecture_of = staticmethod(architecture_of)
    fields = WHISPER_FIELDS
    rules = (WHISPER, WHISPER_GENERATION, SPECTROGRAMS)
    heads: ClassVar[Mapping[str, str]] = {
        "WhisperForConditionalGeneration": RECOGNITION,
        "WhisperForAudioClassification": CLASSIFICATION,
    }
    problems: ClassVar[Mapping[str, str]] = {WORDS[0]: CLASSIFICATION}
    keys = KeyTable(pairs=(("proj_out.weight", None),))  # the output layer is the embeddings

    def fields_of(self, task: str) -> Mapping[str, str]:
        """A classifier has no decoder that would have to have the encoder's sizes."""
        if task != CLASSIFICATION:
            return self.fields
        return {ours: theirs.split()[0] for ours, theirs in self.fields.items()}

    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """With the length of the window, the tokenizer and the rules for writing."""
        if foreign.head.task == CLASSIFICATION and theirs["classifier_proj_size"] != PROJECTION:
            raise unsupported("config.json", "classifier_proj_size", PROJECTION, theirs["classifier_proj_size"])
        (half,) = whole_numbers([theirs["max_source_positions"]], "config.json: max_source_positions")
        config = {**foreign.config, "max_frames": 2 * half}
        _check_features(files, config)
        with panics_as(CorruptFile, "tokenizer.json"):
            reader = self._reader(files, theirs, config)
        if reader.prompt[0] != config["start_id"]:
            raise CorruptFile(
                f"config.json: decoder_start_token_id is {config['start_id']}, {_START} {reader.prompt[0]}"
            )
        return replace(foreign, config=config, preprocessor=reader)

    def preprocessor_files(self, foreign: ForeignCheckpoint, ours: Any) -> dict[str, bytes]:
        """The tokenizer's, and what their `generate` and their spectrograms go by.

        A classifier's folder has them too: it is read again with the tokenizer.
        """
        reader = foreign.preprocessor
        if not isinstance(reader, WhisperReader):
            return {}
        return {
            "tokenizer.json": reader.tokenizer.to_str().encode(),
            "tokenizer_config.json": json_bytes(_tokenizer_settings(reader, ours)),
            "generation_config.json": json_bytes(_generation(reader, ours)),
            "preprocessor_config.json": json_bytes(
                {
                    "feature_extractor_type": "WhisperFeatureExtractor",
                    "processor_class": "WhisperProcessor",
                    **_features(ours.n_mels, ours.max_frames),
                    "padding_value": 0.0,
                    "return_attention_mask": False,
                }
            ),
        }

    def _reader(
        self, files: Mapping[str, bytes], theirs: Mapping[str, Any], config: Mapping[str, Any]
    ) -> WhisperReader:
        if "tokenizer.json" not in files:
            raise CorruptFile(
                "tokenizer.json is missing",
                hint="load the tokenizer of this Whisper, or of the one that it was trained from, with Transformers, and "
                "save it in the folder",
            )
        generation: Mapping[str, Any] = theirs
        if "generation_config.json" in files:
            generation = read_object(files, "generation_config.json")
        multilingual = generation.get("is_multilingual", config["vocab_size"] >= _MULTILINGUAL)
        asked = _asked(generation) if multilingual else ()
        settings = WhisperReaderConfig(
            max_seconds=min(30.0, config["max_frames"] / 100),
            prompt=(_START, *asked, NO_TIMESTAMPS),
            multilingual=bool(multilingual),
            suppressed=_tokens(generation, "suppress_tokens", config["vocab_size"]),
            suppressed_first=_tokens(generation, "begin_suppress_tokens", config["vocab_size"]),
        )
        return WhisperReader(settings, foreign_tokenizer_of(files["tokenizer.json"], "tokenizer.json"))


def _features(mels: int, frames: int) -> dict[str, float]:
    """Their fields for our spectrograms."""
    seconds = frames // 100 if frames % 100 == 0 else frames / 100
    return {"feature_size": mels, "sampling_rate": 16_000, "hop_length": 160, "n_fft": 400, "chunk_length": seconds}


def _check_features(files: Mapping[str, bytes], config: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the folder's spectrograms are others than ours."""
    if "preprocessor_config.json" not in files:
        return
    settings = read_object(files, "preprocessor_config.json")
    for name, value in _features(config["n_mels"], config["max_frames"]).items():
        if settings.get(name, value) != value:
            raise UsageError(f"preprocessor_config.json: expected {name} {value:g}, found {settings[name]!r}")


def _asked(generation: Mapping[str, Any]) -> tuple[str, ...]:
    """Tokens of the language, where one is named by code, by token or in English, and of the task. Raises `CorruptFile`."""
    language, task = generation.get("language") or "", generation.get("task") or _TASKS[0]
    if not isinstance(language, str):
        raise CorruptFile(f"generation_config.json: language: expected one language, found {language!r:.80}")
    if task not in _TASKS:
        raise CorruptFile(f"generation_config.json: task: expected {' or '.join(_TASKS)}, found {task!r:.80}")
    code = language.lower().strip("<|>")
    code = TO_LANGUAGE_CODE.get(code, code)
    return (*([f"<|{code}|>"] if code else []), f"<|{task}|>")


def _tokens(generation: Mapping[str, Any], name: str, vocabulary: int) -> tuple[int, ...]:
    tokens = whole_numbers(generation.get(name) or [], f"generation_config.json: {name}")
    if not all(0 <= token < vocabulary for token in tokens):
        raise CorruptFile(f"generation_config.json: {name} names tokens that the tokenizer lacks")
    return tokens


def _tokenizer_settings(reader: WhisperReader, config: WhisperConfig) -> dict[str, Any]:
    end = reader.tokenizer.id_to_token(config.eos_id)
    settings: dict[str, Any] = {f"{role}_token": end for role in ("bos", "eos", "unk", "pad")}
    settings |= {"tokenizer_class": "WhisperTokenizer", "processor_class": "WhisperProcessor"}
    return settings | {"model_max_length": config.max_length, "add_prefix_space": False, "errors": "replace"}


def _generation(reader: WhisperReader, config: WhisperConfig) -> dict[str, Any]:
    """What their `generate` goes by."""
    settings = {
        "decoder_start_token_id": config.start_id,
        **{f"{role}_token_id": config.eos_id for role in ("bos", "eos", "pad")},
        "max_length": config.max_length,
        "suppress_tokens": list(reader.config.suppressed),
        "begin_suppress_tokens": list(reader.config.suppressed_first),
        "is_multilingual": reader.config.multilingual,
        "max_initial_timestamp_index": FIRST_TIMESTAMP,
        "return_timestamps": False,
    }
    number = reader.tokenizer.token_to_id
    named = {"no_timestamps_token_id": number(NO_TIMESTAMPS), "prev_sot_token_id": number("<|startofprev|>")}
    settings |= {name: token for name, token in named.items() if token is not None}
    if reader.config.multilingual:
        settings["lang_to_id"] = {f"<|{code}|>": token for code, token in reader.languages.items()}
        tasks = {name: number(f"<|{name}|>") for name in _TASKS}
        settings |= {"task_to_id": {name: token for name, token in tasks.items() if token is not None}}
        spoken = [code for code, token in reader.languages.items() if token in reader.prompt]
        task = next((name for name in _TASKS if tasks[name] in reader.prompt), _TASKS[0])
        settings |= {"task": task, **({"language": f"<|{spoken[0]}|>"} if spoken else {})}
    return settings
