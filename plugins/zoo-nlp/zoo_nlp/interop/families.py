"""Checkpoint folders of Hugging Face Transformers: read ours from theirs, and write what their Auto classes open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.models.bert.configuration_bert import BertConfig as BertArchitecture
from transformers.models.gpt2.configuration_gpt2 import GPT2Config as GPT2Architecture
from transformers.models.marian.configuration_marian import MarianConfig as MarianArchitecture
from zoo_transformers import WORDS, TransformersInterop, foreign_tokenizer_of, json_bytes

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, Head, KeyTable, panics_as, read_object, unsupported
from zoo_nlp.configs.models import SCORING, BertConfig, GPT2Config, MarianConfig
from zoo_nlp.interop.fields import BERT, BERT_FIELDS, GENERATION, GPT2, GPT2_FIELDS, MARIAN, MARIAN_FIELDS
from zoo_nlp.interop.sentences import sentence_notices
from zoo_nlp.interop.tokenizers import TokenizerSettings, preprocessor_of
from zoo_nlp.models import bert, gpt2, marian
from zoo_nlp.preprocessor import TOKENIZER_FILE, TextPreprocessor, bert_template, wordpiece_tokenizer


class TextInterop(TransformersInterop):
    """What families of text have in common: `tokenizer.json`, `tokenizer_config.json`."""

    problems: ClassVar[Mapping[str, str]] = dict(zip(WORDS, SCORING, strict=True))
    tokenizer_class = ""
    """What a folder means that names no class of tokenizer."""

    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """With the tokenizer."""
        with panics_as(CorruptFile, TOKENIZER_FILE):
            found = self._tokenizer(files)
            if found is None:
                missing = f"{TOKENIZER_FILE} is missing: without a tokenizer the checkpoint answers nothing"
                return replace(foreign, notices=(*foreign.notices, missing))
            settings = TokenizerSettings(files, self.tokenizer_class)
            positions, vocabulary = int(foreign.config["max_length"]), int(foreign.config["vocab_size"])
            made = preprocessor_of(found, settings, files, positions=positions, vocabulary=vocabulary)
            notices = [*foreign.notices, *settings.notices]
            if foreign.head.task == "feature-extraction":
                lowercase = made.encode_plain(["A"]).rows() == made.encode_plain(["a"]).rows()
                notices += sentence_notices(files, lowercase=lowercase)
        config = {**foreign.config, "pad_id": made.special_id("pad")}
        return replace(foreign, config=config, preprocessor=made, notices=tuple(notices))

    def preprocessor_files(self, foreign: ForeignCheckpoint, ours: Any) -> dict[str, bytes]:
        """The tokenizer's files."""
        preprocessor = foreign.preprocessor
        if not isinstance(preprocessor, TextPreprocessor):
            return {}
        tokenizer = Tokenizer.from_str(preprocessor.tokenizer.to_str())
        self.finish_tokenizer(tokenizer, preprocessor.special)
        settings: dict[str, Any] = {f"{role}_token": token for role, token in preprocessor.special.items()}
        settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": preprocessor.max_length}
        return {TOKENIZER_FILE: tokenizer.to_str().encode(), "tokenizer_config.json": json_bytes(settings)}

    def _tokenizer(self, files: Mapping[str, bytes]) -> Tokenizer | None:
        if TOKENIZER_FILE not in files:
            return self.slow_tokenizer(files)
        return foreign_tokenizer_of(files[TOKENIZER_FILE], TOKENIZER_FILE)

    def slow_tokenizer(self, files: Mapping[str, bytes]) -> Tokenizer | None:
        """A tokenizer from the files of times before `tokenizer.json`; None where there are none that this library reads."""
        return None

    def finish_tokenizer(self, tokenizer: Tokenizer, special: Mapping[str, str]) -> None:
        """Give a tokenizer that is about to be written what their own adds to a text."""


class BertInterop(TextInterop):
    """Folders of `BertModel` and its kin."""

    configuration = BertConfig
    library = BertArchitecture
    architecture_of = staticmethod(bert.architecture_of)
    fields = BERT_FIELDS
    rules = (BERT, GENERATION)
    tokenizer_class = "BertTokenizer"
    heads: ClassVar[Mapping[str, str]] = {
        "BertModel": "feature-extraction",
        "BertForMaskedLM": "fill-mask",
        "BertForPreTraining": "fill-mask",
        "BertForSequenceClassification": "text-classification",
    }
    keys = KeyTable(
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


class GPT2Interop(TextInterop):
    """Folders of `GPT2LMHeadModel` and its kin."""

    configuration = GPT2Config
    library = GPT2Architecture
    architecture_of = staticmethod(gpt2.architecture_of)
    fields = GPT2_FIELDS
    rules = (GPT2, GENERATION)
    tokenizer_class = "GPT2Tokenizer"
    heads: ClassVar[Mapping[str, str]] = {
        "GPT2LMHeadModel": "text-generation",
        "GPT2Model": "text-generation",
        "GPT2ForSequenceClassification": "text-classification",
    }
    keys = KeyTable(
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

    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """As for every family; an inner width other than four times the hidden one is refused."""
        if theirs["n_inner"] not in (None, 4 * foreign.config["hidden_size"]):
            raise UsageError(f"config.json: n_inner is {theirs['n_inner']!r}; zoo-nlp's models have 4 x n_embd there")
        # What a folder without a tokenizer pads with.
        config = {**foreign.config, "pad_id": foreign.config["eos_id"]}
        return super().completed(replace(foreign, config=config), theirs, files)

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


class MarianInterop(TextInterop):
    """Folders of `MarianMTModel`."""

    configuration = MarianConfig
    library = MarianArchitecture
    architecture_of = staticmethod(marian.architecture_of)
    fields = MARIAN_FIELDS
    rules = (MARIAN, GENERATION)
    heads: ClassVar[Mapping[str, str]] = {"MarianMTModel": "translation"}
    keys = KeyTable(
        pairs=(
            # Tied or computed.
            ("lm_head.weight", None),
            ("model.encoder.embed_tokens.weight", None),
            ("model.decoder.embed_tokens.weight", None),
            ("*embed_positions.weight", None),
        )
    )

    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """As for every family; a vocabulary of the decoder's own is refused."""
        found = read_object(files, "config.json").get("decoder_vocab_size")
        if found not in (None, theirs["vocab_size"]):
            raise unsupported("config.json", "decoder_vocab_size", theirs["vocab_size"], found)
        return super().completed(foreign, theirs, files)

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """As for every family; every task has the same class."""
        return super().write(replace(foreign, head=Head(task="translation")))

    def finish_tokenizer(self, tokenizer: Tokenizer, special: Mapping[str, str]) -> None:
        """Their tokenizers end every text."""
        if tokenizer.post_processor is None and "eos" in special:
            end = (special["eos"], tokenizer.token_to_id(special["eos"]))
            template = processors.TemplateProcessing(single=f"$A {special['eos']}", special_tokens=[end])
            tokenizer.post_processor = template


def _require_tokens(tokenizer: Tokenizer, file: str, tokens: tuple[str, ...]) -> None:
    for token in tokens:
        if tokenizer.token_to_id(token) is None:
            raise CorruptFile(f"{file}: the token {token} is missing")
    tokenizer.add_special_tokens(list(tokens))
