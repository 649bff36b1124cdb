"""What `zoo evaluate` measures of the user's texts: all rows of a file, the test split of what was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_core import DataError, Evaluation, UnknownName, Zoo, evaluate, open_zoo, train
from zoo_core.cli import main
from zoo_core.testing import finetune_recipe, open_data

ENDINGS = ("crew", "flight", "service", "delay", "seat")


def rows(count: int, words: dict[str, str]) -> list[tuple[str, str]]:
    """Each label with its word, in turn."""
    labels = sorted(words)
    return [
        (f"{words[label]} {ENDINGS[number % 5]} number {number}", label)
        for number in range(count)
        for label in [labels[number % len(labels)]]
    ]


def table(path: Path, found: list[tuple[str, str]], header: str = "text,label") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(",".join(row) for row in found)]) + "\n")
    return path


MOODS = {"negative": "terrible", "positive": "great"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def zoo(folder: Path) -> Zoo:
    """With a classifier that was fine-tuned on 40 rows of `trained.csv`, whose columns have other names."""
    zoo = open_zoo({"ZOO_HOME": str(folder / "home")})
    path = table(folder / "trained.csv", rows(40, MOODS), "review,mood")
    columns = {"text": "review", "label": "mood"}
    recipe = finetune_recipe(
        "bert_tiny.sentiment", "text-classification", str(path), columns, ["steps=2"], zoo.host, zoo.registry,
        register_as="bert_tiny.mine",
    )  # fmt: skip
    assert recipe.data.config.split_rule == "stratified"
    train(recipe, folder=folder / "run", zoo=zoo)
    return zoo


def samples(found: Evaluation) -> set[tuple[str, int]]:
    return {(metric.split, metric.samples) for metric in found.metrics}


@pytest.mark.parametrize(("count", "words"), [(4, {"positive": "great"}), (20, MOODS), (101, MOODS)])
def test_every_row_of_a_file_is_measured(zoo: Zoo, tmp_path: Path, count: int, words: dict[str, str]) -> None:
    found = evaluate("bert_tiny.mine", str(table(tmp_path / "a.csv", rows(count, words))), zoo=zoo)
    assert samples(found) == {("all", count)}
    (accuracy,) = (metric for metric in found.metrics if metric.name == "accuracy")
    assert 0.5 < accuracy.value <= 1


def test_baselines_learn_from_what_the_model_learned_from(zoo: Zoo, tmp_path: Path, folder: Path) -> None:
    """The words of the file say the opposite of those of training: only who learned from the file could know."""
    turned = {"negative": "great", "positive": "terrible"}
    path = str(table(tmp_path / "a.csv", rows(60, turned)))
    found = evaluate("bert_tiny.mine", path, zoo=zoo)
    (accuracy,) = (metric for metric in found.metrics if metric.name == "accuracy")
    assert accuracy.baselines["tf-idf + logistic regression"] < 0.5
    trained = folder / "trained.csv"
    kept = trained.read_bytes()
    trained.write_bytes(kept + b"another great one,positive\n")
    found = evaluate("bert_tiny.mine", path, zoo=zoo)
    trained.write_bytes(kept)
    assert not any(metric.baselines for metric in found.metrics)
    assert any(note.startswith("no baselines: ") and "has changed since" in note for note in found.notes)


def test_what_was_trained_on_is_split_as_it_was_and_its_test_split_is_measured(zoo: Zoo, folder: Path) -> None:
    trained = str(folder / "trained.csv")
    found = evaluate("bert_tiny.mine", trained, zoo=zoo)
    assert samples(found) == {("test", 4)} and all(
        metric.baselines for metric in found.metrics if metric.name != "loss"
    )
    assert any("its test split is measured, --split all measures all" in note for note in found.notes)
    assert samples(evaluate("bert_tiny.mine", trained, split="train", zoo=zoo)) == {("train", 32)}
    assert samples(evaluate("bert_tiny.mine", trained, split="all", zoo=zoo)) == {("all", 40)}
    other = table(folder / "elsewhere" / "copy.csv", rows(40, MOODS), "review,mood")
    columns = {"text": "review", "label": "mood"}
    assert samples(evaluate("bert_tiny.mine", str(other), columns=columns, zoo=zoo)) == {("test", 4)}


def test_splits_that_the_data_has_are_chosen_by_name(zoo: Zoo, tmp_path: Path) -> None:
    for name, count in (("train", 10), ("dev", 6), ("test", 8)):
        table(tmp_path / f"{name}.csv", [(f"{name} {text}", label) for text, label in rows(count, MOODS)])
    assert samples(evaluate("bert_tiny.mine", str(tmp_path), zoo=zoo)) == {("test", 8)}
    assert samples(evaluate("bert_tiny.mine", str(tmp_path), split="validation", zoo=zoo)) == {("validation", 6)}
    with pytest.raises(UnknownName, match="unknown split 'tset'"):
        evaluate("bert_tiny.mine", str(tmp_path), split="tset", zoo=zoo)
    path = str(table(tmp_path / "one" / "a.csv", rows(20, MOODS)))
    assert samples(evaluate("bert_tiny.mine", path, settings={"test_fraction": 0.5}, zoo=zoo)) == {("test", 10)}


def test_bad_rows_of_a_file_are_told(zoo: Zoo, tmp_path: Path) -> None:
    path = str(table(tmp_path / "a.csv", [*rows(40, MOODS), ("", "positive")]))
    with pytest.raises(DataError, match=r"a\.csv:42: the text is empty"):
        evaluate("bert_tiny.mine", path, zoo=zoo)
    found = evaluate("bert_tiny.mine", path, settings={"bad": "skip"}, zoo=zoo)
    assert samples(found) == {("all", 40)} and any("1 of 41 rows" in note for note in found.notes)


def test_unlabelled_text_is_measured_whole(zoo: Zoo, tmp_path: Path) -> None:
    recipe = {
        "name": "bert_tiny.few",
        "init": "bert_tiny.sentiment",
        "task": {"name": "fill-mask"},
        "data": {"name": "text", "path": str(tmp_path / "a.txt")},
        "training": {"steps": 1, "batch_size": 2},
    }
    (tmp_path / "a.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 50)
    (tmp_path / "b.txt").write_text("the lazy dog jumps\n" * 10)
    train(recipe, folder=tmp_path / "run", zoo=zoo)
    assert {split for split, _ in samples(evaluate("bert_tiny.few", str(tmp_path / "b.txt"), zoo=zoo))} == {"all"}


def test_texts_that_training_cuts_are_counted_in_the_log_and_on_the_card(zoo: Zoo, tmp_path: Path) -> None:
    long = " ".join(["great flight"] * 200)
    path = table(tmp_path / "long.csv", [*rows(40, MOODS), *((f"{long} {number}", "positive") for number in range(10))])
    recipe = finetune_recipe(
        "bert_tiny.sentiment", "text-classification", str(path), {}, ["steps=1"], zoo.host, zoo.registry,
    )  # fmt: skip
    result = train(recipe, folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None
    told = "8 of 40 texts are cut to the 64 tokens that the model takes"
    assert told in result.card.notes.splitlines()
    assert told in (tmp_path / "run" / "log.txt").read_text()
    measured = evaluate("bert_tiny.mine", str(path), zoo=zoo)
    assert "10 of 50 texts are cut to the 64 tokens that the model takes" in measured.notes


def test_the_command_says_what_it_measured_and_keeps_files_in_the_home_folder(
    zoo: Zoo, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(folder / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "four.csv", rows(4, {"positive": "great"}))
    assert main(["evaluate", "bert_tiny.mine", "--data", "four.csv", "--output", "~/kept"]) == 0
    shown = capsys.readouterr()
    assert "bert_tiny.mine on zoo-nlp/labelled-text, split all, 4 samples" in shown.out
    assert "samples by class (all): positive 4" in shown.err
    assert (tmp_path / "person" / "kept" / "confusion.json").is_file() and not (tmp_path / "~").exists()


def test_a_column_of_groups_is_chosen_by_word_and_kept_together(zoo: Zoo, tmp_path: Path) -> None:
    found = [(f"{mood} number {n}", label, f"film {n // 4}") for n in range(40) for label, mood in MOODS.items()]
    (tmp_path / "a.csv").write_text("text,label,film\n" + "".join(",".join(row) + "\n" for row in found))
    tuned = ("bert_tiny.sentiment", "text-classification", str(tmp_path / "a.csv"))
    recipe = finetune_recipe(*tuned, {"group": "film"}, [], zoo.host, zoo.registry)
    data = open_data(recipe.data.provided, recipe.data.config, zoo.host)
    homes = [{int(one.text.split()[2]) // 4 for one in data.samples(split)} for split in data.splits()]
    assert sum(map(len, homes)) == 10 == len(set.union(*homes)) and all(homes)
    assert "split by film: 8 groups of 64 in train, 1 groups of 8 in validation, 1 groups of 8 in test" in data.notices
    few = finetune_recipe(*tuned, {"group": "label"}, [], zoo.host, zoo.registry)
    with pytest.raises(
        DataError, match="by column 'label' and their copies the rows are 2 groups, for 3 splits"
    ) as caught:
        open_data(few.data.provided, few.data.config, zoo.host)
    assert caught.value.hint == "data.test_fraction=0 does without it"
    absent = finetune_recipe(*tuned, {"group": "filn"}, [], zoo.host, zoo.registry)
    with pytest.raises(DataError, match="no column 'filn'") as caught:
        open_data(absent.data.provided, absent.data.config, zoo.host)
    assert "film" in caught.value.hint
