"""Folders of Transformers whose small print changes the answer: read as Transformers reads them, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    GPT2Config,
    MarianConfig,
    TextClassificationPipeline,
)
from transformers.utils import logging
from zoo_nlp.interop.families import BertInterop
from zoo_nlp.interop.fields import BERT, GPT2, MARIAN
from zoo_nlp.interop.tokenizers import TokenizerSettings
from zoo_nlp.preprocessor import TextPreprocessor
from zoo_transformers import TransformersInterop

from zoo_core import (
    CorruptFile,
    DigestMismatch,
    Loaded,
    RecipeError,
    UsageError,
    Zoo,
    ZooError,
    export,
    import_checkpoint,
    import_folder,
    load,
    open_checkpoint,
    open_zoo,
)
from zoo_core.contract import FieldRules, as_task
from zoo_core.testing import write_folder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "movie", "the", "a"]
WORDS += ["über", "uber", "ein", "haus", "東", "京", "東京"]
TEXT = "the good movie"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar()


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="module")
def tokenizer() -> BertTokenizer:
    return BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})


def written(folder: Path, tokenizer: BertTokenizer, model: type = BertForSequenceClassification, **config: Any) -> Path:
    """A tiny random model of theirs as they save it."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    wide = {"vocab_size": len(WORDS), "max_position_embeddings": 16, "initializer_range": 0.4}
    model(BertConfig(**{**sizes, **wide, **config})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def edited(folder: Path, file: str, **changes: Any) -> None:
    """Change fields of a JSON file, which may not be there yet; None takes one away."""
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({name: value for name, value in {**before, **changes}.items() if value is not None}))


def imported(folder: Path, zoo: Zoo) -> Loaded:
    import_folder(folder, model="bert", name="bert_tiny.theirs", zoo=zoo)
    return load("bert_tiny.theirs", zoo=zoo)


def small_files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.suffix in (".json", ".txt")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def theirs(folder: Path, text: str) -> dict[str, float]:
    """The numbers that their pipeline gives, by label."""
    answer = TextClassificationPipeline(
        model=AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )([text], top_k=None)
    return {row["label"]: row["score"] for row in answer[0]}


@pytest.mark.parametrize(
    ("config", "task", "field"),
    [
        ({"id2label": {0: "neg", 1: "pos", 2: "other"}}, "text-classification", "scores"),
        ({"num_labels": 2}, "text-classification", "scores"),
        ({"id2label": {0: "toxic", 1: "rude"}, "problem_type": "multi_label_classification"}, "text-multi-label", "scores"),
        ({"num_labels": 1}, "text-multi-label", "scores"),
        ({"num_labels": 1, "problem_type": "regression"}, "text-regression", "values"),
        ({"num_labels": 2, "problem_type": "regression"}, "text-regression", "values"),
    ],
)  # fmt: skip
def test_a_classifier_answers_as_its_kind_of_problem_asks(
    config: dict[str, Any], task: str, field: str, tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", tokenizer, **config)
    ours = imported(folder, zoo)
    assert ours.card.task == f"zoo-nlp/{task}"
    answer = ours.predict([TEXT])[0]
    expected = theirs(folder, TEXT)
    assert answer[field] == pytest.approx(expected, abs=1e-5)
    if task == "text-regression" and len(expected) == 1:
        assert answer["value"] == pytest.approx(next(iter(expected.values())), abs=1e-5)
    again = export("bert_tiny.theirs", tmp_path / "out", zoo=zoo)
    assert theirs(again, TEXT) == pytest.approx(expected, abs=1e-5)


def test_what_isnt_trained_here_says_so_and_what_to_do(tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path) -> None:
    ours = imported(written(tmp_path / "theirs", tokenizer, num_labels=1, problem_type="regression"), zoo)
    with pytest.raises(UsageError, match=r"text-regression has nothing to train[^\n]*\n.*--task text-classification"):
        as_task(ours.task_spec.name, ours.task)


def test_an_unknown_kind_of_problem_is_refused(tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", tokenizer)
    edited(folder, "config.json", problem_type="ranking")
    with pytest.raises(UsageError, match=r"config.json: problem_type: expected one of single_label.*found \"ranking\""):
        imported(folder, zoo)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"strip_accents": False}, "ein Über haus"),
        ({"strip_accents": True, "do_lower_case": False}, "ein über Haus"),
        ({"do_lower_case": False}, "ein über Haus"),
        ({"tokenize_chinese_chars": False}, "東京"),
        ({"extra_special_tokens": ["[E1]"]}, "the [E1] good movie"),
        ({"additional_special_tokens": ["[E1]", "[E2]"]}, "the [E2] good [E1]"),
        ({"added_tokens_decoder": {"17": {"content": "goody", "special": False, "normalized": True}}}, "a GOODY movie"),
        ({"mask_token": "good"}, "bad movie"),
    ],
)
@pytest.mark.parametrize("form", ["tokenizer.json", "vocab.txt"])
def test_settings_beside_a_tokenizer_count(
    settings: dict[str, Any], text: str, form: str, tokenizer: BertTokenizer, tmp_path: Path
) -> None:
    folder = written(tmp_path, tokenizer, vocab_size=32)
    edited(folder, "tokenizer_config.json", **settings)
    if form == "vocab.txt":
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("\n".join(WORDS))
    ours = BertInterop().read(small_files(folder)).preprocessor
    assert isinstance(ours, TextPreprocessor)
    assert ours.encode([text], 99).rows() == AutoTokenizer.from_pretrained(folder)([text])["input_ids"]


@pytest.mark.parametrize("token", ["mo:vie", "$A"])
def test_a_token_that_no_template_can_hold_is_one_error(token: str, tokenizer: BertTokenizer, tmp_path: Path) -> None:
    folder = written(tmp_path, tokenizer, vocab_size=32)
    edited(folder, "added_tokens.json", **{token: 17})
    edited(folder, "tokenizer_config.json", cls_token=token)
    with pytest.raises(CorruptFile, match="can't frame a text"):
        BertInterop().read(small_files(folder))


def test_added_tokens_keep_their_numbers_or_are_refused(tokenizer: BertTokenizer, tmp_path: Path) -> None:
    folder = written(tmp_path, tokenizer, vocab_size=32)
    edited(folder, "added_tokens.json", newword=17)
    ours = BertInterop().read(small_files(folder)).preprocessor
    assert isinstance(ours, TextPreprocessor) and ours.encode_plain(["a newword"]).rows() == [[9, 17]]
    edited(folder, "added_tokens.json", newword=20)
    with pytest.raises(CorruptFile, match=r"'newword': expected number 20, the tokenizer has 17"):
        BertInterop().read(small_files(folder))


def test_a_tokenizer_larger_than_the_embeddings_is_refused(tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", tokenizer)
    edited(folder, "tokenizer_config.json", extra_special_tokens=["[E1]", "[E2]"])
    with pytest.raises(UsageError, match=r"vocab_size: expected at least 19, as the tokenizer has, found 17"):
        imported(folder, zoo)


def test_labels_that_share_a_name_are_told_apart(tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", tokenizer, id2label={0: "x", 1: "x", 2: "x (0)"})
    assert imported(folder, zoo).labels == ("x (0)'", "x (1)", "x (0)")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"hidden_act": "relu"}, r'config.json: hidden_act: expected "gelu", found "relu"'),
        ("config.json", {"quantization_config": {"bits": 4}}, r"quantization_config: expected null, found"),
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}, r"auto_map: expected a class of the library itself"),
        ("config.json", {"is_decoder": True}, r"is_decoder: expected false, found true"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["x.Y"]}}, r"tokenizer_config.json: auto_map"),
        ("tokenizer_config.json", {"truncation_side": "left"}, r'truncation_side: expected "right", found "left"'),
        ("tokenizer_config.json", {"never_split": ["a"]}, r"never_split: expected null"),
        ("tokenizer_config.json", {"do_lower_case": "no"}, r'do_lower_case: expected true, found "no"'),
        ("tokenizer_config.json", {"strip_accents": "x"}, r'strip_accents: expected null, found "x"'),
        (
            "tokenizer_config.json",
            {"tokenize_chinese_chars": 0},
            r"tokenize_chinese_chars: expected true, found 0",
        ),
        ("tokenizer_config.json", {"model_max_length": -1}, r"model_max_length: expected a length, found -1"),
    ],
)
def test_fields_that_change_the_answer_are_refused_by_name(
    file: str, changes: dict[str, Any], message: str, tokenizer: BertTokenizer, tmp_path: Path
) -> None:
    folder = written(tmp_path, tokenizer)
    edited(folder, file, **changes)
    with pytest.raises(ZooError, match=message):
        BertInterop().read(small_files(folder))


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "LlamaTokenizerFast"])
def test_fields_that_a_class_of_tokenizers_does_not_go_by_are_no_matter(
    name: str, tokenizer: BertTokenizer, tmp_path: Path
) -> None:
    folder = written(tmp_path, tokenizer)
    path = folder / "tokenizer_config.json"
    others = ("add_prefix_space", "do_lower_case", "tokenize_chinese_chars")
    settings = {**json.loads(path.read_text()), "tokenizer_class": name, "strip_accents": "x", **dict.fromkeys(others)}
    path.write_text(json.dumps(settings))
    found = BertInterop().read(small_files(folder))
    assert found.preprocessor and not [notice for notice in found.notices if any(other in notice for other in others)]


def test_a_space_in_front_of_a_text_is_there_or_not() -> None:
    with pytest.raises(UsageError, match="add_prefix_space: expected false, found null"):
        TokenizerSettings({"tokenizer_config.json": b'{"add_prefix_space": null}'}, "GPT2Tokenizer")


def test_fields_that_nobody_knows_are_named_and_kept_on_the_card(
    tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", tokenizer)
    edited(folder, "config.json", rope_scaling={"factor": 2})
    edited(folder, "generation_config.json", num_beams=4)
    notes = imported(folder, zoo).card.notes.splitlines()
    assert notes == [
        "config.json: unknown fields are left out: rope_scaling",
        "generation_config.json: num_beams is 4, which is not taken over; the options of a prediction say how text is "
        "written here",
    ]


SENTENCES = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
MEAN = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def sentence_folder(folder: Path, tokenizer: BertTokenizer, modules: Any = SENTENCES, **pooling: Any) -> Path:
    written(folder, tokenizer, BertModel)
    (folder / "modules.json").write_text(json.dumps(modules))
    edited(folder, "1_Pooling/config.json", **{**MEAN, **pooling})
    edited(folder, "sentence_bert_config.json", max_seq_length=4, do_lower_case=False)
    return folder


def test_a_folder_of_sentence_transformers_embeds_as_it_does_there(
    tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path
) -> None:
    folder = sentence_folder(tmp_path / "theirs", tokenizer)
    ours = imported(folder, zoo)
    text = "a good movie the bad movie"
    batch = AutoTokenizer.from_pretrained(folder)([text], truncation=True, max_length=4, return_tensors="pt")
    with torch.no_grad():
        states = BertModel.from_pretrained(folder)(**batch).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states.mean(0), dim=0)
    answer = ours.predict([text], truncate=True)[0]["embedding"]
    assert answer == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("modules", "pooling", "message"),
    [
        (SENTENCES, {"pooling_mode_mean_tokens": False}, r"1_Pooling/config.json: pooling_mode_mean_tokens: expected true"),
        (SENTENCES, {"pooling_mode_cls_token": True}, r"pooling_mode_cls_token: expected false, found true"),
        (SENTENCES[:1], {}, r"modules.json: expected a module Pooling, found Transformer"),
        ([*SENTENCES, {"type": "x.Dense"}], {}, r"modules.json: expected Transformer, Pooling and Normalize, found 'Dense'"),
        ({}, {}, r"modules.json: expected a list"),
    ],
)  # fmt: skip
def test_modules_that_change_an_embedding_are_refused(
    modules: Any, pooling: dict[str, Any], message: str, tokenizer: BertTokenizer, tmp_path: Path
) -> None:
    folder = sentence_folder(tmp_path, tokenizer, modules, **pooling)
    with pytest.raises(ZooError, match=message):
        BertInterop().read(small_files(folder))


def test_a_folder_without_a_fixed_length_says_so(tokenizer: BertTokenizer, tmp_path: Path) -> None:
    folder = sentence_folder(tmp_path, tokenizer, SENTENCES[:2])
    assert BertInterop().read(small_files(folder)).notices == (
        "modules.json: its embeddings have no fixed length; ask for them with normalize=false",
    )


@pytest.mark.parametrize(("rules", "config"), [(BERT, BertConfig), (GPT2, GPT2Config), (MARIAN, MarianConfig)])
def test_every_field_that_the_library_writes_is_known(rules: FieldRules, config: Any) -> None:
    """A new version of the library that adds a field fails here, and somebody decides what the field means."""
    known = {*rules.read, *rules.fixed, *rules.harmless, *rules.advice}
    unknown: Mapping[str, Any] = {name for name in config().to_dict() if name not in known and not name.startswith("_")}
    assert unknown == set()


def test_rules_name_no_field_twice() -> None:
    for rules in (BERT, GPT2, MARIAN):
        parts: list[str] = [*rules.read, *rules.fixed, *rules.harmless, *rules.advice]
        assert len(parts) == len(set(parts))
    assert issubclass(BertInterop, TransformersInterop)


def test_shards_pointers_and_half_precision_come_in_whole(tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", tokenizer, id2label={0: "neg", 1: "pos"})
    expected = theirs(folder, TEXT)
    model = BertForSequenceClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="4KB")
    assert not (folder / "model.safetensors").exists()
    assert imported(folder, zoo).predict([TEXT])[0]["scores"] == pytest.approx(expected, abs=1e-6)
    model.half().save_pretrained(tmp_path / "half")
    tokenizer.save_pretrained(tmp_path / "half")
    ours = imported(tmp_path / "half", zoo)
    assert {parameter.dtype for parameter in ours.model.parameters()} == {torch.float32}
    assert "tensors of half precision are kept in float32" in ours.card.notes
    assert ours.predict([TEXT])[0]["scores"] == pytest.approx(theirs(tmp_path / "half", TEXT), abs=1e-5)


def test_a_name_says_no_other_family_than_what_is_imported(tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path) -> None:
    folder = written(tmp_path / "theirs", tokenizer)
    with pytest.raises(RecipeError, match=r"the name 'gpt2_tiny.x' says gpt2_tiny, and the model is bert\n.*bert\.x"):
        import_folder(folder, model="bert", name="gpt2_tiny.x", zoo=zoo)
    for name in ("bert_tiny.x", "bert_base.x", "mood_small.x"):  # sizes of the own family, and words of one's own
        assert import_folder(folder, model="bert", name=name, zoo=zoo).name == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 10**7}, r"layers: expected at most 512 \(ZOO_MAX_LAYERS raises it\), found 10000000"),
        ({"hidden_size": 10**9, "num_attention_heads": 1}, r"hidden_size: expected at most .*ZOO_MAX_SIZE"),
        ({"vocab_size": 2**31}, r"vocab_size: expected at most .*ZOO_MAX_SIZE"),
        ({"max_position_embeddings": 10**12}, r"max_length: expected at most .*ZOO_MAX_SIZE"),
        ({"intermediate_size": 10**12}, r"intermediate_size: expected at most .*ZOO_MAX_SIZE"),
    ],
)
def test_sizes_that_nobody_has_are_refused_before_anything_is_built(
    changes: dict[str, Any], message: str, tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", tokenizer)
    edited(folder, "config.json", **changes)
    with pytest.raises(ZooError, match=message):
        imported(folder, zoo)


def test_weights_of_a_larger_model_are_refused_by_their_size(
    tokenizer: BertTokenizer, zoo: Zoo, tmp_path: Path
) -> None:
    folder = written(tmp_path / "theirs", tokenizer)
    size = 200 << 20
    header = json.dumps({"bert.x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    with pytest.raises(CorruptFile, match=r"209,715,200 bytes of tensors, where the configuration asks for"):
        imported(folder, zoo)


def test_a_checkpoint_of_another_store_keeps_its_card(zoo: Zoo, tmp_path: Path) -> None:
    bundled = open_checkpoint("bert_tiny.sentiment", zoo.registry)
    files = {entry.path: [bundled.read(entry.path)] for entry in bundled.card.files}
    folder = write_folder(tmp_path, "model", bundled.card, files)
    card = import_checkpoint(tmp_path, name="bert_tiny.again", zoo=zoo)
    assert replace(card, name=bundled.card.name, version=bundled.card.version) == replace(
        bundled.card, files=card.files
    )
    assert card.metrics and card.labels == bundled.card.labels
    assert load("bert_tiny.again", zoo=zoo).predict([TEXT]) == load("bert_tiny.sentiment", zoo=zoo).predict([TEXT])
    damaged = folder / "tokenizer.json"
    damaged.write_bytes(damaged.read_bytes() + b" ")
    with pytest.raises(DigestMismatch, match=r"tokenizer.json"):
        import_checkpoint(folder, name="bert_tiny.bad", zoo=zoo)
