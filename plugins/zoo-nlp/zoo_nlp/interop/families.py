"""Checkpoint folders of Hugging Face Transformers: read ours from theirs, and write what their Auto classes open."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

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
    read_object,
    unsupported,
)
from zoo_nlp.configs.models import CLASSIFICATION, MULTI_LABEL, REGRESSION, BertConfig, GPT2Config, MarianConfig
from zoo_nlp.interop.fields import BERT, GENERATION, GPT2, MARIAN
from zoo_nlp.interop.sentences import sentence_notices
from zoo_nlp.interop.tokenizers import TokenizerSettings, preprocessor_of
from zoo_nlp.preprocessor import TOKENIZER_FILE, TextPreprocessor, bert_template, foreign_tokenizer, wordpiece_tokenizer

MAX_LABELS = 1_000_000
"""Labels of a folder that names none."""

_PROBLEMS = {
    "single_label_classification": CLASSIFICATION,
    "multi_label_classification": MULTI_LABEL,
    "regression": REGRESSION,
}
"""Our task by their word for what a classifier's outputs are."""


class TransformersInterop(Interop):
    """What the families have in common: `config.json`, `tokenizer.json`, `tokenizer_config.json`."""

    rules: ClassVar[FieldRules]
    """What is known of the fields of `config.json`."""
    fields: ClassVar[Mapping[str, str]]
    """Our configuration's fields, in their words."""
    heads: ClassVar[Mapping[str, str]]
    """Our task by their class; of several classes for one task the first is written."""
    tokenizer_class: ClassVar[str]
    """What a folder means that names no class of tokenizer."""

    keys: ClassVar[KeyTable]
    """What their tensors are called."""

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """A folder's configuration and tokenizer. Raises `CorruptFile`, or `UsageError` for what ours can't express."""
        theirs = read_object(files, "config.json")
        for name in self.fields.values():
            if type(theirs.get(name)) not in (int, float):
                raise CorruptFile(f"config.json: {name}: expected a number, found {theirs.get(name)!r}")
        notices = list(self.rules.check(theirs))
        names = theirs.get("architectures") or [next(iter(self.heads))]
        if not isinstance(names, list) or names[0] not in self.heads:
            raise UsageError(
                f"config.json: architecture {names} is none that zoo-nlp knows",
                hint=f"it knows {', '.join(self.heads)}",
            )
        task = self.heads[names[0]]
        labels = _labels(theirs) if task == CLASSIFICATION else ()
        if labels:
            task = problem_task(theirs.get("problem_type"), len(labels), _PROBLEMS, "config.json: problem_type")
        head = Head(task=task, labels=len(labels))
        config = {ours: theirs[name] for ours, name in self.fields.items()}
        with panics_as(CorruptFile, TOKENIZER_FILE):
            preprocessor = self._preprocessor(files, config, task, notices)
        if preprocessor:
            config |= {"pad_id": preprocessor.special_id("pad")}
        if "generation_config.json" in files:
            notices += GENERATION.check(read_object(files, "generation_config.json"))
        return ForeignCheckpoint(
            config=config,
            head=head,
            labels=labels,
            preprocessor=preprocessor,
            notices=tuple(notices),
            keys=self.keys_of(task),
        )

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """`config.json`, and the tokenizer's files where there is one."""
        # A bare backbone is what the first class is.
        wanted = foreign.head.task or next(iter(self.heads.values()))
        problem = next((word for word, task in _PROBLEMS.items() if task == wanted), None)
        name = next(name for name, task in self.heads.items() if task == (CLASSIFICATION if problem else wanted))
        theirs = {**self.architecture(foreign), "architectures": [name]}
        if problem and wanted != CLASSIFICATION:
            theirs["problem_type"] = problem
        if foreign.labels:
            theirs["id2label"] = {str(number): label for number, label in enumerate(foreign.labels)}
            theirs["label2id"] = {label: number for number, label in enumerate(foreign.labels)}
        files = {"config.json": _json(theirs)}
        if isinstance(foreign.preprocessor, TextPreprocessor):
            files |= self._tokenizer_files(foreign.preprocessor)
        return files

    def keys_of(self, task: str) -> KeyTable:
        """What their tensors are called in a folder of that task."""
        return self.keys

    @abstractmethod
    def architecture(self, foreign: ForeignCheckpoint) -> dict[str, Any]:
        """Their configuration of a model of ours."""

    def slow_tokenizer(self, files: Mapping[str, bytes]) -> Tokenizer | None:
        """A tokenizer from the files of times before `tokenizer.json`; None where there are none."""
        return None

    def finish_tokenizer(self, tokenizer: Tokenizer, special: Mapping[str, str]) -> None:
        """Give a tokenizer that is about to be written what their own adds to a text."""

    def _preprocessor(
        self, files: Mapping[str, bytes], config: Mapping[str, Any], task: str, notices: list[str]
    ) -> TextPreprocessor | None:
        tokenizer = foreign_tokenizer(files) if TOKENIZER_FILE in files else self.slow_tokenizer(files)
        if tokenizer is None:
            notices.append(f"{TOKENIZER_FILE} is missing: without a tokenizer the checkpoint answers nothing")
            return None
        settings = TokenizerSettings(files, self.tokenizer_class)
        found = preprocessor_of(
            tokenizer, settings, files, positions=int(config["max_length"]), vocabulary=int(config["vocab_size"])
        )
        notices += settings.notices
        if task == "feature-extraction":
            lowercase = found.encode_plain(["A"]).rows() == found.encode_plain(["a"]).rows()
            notices += sentence_notices(files, lowercase=lowercase)
        return found

    def _tokenizer_files(self, preprocessor: TextPreprocessor) -> dict[str, bytes]:
        tokenizer = Tokenizer.from_str(preprocessor.tokenizer.to_str())
        self.finish_tokenizer(tokenizer, preprocessor.special)
        settings: dict[str, Any] = {f"{role}_token": token for role, token in preprocessor.special.items()}
        settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": preprocessor.max_length}
        return {"tokenizer.json": tokenizer.to_str().encode(), "tokenizer_config.json": _json(settings)}


class BertInterop(TransformersInterop):
    """Folders of `BertModel` and its kin."""

    rules: ClassVar[FieldRules] = BERT
    tokenizer_class: ClassVar[str] = "BertTokenizer"
    fields: ClassVar[Mapping[str, str]] = {
        "vocab_size": "vocab_size",
        "hidden_size": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "feed_forward": "intermediate_size",
        "max_length": "max_position_embeddings",
        "dropout": "hidden_dropout_prob",
        "attention_dropout": "attention_probs_dropout_prob",
    }
    heads: ClassVar[Mapping[str, str]] = {
        "BertModel": "feature-extraction",
        "BertForMaskedLM": "fill-mask",
        "BertForPreTraining": "fill-mask",
        "BertForSequenceClassification": "text-classification",
    }

    keys: ClassVar[KeyTable] = KeyTable(
        pairs=(
            # Tied, computed, or a head for pairs of sentences.
            ("cls.predictions.decoder.*", None),
            ("cls.seq_relationship.*", None),
            ("*embeddings.position_ids", None),
            ("*LayerNorm.weight", "*LayerNorm.weight"),
            ("*LayerNorm.bias", "*LayerNorm.bias"),
            ("*LayerNorm.gamma", "*LayerNorm.weight"),  # TensorFlow's
            ("*LayerNorm.beta", "*LayerNorm.bias"),
        )
    )

    def keys_of(self, task: str) -> KeyTable:
        """A masked language model has no pooler, though folders of pretraining do."""
        pooler = (("*.pooler.*", None),) if task == "fill-mask" else ()
        return replace(self.keys, pairs=pooler + self.keys.pairs)

    def architecture(self, foreign: ForeignCheckpoint) -> dict[str, Any]:
        """Their configuration of a BERT of ours."""
        from zoo_nlp.models.bert import architecture_of

        return dict(architecture_of(BertConfig(**foreign.config), foreign.head).to_diff_dict())

    def slow_tokenizer(self, files: Mapping[str, bytes]) -> Tokenizer | None:
        """Google's `vocab.txt`, a token a line."""
        if "vocab.txt" not in files:
            return None
        lines = files["vocab.txt"].decode(errors="replace").splitlines()
        vocabulary = {token: number for number, token in enumerate(lines)}
        tokenizer = wordpiece_tokenizer(vocabulary, normalizers.BertNormalizer())  # its settings are theirs to say
        _require_tokens(tokenizer, "vocab.txt", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
        bert_template(tokenizer)
        return tokenizer


class GPT2Interop(TransformersInterop):
    """Folders of `GPT2LMHeadModel` and its kin."""

    rules: ClassVar[FieldRules] = GPT2
    tokenizer_class: ClassVar[str] = "GPT2Tokenizer"
    fields: ClassVar[Mapping[str, str]] = {
        "vocab_size": "vocab_size",
        "hidden_size": "n_embd",
        "layers": "n_layer",
        "heads": "n_head",
        "max_length": "n_positions",
        "dropout": "resid_pdrop",
        "attention_dropout": "attn_pdrop",
        "eos_id": "eos_token_id",
    }
    heads: ClassVar[Mapping[str, str]] = {
        "GPT2LMHeadModel": "text-generation",
        "GPT2Model": "text-generation",
        "GPT2ForSequenceClassification": "text-classification",
    }

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """As for every family; an inner width other than four times the hidden one is refused."""
        foreign = super().read(files)
        inner = read_object(files, "config.json").get("n_inner")
        if inner not in (None, 4 * foreign.config["hidden_size"]):
            raise UsageError(f"config.json: n_inner is {inner!r}; zoo-nlp's models have 4 x n_embd there")
        if foreign.preprocessor is None:
            return replace(foreign, config={**foreign.config, "pad_id": foreign.config["eos_id"]})
        return foreign

    keys: ClassVar[KeyTable] = KeyTable(
        pairs=(
            # Tied, and masks that are computed.
            ("lm_head.weight", None),
            ("*.attn.bias", None),
            ("*.attn.masked_bias", None),
            ("transformer.*", "transformer.*"),
            ("score.*", "score.*"),
            ("*", "transformer.*"),  # of a bare backbone
        )
    )

    def architecture(self, foreign: ForeignCheckpoint) -> dict[str, Any]:
        """Their configuration of a GPT-2 of ours."""
        from zoo_nlp.models.gpt2 import architecture_of

        return dict(architecture_of(GPT2Config(**foreign.config), foreign.head).to_diff_dict())

    def slow_tokenizer(self, files: Mapping[str, bytes]) -> Tokenizer | None:
        """OpenAI's `vocab.json` and `merges.txt`."""
        if not {"vocab.json", "merges.txt"} <= set(files):
            return None
        lines = files["merges.txt"].decode(errors="replace").splitlines()
        pairs = [line.partition(" ") for line in lines if line and not line.startswith("#version")]
        merges = [(left, right) for left, _, right in pairs]
        try:
            model = models.BPE(read_object(files, "vocab.json"), merges)
        except Exception as error:  # noqa: BLE001 - the library raises bare Exception for every malformed vocabulary
            raise CorruptFile(f"merges.txt: {error}") from None
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        _require_tokens(tokenizer, "vocab.json", ("<|endoftext|>",))
        return tokenizer


class MarianInterop(TransformersInterop):
    """Folders of `MarianMTModel`."""

    rules: ClassVar[FieldRules] = MARIAN
    tokenizer_class: ClassVar[str] = ""
    fields: ClassVar[Mapping[str, str]] = {
        "vocab_size": "vocab_size",
        "hidden_size": "d_model",
        "layers": "encoder_layers",
        "heads": "encoder_attention_heads",
        "feed_forward": "encoder_ffn_dim",
        "max_length": "max_position_embeddings",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "pad_id": "pad_token_id",
        "eos_id": "eos_token_id",
    }
    heads: ClassVar[Mapping[str, str]] = {"MarianMTModel": "translation"}

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """As for every family; halves of different shape and a start token other than the padding are refused."""
        theirs = read_object(files, "config.json")
        twins = [(f"encoder_{part}", f"decoder_{part}") for part in ("layers", "attention_heads", "ffn_dim")]
        for one, other in [*twins, ("pad_token_id", "decoder_start_token_id")]:
            if theirs.get(one) != theirs.get(other):
                raise UsageError(f"config.json: {one} and {other} differ; zoo-nlp's models have one value for both")
        if theirs.get("decoder_vocab_size") not in (None, theirs.get("vocab_size")):
            raise unsupported(
                "config.json", "decoder_vocab_size", theirs.get("vocab_size"), theirs["decoder_vocab_size"]
            )
        return super().read(files)

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """As for every family; every task has the same class."""
        return super().write(replace(foreign, head=Head(task="translation")))

    keys: ClassVar[KeyTable] = KeyTable(
        pairs=(
            # Tied or computed.
            ("lm_head.weight", None),
            ("model.encoder.embed_tokens.weight", None),
            ("model.decoder.embed_tokens.weight", None),
            ("*embed_positions.weight", None),
        )
    )

    def architecture(self, foreign: ForeignCheckpoint) -> dict[str, Any]:
        """Their configuration of an encoder–decoder of ours."""
        from zoo_nlp.models.marian import architecture_of

        return dict(architecture_of(MarianConfig(**foreign.config)).to_diff_dict())

    def finish_tokenizer(self, tokenizer: Tokenizer, special: Mapping[str, str]) -> None:
        """Their tokenizers end every text."""
        if tokenizer.post_processor is None and "eos" in special:
            end = (special["eos"], tokenizer.token_to_id(special["eos"]))
            template = processors.TemplateProcessing(single=f"$A {special['eos']}", special_tokens=[end])
            tokenizer.post_processor = template


def _labels(theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """Names by number; a folder that names none has as many default ones as it says, or two."""
    count = theirs.get("num_labels", 2)
    if "id2label" in theirs or type(count) is not int or not 0 < count <= MAX_LABELS:
        return numbered_labels(theirs.get("id2label"), "config.json: id2label")
    return tuple(f"LABEL_{number}" for number in range(count))


def _require_tokens(tokenizer: Tokenizer, file: str, tokens: tuple[str, ...]) -> None:
    for token in tokens:
        if tokenizer.token_to_id(token) is None:
            raise CorruptFile(f"{file}: the token {token} is missing")
    tokenizer.add_special_tokens(list(tokens))


def _json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()
