from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn import functional as F
from zoo_nlp import plugin
from zoo_nlp.configs import models as configs
from zoo_nlp.configs.models import TextGenerationOptions
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair
from zoo_nlp.evaluation import metrics
from zoo_nlp.models import bert, gpt2, lstm, marian
from zoo_nlp.preprocessor import TextPreprocessor
from zoo_nlp.tasks.common import PackedBlocks, pad
from zoo_nlp.tasks.decoding import StreamingDetokenizer, sample_next_token
from zoo_nlp.tasks.feature_extraction import FeatureExtraction
from zoo_nlp.tasks.fill_mask import FillMask, mask_tokens
from zoo_nlp.tasks.text2text import Summarization, Translation
from zoo_nlp.tasks.text_classification import TextClassification
from zoo_nlp.tasks.text_generation import TextGeneration

from zoo_core import DataError, UsageError
from zoo_core.contract import At, Dataset, Head, SampleKey, Task, TaskContext, as_task
from zoo_core.tasks import Confusion, class_scores, cross_entropy, figures_of
from zoo_core.testing import CrossEntropyConfig, RegisteredComponent, gathered

TEXTS = [
    "the cat sat on the mat",
    "a dog ran in the park",
    "birds fly over the sea",
    "fish swim in deep water",
    "the sun sets in the west",
    "snow falls on high hills",
    "rivers run to the sea",
    "stars shine in the night",
]
LABELS = ("animal", "nature")
LABELLED = [LabelledText(text, LABELS[number >= 4]) for number, text in enumerate(TEXTS)]
PAIRS = [TextPair(text, text.upper()) for text in TEXTS]
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}
SMALL = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, **NO_DROPOUT}


def context(
    family: str, task: str, samples: Sequence[Any], labels: tuple[str, ...] = (), **changes: Any
) -> TaskContext:
    builders = {"bert": bert.build, "gpt2": gpt2.build, "marian": marian.build, "lstm": lstm.build}
    spec = next(spec for spec in plugin.zoo_models() if spec.name == family)
    provided = RegisteredComponent(spec=spec, plugin="zoo-nlp", version="1", id=f"zoo-nlp/{family}")
    preprocessor = TextPreprocessor.fit(
        provided.preprocessor_config(vocab_size=320, max_length=changes.pop("longest", 16), min_frequency=1), samples
    )
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "dropout": 0.0} if family == "lstm" else {**SMALL, "max_length": 64}
    config = provided.config(**{**sizes, **preprocessor.model_config(), **changes})
    model = builders[family](config, Head(task=task, labels=len(labels)))
    loss = cross_entropy(CrossEntropyConfig())
    return TaskContext(model=model, preprocessor=preprocessor, labels=labels, loss=loss)


def filling(**changes: Any) -> FillMask:
    return FillMask(configs.FillMaskConfig(**changes), context("bert", "fill-mask", TEXTS))


def generation(**changes: Any) -> TextGeneration:
    return TextGeneration(configs.TextGenerationConfig(**changes), context("gpt2", "text-generation", TEXTS))


def classification(family: str) -> TextClassification:
    return TextClassification(None, context(family, "text-classification", LABELLED, LABELS))


def translation(**changes: Any) -> Translation:
    return Translation(configs.TextToTextConfig(**changes), context("marian", "translation", PAIRS, longest=40))


def keys(dataset: Dataset) -> list[SampleKey]:
    return [SampleKey(0, 0, index) for index in range(len(dataset))]


def whole(dataset: Dataset) -> Any:
    return dataset.collate([dataset.sample(key) for key in keys(dataset)])


def train(task: Task, samples: Sequence[Any], steps: int, rate: float = 1e-2) -> tuple[float, float]:
    """Mean loss before and after a few steps on one batch."""
    batch = whole(task.dataset(samples, train=True))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=rate)
    task.model.train()
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        output = task.step("train", task.modules(), batch, At())
        loss = output.loss_sum / output.weight
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    task.model.eval()
    return losses[0], losses[-1]


def evaluate(task: Task, samples: Sequence[Any], batch_size: int) -> tuple[dict[str, float], Any]:
    dataset = task.dataset(samples, train=False)
    task.model.eval()
    found = []
    for start in range(0, len(dataset), batch_size):
        batch = dataset.collate([dataset.sample(key) for key in keys(dataset)[start : start + batch_size]])
        with torch.no_grad():
            found.append(task.evaluate(task.modules(), batch, At()))
    result = gathered(found)
    return task.summarize(result), result


# Fill-mask


def test_hiding_takes_the_same_share_of_every_row_and_never_a_special_token() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 1000, (200, 100), generator=generator)
    ids[:, ::10] = 3
    scores, fates = torch.rand(2, 200, 100, generator=generator)
    masked = mask_tokens(ids, scores, fates, ratio=0.15, mask_id=4, special=torch.arange(5), vocab_size=1000)
    true = ids.flatten()[masked.places]
    seen = masked.input_ids.flatten()[masked.places]
    assert (masked.places // 100).bincount().tolist() == [15] * 200
    assert torch.equal(masked.targets, true) and (true >= 5).all()
    assert 0.78 < (seen == 4).float().mean() < 0.82
    changed = (seen != 4) & (seen != true)
    assert 0.08 < changed.float().mean() < 0.12
    assert 0.08 < (seen == true).float().mean() < 0.12
    assert 400 < seen[changed].float().mean() < 600 and len(seen[changed].unique()) > 200
    untouched = torch.ones(20_000, dtype=torch.bool)
    untouched[masked.places] = False
    assert torch.equal(masked.input_ids.flatten()[untouched], ids.flatten()[untouched])


def test_special_tokens_that_had_to_be_chosen_do_not_count() -> None:
    ids = torch.tensor([[2, 3, 3, 9]])
    scores, fates = torch.rand(2, 1, 4)
    masked = mask_tokens(ids, scores, fates, ratio=0.5, mask_id=4, special=torch.arange(5), vocab_size=10)
    assert sorted(masked.targets.tolist()) == [-100, 9]


def test_masks_are_drawn_in_each_step_from_torchs_generator() -> None:
    task = filling()
    batch = whole(task.dataset(TEXTS, train=True))
    losses = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        losses.append(float(task.step("train", task.modules(), batch, At()).loss_sum.detach()))
    assert losses[0] == losses[2] != losses[1]


def test_masks_of_an_evaluation_do_not_depend_on_batches_or_seeds() -> None:
    task = filling()
    torch.manual_seed(1)
    one, _ = evaluate(task, TEXTS, batch_size=1)
    torch.manual_seed(2)
    two, _ = evaluate(task, TEXTS, batch_size=3)
    assert one == pytest.approx(two, rel=1e-5)


def test_blocks_of_a_masked_model_are_framed_and_full() -> None:
    task = filling()
    dataset = task.dataset(TEXTS, train=True)
    ids = whole(dataset)["input_ids"]
    cls, sep = task.preprocessor.special_id("cls"), task.preprocessor.special_id("sep")
    assert ids.shape[1] == 16 and (ids[:, 0] == cls).all() and (ids[:, -1] == sep).all()
    assert not (ids == task.preprocessor.special_id("pad")).any()
    flat = task.preprocessor.pack(TEXTS).tolist()
    inside = ids[:, 1:-1].flatten().tolist()
    assert inside == flat[: len(inside)] and len(flat) - len(inside) < 14


def test_fill_mask_learns_and_fills() -> None:
    task = filling(mask_ratio=0.2)
    first, last = train(task, TEXTS[:4], 250, rate=3e-3)
    assert last < first / 2
    figures, _ = evaluate(task, TEXTS[:4], batch_size=1)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    assert figures["accuracy"] > 0.7
    answers = task.predict(
        ["the cat [MASK] on the mat", "the [MASK] sat on the [MASK]"], configs.FillMaskOptions(top_k=3)
    )
    assert [len(answer["candidates"]) for answer in answers] == [1, 2]
    best = answers[0]["candidates"][0]
    assert len(best) == 3 and best[0]["probability"] >= best[1]["probability"] >= best[2]["probability"] > 0
    assert answers[0]["text"] == "the cat sat on the mat"
    assert best[0]["token"] == "sat"
    json.dumps(answers)


def test_fill_mask_predictions_do_not_depend_on_their_neighbours() -> None:
    task = filling()
    texts = ["the [MASK]", "birds fly over the [MASK] [MASK] sea"]
    together = task.predict(texts, configs.FillMaskOptions())
    alone = [task.predict([text], configs.FillMaskOptions())[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert one["text"] == other["text"]
        ours = [candidate["probability"] for found in one["candidates"] for candidate in found]
        theirs = [candidate["probability"] for found in other["candidates"] for candidate in found]
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_inputs_without_a_mask_or_too_long_are_refused() -> None:
    task = filling()
    with pytest.raises(DataError, match=r"input 2 has no \[MASK\] to fill"):
        task.predict(["a [MASK]", "no mask"], configs.FillMaskOptions())
    long = "[MASK] " + "the sea " * 20
    with pytest.raises(DataError, match="input 1 has 43 tokens; this model takes at most 16"):
        task.predict([long], configs.FillMaskOptions())
    assert task.predict([long], configs.FillMaskOptions(truncate=True))[0]["candidates"]
    with pytest.raises(DataError, match="among its first 16 tokens"):
        task.predict(["the sea " * 20 + "[MASK]"], configs.FillMaskOptions(truncate=True))


def test_a_tokenizer_without_a_mask_cannot_fill() -> None:
    with pytest.raises(UsageError, match="bpe tokenizer has no mask token"):
        FillMask(configs.FillMaskConfig(), context("gpt2", "text-generation", TEXTS))


# Text generation


def test_packed_blocks_predict_every_token_but_the_first_and_the_tail() -> None:
    flat = np.arange(100, dtype=np.uint16)
    dataset = PackedBlocks([flat], length=17, stride=16)
    blocks = whole(dataset)["input_ids"]
    assert blocks.shape == (6, 17) and blocks.dtype == torch.int64
    assert blocks[:, 1:].flatten().tolist() == list(range(1, 97))
    assert whole(PackedBlocks([flat[:10]], length=17, stride=16))["input_ids"].shape == (1, 10)
    with pytest.raises(DataError, match="texts are empty"):
        PackedBlocks([flat[:1]], length=17, stride=16)


def test_blocks_of_a_language_model_share_one_token() -> None:
    task = generation()
    blocks = whole(task.dataset(TEXTS, train=True))["input_ids"]
    flat = task.preprocessor.pack(TEXTS).tolist()
    targets = blocks[:, 1:].flatten().tolist()
    assert blocks.shape[1] == 17
    assert blocks[0, 0] == flat[0] and targets == flat[1 : 1 + len(targets)]
    assert len(flat) - 1 - len(targets) < 16
    assert not (blocks == task.preprocessor.special_id("pad")).any()


def test_text_generation_learns_and_its_loss_is_the_mean_over_tokens() -> None:
    task = generation()
    first, last = train(task, TEXTS, 60)
    assert last < first / 2
    figures, result = evaluate(task, TEXTS, batch_size=4)
    blocks = whole(task.dataset(TEXTS, train=False))["input_ids"]
    with torch.no_grad():
        shares = task.model(input_ids=blocks[:, :-1]).logits.log_softmax(-1)
    by_hand = -shares.gather(-1, blocks[:, 1:, None]).mean()
    assert figures["loss"] == pytest.approx(float(by_hand), rel=1e-5)
    assert float(result.weight) == blocks[:, 1:].numel()


def test_greedy_generation_is_transformers_own() -> None:
    task = generation()
    train(task, TEXTS, 60)
    ids = task.preprocessor.encode_plain(["the cat"]).rows()
    options = TextGenerationOptions(temperature=0.0, max_new_tokens=10)
    expected = task.model.generate(
        torch.tensor(ids),
        attention_mask=torch.ones(1, len(ids[0]), dtype=torch.long),
        do_sample=False,
        max_new_tokens=10,
        eos_token_id=1,
        pad_token_id=0,
    )
    found = task.predict(["the cat"], options)[0]["text"]
    assert found == task.preprocessor.decode(expected[0, len(ids[0]) :].tolist()) == " sat on the mat"


def test_streamed_text_is_the_predicted_text() -> None:
    task = generation()
    for seed in range(4):
        options = TextGenerationOptions(max_new_tokens=15, seed=seed, stop=("zq", "e"))
        pieces = list(task.stream("the", options))
        assert "".join(pieces) == task.predict(["the"], options)[0]["text"]
    assert len(pieces) > 1 and all(pieces)


def test_the_same_seed_writes_the_same_text_and_rows_differ() -> None:
    task = generation()
    options = TextGenerationOptions(max_new_tokens=12, num_return=3, seed=5)
    one, two = task.predict(["the", "the"], options)
    assert one == two and len({one["text"], *one["alternatives"]}) == 3
    alone = task.predict(["the"], TextGenerationOptions(max_new_tokens=12, seed=5))[0]
    assert alone == {"text": one["text"]}
    other = task.predict(["the"], TextGenerationOptions(max_new_tokens=12, seed=6))[0]
    assert other != alone


def test_generation_ends_at_stop_strings_the_end_token_and_the_models_length() -> None:
    task = generation()
    train(task, TEXTS, 60)
    greedy = TextGenerationOptions(temperature=0.0, max_new_tokens=50)
    assert task.predict(["the cat sat on"], greedy)[0]["text"] == " the mat"
    stopped = TextGenerationOptions(temperature=0.0, max_new_tokens=50, stop=("ma", "zz"))
    assert task.predict(["the cat sat on"], stopped)[0]["text"] == " the "
    fresh = generation()
    long = fresh.predict(["x" * 10], TextGenerationOptions(max_new_tokens=50))[0]["text"]
    assert 0 < len(fresh.preprocessor.encode_plain([long]).row(0)) <= 6
    with pytest.raises(DataError, match="input 1 has 16 tokens; this model takes at most 15"):
        fresh.predict(["z" * 16], TextGenerationOptions())
    assert fresh.predict(["z" * 16], TextGenerationOptions(truncate=True))


def test_samples_of_an_evaluation_are_the_same_every_time() -> None:
    task = generation(prompts=("", "the "), sample_tokens=5)
    first, again = (task.artifacts(task.modules(), {})["samples.txt"] for _ in range(2))
    assert first == again and first.decode().split("-----\n\n")[1].startswith("the ")
    assert generation(prompts=()).artifacts({}, {}) == {}


def test_serving_leaves_the_model_in_its_mode() -> None:
    task = generation()
    task.model.train()
    task.predict(["a"], TextGenerationOptions(max_new_tokens=1))
    stream = task.stream("a", TextGenerationOptions(max_new_tokens=9, temperature=0.0))
    next(stream, None)
    assert task.model.training and torch.is_grad_enabled()


def test_choice_by_hand() -> None:
    shares = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    seen = torch.tensor([[1]])

    def drawn(uniform: float, **options: Any) -> int:
        return int(sample_next_token(shares.log(), seen, torch.tensor([uniform]), TextGenerationOptions(**options)))

    # By falling probability: 1 up to 0.4, 3 up to 0.7, 2 up to 0.9, 0 up to 1.
    assert [drawn(u) for u in (0.0, 0.39, 0.41, 0.69, 0.71, 0.89, 0.91, 0.9999999)] == [1, 1, 3, 3, 2, 2, 0, 0]
    assert [drawn(u, top_k=2) for u in (0.0, 0.56, 0.58, 0.99)] == [1, 1, 3, 3]
    assert [drawn(u, top_p=0.4) for u in (0.0, 0.99)] == [1, 1]
    assert [drawn(u, top_p=0.5) for u in (0.0, 0.58, 0.99)] == [1, 3, 3]
    assert drawn(0.99, temperature=0.0) == 1
    assert drawn(0.99, temperature=1e-3) == 1
    # Exactly one half each: the first alone holds what top_p asks for.
    even = TextGenerationOptions(top_p=0.5)
    assert int(sample_next_token(torch.zeros(1, 2), torch.tensor([[0]]), torch.tensor([0.99]), even)) == 0
    # log 0.4 x 2 is less than log 0.3.
    assert drawn(0.99, temperature=0.0, repetition_penalty=2.0) == 3
    positive = torch.tensor([[1.0, 2.0, 1.5, 0.0]])
    penalised = TextGenerationOptions(temperature=0.0, repetition_penalty=2.0)
    assert int(sample_next_token(positive, seen, torch.tensor([0.5]), penalised)) == 2


def test_a_writer_holds_back_half_characters_and_possible_stops() -> None:
    preprocessor = context("gpt2", "text-generation", TEXTS).preprocessor
    assert isinstance(preprocessor, TextPreprocessor)
    ids = preprocessor.encode_plain(["é日 STxSTOPy"]).row(0).tolist()
    for stop, expected in (((), "é日 STxSTOPy"), (("STOP",), "é日 STx"), (("absent", "STz"), "é日 STxSTOPy")):
        writer = StreamingDetokenizer(preprocessor, stop)
        pieces = []
        for token in ids:
            if not writer.ended:
                pieces.append(writer.push(token))
        assert not any("\ufffd" in piece for piece in pieces)
        assert "".join([*pieces, writer.finish()]) == expected
    broken = StreamingDetokenizer(preprocessor)
    assert broken.push(ids[0]) == "" and broken.finish() == "\ufffd"


# Text classification


@pytest.mark.parametrize("family", ["bert", "gpt2", "lstm"])
def test_classification_learns_with_every_family(family: str) -> None:
    task = classification(family)
    first, last = train(task, LABELLED, 40)
    assert last < first / 2
    figures, result = evaluate(task, LABELLED, batch_size=3)
    assert figures["accuracy"] == 1.0 and figures["macro_f1"] == 1.0
    classes = len(task.labels)
    pairs = [0] * 6 + [1] * 2 + [classes] + [classes + 1] * 7
    assert set(task.intervals(replace(result, confusion=pairs))) == {"accuracy", "macro_f1"}
    assert [task.better(name) for name in ("accuracy", "macro_f1", "loss")] == ["max", "max", "min"]
    answers = task.predict(TEXTS, configs.ClassificationOptions())
    assert [answer["label"] for answer in answers] == [sample.label for sample in LABELLED]
    for answer in answers:
        assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())
    assert [len(answer["scores"]) for answer in answers] == [len(task.labels)] * len(TEXTS)
    few = task.predict(TEXTS, configs.ClassificationOptions(top_k=1))
    assert [answer["scores"] for answer in few] == [{answer["label"]: answer["score"]} for answer in few]
    confusion = json.loads(task.artifacts({}, result)["confusion.json"])
    assert confusion == {"labels": ["animal", "nature"], "counts": [[4, 0], [0, 4]]}


@pytest.mark.parametrize("family", ["bert", "gpt2", "lstm"])
def test_classification_does_not_depend_on_batches(family: str) -> None:
    task = classification(family)
    samples = [LabelledText(" ".join(TEXTS[: 1 + n % 3]), sample.label) for n, sample in enumerate(LABELLED)]
    one, three = (evaluate(task, samples, batch_size=size)[0] for size in (1, 3))
    assert one == pytest.approx(three, abs=1e-5)


def test_a_classification_step_is_a_sum_over_texts() -> None:
    task = classification("bert")
    batch = whole(task.dataset(LABELLED, train=True))
    task.model.eval()
    output = task.step("train", task.modules(), batch, At())
    logits = task.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = F.cross_entropy(logits, torch.tensor([0] * 4 + [1] * 4), reduction="sum")
    assert float(output.loss_sum.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float(output.weight) == 8
    assert float(output.metrics["accuracy"]) == float((logits.argmax(-1) == batch["labels"]).sum())


def test_classification_samples_are_measured_and_cut() -> None:
    task = classification("lstm")
    dataset = task.dataset([LabelledText("the sea " * 30, "animal"), LABELLED[1]], train=True)
    assert dataset.lengths is not None
    assert dataset.lengths.tolist() == [16, 6]
    assert dataset.truncated == 1 and dataset.notices[0].startswith("1 of ")
    assert whole(dataset)["attention_mask"].sum(1).tolist() == [16, 6]


def test_strange_labels_and_samples_are_named() -> None:
    task = classification("lstm")
    with pytest.raises(DataError, match="sample 2: the model has no label 'animla'") as caught:
        task.dataset([LABELLED[0], LabelledText("x", "animla")], train=True)
    assert "did you mean animal" in caught.value.hint
    with pytest.raises(DataError, match="sample 1: expected a labelled text, found Text"):
        task.dataset([Text("x")], train=True)
    with pytest.raises(UsageError, match="needs a model with labels"):
        TextClassification(None, context("lstm", "text-classification", LABELLED))


def test_a_text_too_long_to_classify_is_refused_unless_cut() -> None:
    task = classification("bert")
    with pytest.raises(DataError, match="input 2 has 42 tokens; this model takes at most 16") as caught:
        task.predict(["fine", "the sea " * 20], configs.ClassificationOptions())
    assert "truncate=true" in caught.value.hint
    assert len(task.predict(["fine", "the sea " * 20], configs.ClassificationOptions(truncate=True))) == 2


def test_figures_of_a_confusion_matrix_are_scikit_learns() -> None:
    confusion = np.array([[5, 2, 0, 0], [1, 3, 0, 4], [0, 0, 0, 0], [2, 0, 0, 6]])
    truth = np.repeat(np.arange(4), confusion.sum(1))
    found = np.concatenate([np.repeat(np.arange(4), row) for row in confusion])
    figures = class_scores(Confusion.of_matrix(confusion))
    assert figures["accuracy"] == pytest.approx(14 / 23)
    # Class 2 occurs nowhere, so that it is no class of these figures; class 1 of the second matrix is only ever missed.
    assert figures["macro_f1"] == pytest.approx(f1_score(truth, found, average="macro"))
    assert class_scores(Confusion.of_matrix([[3, 0, 0], [1, 0, 0], [0, 0, 0]]))["macro_f1"] == pytest.approx(
        (6 / 7 + 0) / 2
    )
    assert class_scores(Confusion.of_matrix(np.diag([4, 2, 0])))["macro_f1"] == 1.0


# Text to text


def test_translation_learns_and_writes() -> None:
    task = translation()
    first, last = train(task, PAIRS, 100, rate=3e-3)
    assert last < first / 2
    figures, result = evaluate(task, PAIRS, batch_size=3)
    assert result.expected == [pair.target for pair in PAIRS]
    assert figures["bleu"] > 90 and figures["chrf"] > 90
    answers = task.predict(TEXTS, configs.TextToTextOptions())
    assert [answer["text"] for answer in answers] == result.found
    streamed = "".join(task.stream(TEXTS[0], configs.TextToTextOptions()))
    assert streamed == answers[0]["text"] == TEXTS[0].upper()
    beams = task.predict(TEXTS, configs.TextToTextOptions(beams=3))
    assert sum(beam == answer for beam, answer in zip(beams, answers, strict=True)) >= 7
    assert "".join(task.stream(TEXTS[1], configs.TextToTextOptions(beams=3))) == beams[1]["text"]
    assert "expected: THE CAT" in task.artifacts({}, result)["samples.txt"].decode()


def test_greedy_translation_is_transformers_own() -> None:
    task = translation()
    train(task, PAIRS, 30, rate=3e-3)
    tokens = task.preprocessor.encode_ended(TEXTS, 40)
    ids, mask = pad([tokens.row(n) for n in range(8)], 0)
    found = task.predict(TEXTS, configs.TextToTextOptions(max_new_tokens=12))
    expected = task.model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=12, suppress_tokens=[0]
    )
    assert [answer["text"] for answer in found] == [task.preprocessor.decode(row) for row in expected.tolist()]


def test_what_beams_write_for_a_text_does_not_depend_on_its_neighbours() -> None:
    task = translation()
    texts = ["ab", "the cat sat on the mat and slept", "a dog"]
    for options in (configs.TextToTextOptions(beams=3), configs.TextToTextOptions(beams=3, max_new_tokens=5)):
        together = task.predict(texts, options)
        assert together == [task.predict([text], options)[0] for text in texts]
        ids = torch.tensor([task.preprocessor.encode_ended([texts[0]], 40).rows()[0]])
        limit = options.max_new_tokens or 2 * ids.shape[1] + 16
        expected = task.model.generate(
            **{"input_ids": ids, "num_beams": 3, "early_stopping": True, "max_new_tokens": limit},
            **{"do_sample": False, "suppress_tokens": [0]},
        )
        assert together[0]["text"] == task.preprocessor.decode(expected[0].tolist())


def test_a_translation_batch_teaches_every_target_token_once() -> None:
    task = translation()
    pairs = [TextPair("ab", "c"), TextPair("a", "the dog")]
    batch = whole(task.dataset(pairs, train=True))
    ids = [task.preprocessor.encode_ended([pair.target], 40).rows()[0] for pair in pairs]
    assert [[i for i in row if i != -100] for row in batch["labels"].tolist()] == ids
    shifted = [[0, *row[:-1]] for row in ids]
    assert [row[: len(ids[n])] for n, row in enumerate(batch["decoder_input_ids"].tolist())] == shifted
    assert float(task.step("train", task.modules(), batch, At()).weight) == sum(map(len, ids))


def test_label_smoothing_changes_training_and_not_evaluation() -> None:
    plain, smooth = translation(), translation(label_smoothing=0.1)
    batch = whole(plain.dataset(PAIRS, train=True))
    losses = [float(task.step("train", task.modules(), batch, At()).loss_sum.detach()) for task in (plain, smooth)]
    assert losses[0] != losses[1]
    assert evaluate(plain, PAIRS, 8)[0]["loss"] == pytest.approx(evaluate(smooth, PAIRS, 8)[0]["loss"])


def test_an_evaluation_generates_for_as_many_samples_as_asked() -> None:
    figures, result = evaluate(translation(generate_samples=3), PAIRS, batch_size=4)
    assert result.expected == [PAIRS[0].target, PAIRS[4].target, PAIRS[7].target]
    assert "bleu" in figures
    without, _ = evaluate(translation(generate_samples=0), PAIRS, batch_size=4)
    assert set(without) == {"loss", "perplexity"}


def test_cut_pairs_are_counted_once() -> None:
    dataset = translation().dataset([TextPair("z" * 50, "z" * 50), PAIRS[0]], train=True)
    assert dataset.truncated == 1 and dataset.notices[0].startswith("1 of ")
    assert dataset.lengths is not None
    assert dataset.lengths[0] == 80


def test_a_source_too_long_or_of_another_kind_is_refused() -> None:
    task = translation()
    with pytest.raises(DataError, match="input 1 has 51 tokens; this model takes at most 40"):
        task.predict(["z" * 50], configs.TextToTextOptions())
    with pytest.raises(DataError, match="sample 1: expected a pair of texts, found LabelledText"):
        task.dataset(LABELLED, train=True)


def test_summaries_are_scored_by_rouge() -> None:
    found = metrics.summarization(["the cat sat on a mat"], ["the cat is on the mat"])
    # Four of six words in common; one of five pairs; "the cat on mat" is the longest common order.
    assert found == pytest.approx({"rouge1": 100 * 4 / 6, "rouge2": 100 / 5, "rougeL": 100 * 4 / 6}, abs=1e-4)
    task = Summarization(
        configs.TextToTextConfig(generate_samples=2), context("marian", "summarization", PAIRS, longest=40)
    )
    figures, result = evaluate(task, PAIRS, 8)
    assert {"rouge1", "rouge2", "rougeL"} <= set(figures)
    texts = replace(result, found=["the sea", "a hill today", "nothing"], expected=["the sea", "a hill", "some"])
    assert set(task.intervals(texts)) == {"rouge1", "rouge2", "rougeL"}
    assert task.better("rougeL") == "max" and task.intervals(replace(texts, found=[], expected=[])) == {}


SCRIPTS = {
    "Cyrillic": "собака спит на старом диване",
    "Devanagari": "कुत्ता सो रहा है",
    "Han": "今天下雨了",
    "Kana": "ねこがすきです",
    "Hangul": "개가 소파에서 자고 있다",
    "Arabic": "الكلب ينام على الأريكة",
    "Thai": "สุนัขกำลังนอน",
    "Georgian": "ძაღლს ძინავს ძველ დივანზე",
}
"""A text of four words or more in scripts with other ideas of a word."""


@pytest.mark.parametrize("script", SCRIPTS)
def test_equal_texts_of_any_script_have_full_scores_and_other_texts_have_not(script: str) -> None:
    text = SCRIPTS[script]
    other = SCRIPTS["Cyrillic" if script != "Cyrillic" else "Georgian"]
    assert list(metrics.summarization([text], [text]).values()) == pytest.approx([100] * 3)
    assert set(metrics.summarization([other], [text]).values()) == {0}
    equal, different = metrics.translation([text], [text]), metrics.translation([other], [text])
    assert list(equal.values()) == pytest.approx([100] * 2) and equal.keys() == different.keys()
    assert max(different.values()) < 10


def test_a_score_names_the_tokenizer_that_is_not_the_usual_one() -> None:
    assert [metrics.bleu_tokenizer([text]) for text in SCRIPTS.values()] == [
        *("13a", "13a", "zh", "char", "13a", "13a", "char", "13a")
    ]
    assert metrics.bleu_tokenizer(["日本語を勉強しています", "Tokyo"]) == "char"
    assert metrics.bleu_tokenizer(["", "1984"]) == "13a"
    assert metrics.translation(["今天下雨了"], ["今天下雨了"]).keys() == {"bleu_zh", "chrf"}


def test_words_are_runs_of_letters_with_their_marks_or_single_characters() -> None:
    assert metrics.words("Don't stop, 3.5 m_s") == ["Don", "t", "stop", "3", "5", "m", "s"]
    assert metrics.words("कुत्ता सो") == ["कुत्ता", "सो"]
    assert metrics.words("今天 rain") == ["今", "天", "rain"]
    composed, decomposed = "caf\u00e9 noir", "cafe\u0301 noir"
    assert metrics.summarization([composed], [decomposed])["rouge1"] == pytest.approx(100)


def test_translations_are_scored_by_sacrebleu() -> None:
    assert metrics.translation(["the cat sat on the mat"], ["the cat sat on the mat"]) == pytest.approx(
        {"bleu": 100, "chrf": 100}
    )
    # Precisions 5/6, 3/5, 1/4 and, smoothed, 1/6; no brevity penalty.
    close = metrics.translation(["the cat sat on a mat"], ["the cat sat in a mat"])
    assert close["bleu"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25, rel=1e-4)


# Feature extraction


def embedder() -> FeatureExtraction:
    return FeatureExtraction(None, context("bert", "feature-extraction", TEXTS))


def test_embeddings_are_means_over_real_tokens() -> None:
    task = embedder()
    task.model.eval()
    together = task.predict(TEXTS, configs.EmbeddingOptions(normalize=False))
    for text, answer in zip(TEXTS, together, strict=True):
        ids = torch.tensor(task.preprocessor.encode([text], 16).rows())
        with torch.no_grad():
            states: Tensor = task.model(input_ids=ids).last_hidden_state
        assert answer["embedding"] == pytest.approx(states[0].mean(0).tolist(), abs=1e-5)
    unit = task.predict(TEXTS[:1], configs.EmbeddingOptions())[0]["embedding"]
    assert sum(x * x for x in unit) == pytest.approx(1, abs=1e-5)


def test_embeddings_are_not_trained() -> None:
    task = embedder()
    with pytest.raises(UsageError, match="feature-extraction has nothing to train") as caught:
        as_task("feature-extraction", task)
    assert "fill-mask" in caught.value.hint


# Baselines


def test_every_trained_task_names_its_baselines() -> None:
    texts = TEXTS * 3
    assert set(filling().baselines(texts, TEXTS)) == {"unigram"}
    baselines = {name: figures_of(found) for name, found in generation().baselines(texts, TEXTS).items()}
    assert set(baselines) == {"unigram", "trigram"}
    assert baselines["trigram"]["loss"] < baselines["unigram"]["loss"]
    assert baselines["unigram"]["perplexity"] == pytest.approx(math.exp(baselines["unigram"]["loss"]))
    listed = classification("lstm").baselines(LABELLED, LABELLED)
    classified = {name: figures_of(found) for name, found in listed.items()}
    assert classified["majority"]["accuracy"] == 0.5
    assert classified["tf-idf + logistic regression"]["accuracy"] > 0.5
    assert {name: set(figures_of(found)) for name, found in translation().baselines(PAIRS, PAIRS).items()} == {
        "copy": {"bleu", "chrf"},
        "word dictionary": {"bleu", "chrf"},
    }


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (configs.FillMaskConfig, {"mask_ratio": 0.0}),
        (configs.TextGenerationConfig, {"sample_tokens": 0}),
        (configs.TextToTextConfig, {"label_smoothing": 1.0}),
        (configs.TextToTextConfig, {"beams": 0}),
        (configs.FillMaskOptions, {"top_k": 0}),
        (configs.TextGenerationOptions, {"top_p": 0.0}),
        (configs.TextGenerationOptions, {"temperature": -1.0}),
        (configs.TextGenerationOptions, {"stop": ("",)}),
        (configs.TextGenerationOptions, {"seed": -1}),
        (configs.TextToTextOptions, {"max_new_tokens": -1}),
    ],
)
def test_impossible_settings_are_refused(options: type, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(values))}(\[0\])?: expected "):
        options(**values)
