"""Checkpoint folders of Hugging Face Transformers: Whisper read from theirs and written for their Auto classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from transformers.models.whisper.configuration_whisper import WhisperConfig as Architecture
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import (
    FieldRules,
    ForeignCheckpoint,
    Head,
    Interop,
    KeyTable,
    numbered_labels,
    panics_as,
    problem_task,
    read_json,
)
from zoo_core.contract import from_data as typed
from zoo_speech.configs.models import WhisperConfig, WhisperReaderConfig
from zoo_speech.decoding.whisper import FIRST_TIMESTAMP
from zoo_speech.interop.fields import SPECTROGRAMS, WHISPER, WHISPER_GENERATION
from zoo_speech.models.whisper import CLASSIFICATION, PROJECTION, RECOGNITION, architecture_of
from zoo_speech.preprocessor import NO_TIMESTAMPS, WhisperReader, foreign_tokenizer_of

_START = "<|startoftranscript|>"
_PROBLEM = "single_label_classification"
"""Their word for the only kind of classifier that there is here."""
_TASKS = ("transcribe", "translate")
_MULTILINGUAL = 51865
"""Tokens from which on Whisper's vocabularies have languages, where the folder doesn't say."""


class WhisperInterop(Interop):
    """Folders of `WhisperForConditionalGeneration` and of `WhisperForAudioClassification`."""

    fields: ClassVar[Mapping[str, str]] = {
        "vocab_size": "vocab_size",
        "n_mels": "num_mel_bins",
        "hidden_size": "d_model",
        "encoder_layers": "encoder_layers",
        "decoder_layers": "decoder_layers",
        "heads": "encoder_attention_heads",
        "feed_forward": "encoder_ffn_dim",
        "max_length": "max_target_positions",
        "dropout": "dropout",
        "start_id": "decoder_start_token_id",
        "eos_id": "eos_token_id",
    }
    fixed: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "activation_function": ("gelu",),
        "scale_embedding": (False,),
        "tie_word_embeddings": (True,),
    }
    heads: ClassVar[Mapping[str, str]] = {
        "WhisperForConditionalGeneration": RECOGNITION,
        "WhisperForAudioClassification": CLASSIFICATION,
    }

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """Configuration, labels, tokenizer, rules for writing. Raises `CorruptFile`, or `UsageError` for what ours can't express.

        Dropout of attention and activations, and layers left out at random, which a folder may name for training, are
        not taken over.
        """
        theirs = configuration_of(files, Architecture)
        notices = notices_of(files, WHISPER, WHISPER_GENERATION, SPECTROGRAMS)
        task = task_of(theirs, self.heads)
        refuse_unlike(theirs, self.fixed)
        if task == CLASSIFICATION:
            refuse_unlike(theirs, {"use_weighted_layer_sum": (False,), "classifier_proj_size": (PROJECTION,)})
        else:
            _refuse_uneven(theirs)
        config = numbers_of(theirs, self.fields)
        config["max_frames"] = 2 * numbers_of(theirs, {"half": "max_source_positions"})["half"]
        _check_features(files, config)
        labels = labels_of(theirs, task) if task == CLASSIFICATION else ()
        with panics_as(CorruptFile, "tokenizer.json"):
            reader = self._reader(files, theirs, config)
        if reader.prompt[0] != config["start_id"]:
            raise CorruptFile(
                f"config.json: decoder_start_token_id is {config['start_id']}, {_START} {reader.prompt[0]}"
            )
        return ForeignCheckpoint(
            config=config,
            head=Head(task=task, labels=len(labels)),
            labels=labels,
            preprocessor=reader,
            license=str(theirs.get("license") or ""),
            notices=notices,
            keys=KeyTable(pairs=(("proj_out.weight", None),)),  # the output layer is the embeddings
        )

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """`config.json`, and with a reader `tokenizer.json`, `generation_config.json` and `preprocessor_config.json`.

        A classifier's folder has them too: it is read again with the tokenizer. Raises `UsageError` for other tasks.
        """
        task = foreign.head.task or RECOGNITION
        if task not in self.heads.values():
            hint = "they have it with its decoder, or with a classifier's head"
            raise UsageError(f"Transformers has no class for a Whisper of {task}", hint=hint)
        ours = typed(WhisperConfig, dict(foreign.config), where="configuration")
        theirs = architecture_of(ours, foreign.head).to_diff_dict()
        theirs["architectures"] = [next(name for name, known in self.heads.items() if known == task)]
        if foreign.labels:
            theirs["id2label"] = {str(number): label for number, label in enumerate(foreign.labels)}
            theirs["label2id"] = {label: number for number, label in enumerate(foreign.labels)}
        if foreign.license:
            theirs["license"] = foreign.license
        files = {"config.json": json_bytes(theirs)}
        if isinstance(reader := foreign.preprocessor, WhisperReader):
            files["tokenizer.json"] = reader.tokenizer.to_str().encode()
            files["tokenizer_config.json"] = json_bytes(_tokenizer_settings(reader, ours))
            files["generation_config.json"] = json_bytes(_generation(reader, ours))
            files["preprocessor_config.json"] = json_bytes(_feature_settings(ours))
        return files

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
            generation = plain_object(read_json(files, "generation_config.json"), "generation_config.json")
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


def configuration_of(files: Mapping[str, bytes], architecture: Any) -> dict[str, Any]:
    """Their `config.json`; they leave out what is as it usually is."""
    return {**architecture().to_dict(), **plain_object(read_json(files, "config.json"), "config.json")}


def notices_of(files: Mapping[str, bytes], *every: FieldRules) -> tuple[str, ...]:
    """What the user should know of the fields of the files there are. Raises `UsageError` for a value that isn't supported."""
    found: list[str] = []
    for rules in every:
        if rules.file in files:
            found += rules.check(plain_object(read_json(files, rules.file), rules.file))
    return tuple(found)


def plain_object(value: Any, where: str) -> dict[str, Any]:
    """The value as an object of JSON's. Raises `CorruptFile` for anything else."""
    if not isinstance(value, dict):
        raise CorruptFile(f"{where}: expected an object, found {type(value).__name__}")
    return value


def task_of(theirs: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """The task that the folder's class serves. Raises `UsageError` for a class that isn't known."""
    names = theirs.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    if not isinstance(name, str) or name not in known:
        raise UsageError(
            f"config.json: architecture {names} is none that zoo-speech knows", hint=f"it knows {', '.join(known)}"
        )
    return known[name]


def refuse_unlike(theirs: Mapping[str, Any], fixed: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise `UsageError` for a field of theirs that isn't as all models of ours are; `fixed` has the values that are."""
    for name, allowed in fixed.items():
        if theirs.get(name, allowed[0]) not in allowed:
            raise UsageError(
                f"config.json: {name} is {theirs[name]!r}; zoo-speech's models have {allowed[0]!r} there",
                hint="this checkpoint is of another architecture",
            )


def numbers_of(theirs: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Our fields from theirs. Raises `CorruptFile` for one that is no number."""
    for name in fields.values():
        if type(theirs.get(name)) not in (int, float):
            raise CorruptFile(f"config.json: {name}: expected a number, found {theirs.get(name)!r}")
    return {ours: theirs[name] for ours, name in fields.items()}


def whole_numbers(values: Any, where: str) -> tuple[int, ...]:
    """A list of whole numbers. Raises `CorruptFile` for anything else."""
    if not isinstance(values, list | tuple) or not all(type(value) is int for value in values):
        raise CorruptFile(f"{where}: expected whole numbers, found {values!r:.80}")
    return tuple(values)


def labels_of(theirs: Mapping[str, Any], task: str) -> tuple[str, ...]:
    """A classifier's labels in the order of their numbers. Raises `CorruptFile` where these have gaps, `UsageError` for
    outputs that are no probabilities of one label."""
    labels = numbered_labels(theirs["id2label"], "config.json: id2label")
    problem_task(theirs.get("problem_type"), len(labels), {_PROBLEM: task}, "config.json: problem_type")
    return labels


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """A file of theirs."""
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


def _refuse_uneven(theirs: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a decoder with other sizes than the encoder."""
    for name in ("attention_heads", "ffn_dim"):
        one, other = f"encoder_{name}", f"decoder_{name}"
        if theirs.get(one) != theirs.get(other):
            raise UsageError(f"config.json: {one} and {other} differ; zoo-speech's models have one value for both")


def _check_features(files: Mapping[str, bytes], config: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the folder's spectrograms are others than ours."""
    if "preprocessor_config.json" not in files:
        return
    settings = plain_object(read_json(files, "preprocessor_config.json"), "preprocessor_config.json")
    due = {"feature_size": config["n_mels"], "sampling_rate": 16_000, "hop_length": 160, "n_fft": 400}
    due["chunk_length"] = config["max_frames"] / 100
    for name, value in due.items():
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


def _feature_settings(config: WhisperConfig) -> dict[str, Any]:
    seconds = config.max_frames / 100
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": config.n_mels,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": int(seconds) if seconds.is_integer() else seconds,
        "padding_value": 0.0,
        "return_attention_mask": False,
    }
